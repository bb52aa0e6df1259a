"""From what a user names (model, GPU, scheduler...) to a cluster that can run."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from simulators.inference.batching.policies import limits_for
from simulators.inference.catalogue import gpu, kv_blocks, model
from simulators.inference.cluster import Cluster
from simulators.inference.power.laws import law_for
from simulators.inference.replica import Replica
from simulators.inference.routing import router
from simulators.inference.timing import resolve_kind, stage_tables
from simulators.inference.workload.requests import Workload


class Serving(BaseModel):
    """One group of equal replicas and how they serve.

    Attributes
    ----------
    model, gpu
        Names in the catalogues, or the path of a Hugging Face `config.json`.
    tp, pp
        Tensor- and pipeline-parallel GPUs of a replica.
    replicas
        Model instances.
    scheduler
        Batching policy, see `batching/policies.py`.
    batch_cap
        Requests that may run at once on a replica.
    max_batch_tokens, chunk_size
        Token bound of a batch (vLLM and vLLM v1; Sarathi), tokens.
    kv_blocks
        KV blocks of a replica; computed from the GPU's memory if None.
    kv_rule
        How they are computed: ``paged`` (all free memory in blocks), ``slots`` (whole maximum-length requests, as
        Vidur grants them); ``auto`` takes ``slots`` with profile folders, which come from there, else ``paged``.
    block_tokens
        Tokens per KV block.
    watermark
        Share of the blocks kept free at admission, 1.
    max_model_len
        Longest sequence Orca, static batching and ``slots`` reserve for, tokens.
    iteration_time
        ``auto``, ``measured``, ``roofline`` or ``profile:FOLDER``.
    precision
        Of the weights; the checkpoint's own if None.
    overhead_s
        Added to every iteration for the server's own work, s.
    power_law
        ``mfu``, ``utilisation``, ``constant`` or ``table:FILE``.
    attribution
        ``work`` or ``tokens``, see `replica.attribution_split`.
    binary_peak
        Use 2**40 instead of 10**12 in the GPU's peak: reads MFU 9 % low, as the published figures do.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    model: str = "meta-llama/Meta-Llama-3-8B"
    gpu: str = "a100"
    tp: int = Field(1, ge=1)
    pp: int = Field(1, ge=1)
    replicas: int = Field(1, ge=1)
    scheduler: str = "vllm_v1"
    batch_cap: int = Field(128, ge=1)
    max_batch_tokens: int = Field(4096, ge=1)
    chunk_size: int = Field(512, ge=1)
    kv_blocks: int | None = Field(None, ge=1)
    kv_rule: Literal["auto", "paged", "slots"] = "auto"
    block_tokens: int = Field(16, ge=1)
    watermark: float = Field(0.01, ge=0, lt=1)
    max_model_len: int = Field(4096, ge=1)
    iteration_time: str = "auto"
    precision: str | None = None
    overhead_s: float = Field(0.0, ge=0)
    power_law: str = "mfu"
    attribution: Literal["work", "tokens"] = "work"
    binary_peak: bool = False


def build_replicas(serving: Serving, log: bool = False) -> tuple[list[Replica], dict[str, Any]]:
    """The replicas, and facts about them for the report.

    Raises
    ------
    InputError
        Unknown names, a model that does not fit, a combination without timing data.
    """
    shape, device = model(serving.model), gpu(serving.gpu)
    kind, _, folder = serving.iteration_time.partition(":")
    chosen, reason = resolve_kind(kind, shape, device, serving.tp, serving.precision)  # type: ignore[arg-type]
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
        precision=serving.precision,  # type: ignore[arg-type]
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
    peak = device.peak(serving.precision or shape.precision)  # type: ignore[arg-type]
    tables = stage_tables(
        chosen,
        shape,
        device,
        serving.tp,
        serving.pp,
        serving.precision,  # type: ignore[arg-type]
        max_tokens=max(serving.max_batch_tokens, serving.chunk_size + serving.batch_cap),
        max_batch=serving.batch_cap,
        profile_dir=Path(folder) if folder else None,
        overhead_s=serving.overhead_s,
        peak_flops=peak / 1e12 * 2**40 if serving.binary_peak else None,
    )
    law = law_for(device, serving.power_law, shape, serving.precision)  # type: ignore[arg-type]
    replicas = [
        Replica(limits, tables, law, serving.tp, serving.attribution, log) for _ in range(serving.replicas)
    ]
    facts = {
        "gpus": serving.replicas * serving.tp * serving.pp,
        "iteration_time": chosen,
        "iteration_time_why": reason,
        "kv_blocks": blocks,
        "gpu_name": device.name,
        "model_name": shape.name,
        "gpu_idle_w": law.idle_w,
        "gpu_max_w": law.limit_w,
    }
    return replicas, facts


def build_cluster(
    serving: Serving,
    workload: Workload,
    *,
    router_name: str = "round_robin",
    seed: int = 42,
    bins_per_interval: int = 1,
    log: bool = False,
) -> tuple[Cluster, dict[str, Any]]:
    """A cluster of equal replicas behind a router; see `build_replicas`."""
    replicas, facts = build_replicas(serving, log)
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(1_000_003,)))
    chosen = router(router_name, len(replicas), rng)
    return Cluster(replicas, workload, chosen, bins_per_interval), facts
