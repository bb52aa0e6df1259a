"""The steps of a run, and series brought to them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from simulators.errors import InputError
from simulators.profiles.profile import Profile
from simulators.profiles.weather import Weather

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Span:
    """The run's steps: start (UTC), length of a step, s, and how many."""

    start: datetime
    step_s: int
    steps: int

    def means(self, profile: Profile) -> Array:
        """Means of a profile over each step."""
        return profile.means(self.start, self.step_s, self.steps)

    def means_ahead(self, profile: Profile, ahead: int) -> Array:
        """Means over each step and over up to `ahead` steps after the run, as far as the profile goes."""
        known = ahead
        if not profile.cyclic and profile.align is None:
            left_s = (profile.end - self.start).total_seconds() - self.step_s * self.steps
            known = min(ahead, max(0, int(left_s // self.step_s)))
        try:
            return replace(self, steps=self.steps + known).means(profile)
        except InputError:  # moved from another year, of which it has no more
            return self.means(profile)

    def within(self, series: Profile | Weather) -> bool:
        """Whether a series covers the run as it is."""
        end = self.start + timedelta(seconds=self.step_s * self.steps)
        return series.start <= self.start and end <= series.end
