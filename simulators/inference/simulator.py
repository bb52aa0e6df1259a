"""mosaik adapter of the inference cluster: one step is one interval of the cluster."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from simulators.adapter import Adapter, Given
from simulators.errors import InputError
from simulators.inference.actuators import TAKES
from simulators.inference.batching.state import Records
from simulators.inference.conservation import Conservation
from simulators.inference.fleet import build
from simulators.inference.interval import Interval
from simulators.inference.metrics import Metrics
from simulators.inference.options import Group
from simulators.inference.recent import Recent
from simulators.inference.reliability import Reliability
from simulators.inference.services import AnyCluster
from simulators.quantities.commands import command_from_plain
from simulators.quantities.latencies import latencies
from simulators.quantities.requests import RequestBlock
from simulators.quantities.schema import REQUESTS


@dataclass
class Served:
    """One cluster, what is gathered of it, and its last interval."""

    cluster: AnyCluster
    metrics: Metrics
    facts: dict[str, Any]
    conservation: Conservation
    network_s: Sequence[float] = ()
    recent: Recent = field(default_factory=Recent)
    interval: Interval | None = None
    refused: list[dict[str, str]] = field(default_factory=list)


class Inference(Adapter[Served]):
    """Steps clusters in lockstep with the rest of the site.

    ``Cluster(groups=[{"model": ..., "gpu": "h100", "replicas": 2}], router="round_robin", seed=42)``: options of
    `Group` for each kind of replica. ``requests`` (`RequestBlock.to_plain`) are served from several sources;
    ``commands`` that a cluster takes hold from the step on, what it cannot do is in ``refused``. ``finished`` hands
    out the requests finished in the step as lists by column, with the round trip to their tenant (`network_s`, s, by
    tenant) in when tokens come; ``P_series[MW]`` the power in `bins` parts of the step; ``tenants`` counts those that
    wait by tenant, as columns.
    """

    TAKES: ClassVar[tuple[str, ...]] = TAKES
    MODELS = {
        "Cluster": {
            "public": True,
            "params": [
                *("groups", "router", "seed", "bins", "copies"),
                *("slo_ttft_s", "slo_tpot_s", "span_s", "network_s", "reliability"),
            ],
            "attrs": [
                *("requests", "commands", "refused", "finished"),
                *("P[MW]", "P_prefill[MW]", "P_decode[MW]", "P_idle[MW]", "P_series[MW]"),
                *("P_prefill_pool[MW]", "P_decode_pool[MW]", "P_transfer[MW]"),
                *("mfu[1]", "mbu[1]", "busy[1]", "kv_use[1]", "ttft_mean[s]", "e2e_mean[s]"),
                *("received[1]", "completed[1]", "rejected[1]", "running[1]", "waiting[1]"),
                *("prefill_tokens[1]", "decode_tokens[1]", "replicas[1]", "awake[1]", "slots[1]"),
                *("waking[1]", "draining[1]", "hosts_off[1]", "ttft_p99[s]", "tpot_p99[s]", "tenants"),
            ],
        }
    }

    def __init__(self) -> None:
        super().__init__()
        self.meta["extra_methods"].append("facts")

    def make(
        self,
        eid: str,
        model: str,
        groups: Sequence[Mapping[str, Any]] = ({},),
        router: str = "round_robin",
        seed: int = 42,
        bins: int = 1,
        copies: float = 1.0,
        slo_ttft_s: float = 2.0,
        slo_tpot_s: float = 0.1,
        span_s: float = 0.0,
        network_s: Sequence[float] = (),
        reliability: Mapping[str, Any] | None = None,
    ) -> Served:
        servings = [_serving(eid, group) for group in groups]
        given: dict[str, Any] = {
            "router_name": router, "seed": seed, "bins_per_interval": bins, "copies": copies,
            "reliability": Reliability.model_validate(reliability or {}),
        }  # fmt: skip
        cluster, facts = build(servings, **given)
        metrics = Metrics(slo_ttft_s, slo_tpot_s, span_s=span_s, copies=copies)
        return Served(cluster, metrics, facts | {"copies": copies}, Conservation(cluster), network_s)

    def advance(self, eid: str, entity: Served, given: Given) -> None:
        entity.refused = []
        for plain in given.joined("commands"):
            if plain["kind"] in self.TAKES:
                try:
                    reason = entity.cluster.command(command_from_plain(plain))
                except InputError as error:  # a field is unknown or missing
                    reason = str(error)
                if reason is not None:
                    entity.refused.append({"kind": plain["kind"], "reason": reason})
        requests = RequestBlock.from_plain(given.values("requests"))
        interval = entity.cluster.advance(float(self.now + self.step_size), requests)
        entity.conservation.check(interval)
        if any(entity.network_s):
            interval = replace(interval, finished=across(interval.finished, entity.network_s))
        entity.metrics.add(interval)
        entity.recent.add(interval.finished, interval.ends_at)
        entity.interval = interval

    def outputs(self, eid: str, entity: Served, attributes: list[str]) -> dict[str, Any]:
        return {attribute: self._value(entity, attribute) for attribute in attributes}

    def within(self, eid: str, attributes: list[str]) -> dict[str, Any]:
        """The same with finished requests as arrays."""
        entity = self.entities[eid]
        assert entity.interval is not None, "asked for before the first step"
        return {
            attribute: finished_columns(entity.interval.finished, entity.cluster.copies)
            if attribute == "finished"
            else self._value(entity, attribute)
            for attribute in attributes
        }

    def _value(self, entity: Served, attribute: str) -> Any:
        interval, cluster = entity.interval, entity.cluster
        assert interval is not None, "asked for before the first step"
        to_mw = 1e-6 / self.step_size
        match attribute:
            case "P[MW]":
                return interval.energy_j * to_mw
            case "P_prefill[MW]":
                return interval.prefill_j * to_mw
            case "P_decode[MW]":
                return interval.decode_j * to_mw
            case "P_idle[MW]":
                return interval.idle_j * to_mw
            case "P_prefill_pool[MW]":
                return interval.prefill_pool_j * to_mw
            case "P_decode_pool[MW]":
                return interval.decode_pool_j * to_mw
            case "P_transfer[MW]":
                return interval.transfer_j * to_mw
            case "P_series[MW]":
                return (interval.power_w * 1e-6).tolist()
            case "finished":
                return {
                    name: values.tolist()
                    for name, values in finished_columns(interval.finished, cluster.copies).items()
                }
            case "refused":
                return entity.refused
            case "tenants":
                return _waiting_by_tenant(cluster)
            case "replicas[1]":
                return len(cluster.replicas)
            case "awake[1]" | "waking[1]" | "draining[1]":  # of one copy
                return getattr(cluster, attribute.removesuffix("[1]"))
            case "hosts_off[1]":
                return cluster.hosts_off * cluster.copies
            case "ttft_p99[s]" | "tpot_p99[s]":
                return entity.recent.quantile(f"{attribute.partition('_')[0]}_s")
            case "slots[1]":  # as the requests that take them: of all copies
                return cluster.slots * cluster.copies
            case "ttft_mean[s]" | "e2e_mean[s]":
                values = latencies(interval.finished)[f"{attribute.partition('_')[0]}_s"]
                return float(values.mean()) if len(values) else None
        return getattr(interval, attribute.removesuffix("[1]"))

    def summarise(self, eid: str, entity: Served) -> dict[str, Any]:
        return entity.metrics.summary(entity.cluster) | {"latencies": entity.metrics.record.to_plain()}

    def facts(self, eid: str) -> dict[str, Any]:
        """What was built: GPUs, kernels, KV blocks."""
        return self.entities[eid].facts


def _serving(eid: str, group: Mapping[str, Any]) -> Group:
    try:
        return Group.model_validate(dict(group))
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        raise InputError(f"{eid}: {name}: {first['input']!r} given, {first['msg'].lower()}") from None


def _waiting_by_tenant(cluster: AnyCluster) -> dict[str, list[Any]]:
    """Whose requests wait at the replicas, as columns; only those of whom some do."""
    tenants, counts = np.unique(cluster.waiting_records()["tenant"], return_counts=True)
    return {"tenant": tenants.tolist(), "waiting": [count * cluster.copies for count in counts.tolist()]}


def across(requests: Records, network_s: Sequence[float]) -> Records:
    """Finished requests as their tenants see them: tokens come later by the round trip to each, s, by tenant.

    A request reaches the cluster when it is released; that it is half a round trip later is left out.
    """
    found = requests.copy()
    trips = np.asarray(network_s)[found["tenant"]]
    found["prefill_completed_at"] += trips
    found["completed_at"] += trips
    return found


def finished_columns(requests: Records, copies: float) -> dict[str, NDArray[Any]]:
    """Finished requests as arrays by the names of `schema.REQUESTS`; empty for none."""
    if not len(requests):
        return {}
    columns: dict[str, NDArray[Any]] = {
        column.name: requests[column.name]
        for column in REQUESTS
        if column.name in (requests.dtype.names or ())
    }
    columns["energy_j"] = requests["prefill_j"] + requests["decode_j"]
    columns["deferrable"] = columns["deferrable"].astype(bool)
    columns["copies"] = np.full(len(requests), float(copies))
    return {column.name: columns[column.name] for column in REQUESTS}
