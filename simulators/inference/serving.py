"""From what a user names (model, GPU, scheduler...) to a cluster that can run."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from math import isfinite
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from simulators.errors import InputError
from simulators.inference.batching.policies import limits_for
from simulators.inference.catalogue import Gpu, Model, gpu, kv_blocks, model
from simulators.inference.catalogue.memory import weight_bytes_per_gpu
from simulators.inference.catalogue.precision import Precision, precision_named
from simulators.inference.cluster import Cluster
from simulators.inference.grounds import power_grounds, time_grounds
from simulators.inference.power.cap import check_cap, check_clock
from simulators.inference.power.law import PowerLaw
from simulators.inference.power.laws import law_for
from simulators.inference.power.prices import AUTO
from simulators.inference.power.states import State, states_for
from simulators.inference.replica import Replica
from simulators.inference.routing import router
from simulators.inference.standby import IdleRule
from simulators.inference.timing import resolve_kind, stage_tables
from simulators.inference.timing.engine import Framework
from simulators.inference.timing.layer_profile import is_layer_profile
from simulators.inference.timing.sampling import Sampling
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
    data_parallel: int = Field(
        1,
        ge=1,
        description="ranks of a replica that share its experts in lockstep, each with its own attention and a share of "
        "the requests; with profiles by layers",
    )
    replicas: int = Field(1, ge=1, description="model instances")
    scheduler: str = Field("vllm_v1", description="batching policy: vllm, vllm_v1, sarathi, orca or static")
    batch_cap: int = Field(128, ge=1, description="requests that may run at once on a replica")
    max_batch_tokens: int = Field(4096, ge=1, description="tokens per batch (vllm, vllm_v1)")
    chunk_size: int = Field(512, ge=1, description="tokens per batch (sarathi)")
    async_scheduling: bool = Field(
        False,
        description="form a batch while the one before it runs, as vLLM does from 0.14 on: a new request waits for one "
        "more batch (vllm_v1)",
    )
    kv_blocks: int | None = Field(
        None, ge=1, description="KV blocks of a replica  [default: what the GPU's memory holds]"
    )
    kv_rule: Literal["auto", "paged", "slots"] = Field(
        "auto",
        description="how KV blocks are counted: paged (all free memory), slots (whole requests of "
        "max-model-len tokens, as Vidur grants them); auto: slots with Vidur's profiles, else paged",
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
    framework: Framework = Field(
        "vllm", description="server: vllm, sglang or trtllm; whose kernels and how long its host takes"
    )
    framework_version: str | None = Field(
        None, description="version of the server, e.g. 0.11.1  [default: the newest known]"
    )
    sampling: Sampling = Field(
        "greedy",
        description="how tokens are drawn: greedy (or a fused sampler), random (softmax over the vocabulary) or sorted "
        "(top-p or top-k without a fused sampler)",
    )
    power_law: str = Field(
        AUTO,
        description="GPU power: auto (a set fitted to this GPU's servers if there is one, else physics), physics, "
        "mlenergy_v3 or another set of the data sheet, mfu (published law), constant or table:FILE",
    )
    power_cap_w: float | None = Field(
        None, gt=0, description="power cap of each GPU, W  [default: the board's limit]"
    )
    clock_limit: float = Field(
        1.0, gt=0, le=1, description="highest clock of the GPUs relative to full clock"
    )
    idle_state: Literal["context_idle", "sleep", "off"] = Field(
        "off",
        description="where a replica goes after --idle-off-s: off, sleep or context_idle. Only off draws less than a "
        "loaded replica; sleep gives its memory back and wakes in seconds where a cold start takes a minute",
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

    @property
    def gpus(self) -> int:
        """GPUs of all replicas."""
        return self.replicas * self.tp * self.pp * self.data_parallel


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
        kind,
        shape,
        device,
        serving.tp,
        serving.precision,
        kv_precision=serving.kv_precision,
        framework=serving.framework,
    )
    if serving.data_parallel > 1 and not shape.moe_layers:
        raise InputError(
            f"--data-parallel {serving.data_parallel}: {shape.name} has no experts to share, expected --replicas"
        )
    blocks = _kv_blocks(serving, shape, device, chosen, folder)
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
        ahead=serving.async_scheduling,
    )
    tables_up_to = _tables_of(serving, chosen, folder)
    law = power_law_of(serving)
    if serving.power_cap_w is not None:
        law = law._replace(cap_w=check_cap(law, serving.power_cap_w))
    law = law._replace(clock=check_clock(serving.clock_limit))
    group = group or group_name(serving)
    weights = weight_bytes_per_gpu(
        shape, serving.tp, serving.pp, serving.precision, experts=shape.num_experts / serving.data_parallel
    )
    parked = serving.idle_off_s is not None or bool(device.power.get("states"))
    states = states_for(device, weights, serving.tp * serving.pp) if parked else {}
    per_stage = serving.tp * serving.data_parallel
    tables = tables_up_to(serving.batch_cap)
    replicas = [
        Replica(limits, tables, law, per_stage, serving.attribution, log, group, states)
        for _ in range(serving.replicas)
    ]
    for replica in replicas:
        replica.tables_up_to = tables_up_to
    if serving.idle_off_s is not None:
        for replica in replicas:
            replica.standby.rule = IdleRule(states[serving.idle_state], serving.idle_off_s)
    facts: dict[str, Any] = {
        "gpus": serving.gpus,
        "iteration_time": chosen,
        "iteration_time_why": reason,
        "kv_blocks": blocks,
        "gpu_name": device.name,
        "model_name": shape.name,
        "gpu_idle_w": law.idle_w,
        "gpu_max_w": min(law.limit_w, law.cap_w),
        "power": power_grounds(device, serving.power_law, law),
        "time": time_grounds(device, chosen, reason),
    }
    if serving.idle_off_s is not None:
        facts["idle_state"] = parking_facts(states[serving.idle_state], law.idle_w)
    return replicas, facts


def power_law_of(serving: Serving) -> PowerLaw:
    """The power law of a configuration's GPUs, without cap and clock limit.

    Raises
    ------
    InputError
        Unknown names.
    """
    return law_for(
        gpu(serving.gpu), serving.power_law, model(serving.model), serving.precision,
        tp=serving.tp, pp=serving.pp, kv_precision=serving.kv_precision, sampling=serving.sampling,
        framework=serving.framework, version=serving.framework_version, ranks=serving.data_parallel,
        max_tokens=_most_tokens(serving, serving.batch_cap),
    )  # fmt: skip


def _most_tokens(serving: Serving, batch_cap: int) -> int:
    """Tokens of the largest batch of a configuration."""
    return max(serving.max_batch_tokens, serving.chunk_size + batch_cap)


def _kv_blocks(serving: Serving, shape: Model, device: Gpu, chosen: str, folder: str) -> int:
    """KV blocks of a replica: as given, or what its GPUs' memory holds."""
    rule = serving.kv_rule
    if rule == "auto":
        rule = "slots" if chosen == "profile" and not is_layer_profile(Path(folder)) else "paged"
    held = kv_blocks(
        shape,
        device,
        serving.tp,
        serving.pp,
        serving.block_tokens,
        rule,
        serving.max_model_len,
        precision=serving.precision,
        kv_precision=serving.kv_precision,
        ranks=serving.data_parallel,
    )
    return held if serving.kv_blocks is None else serving.kv_blocks


def parking_facts(state: State, loaded_w: float) -> dict[str, Any]:
    """What parking a GPU in a state takes and saves, for the report.

    Parameters
    ----------
    state
        Where its replica goes.
    loaded_w
        What it draws loaded and idle, W.

    Returns
    -------
    dict
        `break_even_s` is the shortest pause that saves energy, s; None: none does.
    """
    pause_s = state.break_even_s(loaded_w)
    return {
        "name": state.name,
        "power_w": state.power_w,
        "power_range_w": state.range_w,
        "power_basis": state.basis,
        "leave_s": state.leave_s,
        "leave_range_s": state.leave_range_s,
        "break_even_s": pause_s if isfinite(pause_s) else None,
    }


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
            max_tokens=_most_tokens(serving, batch_cap),
            max_batch=batch_cap,
            profile_dir=Path(folder) if folder else None,
            data_parallel=serving.data_parallel,
            kv_precision=serving.kv_precision,
            overhead_s=serving.overhead_s,
            framework=serving.framework,
            version=serving.framework_version,
            sampling=serving.sampling,
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
