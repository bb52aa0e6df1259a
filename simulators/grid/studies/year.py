"""A network over a year: voltages, loading, losses, and every limit that is exceeded, from when to when."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from simulators.grid.background.background import Background
from simulators.grid.background.reading import Steps
from simulators.grid.limits import Violation
from simulators.grid.network import Network
from simulators.grid.record import RunRecord
from simulators.grid.result import Result
from simulators.grid.studies.steps import results

Array = NDArray[np.float64]


@dataclass
class Event:
    """One limit of one element exceeded in consecutive steps.

    Attributes
    ----------
    violation
        The worst of them.
    first, last
        Steps.
    beyond
        Sum of value less limit over its steps, in the violation's unit.
    """

    violation: Violation
    first: int
    last: int
    beyond: float


@dataclass
class Year:
    """What a run of a network by itself says.

    Attributes
    ----------
    network, steps
        What ran, and when.
    record
        Sums and extremes by element, as every run keeps them.
    columns
        One value per step: see `Year.frame`.
    elements
        Where they were asked for: voltages of buses, p.u., and loadings of lines and transformers, %, one row per step.
    events
        What was exceeded, in the order it began.
    """

    network: Network
    steps: Steps
    record: RunRecord
    columns: dict[str, Array]
    elements: dict[str, NDArray[np.float32]]
    events: list[Event] = field(default_factory=list)

    def frame(self) -> pd.DataFrame:
        """One row per step: voltages (least, quantiles of buses, highest), loadings, losses, slack, violations."""
        time = pd.date_range(self.steps.start, periods=self.steps.steps, freq=f"{self.steps.step_s}s")
        return pd.DataFrame({"time": time, **self.columns})

    def event_frame(self) -> pd.DataFrame:
        """One row per event: element, kind, begin, end, worst value, limit, and how far beyond it times hours."""
        start, step = pd.Timestamp(self.steps.start), pd.Timedelta(seconds=self.steps.step_s)
        hours = self.steps.step_s / 3600.0
        names = ("element", "index", "name", "kind", "begin", "end", "worst", "limit", "beyond_times_hours")
        rows = [
            (
                event.violation.element,
                event.violation.index,
                self.network.violation_name(event.violation),
                event.violation.kind,
                start + event.first * step,
                start + (event.last + 1) * step,
                event.violation.value,
                event.violation.limit,
                event.beyond * hours,
            )
            for event in self.events
        ]
        return pd.DataFrame(rows, columns=list(names))

    def headline(self) -> str:
        """What breaks first, how often, in a line."""
        if not self.events:
            return "no limit is exceeded"
        breaches: dict[tuple[str, int, str], list[Event]] = {}
        for event in self.events:
            found = event.violation
            breaches.setdefault((found.element, found.index, found.kind), []).append(event)
        worst = max(breaches.values(), key=lambda events: max(e.violation.rank for e in events))
        hours = sum(event.last - event.first + 1 for event in worst) * self.steps.step_s / 3600.0
        peak = max(worst, key=lambda event: event.violation.rank)
        when = pd.Timestamp(self.steps.start) + pd.Timedelta(seconds=peak.first * self.steps.step_s)
        return (
            f"{len(breaches)} limits are exceeded in {self.record.violation_hours:g} h; the worst: "
            f"{self.network.describe(peak.violation)}, {hours:g} h in {len(worst)} spells, at its worst in the one "
            f"from {when:%Y-%m-%d %H:%M} UTC"
        )


def run_year(
    network: Network, background: Background, steps: Steps, p_mw: Array, elements: bool = False
) -> Year:
    """Run a network through its background.

    Parameters
    ----------
    network
        With its sites, if any.
    background, steps
        What its own elements do, and when.
    p_mw
        What each site draws; shape (steps, sites).
    elements
        Keep a value per step of every bus, line and transformer.

    Examples
    --------
    >>> from datetime import UTC, datetime
    >>> from simulators.grid.background.reading import Asked, open_network
    >>> day = Steps(datetime(2023, 1, 1, tzinfo=UTC), 3600, 24)
    >>> network, background = open_network("cigre_mv", Asked(load=0.5), day)
    >>> run_year(network, background, day, np.zeros((24, 0))).headline()
    'no limit is exceeded'
    """
    record = RunRecord(network)
    rows: list[tuple[float, ...]] = []
    kept: dict[str, list[NDArray[np.float32]]] = {"vm_pu": [], "line_percent": [], "trafo_percent": []}
    watch = _Watch()
    for step, result in enumerate(results(network, background, p_mw)):
        record.add(result, step * steps.step_s, steps.step_s)
        rows.append(_row(result))
        watch.see(step, result)
        if elements:
            kept["vm_pu"].append(result.vm_pu.astype(np.float32))
            kept["line_percent"].append(result.line_loading_percent.astype(np.float32))
            kept["trafo_percent"].append(result.trafo_loading_percent.astype(np.float32))
    values = np.array(rows, dtype=np.float64).reshape(len(rows), len(_COLUMNS))
    return Year(
        network=network,
        steps=steps,
        record=record,
        columns={name: values[:, at] for at, name in enumerate(_COLUMNS)},
        elements={name: np.stack(each) for name, each in kept.items() if each},
        events=watch.events,
    )


_COLUMNS = (
    "vm_min_pu",
    "vm_p05_pu",
    "vm_median_pu",
    "vm_p95_pu",
    "vm_max_pu",
    "line_loading_max_percent",
    "trafo_loading_max_percent",
    "loss_mw",
    "slack_mw",
    "slack_mvar",
    "unsupplied_mw",
    "violations",
    "converged",
)


def _row(result: Result) -> tuple[float, ...]:
    lit = np.sort(result.vm_pu[np.isfinite(result.vm_pu)])
    band = (
        [float(lit[round(q * (len(lit) - 1))]) for q in (0.0, 0.05, 0.5, 0.95, 1.0)]
        if len(lit)
        else [math.nan] * 5
    )
    return (
        *band,
        result.line_loading_max,
        result.trafo_loading_max,
        result.p_loss_mw,
        result.p_slack_mw,
        result.q_slack_mvar,
        result.unsupplied_mw,
        float(len(result.violations)),
        float(result.converged),
    )


class _Watch:
    """Joins violations of consecutive steps."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self._open: dict[Any, Event] = {}

    def see(self, step: int, result: Result) -> None:
        still: dict[Any, Event] = {}
        for violation in result.violations:
            key = (violation.element, violation.index, violation.kind)
            beyond = abs(violation.value - violation.limit)
            event = self._open.get(key)
            if event is None:
                event = Event(violation, step, step, 0.0)
                self.events.append(event)
            elif violation.rank > event.violation.rank:
                event.violation = violation
            event.last = step
            event.beyond += beyond if math.isfinite(beyond) else 0.0
            still[key] = event
        self._open = still
