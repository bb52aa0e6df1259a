"""A run on a page while it goes on: the report's charts of what is simulated so far."""

from __future__ import annotations

import io
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import ArrayLike

from scenarios.output_options import LiveOptions
from scenarios.plan import Plan
from simulators.quantities.latencies import LatencyRecord
from simulators.quantities.saturation import Waits, label_text
from simulators.recorder.store import RunFolder
from simulators.report import series
from simulators.report.labels import RunMeta

if TYPE_CHECKING:  # elsewhere imported where used: drawing takes a second, and most runs need none of it
    from simulators.report.live import LiveServer, Now

HAND_OVERS = 200
"""Into so many parts a run that is not held to real time is cut: enough to see it move, too few to cost."""


class Live:
    """A listener that serves a page until it is left.

    Parameters
    ----------
    port
        On loopback; 0: any that is free.
    out
        Where the results will lie.

    Attributes
    ----------
    every
        Steps between two looks.
    server
        The page; None before the run has started.
    """

    def __init__(self, port: int, out: Path) -> None:
        self.every = 1
        self.server: LiveServer | None = None
        self._port, self._out = port, out
        self._lock = threading.Lock()
        self._drawing = threading.Lock()
        self._version = 0
        self._simulated_s = 0
        self._drawn: tuple[int, dict[str, tuple[str, str]]] = (0, {})
        self._record_of: Callable[[], dict[str, Any]] | None = None
        self._record: dict[str, Any] = {}
        self._wanted = False

    def started(self, plan: Plan) -> None:
        """Open the page and say where it is."""
        from simulators.report.live import LiveServer
        from simulators.report.window import Window

        self._plan = plan
        self._began = time.perf_counter()
        self._title = f"Live: {', '.join(site.title for site in plan.sites.values())}"
        self._window = Window(plan.study.run.step)
        self._latencies = LatencyRecord(float(plan.study.length_s))
        self._waits = Waits()
        asked = plan.site.study.cluster
        self._targets = {"ttft_s": asked.slo_ttft, "tpot_s": asked.slo_tpot} if plan.site.study.serves else {}
        self.every = 1 if plan.study.run.rt_factor else max(1, plan.study.steps // HAND_OVERS)
        after = f"The run is over. Its results lie in {self._out}."
        self.server = LiveServer(self, self._title, after, self._port)
        print(f"live: {self.server.address}", file=sys.stderr, flush=True)

    def watching(self, network: Callable[[], dict[str, Any]] | None) -> None:
        """The world is made; `network` tells what the run did to its network so far, from the run's own thread."""
        self._record_of = network

    def rows(self, table: str, columns: Mapping[str, ArrayLike]) -> None:
        """Take rows of the time series and of the finished requests."""
        if table == "requests":
            with self._lock:
                self._latencies.add(columns)
                self._wait(columns)
        if table == "timeseries":
            with self._lock:
                self._window.add(columns)
                self._version += 1
            if self._record_of is not None and self._wanted:
                self._record, self._wanted = self._record_of(), False

    def _wait(self, finished: Mapping[str, ArrayLike]) -> None:
        """Count how long finished requests that nobody may hold waited for their first batch, s."""
        own = ~np.asarray(finished["deferrable"], dtype=np.bool_)
        released_at, begun_at = (np.asarray(finished[name])[own] for name in ("released_at", "scheduled_at"))
        self._waits.add(released_at, begun_at - released_at)

    def _saturation(self) -> str:
        """Whether the servers keep up so far; nothing before anybody is finished."""
        with self._lock:
            found = self._waits.saturation(self._targets["ttft_s"]) if self._targets else None
        return f" · saturation so far: {label_text(found.label)}" if found else ""

    def reached(self, simulated_s: int) -> None:
        """Note how far the run is."""
        self._simulated_s = simulated_s

    def now(self, seen: int) -> Now:
        """How the run stands; drawn at most once for each state, in the thread that asks."""
        from simulators.report.live import Now

        self._wanted = True
        done_s, study = self._simulated_s, self._plan.study
        at = (self._plan.start + timedelta(seconds=done_s)).astimezone(ZoneInfo(self._plan.site.timezone))
        speed = done_s / max(1e-9, time.perf_counter() - self._began)
        said = f"{at:%a %d %b %Y %H:%M} · {done_s / study.length_s:.0%} simulated · {speed:,.0f} x real time"
        said += self._saturation()
        with self._drawing:
            if self._version > self._drawn[0]:
                with self._lock:
                    version, frame, width_s = self._version, self._window.frame(), self._window.width_s
                    latencies = deepcopy(self._latencies)  # the run goes on while it is drawn
                self._drawn = (version, self._charts(frame, width_s, latencies))
            version, charts = self._drawn
        told = charts if charts and version != seen else None
        return Now(version, said, done_s / study.length_s, told, bool(self._record))

    def _charts(self, frame: Any, width_s: int, latencies: LatencyRecord) -> dict[str, tuple[str, str]]:
        from simulators.report.charts import Charts

        meta = RunMeta(self._title, width_s, self._plan.site.timezone, targets=self._targets)
        charts = Charts(frame, meta)
        local = charts.local
        drawn = {"power_balance": ("Power balance", charts.power_balance())}
        if "arrived" in local:
            drawn["traffic"] = ("Requests", charts.traffic())
        if latencies.sketch("e2e_s").count:
            drawn["latency"] = ("Latency of all requests so far", charts.latency(latencies))
            if len(list(latencies.over_time("e2e_s"))) > 1:
                drawn["latency_over_time"] = ("Latency over time", charts.latency_over_time(latencies))
        if series.has_battery(local):
            drawn["battery"] = ("Battery", charts.battery())
        kinds = series.carbon_kinds(local)
        if "average" in kinds:
            drawn["carbon"] = ("Carbon", charts.carbon())
        if "marginal" in kinds:
            drawn["carbon_marginal"] = ("What the import causes at the margin", charts.carbon("marginal"))
        if series.has_network(local):
            drawn["network"] = ("Network", charts.network())
        return {name: (title, figure.to_json()) for name, (title, figure) in drawn.items()}

    def network_png(self) -> bytes | None:
        """Map of the network with its highest loadings and lowest voltages so far."""
        record, options = self._record, self._plan.study.network
        if not record or options is None:
            return None
        from simulators.grid.network import Network
        from simulators.grid.plain import record_from_plain
        from simulators.grid.plot import network_figure

        with self._drawing:
            network = Network(options.network, voltage_limits=options.voltage_limits)
            file = io.BytesIO()
            figure = network_figure(network, record_from_plain(network, record))
            figure.savefig(file, format="png", dpi=110, metadata={"Software": None})
        return file.getvalue()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.server is not None:
            self.server.close()
            with self._drawing:  # whoever draws is done before the report is drawn
                self.server = None


@contextmanager
def live(options: LiveOptions, folder: RunFolder) -> Iterator[tuple[Live, ...]]:
    """The listeners of a run that is to be shown: one, or none."""
    if not options.live:
        yield ()
        return
    with Live(options.live_port, folder.target) as page:
        yield (page,)
