"""The measured kernel tables of aiconfigurator-core, as functions of tokens and contexts.

aiconfigurator-core (NVIDIA, Apache-2.0) ships kernel times measured on real GPUs and an engine that adds them up for
a model. Its operators fall into four groups here, by what their time depends on: *attention* (contexts), *sampling*
(sequences), *communication* and the rest (tokens).
"""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from simulators.errors import InputError
from simulators.inference.catalogue import Gpu, Model, Precision
from simulators.inference.catalogue.config import fields_from_config
from simulators.inference.catalogue.layout import Layout
from simulators.inference.timing.engine import FRAMEWORKS, Engine, Framework, quiet, unavailable, write_config
from simulators.inference.timing.operators import (
    Alternative,
    Operators,
    Times,
    fastest,
    groups_of,
)


@dataclass(frozen=True)
class Kernels:
    """A model's kernels on a GPU: every time in s, for all layers of the model on one tensor-parallel GPU.

    Where `others` have an operator too, the fastest counts (see `Engine.others`).
    """

    handle: Any
    context: Operators
    generation: Operators
    others: tuple[Alternative, ...] = ()

    def _context(self, which: tuple[int, ...], chunk: int, cached: int = 0) -> float:
        def evaluate(handle: Any) -> Callable[[list[int]], Times]:
            return lambda ops: handle.evaluate_context_ops(ops, batch_size=1, s=chunk, prefix=cached, x=chunk)

        others = [(other.context, evaluate(other.handle)) for other in self.others]
        return fastest(which, evaluate(self.handle), others, self.context.missing)

    def _generation(self, which: tuple[int, ...], batch: int, context: int = 1) -> float:
        def evaluate(handle: Any) -> Callable[[list[int]], Times]:
            return lambda ops: handle.evaluate_generation_ops(ops, batch_size=batch, s=context)

        others = [(other.generation, evaluate(other.handle)) for other in self.others]
        return fastest(which, evaluate(self.handle), others, self.generation.missing)

    def prompt_tokens(self, tokens: int) -> tuple[float, float]:
        """(All but attention and sampling, communication in it) for `tokens` tokens of a batch with prompts.

        With data-parallel ranks they are those of each rank, here and below.
        """
        communication = self._context(self.context.communication, tokens)
        return self._context(self.context.rest, tokens) + communication, communication

    def decode_tokens(self, tokens: int) -> tuple[float, float]:
        """The same for a batch that only decodes, one token each."""
        communication = self._generation(self.generation.communication, tokens)
        return self._generation(self.generation.rest, tokens) + communication, communication

    def prompt_experts(self, tokens: int) -> float:
        """Routed experts alone (with what overlaps them), part of `prompt_tokens`."""
        return self._context(self.context.experts, tokens)

    def decode_experts(self, tokens: int) -> float:
        """The same, part of `decode_tokens`."""
        return self._generation(self.generation.experts, tokens)

    def all_reduce(self, tokens: int, hidden: int, gpus: int) -> float:
        """One all-reduce of 16 bit values of `tokens` tokens, as the engine counts it, also beyond a node."""
        from aiconfigurator_core.sdk import operations
        from aiconfigurator_core.sdk.engine import build_ops_json

        ops = build_ops_json([operations.CustomAllReduce("all_reduce", 1, hidden, gpus)])
        return (
            float(self.handle.evaluate_ops_json(ops, is_context=False, batch_size=tokens, s=1)[0][1]) * 1e-3
        )

    def sampling(self, sequences: int) -> float:
        """LM head for `sequences` sequences."""
        return self._generation(self.generation.sampling, sequences)

    def decode_attention(self, batch: int, context: int) -> float:
        """Attention of `batch` decoding requests of `context` tokens each."""
        return self._generation(self.generation.attention, batch, context)

    def prefill_attention(self, chunk: int, cached: int) -> float:
        """Attention of one chunk of a prompt after `cached` tokens."""
        return self._context(self.context.attention, chunk, cached)


def kernels(
    model: Model,
    gpu: Gpu,
    layout: Layout,
    precision: Precision | None = None,
    kv_precision: Precision = "bf16",
    framework: Framework = "vllm",
) -> Kernels:
    """The kernels of a model on a GPU; compiled once per process and configuration.

    Parameters
    ----------
    model, gpu, layout
        What runs where.
    precision
        Of the weights; None or the checkpoint's own leaves the choice of kernels to aiconfigurator.
    kv_precision
        Of the KV cache.
    framework
        Whose kernels.

    Raises
    ------
    InputError
        If there are no measurements for the GPU, the model or the precision.
    """
    if framework not in FRAMEWORKS:
        raise InputError(f"framework: {framework!r} is unknown, expected one of {', '.join(FRAMEWORKS)}")
    if gpu.aiconfigurator_system is None:
        raise unavailable(f"no kernels were measured on {gpu.name}")
    # Model holds a dictionary, so the cache is keyed by its JSON
    key = model.model_dump_json()
    # an alias may give a model another precision than the configuration aiconfigurator will read
    stored = fields_from_config(model.config, model.name).get("precision", "bf16") if model.config else "bf16"
    wanted = precision or model.precision
    chosen = None if wanted == stored else wanted
    # B200, B300, GB200: the kernels shared there are built for compute capability 10, not for workstation boards (12)
    blackwell = "fp4" in gpu.peak_flops and gpu.link_bandwidth >= 4e11
    return _compiled(
        key,
        gpu.aiconfigurator_system,
        layout._replace(pp=1, context=1),
        chosen,
        kv_precision,
        framework,
        blackwell,
    )


@functools.lru_cache(maxsize=8)
def _compiled(
    model_json: str,
    system: str,
    layout: Layout,
    precision: Precision | None,
    kv_precision: Precision,
    framework: Framework,
    blackwell: bool,
) -> Kernels:
    model, tp = Model.model_validate_json(model_json), layout.tp
    with quiet(), tempfile.TemporaryDirectory() as folder:
        try:
            write_config(model, Path(folder))
            engine = Engine(model, folder, system, layout, precision, kv_precision, blackwell)
            handle = engine.handle(framework)
            context, generation = groups_of(handle)
            others = engine.others(framework, context, generation)
            if any(all(i not in other.generation for other in others) for i in generation.missing):
                raise unavailable(
                    f"{model.name} on {system} with tp {tp} ({framework}): no kernels of its experts"
                )
            found = Kernels(handle, context, generation, tuple(others))
            # a query of each kind shows now what is missing
            found.decode_attention(1, 1)
            found.prefill_attention(1, 0)
        except InputError:
            raise
        except Exception as error:  # its errors share no base class; any of them means: not measured
            reason = str(error).strip().split("\n")[0][:200]
            raise unavailable(f"{model.name} on {system} with tp {tp} ({framework}): {reason}") from None
    if not context.attention or not generation.attention:
        raise unavailable(f"{model.name} on {system} with tp {tp} ({framework}): no attention kernels")
    return found
