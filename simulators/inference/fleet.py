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
from simulators.inference.routing import router
from simulators.inference.serving import Serving, build_replicas, group_name
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
) -> tuple[Cluster, dict[str, Any]]:
    """One cluster of all groups, and facts about each for the report.

    A router sends any request to any replica: where models differ, they stand for the same service.

    Raises
    ------
    InputError
        As `build_replicas`; also if there is no group.
    """
    if not groups:
        raise InputError("fleet: no group, expected at least one")
    names = [group_name(group) for group in groups]
    repeated = {name for name, count in Counter(names).items() if count > 1}
    replicas, facts = [], []
    for number, (name, group) in enumerate(zip(names, groups, strict=True), start=1):
        label = f"{name} ({number})" if name in repeated else name
        own, own_facts = build_replicas(group, log, label, seed)
        replicas += own
        facts.append({"group": label} | own_facts)
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(1_000_003,)))
    cluster = Cluster(replicas, router(router_name, len(replicas), rng), bins_per_interval, copies)
    first = {name: value for name, value in facts[0].items() if name != "group"}
    names_told = {"gpu_name": ", ".join(dict.fromkeys(f["gpu_name"] for f in facts))}
    return cluster, first | names_told | {"gpus": cluster.gpu_count, "groups": facts}
