"""Hold while grid power is dirty, release while it is clean."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import inf
from typing import ClassVar

import numpy as np

from simulators.errors import InputError
from simulators.quantities.commands import Command
from simulators.scheduler.observation import Observation
from simulators.scheduler.policy import HOLD, MOST_WAITING, expect, need, quantile, release


@dataclass(frozen=True)
class CarbonThreshold:
    """Hold while grid power is dirty for the hours that matter, release while it is clean.

    The threshold is fixed, or moves along as the `quantile` of the forecast over the coming `window_s`.
    The window should be as long as requests may be deferred: only then can waiting pay off. (Threshold
    waiting as in P. Wiesner, I. Behnke, D. Scheinert, K. Gontarska, L. Thamsen, "Let's Wait Awhile",
    Middleware 2021.)

    Attributes
    ----------
    quantile
        Share of the coming window that counts as clean, above 0 to 1.
    window_s
        How far ahead to look, s; a shorter forecast is used as far as it goes. None: as far as the forecast goes.
    threshold_g_per_kwh
        Fixed threshold in place of the quantile.
    spread
        Release evenly over the rest of the clean spell, so that no flood ends it; else at once.
    least_spread_s
        Release over at least this time, s, however short the spell. None: a quarter of what the forecast covers.
    surplus_is_clean
        Own generation above the load counts as clean, whatever the grid's intensity.
    most_waiting
        Requests that may queue at the replicas per slot they have; while more do, nothing is released. inf: no limit.

    Examples
    --------
    >>> ahead = np.array([300.0, 200.0, 400.0])
    >>> now = Observation(0, 3600, ci_g_per_kwh=300.0, ci_forecast_g_per_kwh=ahead)
    >>> [next(CarbonThreshold(quantile=share).decide(now)).hold for share in (0.3, 0.6)]
    [True, False]
    """

    needs: ClassVar[frozenset[str]] = frozenset({"carbon", "carbon_forecast", "generation", "load", "queue"})

    quantile: float = 0.3
    window_s: float | None = None
    threshold_g_per_kwh: float | None = None
    spread: bool = True
    least_spread_s: float | None = None
    surplus_is_clean: bool = True
    most_waiting: float = MOST_WAITING

    def __post_init__(self) -> None:
        expect(0 < self.quantile <= 1, "carbon", f"a quantile above 0 to 1, not {self.quantile}")
        window_s, least_s = self.window_s, self.least_spread_s
        expect(window_s is None or 0 < window_s < inf, "carbon", f"a positive window, not {window_s} s")
        expect(least_s is None or least_s >= 0, "carbon", f"least_spread_s >= 0, not {least_s}")
        expect(self.most_waiting >= 0, "carbon", f"most_waiting >= 0, not {self.most_waiting}")
        limit = self.threshold_g_per_kwh
        expect(limit is None or limit >= 0, "carbon", f"a threshold >= 0 g/kWh, not {limit}")

    def decide(self, observation: Observation) -> Iterator[Command]:
        now = need(observation.ci_g_per_kwh, "CI[gCO2eq/kWh]", "carbon")
        told = observation.ci_forecast_g_per_kwh
        steps = len(told) if self.window_s is None else max(1, round(self.window_s / observation.step_s))
        ahead = told[:steps]
        if self.threshold_g_per_kwh is not None:
            threshold = self.threshold_g_per_kwh
        elif len(ahead):
            threshold = quantile(np.sort(ahead), self.quantile)
        else:
            raise InputError("policy 'carbon': needs CI_forecast[gCO2eq/kWh], or a fixed threshold")
        surplus = self.surplus_is_clean and observation.generation_w > observation.load_w
        if now > threshold and not surplus:
            yield HOLD
            return
        if not self.spread:
            yield release(observation, 0.0, self.most_waiting)
            return
        dirty = np.flatnonzero(ahead > threshold)
        clean_steps = int(dirty[0]) if len(dirty) else max(len(ahead), 1)
        spell_s = max(clean_steps, 1) * observation.step_s
        least_s = self.least_spread_s
        if least_s is None:
            least_s = len(told) * observation.step_s / 4
        yield release(observation, max(spell_s, least_s), self.most_waiting)
