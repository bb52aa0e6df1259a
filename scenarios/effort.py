"""How long a study takes and how large its files become: known before it begins, and better after its first seconds."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from tqdm import tqdm

from scenarios.plan import Plan
from scenarios.study import SiteStudy, Study
from simulators.report.labels import seconds

START_S = 2.0
STEP_S = 1.1e-3
PLAIN_STEP_S = 2e-6
REQUEST_S = 7e-6
BATCH_S = 0.12e-6
"""Per run, per step and site (with a cluster, and of energy alone), per request, per batch of a replica, s: measured on
one core of the machine of `tests/benchmarks`, over studies of 9,000 to 2.6 million requests; others differ by a factor
of two or so."""
BATCHES_PER_S = 60.0
TOKENS_PER_REQUEST = 230.0
"""Batches of a replica that is never idle, and of one request alone: its output tokens, the bundled shape's mean."""

ROW_BYTES, REQUEST_BYTES, FAST_BYTES, REPORT_BYTES = 142.0, 64.0, 10.0, 6e6
"""Of timeseries.parquet, requests.parquet and power_fast.parquet per row, and of the report with its figures: measured
on the default week."""

LONG_S = 60.0
"""A longer run says so first."""
FIRST_SLICE_S = 5.0
LEAST_STEPS = 30
"""Wall-clock time after which the pace is known, s, and steps it is to be known from."""


@dataclass(frozen=True)
class Effort:
    """What a study comes to.

    Attributes
    ----------
    steps, requests, batches
        Steps of all sites; expected requests and batches of the simulated clusters.
    step_s
        Of a step, s.
    """

    steps: int
    requests: float = 0.0
    batches: float = 0.0
    step_s: float = STEP_S

    @property
    def seconds(self) -> float:
        """Expected wall-clock time without report, s."""
        return START_S + self.steps * self.step_s + self.requests * REQUEST_S + self.batches * BATCH_S


def effort_of(study: Study) -> Effort:
    """The effort of a study.

    Examples
    --------
    >>> week = effort_of(Study())
    >>> week.steps, week.requests, 20 < week.seconds < 40
    (10080, 907200.0, True)
    >>> effort_of(Study().changed(days=365)).seconds > 1000
    True
    """
    requests = sum(_requests(site, study.run.length_s) for site in study.sites)
    replicas = sum(site.serving.replicas for site in study.sites if site.serves)
    batches = min(BATCHES_PER_S * replicas * study.length_s, TOKENS_PER_REQUEST * requests)
    step_s = STEP_S if study.serves or study.network is not None else PLAIN_STEP_S
    return Effort(study.steps * len(study.sites), requests, batches, step_s)


def _requests(site: SiteStudy, span_s: float) -> float:
    """Requests of a site; a trace is not read for that: as if there were one for every 40 bytes of it."""
    if not site.serves:
        return 0.0
    trace = site.traffic.trace
    if trace is None:
        return site.traffic.rate * span_s
    return trace.stat().st_size / 40 if trace.is_file() else 0.0


def file_sizes(study: Study, keep_requests: bool, report: bool) -> dict[str, float]:
    """Expected sizes of what a run leaves, bytes, by file."""
    effort = effort_of(study)
    sizes = {"timeseries.parquet": effort.steps * ROW_BYTES}
    if keep_requests:
        sizes["requests.parquet"] = effort.requests * REQUEST_BYTES
    if study.run.power_resolution_s is not None:
        sizes["power_fast.parquet"] = effort.steps * study.run.bins_per_step * FAST_BYTES
    return sizes | ({"report": REPORT_BYTES} if report else {})


def _two_digits(value: float) -> str:
    return f"{float(f'{value:.2g}'):g}"


def size_text(size: float) -> str:
    """A number of bytes as text.

    Examples
    --------
    >>> size_text(5.77e7)
    '58 MB'
    """
    for factor, unit in ((1e9, "GB"), (1e6, "MB")):
        if size >= factor:
            return f"{_two_digits(size / factor)} {unit}"
    return f"{size / 1e3:.0f} kB"


def announcement(study: Study, keep_requests: bool, report: bool) -> str:
    """What to say before a long run; empty for a short one."""
    expected_s = effort_of(study).seconds
    if expected_s <= LONG_S:
        return ""
    sizes = file_sizes(study, keep_requests, report)
    largest = max(sizes, key=lambda name: sizes[name])
    hint = ", left out by --no-requests" if largest == "requests.parquet" else ""
    return (
        f"this run takes about {about(expected_s)} and writes about {size_text(sum(sizes.values()))} "
        f"({largest} {size_text(sizes[largest])}{hint})"
    )


def about(duration_s: float) -> str:
    """A duration to two digits.

    Examples
    --------
    >>> about(437.0)
    '7.3 min'
    """
    value, _, unit = seconds(duration_s).partition(" ")
    return f"{_two_digits(float(value.replace(',', '')))} {unit}"


def say(text: str) -> None:
    """A line on stderr, above a progress bar."""
    tqdm.write(text, file=sys.stderr)


class Pace:
    """A listener that tells how long a long run takes: first as expected, then at the pace of its first seconds.

    Parameters
    ----------
    announced
        What to say once everything is read and checked; empty for a short run.
    tell
        Says a line.
    clock
        Gives the wall-clock time, s.
    """

    def __init__(
        self,
        announced: str,
        tell: Callable[[str], None] = say,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._announced, self._tell, self._clock = announced, tell, clock
        self._first: tuple[float, int] | None = None
        self._requests = 0
        self._done = False

    def started(self, plan: Plan) -> None:
        """Say what is expected."""
        self._study, self._effort = plan.study, effort_of(plan.study)
        if self._announced:
            self._tell(self._announced)

    def rows(self, table: str, columns: Mapping[str, ArrayLike]) -> None:
        """Count finished requests."""
        if not self._done and table == "requests":
            self._requests += len(np.asarray(next(iter(columns.values()))))

    def reached(self, simulated_s: int) -> None:
        """After the first seconds: what all of it takes at their pace; what is made before the first step is none."""
        if self._done:
            return
        if self._first is None:
            self._first, self._requests = (self._clock(), simulated_s), 0
            return
        began_s, from_s = self._first
        spent_s, stepped_s = self._clock() - began_s, simulated_s - from_s
        if spent_s < FIRST_SLICE_S or stepped_s < LEAST_STEPS * self._study.run.step:
            return
        self._done = True
        whole, share = self._effort, stepped_s / self._study.length_s
        part = Effort(int(whole.steps * share), self._requests, whole.batches * share, whole.step_s)
        total_s = spent_s * (whole.seconds - START_S) / (part.seconds - START_S)
        far = not 2 / 3 < total_s / whole.seconds < 1.5
        if (self._announced and far) or (not self._announced and total_s > LONG_S):
            self._tell(f"at the pace of its first {seconds(float(stepped_s))}: about {about(total_s)} in all")
