"""Clusters of several kinds of replicas: different GPUs, models or limits behind one router.

A file describes them, one table per group; every key is an option of `Serving`, and what a group leaves out is taken
from the top of the file, then from the defaults::

    power_law = "auto"

    [[groups]]
    gpu = "h100"
    replicas = 2

    [[groups]]
    gpu = "a100"
    power_cap_w = 300

A group may also only prefill (``role = "prefill"``) or only decode; then each does one of the two (`pools.Pools`). What
is between them, ``kv_link_gb_s`` and so on, is that of the group that prefills.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError

from simulators.errors import InputError, nearest
from simulators.files import read_toml
from simulators.inference.catalogue import model
from simulators.inference.catalogue.memory import (
    kv_bytes_per_token_per_gpu,
    state_bytes_per_sequence_per_gpu,
)
from simulators.inference.cluster import Cluster
from simulators.inference.failures import failures_for
from simulators.inference.pools import AnyCluster, Pools
from simulators.inference.reliability import NEVER, Reliability
from simulators.inference.replica import Replica
from simulators.inference.routing import BY_CONTENT, INDEPENDENT, router
from simulators.inference.serving import Serving, build_cluster, build_replicas, group_name
from simulators.inference.transfer import MOVED, Link
from simulators.options import check_numbers


def read_groups(path: Path, default: Serving | None = None) -> list[Serving]:
    """The groups of a fleet from a TOML file; `default` stands below what the file says.

    Raises
    ------
    InputError
        If the file cannot be read, holds no group, or an option is unknown or out of range.
    """
    entries = read_toml(path)
    groups = entries.pop("groups", None)
    if not isinstance(groups, list) or not groups or not all(isinstance(g, dict) for g in groups):
        raise InputError(f"{path}: no [[groups]], expected one for each kind of replica")
    common = (default.model_dump() if default else {}) | entries
    return [_serving(path, number, common | group) for number, group in enumerate(groups, start=1)]


def _serving(path: Path, number: int, options: dict[str, Any]) -> Serving:
    check_numbers(Serving, options, f"{path}: group {number}")
    try:
        return Serving.model_validate(options)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        hint = nearest(name, list(Serving.model_fields)) if first["type"] == "extra_forbidden" else ""
        raise InputError(
            f"{path}: group {number}, {name}: {first['input']!r} given, {first['msg'].lower()}{hint}"
        ) from None


def build_fleet(
    groups: Sequence[Serving],
    *,
    router_name: str = "least_outstanding",
    seed: int = 42,
    bins_per_interval: int = 1,
    log: bool = False,
    copies: float = 1.0,
    reliability: Reliability = NEVER,
) -> tuple[AnyCluster, dict[str, Any]]:
    """One cluster of all groups, and facts about each for the report.

    A router sends any request to any replica: where models differ, they stand for the same service. Where prefill and
    decode are apart, each of the two pools has such a router; one that goes by what is in a prompt has done its part
    when that is prefilled, and the replica that decodes is the one with the fewest requests.

    Raises
    ------
    InputError
        As `build_replicas`; also if there is no group, or the groups' roles do not go together.
    """
    if not groups:
        raise InputError("fleet: no group, expected at least one")
    for group in groups:
        if group.prefill_replicas and group.role != "both":
            raise InputError(
                f"--prefill-replicas {group.prefill_replicas}: the group has a role, expected replicas"
            )
    groups = [pool for group in groups for pool in group.pools]
    _check_roles(groups, router_name, reliability)
    names = [group_name(group) for group in groups]
    repeated = {name for name, count in Counter(names).items() if count > 1}
    replicas: dict[str, list[Replica]] = {"both": [], "prefill": [], "decode": []}
    facts, links = [], []
    for number, (name, group) in enumerate(zip(names, groups, strict=True), start=1):
        label = f"{name} ({number})" if name in repeated else name
        own, own_facts = build_replicas(group, log, label)
        replicas[group.role] += own
        if group.role == "prefill":
            links += [_link(group, [other for other in groups if other.role == "decode"])] * len(own)
        facts.append({"group": label} | own_facts)

    def behind_a_router(of: str, key: int, copies: float) -> Cluster:
        rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(key,)))
        name = "least_outstanding" if of == "decode" and router_name in BY_CONTENT else router_name
        chosen = router(name, len(replicas[of]), rng)
        return Cluster(replicas[of], chosen, bins_per_interval, copies)

    first = {name: value for name, value in facts[0].items() if name != "group"}
    first |= {"gpu_name": ", ".join(dict.fromkeys(f["gpu_name"] for f in facts))}
    cluster: AnyCluster
    senders = [group for group in groups if group.role == "prefill"]
    if senders:
        prefill, decode = (
            behind_a_router(of, key, 1.0) for of, key in (("prefill", 1_000_003), ("decode", 1_000_004))
        )
        cluster = Pools(prefill, decode, links, senders[0].kv_first_token, copies)
        first["kv_link"] = _link_facts(links[0])
    else:
        cluster = behind_a_router("both", 1_000_003, copies)
        cluster.fail_by(failures_for(reliability, cluster.replicas, cluster.parking, router_name, seed))
    return cluster, first | {"gpus": cluster.gpu_count, "groups": facts}


def build(groups: Sequence[Serving], **settings: Any) -> tuple[AnyCluster, dict[str, Any]]:
    """One group of replicas that do both, or whatever else `build_fleet` makes; `settings` are those of either.

    Raises
    ------
    InputError
        As `build_fleet`.
    """
    if len(groups) == 1 and not groups[0].prefill_replicas:
        return build_cluster(groups[0], **settings)
    return build_fleet(groups, **settings)


def _check_roles(groups: Sequence[Serving], router_name: str, reliability: Reliability) -> None:
    """Refuse roles that do not go together."""
    roles = {group.role for group in groups}
    if roles == {"both"}:
        return
    if roles != {"prefill", "decode"}:
        raise InputError(
            f"fleet: groups with the roles {', '.join(sorted(roles))}, expected both prefill and decode, or none"
        )
    if router_name.startswith(INDEPENDENT):
        raise InputError("--independent: expected 1 where prefill and decode are apart")
    if reliability.any:
        raise InputError("--failing, --failures: expected one pool of replicas, not prefill and decode apart")
    caches = {(group.model, group.kv_precision) for group in groups}
    if len(caches) > 1:
        told = " and ".join(sorted(f"{name} in {precision}" for name, precision in caches))
        raise InputError(
            f"fleet: KV caches of {told}, expected one model and one kv_precision for prefill and decode"
        )


def _link(group: Serving, decode: Sequence[Serving]) -> Link:
    """How KV caches leave a replica: every GPU of it sends to, or gets from, those that hold the same part.

    Of several layouts that decode, the one that takes longest counts.
    """
    shape = model(group.model)
    each = [kv_bytes_per_token_per_gpu(shape, g.tp, g.pp, g.kv_precision) for g in (group, *decode)]
    state = [state_bytes_per_sequence_per_gpu(shape, g.tp, g.pp) for g in (group, *decode)]
    gpus = [g.tp * g.pp for g in decode]
    per_s = group.kv_link_gb_s * 1e9
    return Link(
        s_per_token=max(each) / per_s,
        s_per_request=max(state) / per_s,
        bytes_per_token=max(a * n for a, n in zip(each[1:], gpus, strict=True)),
        bytes_per_request=max(a * n for a, n in zip(state[1:], gpus, strict=True)),
        latency_s=group.kv_link_latency_us * 1e-6,
        overlap=group.kv_overlap,
    )


def _link_facts(link: Link) -> dict[str, Any]:
    """What is between the pools, for the report."""
    return {
        "bytes_per_token": link.bytes_per_token,
        "s_per_1000_tokens": 1000 * link.s_per_token + link.s_per_request + link.latency_s,
        "joules_per_byte": MOVED.value,
        "joules_per_byte_range": [MOVED.low, MOVED.high],
        "joules_per_byte_source": MOVED.source,
    }
