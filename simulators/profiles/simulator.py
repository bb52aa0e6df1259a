"""mosaik adapter: hand out a profile's mean over each step."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import mosaik_api_v3
from mosaik_api_v3.types import (
    CreateResult,
    InputData,
    Meta,
    ModelName,
    OutputData,
    OutputRequest,
    SimId,
    Time,
)
from numpy.typing import NDArray

from simulators.errors import InputError
from simulators.profiles.profile import Profile


class ProfileReplay(mosaik_api_v3.Simulator):
    """Replays profiles. Each entity gives one attribute: the profile's mean over ``[t, t + step_size)``.

    Start it with ``start`` (UTC start of the run), ``step_size`` (s), ``steps`` (length of the run) and
    ``attributes``, those its entities may give, e.g. ``["price[1/kWh]"]``. Create entities with
    ``Profile(profile=..., attribute=...)``. The means of the whole run are computed at creation; a profile that does
    not cover the run raises InputError there.
    """

    def __init__(self) -> None:
        super().__init__({"api_version": "3.0", "type": "time-based", "models": {}})
        self._means: dict[str, list[float]] = {}
        self._attribute: dict[str, str] = {}
        self._now = 0

    def init(  # type: ignore[override]
        self,
        sid: SimId,
        time_resolution: float = 1.0,
        *,
        start: datetime,
        step_size: int,
        steps: int,
        attributes: list[str],
    ) -> Meta:
        """Take the run's time axis and declare the attributes."""
        if step_size <= 0 or steps <= 0:
            raise InputError(f"profiles: step_size {step_size} and steps {steps}: expected both positive")
        self._start, self._step_size, self._steps = start, step_size, steps
        self.meta["models"] = {
            "Profile": {"public": True, "params": ["profile", "attribute"], "attrs": list(attributes)}
        }
        return self.meta

    def create(self, num: int, model: ModelName, *, profile: Profile, attribute: str) -> list[CreateResult]:  # type: ignore[override]
        """Create `num` entities that give `profile` as `attribute`."""
        if attribute not in self.meta["models"]["Profile"]["attrs"]:
            raise ValueError(f"attribute {attribute!r} was not declared when the simulator was started")
        means: NDArray[Any] = profile.means(self._start, self._step_size, self._steps)
        created: list[CreateResult] = []
        for _ in range(num):
            eid = f"Profile-{len(self._means)}"
            self._means[eid] = means.tolist()
            self._attribute[eid] = attribute
            created.append({"eid": eid, "type": model})
        return created

    def step(self, time: Time, inputs: InputData, max_advance: Time) -> Time:
        """Move to the interval that starts at `time`."""
        self._now = time // self._step_size
        return time + self._step_size

    def get_data(self, outputs: OutputRequest) -> OutputData:
        """Return the means of the current interval."""
        return {
            eid: {attr: self._means[eid][self._now] for attr in attrs if attr == self._attribute[eid]}
            for eid, attrs in outputs.items()
        }
