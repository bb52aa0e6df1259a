"""From what a user names (model, GPU, scheduler...) to a cluster that can run."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from simulators.inference.batching.policies import limits_for
from simulators.inference.catalogue import gpu, kv_blocks, model
from simulators.inference.catalogue.precision import Precision, precision_named
from simulators.inference.cluster import Cluster
from simulators.inference.power.cap import check_cap, check_clock
from simulators.inference.power.laws import law_for
from simulators.inference.power.states import states_for
from simulators.inference.replica import Replica
from simulators.inference.routing import router
from simulators.inference.standby import IdleRule
from simulators.inference.timing import resolve_kind, stage_tables
from simulators.inference.timing.tables import StageTables

WeightPrecision = Annotated[
    Precision | None, BeforeValidator(lambda name: precision_named(name) if isinstance(name, str) else name)
]
"""An option that names the precision of the weights; None: the checkpoint's own."""


class Serving(BaseModel):
    """One group of equal replicas and how they serve.

    Examples
    --------
    >>> serving = Serving(model="meta-llama/Meta-Llama-3-70B", gpu="h100", tp=4, batch_cap=64)
    >>> serving.scheduler, serving.max_batch_tokens
    ('vllm_v1', 4096)
    >>> Serving(tp=0)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    pydantic_core._pydantic_core.ValidationError: 1 validation error for Serving
    ...
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, protected_namespaces=())

    model: str = Field(
        "meta-llama/Meta-Llama-3-8B",
        description="language model: a name in data/models or the path of a Hugging Face config.json",
    )
    gpu: str = Field("a100", description="GPU, a name in data/gpus")
    tp: int = Field(1, ge=1, description="tensor-parallel GPUs per pipeline stage")
    pp: int = Field(1, ge=1, description="pipeline stages per replica")
    replicas: int = Field(1, ge=1, description="model instances")
    scheduler: str = Field("vllm_v1", description="batching policy: vllm, vllm_v1, sarathi, orca or static")
    batch_cap: int = Field(128, ge=1, description="requests that may run at once on a replica")
    max_batch_tokens: int = Field(4096, ge=1, description="tokens per batch (vllm, vllm_v1)")
    chunk_size: int = Field(512, ge=1, description="tokens per batch (sarathi)")
    kv_blocks: int | None = Field(
        None, ge=1, description="KV blocks of a replica  [default: what the GPU's memory holds]"
    )
    kv_rule: Literal["auto", "paged", "slots"] = Field(
        "auto",
        description="how KV blocks are counted: paged (all free memory), slots (whole requests of "
        "max-model-len tokens, as Vidur grants them); auto: slots with profile folders, else paged",
    )
    block_tokens: int = Field(16, ge=1, description="tokens per KV block")
    watermark: float = Field(
        0.01, ge=0, lt=1, description="share of the KV blocks kept free at admission (vllm, sarathi)"
    )
    max_model_len: int = Field(
        4096, ge=1, description="longest sequence that orca, static and slots reserve for, tokens"
    )
    iteration_time: str = Field(
        "auto", description="time of an iteration: auto, measured, roofline or profile:DIR"
    )
    precision: WeightPrecision = Field(
        None, description="precision of the weights: bf16, fp8, ...  [default: the checkpoint's]"
    )
    kv_precision: Literal["bf16", "fp8"] = Field(
        "bf16", description="precision of the KV cache: bf16 or fp8 (half the bytes)"
    )
    overhead_s: float | None = Field(
        None,
        ge=0,
        description="server time added to every iteration, s  [default: the framework's, with measured kernels]",
    )
    power_law: str = Field(
        "mfu",
        description="GPU power: mfu (published law), utilisation (calibrated), constant or table:FILE",
    )
    power_cap_w: float | None = Field(
        None, gt=0, description="power cap of each GPU, W  [default: the board's limit]"
    )
    clock_limit: float = Field(
        1.0, gt=0, le=1, description="highest clock of the GPUs relative to full clock"
    )
    idle_state: Literal["context_idle", "sleep", "off"] = Field(
        "off", description="where a replica goes after --idle-off-s: context_idle, sleep or off"
    )
    idle_off_s: float | None = Field(
        None, ge=0, description="park a replica after so long without a request, s  [default: never]"
    )
    attribution: Literal["work", "tokens"] = Field(
        "work", description="how a batch's energy is split among its requests: by FLOP or by tokens"
    )
    binary_peak: bool = Field(
        False,
        description="MFU against TFLOPS of 2^40 instead of 10^12: reads 9 % low, as the published figures do",
    )


def build_replicas(
    serving: Serving, log: bool = False, group: str = ""
) -> tuple[list[Replica], dict[str, Any]]:
    """The replicas of one group, and facts about them for the report.

    Raises
    ------
    InputError
        Unknown names, a model that does not fit, a combination without timing data.
    """
    shape, device = model(serving.model), gpu(serving.gpu)
    kind, _, folder = serving.iteration_time.partition(":")
    chosen, reason = resolve_kind(
        kind, shape, device, serving.tp, serving.precision, kv_precision=serving.kv_precision
    )
    rule = serving.kv_rule
    if rule == "auto":
        rule = "slots" if chosen == "profile" else "paged"
    blocks = kv_blocks(
        shape,
        device,
        serving.tp,
        serving.pp,
        serving.block_tokens,
        rule,
        serving.max_model_len,
        precision=serving.precision,
        kv_precision=serving.kv_precision,
    )
    if serving.kv_blocks is not None:
        blocks = serving.kv_blocks
    limits = limits_for(
        serving.scheduler,
        total_blocks=blocks,
        batch_cap=serving.batch_cap,
        max_batch_tokens=serving.max_batch_tokens,
        chunk_size=serving.chunk_size,
        stages=serving.pp,
        block_tokens=serving.block_tokens,
        watermark=serving.watermark,
        max_model_len=serving.max_model_len,
    )
    tables_up_to = _tables_of(serving, chosen, folder)
    law = law_for(device, serving.power_law, shape, serving.precision)
    if serving.power_cap_w is not None:
        law = law._replace(cap_w=check_cap(law, serving.power_cap_w))
    law = law._replace(clock=check_clock(serving.clock_limit))
    group = group or group_name(serving)
    states = states_for(device) if device.power.get("states") else None
    replicas = [
        Replica(
            limits, tables_up_to(serving.batch_cap), law, serving.tp, serving.attribution, log, group, states
        )
        for _ in range(serving.replicas)
    ]
    for replica in replicas:
        replica.tables_up_to = tables_up_to
    if serving.idle_off_s is not None:
        state = states_for(device)[serving.idle_state]
        for replica in replicas:
            replica.standby.rule = IdleRule(state, serving.idle_off_s)
    facts = {
        "gpus": serving.replicas * serving.tp * serving.pp,
        "iteration_time": chosen,
        "iteration_time_why": reason,
        "kv_blocks": blocks,
        "gpu_name": device.name,
        "model_name": shape.name,
        "gpu_idle_w": law.idle_w,
        "gpu_max_w": min(law.limit_w, law.cap_w),
    }
    return replicas, facts


def _tables_of(serving: Serving, chosen: str, folder: str) -> Callable[[int], StageTables]:
    """Iteration times of a configuration for batches of up to so many requests; kept, for replicas share them."""
    shape, device = model(serving.model), gpu(serving.gpu)
    peak = device.peak(serving.precision or shape.precision)

    @cache
    def tables_up_to(batch_cap: int) -> StageTables:
        return stage_tables(
            chosen,  # type: ignore[arg-type]
            shape,
            device,
            serving.tp,
            serving.pp,
            serving.precision,
            max_tokens=max(serving.max_batch_tokens, serving.chunk_size + batch_cap),
            max_batch=batch_cap,
            profile_dir=Path(folder) if folder else None,
            kv_precision=serving.kv_precision,
            overhead_s=serving.overhead_s,
            peak_flops=peak / 1e12 * 2**40 if serving.binary_peak else None,
        )

    return tables_up_to


def group_name(serving: Serving) -> str:
    """What a group is called in results, e.g. ``Meta-Llama-3-8B on h100``."""
    return f"{model(serving.model).name.split('/')[-1]} on {gpu(serving.gpu).name}"


def build_cluster(
    serving: Serving,
    *,
    router_name: str = "round_robin",
    seed: int = 42,
    bins_per_interval: int = 1,
    log: bool = False,
    copies: float = 1.0,
) -> tuple[Cluster, dict[str, Any]]:
    """A cluster of equal replicas behind a router; see `build_replicas`. Of several kinds: `fleet.build_fleet`.

    Examples
    --------
    >>> cluster, facts = build_cluster(Serving(gpu="a100", replicas=2, iteration_time="roofline"))
    >>> cluster.gpu_count, facts["iteration_time"]
    (2, 'roofline')
    """
    replicas, facts = build_replicas(serving, log)
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(1_000_003,)))
    chosen = router(router_name, len(replicas), rng)
    return Cluster(replicas, chosen, bins_per_interval, copies), facts
