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

A group may also only prefill (``role = "prefill"``) or only decode; then each of the groups that serve the same tenants
does one of the two (`pools.Pools`), while other tenants' may do both. What is between them, ``kv_link_gb_s`` and so on,
is that of the group that prefills.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

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
from simulators.inference.roles import check_hashes, check_roles, link_between, link_facts, whose
from simulators.inference.routing import BY_CONTENT, INDEPENDENT, router
from simulators.inference.services import AnyCluster, IndependentPools, Services
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
    the groups name them, those of a service that only prefill before those that only decode. Where prefill and decode
    are apart, each of the two pools has such a router; one that goes by what is in a prompt has done its part when that
    is prefilled, and the replica that decodes is the one with the fewest requests.

    Raises
    ------
    InputError
        As `build_replicas`; also if there is no group, groups name tenants that overlap without being the same, or the
        roles of those that serve the same ones do not go together.
    """
    if not groups:
        raise InputError("fleet: no group, expected at least one")
    for group in groups:
        if group.prefill_replicas and group.role != "both":
            raise InputError(
                f"--prefill-replicas {group.prefill_replicas}: the group has a role, expected replicas"
            )
    groups = [pool for group in groups for pool in group.pools]
    of_tenants = services_of(groups)
    for tenants, numbers in of_tenants.items():
        check_roles([groups[number] for number in numbers], whose(tenants, of_tenants))
    check_hashes(groups, router_name)
    made, facts = _replicas(groups, log, seed)
    for numbers in of_tenants.values():
        receivers = [groups[number] for number in numbers if groups[number].role == "decode"]
        for number in (number for number in numbers if groups[number].role == "prefill"):
            facts[number]["kv_link"] = link_facts(link_between(groups[number], receivers))
    together = _together(
        of_tenants,
        [_Kind(group, own) for group, own in zip(groups, made, strict=True)],
        _Clusters(router_name, seed, bins_per_interval, reliability, sum(map(len, made))),
        copies,
    )
    of_first = {name: value for name, value in facts[0].items() if name != "group"}
    of_first |= {"gpu_name": ", ".join(dict.fromkeys(f["gpu_name"] for f in facts))}
    links = [fact["kv_link"] for fact in facts if "kv_link" in fact]
    of_first |= {"kv_link": links[0]} if links else {}
    return together, of_first | {"gpus": together.gpu_count, "groups": facts}


def _replicas(
    groups: Sequence[Serving], log: bool, seed: int
) -> tuple[list[list[Replica]], list[dict[str, Any]]]:
    """The replicas of each group, and facts about them."""
    names = [group_name(group) for group in groups]
    repeated = {name for name, count in Counter(names).items() if count > 1}
    made, facts = [], []
    for number, (name, group) in enumerate(zip(names, groups, strict=True), start=1):
        label = f"{name} ({number})" if name in repeated else name
        own, own_facts = build_replicas(group, log, label, seed)
        made.append(own)
        facts.append({"group": label} | own_facts)
    return made, facts


class _Kind(NamedTuple):
    """A group and its replicas."""

    group: Serving
    replicas: list[Replica]


@dataclass(frozen=True)
class _Clusters:
    """What clusters are made with: their router, the seed of all, bins, what fails, and how many replicas all have."""

    router_name: str
    seed: int
    bins_per_interval: int
    reliability: Reliability
    replicas: int

    def of(self, kinds: Sequence[_Kind], first: int, copies: float) -> AnyCluster:
        """One service, whose replicas are numbered from `first` on."""
        if all(kind.group.role == "both" for kind in kinds):
            return self._behind(self.router_name, kinds, first, first, copies=copies)
        if self.router_name.startswith(INDEPENDENT):
            return self._independent(kinds, first, copies)
        return self._pools(kinds, first, copies)

    def _independent(self, kinds: Sequence[_Kind], first: int, copies: float) -> IndependentPools:
        """Clusters with pools of their own, of each group every n-th replica; in them replicas take turns."""
        count = int(self.router_name.partition(":")[2])
        for kind in kinds:
            if len(kind.replicas) % count:
                raise InputError(
                    f"--independent {count}: expected a divisor of the {len(kind.replicas)} replicas that only "
                    f"{kind.group.role}"
                )
        in_turn = replace(self, router_name="round_robin")
        own = [[_Kind(group, made[place::count]) for group, made in kinds] for place in range(count)]
        size = sum(len(made) for _, made in own[0])
        clusters = [in_turn._pools(each, first + place * size, 1.0) for place, each in enumerate(own)]
        rng = np.random.default_rng(np.random.SeedSequence(self.seed, spawn_key=(1_000_005, first)))
        return IndependentPools(clusters, rng, copies)

    def _pools(self, kinds: Sequence[_Kind], first: int, copies: float) -> Pools:
        """Prefill and decode apart, the replicas of the former before the others."""
        prefill, decode = (
            [kind for kind in kinds if kind.group.role == role] for role in ("prefill", "decode")
        )
        receivers = [group for group, _ in decode]
        links = [link_between(group, receivers) for group, own in prefill for _ in own]
        last = "least_outstanding" if self.router_name in BY_CONTENT else self.router_name
        pools = (
            self._behind(self.router_name, prefill, first, first),
            self._behind(last, decode, first, first + len(links), pool=1),
        )
        return Pools(*pools, links, prefill[0].group.kv_first_token, copies)

    def _behind(
        self, name: str, kinds: Sequence[_Kind], service: int, first: int, pool: int = 0, copies: float = 1.0
    ) -> Cluster:
        """Replicas behind a router of their own; `service` is the number of its first replica, `first` of theirs."""
        key = (1_000_003 + pool, service) if service else (1_000_003 + pool,)
        rng = np.random.default_rng(np.random.SeedSequence(self.seed, spawn_key=key))
        own = [replica for kind in kinds for replica in kind.replicas]
        cluster = Cluster(own, router(name, len(own), rng), self.bins_per_interval, copies)
        cluster.fail_by(
            failures_for(self.reliability, own, cluster.parking, name, self.seed, first, self.replicas)
        )
        return cluster


def _together(
    of_tenants: Mapping[frozenset[int], Sequence[int]], kinds: Sequence[_Kind], make: _Clusters, copies: float
) -> AnyCluster:
    """The services of all tenants; the only one by itself if it is for everybody."""
    if set(of_tenants) == {frozenset()}:
        return make.of(kinds, 0, copies)
    services: list[AnyCluster] = []
    for numbers in of_tenants.values():
        first = sum(len(one.replicas) for one in services)
        services.append(make.of([kinds[number] for number in numbers], first, 1.0))
    return Services(services, list(of_tenants), copies)


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
