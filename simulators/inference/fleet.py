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

A group that says ``serves = [3, 5]`` serves the requests of these tenants alone (the numbers in column ``tenant`` of
a trace), together with other groups that name the same ones; all other tenants go to the groups that name none. So a
fleet holds services with models of their own.

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
from simulators.inference.cluster import Cluster
from simulators.inference.failing import failures_for
from simulators.inference.options import Group
from simulators.inference.pools import Pools
from simulators.inference.reliability import NEVER, Reliability
from simulators.inference.replica import Replica
from simulators.inference.roles import check_roles, link_between, link_facts
from simulators.inference.routing import BY_CONTENT, router
from simulators.inference.services import AnyCluster, Services
from simulators.inference.serving import Serving, build_cluster, build_replicas, group_name
from simulators.spelling import check_numbers


def read_groups(path: Path, default: Serving | None = None) -> list[Group]:
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


def _serving(path: Path, number: int, options: dict[str, Any]) -> Group:
    check_numbers(Group, options, f"{path}: group {number}")
    try:
        return Group.model_validate(options)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        hint = nearest(name, list(Group.model_fields)) if first["type"] == "extra_forbidden" else ""
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

    A router sends any request to any replica that serves its tenant (`Group.serves`): where models differ and no
    tenants are named, they stand for the same service. Replicas are numbered service by service, in the order in which
    the groups name them. Where prefill and decode are apart, each of the two pools has such a router; one that goes by
    what is in a prompt has done its part when that is prefilled, and the replica that decodes is the one with the
    fewest requests.

    Raises
    ------
    InputError
        As `build_replicas`; also if there is no group, groups name tenants that overlap without being the same, or the
        groups' roles do not go together.
    """
    if not groups:
        raise InputError("fleet: no group, expected at least one")
    for group in groups:
        if group.prefill_replicas and group.role != "both":
            raise InputError(
                f"--prefill-replicas {group.prefill_replicas}: the group has a role, expected replicas"
            )
    groups = [pool for group in groups for pool in group.pools]
    check_roles(groups, router_name)
    names = [group_name(group) for group in groups]
    repeated = {name for name, count in Counter(names).items() if count > 1}
    made, facts = [], []
    for number, (name, group) in enumerate(zip(names, groups, strict=True), start=1):
        label = f"{name} ({number})" if name in repeated else name
        own, own_facts = build_replicas(group, log, label, seed)
        made.append(own)
        facts.append({"group": label} | own_facts)

    def behind_a_router(name: str, replicas: list[Replica], key: tuple[int, ...], copies: float) -> Cluster:
        rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=key))
        return Cluster(replicas, router(name, len(replicas), rng), bins_per_interval, copies)

    of_first = {name: value for name, value in facts[0].items() if name != "group"}
    of_first |= {"gpu_name": ", ".join(dict.fromkeys(f["gpu_name"] for f in facts))}
    together: AnyCluster
    if any(group.role == "prefill" for group in groups):
        prefill, decode = (
            [(group, own) for group, own in zip(groups, made, strict=True) if group.role == role]
            for role in ("prefill", "decode")
        )
        receivers = [group for group, _ in decode]
        links = [link_between(group, receivers) for group, own in prefill for _ in own]
        last = "least_outstanding" if router_name in BY_CONTENT else router_name
        pools = [
            behind_a_router(name, [r for _, own in groups_of for r in own], (key,), 1.0)
            for name, groups_of, key in ((router_name, prefill, 1_000_003), (last, decode, 1_000_004))
        ]
        count = sum(len(one.replicas) for one in pools)
        for one, name, first in zip(pools, (router_name, last), (0, len(pools[0].replicas)), strict=True):
            one.fail_by(failures_for(reliability, one.replicas, one.parking, name, seed, first, count))
        together = Pools(pools[0], pools[1], links, prefill[0][0].kv_first_token, copies)
        of_first["kv_link"] = link_facts(links[0])
        return together, of_first | {"gpus": together.gpu_count, "groups": facts}
    of_tenants = services_of(groups)
    total, clusters = sum(map(len, made)), list[Cluster]()
    apart = set(of_tenants) != {frozenset()}  # several services, or one that is not for everybody
    for numbers in of_tenants.values():
        replicas = [replica for number in numbers for replica in made[number]]
        first = sum(len(one.replicas) for one in clusters)
        key = (1_000_003, first) if first else (1_000_003,)
        cluster = behind_a_router(router_name, replicas, key, 1.0 if apart else copies)
        cluster.fail_by(failures_for(reliability, replicas, cluster.parking, router_name, seed, first, total))
        clusters.append(cluster)
    together = Services(clusters, list(of_tenants), copies) if apart else clusters[0]
    return together, of_first | {"gpus": together.gpu_count, "groups": facts}


def build(groups: Sequence[Serving], **settings: Any) -> tuple[AnyCluster, dict[str, Any]]:
    """One group of replicas that do both for everybody, or whatever else `build_fleet` makes; `settings` of either.

    Raises
    ------
    InputError
        As `build_fleet`.
    """
    if len(groups) == 1 and not groups[0].prefill_replicas and not served_by(groups[0]):
        return build_cluster(groups[0], **settings)
    return build_fleet(groups, **settings)


def services_of(groups: Sequence[Serving]) -> dict[frozenset[int], list[int]]:
    """The places of the groups that serve the same tenants, by whom they serve (nobody: all whom no group names).

    Raises
    ------
    InputError
        If two groups share a tenant and not all.

    Examples
    --------
    >>> found = services_of([Group(serves=(3,)), Serving(), Group(serves=(3,)), Group(serves=(5, 4))])
    >>> [(sorted(tenants), places) for tenants, places in found.items()]
    [([3], [0, 2]), ([], [1]), ([4, 5], [3])]
    """
    found: dict[frozenset[int], list[int]] = {}
    first: dict[int, int] = {}
    for number, group in enumerate(groups):
        tenants = served_by(group)
        for tenant in sorted(tenants):
            if served_by(groups[first.setdefault(tenant, number)]) != tenants:
                raise InputError(
                    f"fleet: groups {first[tenant] + 1} and {number + 1} both serve tenant {tenant}, and not the same "
                    "others; expected serves = [...] that are equal or have none in common"
                )
        found.setdefault(tenants, []).append(number)
    return found


def served_by(group: Serving) -> frozenset[int]:
    """The tenants that a group names; none: it serves those whom no group names."""
    return frozenset(group.serves) if isinstance(group, Group) else frozenset()
