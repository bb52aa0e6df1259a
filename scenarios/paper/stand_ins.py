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
from simulators.traffic.simulator import Origin, Traffic
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


class PaperTraffic(Traffic):
    """Sources of the paper's requests.

    ``Source(point={"model": ..., "requests": 400000, "rate_per_s": 20.0}, span_s=None, serve_s=0.0)``: fields of
    `Point`, all but the lengths; its deadlines are those of the release, so no time is
    left for serving; without a span, they may lie beyond the end of the run.
    """

    MODELS: ClassVar[dict[str, ModelDescription]] = {
        "Source": {**Traffic.MODELS["Source"], "params": ["point", "span_s", "serve_s"]}
    }

    def make(self, eid: str, model: str, **config: Any) -> Origin:
        """A source from plain values."""
        requests = requests_for(Point(**config["point"]))
        return Origin(Source(requests, config.get("span_s"), config.get("serve_s", 0.0)))
