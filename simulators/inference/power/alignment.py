"""Where a benchmark's run lies in a power log, and what the GPUs drew in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from simulators.errors import InputError
from simulators.inference.power.bench_result import BenchRun
from simulators.inference.power.deconvolve import deconvolved
from simulators.inference.power.power_log import PowerLog, Readings

FloatArray = NDArray[np.float64]

WRITING_S = 10.0
"""A result is written so long after its run at most, beside a fiftieth of its length: tokens are counted before."""
STEP_S = 0.1
IDLE_LEVEL = 0.15
"""Of the way from a log's lowest to its highest power: below it GPUs count as idle."""
LONGEST_IDLE_S, LONGEST_IDLE_SHARE = 5.0, 0.1
"""Where GPUs are idle for longer at a stretch, s or as a share of the run, the run did not take place."""
FLAT = 3e-4
"""Starts whose energy is within this share of the highest are as good: the one nearest to the date is taken."""


@dataclass(frozen=True)
class Drawn:
    """Power of a GPU in steps.

    Attributes
    ----------
    edges_s, watts
        Power between each two edges, W.
    """

    edges_s: FloatArray
    watts: FloatArray

    def joules(self, until: FloatArray) -> FloatArray:
        """Energy from the first edge up to each of the times, which must lie within the edges, J."""
        sums = np.concatenate([[0.0], np.cumsum(self.watts * np.diff(self.edges_s))])
        joules: FloatArray = np.interp(until, self.edges_s, sums)
        return joules

    def mean_w(self, begin: float, end: float) -> float:
        """Mean power between two times, W."""
        first, last = self.joules(np.array([begin, end]))
        return float((last - first) / (end - begin))


def drawn(readings: Readings, averages_s: float) -> Drawn:
    """What a GPU drew, from readings that average so many seconds before them; 0: none, they are taken as they are."""
    if averages_s > 0 and len(readings.at_s) > 1:
        return Drawn(*deconvolved(readings.at_s, readings.watts, averages_s))
    at_s = readings.at_s
    middle = (at_s[1:] + at_s[:-1]) / 2
    return Drawn(np.concatenate([at_s[:1], middle, at_s[-1:]]), readings.watts)


@dataclass(frozen=True)
class Window:
    """Where a run lies in a log: s on the log's clock, and by what it was found."""

    begins_s: float
    ends_s: float
    found_by: Literal["date", "plateau"]


def find_window(log: PowerLog, gpus: list[Drawn], run: BenchRun) -> Window:
    """The stretch of the log in which a run took place.

    By its date, where log and result tell the wall-clock time of one zone and the GPUs worked then; else by the
    plateau: the stretch of the run's length in which they drew most.

    Raises
    ------
    InputError
        If the log is shorter than the run, or holds several stretches as good.
    """
    begin = max(float(one.edges_s[0]) for one in gpus)
    end = min(float(one.edges_s[-1]) for one in gpus)
    where = f"{run.path}: run {run.number}"
    lasts_s = run.duration_s
    if end - begin < lasts_s:
        raise InputError(
            f"{log.path}: holds {max(0.0, end - begin):.0f} s, expected the {lasts_s:.0f} s of {where} within it"
        )
    starts = np.linspace(begin, end - lasts_s, max(2, int((end - begin - lasts_s) / STEP_S) + 1))
    joules = sum(one.joules(starts + lasts_s) - one.joules(starts) for one in gpus)
    assert isinstance(joules, np.ndarray), "at least one GPU"
    if log.clock == "local" and run.written_s is not None:
        nominal = run.written_s - lasts_s
        near = (starts >= nominal - WRITING_S - lasts_s / 50) & (starts <= nominal + 1.0)
        if near.any():
            best = joules[near] >= joules[near].max() * (1 - FLAT)
            start = float(starts[near][best][np.argmin(np.abs(starts[near][best] - nominal))])
            if _works(gpus, start, lasts_s):
                return Window(start, start + lasts_s, "date")
    top = int(np.argmax(joules))
    elsewhere = np.flatnonzero(np.abs(starts - starts[top]) > lasts_s)
    if len(elsewhere) and _works(gpus, float(starts[elsewhere[np.argmax(joules[elsewhere])]]), lasts_s):
        raise InputError(
            f"{log.path}: {where} is not found by its date, and GPUs work in several stretches of {lasts_s:.0f} s; "
            "expected clocks that agree, or a log of this run alone"
        )
    return Window(float(starts[top]), float(starts[top]) + lasts_s, "plateau")


def _works(gpus: list[Drawn], begin: float, lasts_s: float) -> bool:
    """Whether the GPUs draw clearly more than the least of the log, but for short pauses."""
    first, last = max(float(g.edges_s[0]) for g in gpus), min(float(g.edges_s[-1]) for g in gpus)
    edges = np.arange(first, last, 1.0)
    watts = np.sum([np.diff(g.joules(edges)) for g in gpus], axis=0)
    low, high = np.percentile(watts, [2, 98])
    if high < 1.3 * low:  # the same throughout
        return True
    end = begin + lasts_s
    working = edges[:-1][watts >= low + IDLE_LEVEL * (high - low)]
    at = np.concatenate([[begin], working[(working > begin) & (working < end)], [end]])
    return float(np.diff(at).max()) - 1.0 <= max(LONGEST_IDLE_S, LONGEST_IDLE_SHARE * lasts_s)
