"""From what a user names (model, GPU, scheduler...) to a cluster that can run."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np

from simulators.errors import InputError
from simulators.inference.batching.policies import limits_for
from simulators.inference.batching.state import Limits
from simulators.inference.catalogue import Gpu, Model, gpu, kv_blocks, model
from simulators.inference.catalogue.layout import Layout, layout_of
from simulators.inference.catalogue.memory import weight_bytes_per_gpu
from simulators.inference.cluster import Cluster
from simulators.inference.failing import failures_for
from simulators.inference.grounds import layout_grounds, power_grounds, time_grounds
from simulators.inference.offload import host_facts, host_tier
from simulators.inference.options import Serving
from simulators.inference.power.cap import check_cap, check_clock
from simulators.inference.power.law import PowerLaw
from simulators.inference.power.laws import law_for, without_waiting
from simulators.inference.power.states import State, states_for
from simulators.inference.reliability import NEVER, Reliability
from simulators.inference.replica import Replica
from simulators.inference.routing import router
from simulators.inference.speculation import (
    Speculation,
    blocks_beside_draft,
    random_key,
    speculation_of,
    with_drafts,
)
from simulators.inference.standby import IdleRule
from simulators.inference.tenant_shares import TenantShares
from simulators.inference.timing import host_seconds, resolve_kind, stage_tables
from simulators.inference.timing.layer_profile import is_layer_profile
from simulators.inference.timing.tables import StageTables
from simulators.leaves import option_name

BETWEEN_POOLS = ("kv_link_gb_s", "kv_link_latency_us", "kv_overlap", "kv_first_token")
"""Options of what lies between prefill and decode."""

TablesUpTo = Callable[[int], StageTables]
"""Iteration times for batches of up to so many requests."""

__all__ = ["Serving", "build_cluster", "build_replicas", "group_name", "power_law_of"]


def build_replicas(
    serving: Serving, log: bool = False, group: str = "", seed: int = 42
) -> tuple[list[Replica], dict[str, Any]]:
    """The replicas of one group, and facts about them for the report; `seed` is that of what they draw.

    Raises
    ------
    InputError
        Unknown names, a model that does not fit, a combination without timing data.
    """
    shape, device = model(serving.model), gpu(serving.gpu)
    layout = _checked_layout(serving, shape)
    kind, _, folder = serving.iteration_time.partition(":")
    chosen, reason = resolve_kind(
        kind,
        shape,
        device,
        serving.tp,
        serving.precision,
        kv_precision=serving.kv_precision,
        framework=serving.framework,
        expert_parallel=layout.experts,
        data_parallel=layout.ranks,
    )
    speculation = speculation_of(serving)
    blocks = _kv_blocks(serving, shape, device, chosen, folder)
    if speculation is not None and serving.kv_blocks is None:
        blocks = blocks_beside_draft(serving, speculation, blocks)
    tier = host_tier(serving, shape, device, speculation)
    limits = _limits(serving, blocks, 0 if speculation is None else speculation.depth)
    tables_up_to = _tables_of(serving, chosen, folder)
    group = group or group_name(serving)
    states = parked_states(serving)
    tables_up_to, law = _tables_and_law(serving, chosen, tables_up_to, speculation)
    tables = tables_up_to(serving.batch_cap)
    host_blocks = tier.blocks if tier else 0
    args = limits, tables, law, layout.gpus, serving.attribution, log, group, states
    replicas = [Replica(*args, host_blocks=host_blocks) for _ in range(serving.replicas)]
    for replica in replicas:
        replica.tables_up_to = tables_up_to
        if serving.tenant_shares is not None:
            replica.share(TenantShares.read(serving.tenant_shares))
        if speculation is not None:
            replica.speculate(speculation.acceptance.at_least, random_key(seed))
        if tier is not None:
            replica.fetch_from_host(tier.fetching, tier.block_bytes, tier.joules_per_byte)
        if serving.idle_off_s is not None:
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
    shared = layout_grounds(
        shape, device, layout, chosen, serving.expert_imbalance, tables, min(serving.batch_cap, blocks)
    )
    if shared:
        facts["layout"] = shared
    if serving.tenant_shares is not None:
        facts["tenant_shares"] = serving.tenant_shares
    if speculation is not None:
        facts["speculation"] = speculation.facts()
    if tier is not None:
        facts["host_cache"] = host_facts(tier, serving)
    if serving.idle_off_s is not None:
        facts["idle_state"] = parking_facts(states[serving.idle_state], law.idle_w)
    return replicas, facts


def _checked_layout(serving: Serving, shape: Model) -> Layout:
    """How the model lies on its GPUs; refuses what has no meaning for it."""
    if serving.role == "both":
        for name in BETWEEN_POOLS:
            if (value := getattr(serving, name)) != Serving.model_fields[name].default:
                raise InputError(
                    f"{option_name(name)} {value}: nothing is between replicas that do both, expected with "
                    "--prefill-replicas"
                )
    layout = layout_of(
        shape,
        serving.tp,
        serving.pp,
        serving.data_parallel,
        serving.expert_parallel,
        serving.decode_context_parallel,
    )
    if serving.expert_imbalance is not None and not layout.spread:
        raise InputError(
            f"--expert-imbalance {serving.expert_imbalance:g}: no GPU has experts of its own, expected "
            "--expert-parallel"
        )
    return layout


def _tables_and_law(
    serving: Serving, kind: str, tables_up_to: TablesUpTo, speculation: Speculation | None
) -> tuple[TablesUpTo, PowerLaw]:
    """Iteration times, with those of drafts, and a power law of GPUs that wait for their host and for each other."""
    waits_s, each_s = host_seconds(kind, serving.framework, serving.framework_version, serving.overhead_s)
    comm_s = tables_up_to(serving.batch_cap).comm_s
    if speculation is None:  # each rank has a host for its own requests
        return tables_up_to, without_waiting(
            _limited_law(serving), comm_s, (waits_s, each_s / serving.data_parallel)
        )
    # tokens that are sampled from are not sequences that wait
    law = without_waiting(_limited_law(serving), comm_s, (waits_s, 0.0))
    return with_drafts(serving, speculation, law, tables_up_to, each_s), law


def parked_states(serving: Serving) -> dict[str, State]:
    """What the GPUs of a replica can be parked in, by name; empty where nothing is known and nothing parks by itself.

    Raises
    ------
    InputError
        If nothing is known, and replicas are to park after a while.

    Examples
    --------
    >>> states = parked_states(Serving(gpu="h100"))
    >>> states["off"].power_w < states["loaded_idle"].power_w
    True
    """
    shape, device = model(serving.model), gpu(serving.gpu)
    if serving.idle_off_s is None and not device.power.get("states"):
        return {}
    experts = shape.num_experts / serving.data_parallel
    weights = weight_bytes_per_gpu(shape, serving.tp, serving.pp, serving.precision, experts=experts)
    return states_for(device, weights, serving.tp * serving.pp)


def _limits(serving: Serving, blocks: int, depth: int) -> Limits:
    """What bounds the batches of a replica."""
    return limits_for(
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
        prefix_cache="off" if serving.role == "decode" else serving.prefix_cache,
        hash_tokens=serving.hash_tokens,
        role=serving.role,
        depth=depth,
    )


def _limited_law(serving: Serving) -> PowerLaw:
    """The power law with the power cap and the clock limit of a configuration."""
    law = power_law_of(serving)
    if serving.power_cap_w is not None:
        law = law._replace(cap_w=check_cap(law, serving.power_cap_w))
    return law._replace(clock=check_clock(serving.clock_limit))


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
        context=serving.decode_context_parallel, max_tokens=_most_tokens(serving, serving.batch_cap),
    )  # fmt: skip


def _most_tokens(serving: Serving, batch_cap: int) -> int:
    """Tokens of the largest batch of a configuration."""
    return max(serving.max_batch_tokens, serving.chunk_size + batch_cap)


def _kv_blocks(serving: Serving, shape: Model, device: Gpu, chosen: str, folder: str) -> int:
    """KV blocks of a replica: as given, or what its GPUs' memory holds."""
    rule = serving.kv_rule
    for name in ("data_parallel", "decode_context_parallel"):
        if rule == "slots" and (count := getattr(serving, name)) > 1:
            raise InputError(
                f"--kv-rule slots: counts whole sequences on each GPU, expected paged with {option_name(name)} {count}"
            )
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
        context=serving.decode_context_parallel,
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


def _tables_of(serving: Serving, chosen: str, folder: str) -> TablesUpTo:
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
            max_batch=batch_cap * (1 + serving.speculate),  # tokens that are verified and sampled from
            profile_dir=Path(folder) if folder else None,
            data_parallel=serving.data_parallel,
            expert_parallel=serving.expert_parallel,
            imbalance=serving.expert_imbalance,
            context_parallel=serving.decode_context_parallel,
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
    role = "" if serving.role == "both" else f", {serving.role}"
    return f"{model(serving.model).name.split('/')[-1]} on {gpu(serving.gpu).name}{role}"


def build_cluster(
    serving: Serving,
    *,
    router_name: str = "round_robin",
    seed: int = 42,
    bins_per_interval: int = 1,
    log: bool = False,
    copies: float = 1.0,
    reliability: Reliability = NEVER,
) -> tuple[Cluster, dict[str, Any]]:
    """A cluster of equal replicas behind a router; see `build_replicas`. Of several kinds: `fleet.build_fleet`.

    Raises
    ------
    InputError
        As `build_replicas`; or if prefill and decode are apart (`fleet.build_fleet` makes those).

    Examples
    --------
    >>> cluster, facts = build_cluster(Serving(gpu="a100", replicas=2, iteration_time="roofline"))
    >>> cluster.gpu_count, facts["iteration_time"]
    (2, 'roofline')
    """
    if serving.prefill_replicas:
        raise InputError(
            f"--prefill-replicas {serving.prefill_replicas}: load curves, policies that plan with them and flexibility "
            "know only replicas that do both, expected 0"
        )
    if serving.role != "both":
        raise InputError(f"--role {serving.role}: expected in a [[groups]] table of --fleet")
    replicas, facts = build_replicas(serving, log, seed=seed)
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(1_000_003,)))
    chosen = router(router_name, len(replicas), rng)
    cluster = Cluster(replicas, chosen, bins_per_interval, copies)
    cluster.fail_by(failures_for(reliability, replicas, cluster.parking, router_name, seed))
    return cluster, facts
