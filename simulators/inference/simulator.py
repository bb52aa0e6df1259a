"""mosaik adapter of the inference cluster: one step is one interval of the cluster."""

from __future__ import annotations

from typing import Any

import mosaik_api_v3
from mosaik_api_v3.types import CreateResult, InputData, Meta, OutputData, OutputRequest

from simulators.inference.batching.state import Records
from simulators.inference.cluster import Cluster
from simulators.inference.interval import Interval
from simulators.inference.metrics import Metrics, check_conserved
from simulators.quantities.latencies import latencies

META: Meta = {
    "api_version": "3.0",
    "type": "time-based",
    "models": {
        "Cluster": {
            "public": True,
            "params": ["cluster", "metrics"],
            "attrs": [
                "hold[1]",
                "release_rate[1/s]",
                "power_cap[W]",
                "P[MW]",
                "P_prefill[MW]",
                "P_decode[MW]",
                "P_idle[MW]",
                "P_series[MW]",
                "mfu[1]",
                "mbu[1]",
                "busy[1]",
                "arrived[1]",
                "completed[1]",
                "rejected[1]",
                "running[1]",
                "waiting[1]",
                "held[1]",
                "prefill_tokens[1]",
                "decode_tokens[1]",
                "kv_use[1]",
                "ttft_mean[s]",
                "e2e_mean[s]",
                "requests",
            ],
        }
    },
}


REQUEST_COLUMNS = (
    "request_id",
    "arrived_at",
    "released_at",
    "scheduled_at",
    "prefill_completed_at",
    "completed_at",
    "prefill_tokens",
    "decode_tokens",
    "restarts",
    "deferrable",
    "replica",
    "tenant",
)


def _table(requests: Records) -> dict[str, Any]:
    """Finished requests as columns."""
    columns: dict[str, Any] = {name: requests[name] for name in REQUEST_COLUMNS}
    columns["energy_j"] = requests["prefill_j"] + requests["decode_j"]
    columns["deferrable"] = columns["deferrable"].astype(bool)
    return columns


class Inference(mosaik_api_v3.Simulator):
    """Steps clusters in lockstep with the rest of the site.

    `create` takes a `Cluster` and the `Metrics` that gather its results. ``requests`` hands out the requests
    finished in the step as arrays by column (in-process only), ``P_series[MW]`` the power in each of the cluster's
    bins. ``power_cap[W]`` is per GPU and holds from its step on until another comes.
    """

    def __init__(self) -> None:
        super().__init__(META)
        self._step_size = 60
        self._clusters: dict[str, tuple[Cluster, Metrics]] = {}
        self._intervals: dict[str, Interval] = {}

    def init(self, sid: str, time_resolution: float = 1.0, step_size: int = 60) -> Meta:  # type: ignore[override]
        self._step_size = step_size
        return self.meta

    def create(  # type: ignore[override]
        self, num: int, model: str, cluster: Cluster, metrics: Metrics
    ) -> list[CreateResult]:
        if num != 1:
            raise ValueError("a cluster object makes one entity")
        eid = f"Cluster-{len(self._clusters)}"
        self._clusters[eid] = (cluster, metrics)
        return [{"eid": eid, "type": model}]

    def step(self, time: int, inputs: InputData, max_advance: int) -> int:
        for eid, (cluster, metrics) in self._clusters.items():
            control = inputs.get(eid, {})
            if "hold[1]" in control:
                cluster.hold = any(value > 0 for value in control["hold[1]"].values())
            if "release_rate[1/s]" in control:
                cluster.release_rate_per_s = min(control["release_rate[1/s]"].values())
            if "power_cap[W]" in control:
                cluster.power_cap_w = min(control["power_cap[W]"].values())
            interval = cluster.advance(float(time + self._step_size))
            check_conserved(cluster, interval)
            metrics.add(interval)
            self._intervals[eid] = interval
        return time + self._step_size

    def get_data(self, outputs: OutputRequest) -> OutputData:
        return {
            eid: {attr: self._value(self._intervals[eid], attr) for attr in attrs}
            for eid, attrs in outputs.items()
        }

    def _value(self, interval: Interval, attr: str) -> Any:
        to_mw = 1e-6 / self._step_size
        if attr in ("ttft_mean[s]", "e2e_mean[s]"):
            values = latencies(interval.finished)[attr.partition("_")[0] + "_s"]
            return float(values.mean()) if len(values) else None
        if attr == "P_series[MW]":
            return interval.series[:, :3].sum(axis=1) * 1e-6
        if attr == "requests":
            return _table(interval.finished)
        values_of = {
            "P[MW]": interval.energy_j * to_mw,
            "P_prefill[MW]": interval.prefill_j * to_mw,
            "P_decode[MW]": interval.decode_j * to_mw,
            "P_idle[MW]": interval.idle_j * to_mw,
        }
        return values_of[attr] if attr in values_of else getattr(interval, attr.removesuffix("[1]"))
