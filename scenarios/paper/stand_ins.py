"""What stands in for the bundled simulators in the case study: its requests bit for bit, its replica, its power."""

from __future__ import annotations

from typing import Any, ClassVar

from mosaik_api_v3.types import ModelDescription

from scenarios.paper.engine import Point, cluster_for, requests_for
from scenarios.paper.published import GPU
from simulators.adapter import Given
from simulators.inference.catalogue import gpu
from simulators.inference.catalogue import model as shape_of
from simulators.inference.conservation import Conservation
from simulators.inference.grounds import power_grounds, time_grounds
from simulators.inference.metrics import Metrics
from simulators.inference.simulator import Inference, Served
from simulators.quantities.commands import Release, command_from_plain
from simulators.quantities.requests import RequestBlock
from simulators.traffic.simulator import Traffic
from simulators.traffic.source import Source


class PaperInference(Inference):
    """Clusters of one replica as the paper's.

    ``Cluster(point={"model": ..., "requests": 400000, "rate_per_s": 20.0}, law="mfu", log=False)``: fields of `Point`,
    all but the lengths. With `log` the power is the published one, the plain mean over the iterations of the step.
    """

    MODELS: ClassVar[dict[str, ModelDescription]] = {
        "Cluster": {**Inference.MODELS["Cluster"], "params": ["point", "law", "log"]}
    }

    def __init__(self) -> None:
        super().__init__()
        self._mean_w: dict[str, float] = {}

    def make(self, eid: str, model: str, *values: Any, **config: Any) -> Served:
        """A cluster, its meters and the facts of it."""
        point = Point(**config["point"])
        cluster = cluster_for(point, config["law"], log=config["log"])
        device, law = gpu(GPU), cluster.replicas[0].law
        why = "the kernels the published simulator was profiled with"
        facts = {
            "gpus": point.gpus,
            "gpu_name": GPU,
            "model_name": shape_of(point.model).name,
            "iteration_time": "paper",
            "iteration_time_why": why,
            "power": power_grounds(device, config["law"], law),
            "time": time_grounds(device, "profile", why),
            "copies": 1.0,
        }
        if config["log"]:
            self._mean_w[eid] = law.idle_w
        return Served(cluster, Metrics(), facts, Conservation(cluster))

    def advance(self, eid: str, entity: Served, given: Given) -> None:
        """Serve the requests of one step; a step without an iteration counts as idle."""
        super().advance(eid, entity, given)
        if eid in self._mean_w:
            (replica,) = entity.cluster.replicas
            watts = replica.take_log()["power_w"]
            self._mean_w[eid] = float(watts.mean()) if len(watts) else replica.law.idle_w

    def outputs(self, eid: str, entity: Served, attributes: list[str]) -> dict[str, Any]:
        """The published power in place of the metered one, where iterations are kept; all else as metered."""
        found = super().outputs(eid, entity, attributes)
        if "P[MW]" in found and eid in self._mean_w:
            found["P[MW]"] = self._mean_w[eid] * 1e-6
        return found


class _Requests:
    """A source of the paper's requests, and what it let go in the present step."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._block = RequestBlock.concatenate([])
        self._arrived = 0
        self._refused: list[dict[str, Any]] = []

    def advance(self, given: Given, begins_at: float, until: float) -> None:
        self._refused = []
        for plain in given.joined("commands"):
            if plain["kind"] == Release.kind:
                reason = self._source.command(command_from_plain(plain))
                if reason is not None:
                    self._refused.append({"kind": Release.kind, "reason": reason})
        before = self._source.arrived
        self._block = self._source.advance(begins_at, until)
        self._arrived = self._source.arrived - before

    def output(self, attribute: str) -> Any:
        match attribute:
            case "requests":
                return self._block.to_plain()
            case "arrived[1]":
                return self._arrived
            case "held[1]":
                return self._source.held
            case _:
                return self._refused

    def summary(self) -> dict[str, Any]:
        return {"arrived": self._source.arrived, "held": self._source.held, "inputs": []}


class PaperTraffic(Traffic):
    """Sources of the paper's requests.

    ``Source(point={"model": ..., "requests": 400000, "rate_per_s": 20.0}, span_s=None, serve_s=0.0)``: fields of
    `Point`, all but the lengths; its deadlines are those of the release, so no time is
    left for serving; without a span, they may lie beyond the end of the run.
    """

    MODELS: ClassVar[dict[str, ModelDescription]] = {
        "Source": {**Traffic.MODELS["Source"], "params": ["point", "span_s", "serve_s"]}
    }

    def make(self, eid: str, model: str, **config: Any) -> _Requests:
        """A source from plain values."""
        requests = requests_for(Point(**config["point"]))
        return _Requests(Source(requests, config.get("span_s"), config.get("serve_s", 0.0)))
