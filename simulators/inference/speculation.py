"""From what a user says about speculation to what a replica needs: acceptance, and the cost and memory of drafting."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from simulators.errors import InputError
from simulators.inference.acceptance import Acceptance, acceptance
from simulators.inference.batching.drafts import drafting_of
from simulators.inference.catalogue import (
    Gpu,
    Model,
    gpu,
    kv_bytes_per_token_per_gpu,
    model,
    weight_bytes_per_gpu,
)
from simulators.inference.options import Serving
from simulators.inference.power.law import PowerLaw
from simulators.inference.power.laws import law_for, without_waiting
from simulators.inference.timing import resolve_kind, stage_tables
from simulators.inference.timing.tables import MIXED, StageTables, on_busiest, with_drafting
from simulators.quantities.factor import Assumption, Factor

DRAFT_TOKENS = 2048
"""Tokens up to which iterations of a draft model are timed; longer prompts are read in such chunks."""
SAME_VOCABULARY = 0.01
"""Difference of two vocabularies, relative, that padding explains."""
WIDEST = 3.0
"""How much dearer than its weights say a head may be: it is bound by launches where the batch is small. A judgement."""
HEAD = (
    "an assumption: weights of one layer and the LM head over those of the model, as EAGLE (Li et al. 2024, "
    "arXiv:2401.15077) and DeepSeek-V3's MTP (arXiv:2412.19437, section 2.2) are built; range: the layer alone, to "
    "three times"
)


@dataclass(frozen=True)
class Speculation:
    """How a group of replicas speculates.

    Attributes
    ----------
    depth
        Tokens drafted for each verification.
    acceptance
        How many of them are accepted.
    draft
        The model that drafts; None: a head on the one that is served.
    share
        Cost of one token of the head for every request over an iteration of the model, 1; None with a draft model.
    """

    depth: int
    acceptance: Acceptance
    draft: Model | None
    share: Factor | None

    def facts(self) -> dict[str, Any]:
        """For the report, as plain values."""
        told: dict[str, Any] = {
            "depth": self.depth,
            "draft_model": self.draft.name if self.draft else None,
            "acceptance_source": self.acceptance.source,
            "accepted_at_least": list(self.acceptance.at_least),
            "assumptions": {f"acceptance length at depth {self.depth}": vars(self.acceptance.length)},
        }
        if self.share is not None:
            told["assumptions"]["draft_share"] = vars(self.share)
        return told


def speculation_of(serving: Serving) -> Speculation | None:
    """What a configuration says; None if it does not speculate.

    Replicas that only prefill do as far as the draft reads prompts; its cache goes with the model's to the other pool.

    Raises
    ------
    InputError
        If options do not go together, or an acceptance or a model is unknown.

    Examples
    --------
    >>> found = speculation_of(Serving(speculate=3, acceptance="0.7"))
    >>> round(found.acceptance.length.value, 2), round(found.share.value, 3)
    (2.53, 0.099)
    """
    depth = serving.speculate
    if depth == 0:
        for name in ("acceptance", "draft_model", "draft_share"):
            if getattr(serving, name) is not None:
                raise InputError(
                    f"--{name.replace('_', '-')}: expected with --speculate, the tokens drafted at once"
                )
        return None
    if serving.acceptance is None:
        raise InputError(f"--speculate {depth}: how much is accepted is not known, expected --acceptance")
    if serving.draft_model is not None and serving.draft_share is not None:
        raise InputError("--draft-model, --draft-share: both given, expected one: a model has its own times")
    accepted = acceptance(serving.acceptance, depth)
    served = model(serving.model)
    if serving.draft_model is None:
        if serving.role == "prefill" and serving.draft_share == 0:
            return None
        return Speculation(depth, accepted, None, head_share(served).own(serving.draft_share))
    try:
        draft = model(serving.draft_model)
    except InputError as error:
        raise InputError(f"--draft-model {serving.draft_model}: {error}") from None
    if abs(draft.vocab - served.vocab) > SAME_VOCABULARY * served.vocab:
        raise InputError(
            f"--draft-model {serving.draft_model}: {draft.vocab} tokens in its vocabulary, expected the {served.vocab} "
            f"of {served.name}"
        )
    return Speculation(depth, accepted, draft, None)


def head_share(served: Model) -> Factor:
    """What one token of a head on a model costs, relative to an iteration of the model."""
    layers, head = _layers_bytes(served, served.experts_per_token or 0), 2.0 * served.vocab * served.hidden
    one = layers / served.num_layers
    share = (one + head) / (layers + head)
    return Factor(share, one / (layers + head), min(1.0, WIDEST * share), "1", HEAD)


def _layers_bytes(served: Model, experts: float) -> float:
    embeddings = 2.0 * (1 if served.tied else 2) * served.vocab * served.hidden
    return weight_bytes_per_gpu(served, 1, 1, experts=experts) - embeddings


def blocks_beside_draft(serving: Serving, found: Speculation, blocks: int) -> int:
    """KV blocks that are left of `blocks` with the weights of a draft, and its own KV cache for every token.

    Raises
    ------
    InputError
        If none is.
    """
    served, tp = model(serving.model), serving.tp
    own = _kv_bytes_per_token_per_gpu(serving, served)
    each = draft_kv_bytes_per_token_per_gpu(serving, found)
    if found.draft is not None:
        weights = weight_bytes_per_gpu(found.draft, tp, 1)
    elif each > 0:
        weights = _layers_bytes(served, served.num_experts or 0) / served.num_layers / tp
    else:
        return blocks
    ranks = serving.data_parallel
    left = (
        int((blocks / ranks * own * serving.block_tokens - weights) // ((own + each) * serving.block_tokens))
        * ranks
    )
    if left < 1:
        raise InputError(
            f"--speculate {found.depth}: the draft's weights take {weights / 1e9:.1f} GB per GPU and leave no KV "
            "block, expected more GPUs or a smaller draft"
        )
    return left


def draft_kv_bytes_per_token_per_gpu(serving: Serving, found: Speculation | None) -> float:
    """KV cache of a draft for a token of context, on each GPU of the last stage, B; 0 of one without a model."""
    if found is None:
        return 0.0
    if found.draft is not None:
        return kv_bytes_per_token_per_gpu(found.draft, serving.tp, 1, serving.kv_precision)
    if found.share is None or found.share.value == 0:  # drafted from what is in the request
        return 0.0
    served = model(serving.model)
    return _kv_bytes_per_token_per_gpu(serving, served) * serving.pp / served.attention_layers


def _kv_bytes_per_token_per_gpu(serving: Serving, served: Model) -> float:
    """Of the model, B; a head on it keeps its keys and values the same way."""
    return kv_bytes_per_token_per_gpu(
        served, serving.tp, serving.pp, serving.kv_precision, serving.decode_context_parallel
    )


def with_drafts(
    serving: Serving,
    found: Speculation,
    law: PowerLaw,
    tables_up_to: Callable[[int], StageTables],
    host_s: float,
) -> Callable[[int], StageTables]:
    """Iteration times with those of drafting.

    Parameters
    ----------
    serving, found
        The configuration, and its speculation.
    law
        Of the model that is served.
    tables_up_to
        Its times, for batches of so many requests.
    host_s
        Waiting for the host in them for each that is sampled from, s; it is for each request.
    """
    served, device = model(serving.model), gpu(serving.gpu)
    latent = 1.0
    if served.mla:  # decoding works on compressed vectors, prompts on heads
        latent = (2 * served.kv_lora + served.rope_dim) / (
            served.nope_dim + served.rope_dim + served.value_dim
        )

    def drafted(batch_cap: int) -> StageTables:
        tables = waiting_per_request(tables_up_to(batch_cap), host_s, serving.pp, serving.data_parallel)
        if found.draft is None:
            share = found.share.value if found.share is not None else 0.0
            drafting = drafting_of(
                tables, tables, law, passes=found.depth, share=share, stages=serving.pp, pair_factor=latent
            )
        else:
            own, own_law = _draft_model(serving, found.draft, device, batch_cap)
            drafting = drafting_of(tables, own, own_law, passes=found.depth, pair_factor=latent)
        return with_drafting(tables, drafting)

    return drafted


def waiting_per_request(tables: StageTables, host_s: float, stages: int, ranks: int = 1) -> StageTables:
    """The tables with what the host takes for a sequence counted for each decoding request, not each token verified.

    It schedules and answers requests; of one that verifies several tokens each is sampled from, but it is one. Of
    several data-parallel `ranks` each has a host for its own.
    """
    columns = (2 if tables.mode == MIXED else 1) * len(tables.decode_kv)
    own = [
        on_busiest(np.arange(float(count)), ranks, count)
        for count in (len(tables.decode_s), len(tables.sequence_s))
    ]
    decode_s = tables.decode_s.copy()
    decode_s[:, :columns] += host_s / stages * own[0][:, None]
    sequence_s = tables.sequence_s - host_s * own[1]
    return tables._replace(decode_s=decode_s, sequence_s=sequence_s)


def _draft_model(serving: Serving, draft: Model, device: Gpu, batch_cap: int) -> tuple[StageTables, PowerLaw]:
    """Times and power of a draft model on the GPUs of one stage; the server waits for its host once, not for drafts."""
    tp, kv = serving.tp, serving.kv_precision
    if serving.iteration_time == "roofline":
        kind: str = "roofline"
    else:
        kind, _ = resolve_kind("auto", draft, device, tp, kv_precision=kv, framework=serving.framework)
    tables = stage_tables(
        kind, draft, device, tp,
        max_tokens=max(DRAFT_TOKENS, batch_cap), max_batch=batch_cap, kv_precision=kv,
        framework=serving.framework, version=serving.framework_version, overhead_s=0.0, sampling=serving.sampling,
    )  # fmt: skip
    law = law_for(
        device, serving.power_law, draft,
        tp=tp, kv_precision=kv, sampling=serving.sampling,
        framework=serving.framework, version=serving.framework_version, max_tokens=max(DRAFT_TOKENS, batch_cap),
    )  # fmt: skip
    return tables, without_waiting(law, tables.comm_s, (0.0, 0.0))


def random_key(seed: int) -> int:
    """The key of a study's draws of acceptance."""
    return int(np.random.SeedSequence(seed, spawn_key=(1_000_033,)).generate_state(1)[0])


def assumptions(facts: Mapping[str, Any]) -> list[Assumption]:
    """What a group's speculation rests on, from its facts (`Speculation.facts`); nothing if it does not speculate."""
    told = facts.get("speculation") or {}
    return [Assumption(name, Factor(**factor)) for name, factor in told.get("assumptions", {}).items()]
