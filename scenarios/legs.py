"""A run in legs: mosaik's time begins anew in each, the simulators go on.

mosaik runs a world once, from time 0. A run that keeps its state from time to time is several worlds one after the
other, of the same simulators: a `Leg` shows mosaik a simulator as if it were new. Between two legs every simulator has
come to the same step, so that what they hold then is a state to go on from.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from typing import Any, Protocol

import mosaik_api_v3
from mosaik_api_v3.types import CreateResult, InputData, Meta, OutputData, OutputRequest, Time
from numpy.typing import ArrayLike

from simulators.adapter import Adapter
from simulators.joint import Joint
from simulators.kept import Kept, NotKept, digests, keep
from simulators.recorder.simulator import Recorder
from simulators.restored import restore

RECORDER = "Recorder"
"""What the recorder is called in mosaik."""


class Checkpoints(Protocol):
    """Who keeps the state of a run."""

    def next_s(self, now_s: int) -> int:
        """When the next state shall be kept, s from the start, after `now_s`."""
        ...

    def save(self, now_s: int, kept: Kept) -> None:
        """Keep the state at `now_s`."""
        ...

    def failed(self, reason: str) -> None:
        """The state cannot be kept; no further try is made."""
        ...

    def begin(self) -> tuple[int, Kept] | None:
        """From where to go on, s from the start, and the state there; None: from the start."""
        ...

    def rows(self, table: str) -> Mapping[str, ArrayLike] | None:
        """The rows of a table before the state to go on from; None: there are none."""
        ...


class Leg(mosaik_api_v3.Simulator):
    """A simulator of this process over the legs of a run.

    Parameters
    ----------
    simulator
        What it shows; made and asked once, whatever the number of legs.

    Attributes
    ----------
    began_s
        When the present leg began, s from the start of the run.
    now_s
        Until when it has stepped, s from the start of the run.
    last
        What it gave mosaik after its last step.
    ends
        Whether mosaik's end is the simulator's, too.
    """

    def __init__(self, simulator: Any) -> None:
        super().__init__(simulator.meta)
        self.simulator = simulator
        self.began_s = self.now_s = 0
        self.last: Mapping[str, Any] = {}
        self.ends = False
        self._meta: Meta | None = None
        self._created: list[list[CreateResult]] = []
        self._shown = 0

    @property
    def rooms(self) -> dict[str, Adapter[Any]]:
        """The adapters behind it, by room if it steps several."""
        return self.simulator.rooms if isinstance(self.simulator, Joint) else {"": self.simulator}

    def again(self) -> None:
        """Show the same entities once more, in a new leg."""
        self._shown = 0

    def init(self, sid: str, time_resolution: float = 1.0, **parameters: Any) -> Meta:
        """As the simulator answered the first time."""
        if self._meta is None:
            self._meta = self.simulator.init(sid, time_resolution, **parameters)
        self.meta = self._meta
        return self._meta

    def create(self, num: int, model: str, **parameters: Any) -> list[CreateResult]:
        """The entities made in the first leg, in the same order."""
        if self._shown == len(self._created):
            self._created.append(deepcopy(self.simulator.create(num, model, **parameters)))
        self._shown += 1
        return deepcopy(self._created[self._shown - 1])

    def step(self, time: Time, inputs: InputData, max_advance: Time) -> Time:
        """One step, in the time of the run."""
        self.now_s = self.simulator.step(time + self.began_s, inputs, max_advance + self.began_s)
        return self.now_s - self.began_s

    def get_data(self, outputs: OutputRequest) -> OutputData:
        """What the simulator gives; remembered, because what comes one step late is given in the next leg."""
        found: OutputData = self.simulator.get_data(outputs)
        self.last = found
        return found

    def handed(self) -> dict[str, dict[str, Any]]:
        """What of the last step is, or may be, given in the next."""
        found = {eid: dict(values) for eid, values in self.last.items()}
        if isinstance(self.simulator, Joint):
            for eid, values in self.simulator.late.items():
                found[eid] = found.get(eid, {}) | values
        return found

    def finalize(self) -> None:
        """The end of a leg; only the last is that of the simulator."""
        if self.ends:
            self.simulator.finalize()

    def __getattr__(self, name: str) -> Any:
        """Extra methods, and what else the simulator has."""
        return getattr(self.__dict__["simulator"], name)


class Legs:
    """The simulators of a run that keeps its state from time to time.

    Parameters
    ----------
    checkpoints
        Who keeps it.
    recorder
        The recorder of the run; what it has handed over is kept elsewhere.

    Attributes
    ----------
    of
        The simulators by the ids that mosaik knows them by.
    began_s
        When the present leg began, s from the start of the run.
    begun
        Whether `begin` was called.
    """

    def __init__(self, checkpoints: Checkpoints, recorder: Recorder) -> None:
        self.of: dict[str, Leg] = {}
        self.began_s = 0
        self.begun = False
        self._checkpoints = checkpoints
        self._recorder = recorder
        self._constant: dict[str, str] = {}

    def shown(self, name: str, make: Callable[[], Any]) -> Callable[[], Leg]:
        """What starts a simulator in mosaik: made in the first leg, the same one later."""
        if name not in self.of:
            self.of[name] = Leg(make())
        self.of[name].began_s = self.began_s
        return lambda: self.of[name]

    def gave(self, name: str, eid: str, attribute: str) -> Any:
        """What an entity gave in the last step before this leg."""
        return self.of[name].last[eid][attribute]

    def begin(self, elsewhere: Sequence[str]) -> None:
        """Remember what never changes, and go on from a kept state if there is one; all entities are made.

        Parameters
        ----------
        elsewhere
            Addresses of simulators in other processes; with such no state can be kept.
        """
        self.begun = True
        found = self._checkpoints.begin()
        try:
            if elsewhere:
                raise NotKept(f"a simulator at {elsewhere[0]} keeps its state to itself")
            self._constant = digests(self._state())
        except NotKept as error:
            self._checkpoints.failed(str(error))
        if found is None:
            return
        self.began_s, kept = found
        state = restore(self._state(), kept)
        for name, leg in self.of.items():
            leg.last, leg.began_s = state["last"][name], self.began_s
        self._recorder.tell(state["recorder"])

    def next_s(self) -> int:
        """When this leg ends, s from the start of the run."""
        return self._checkpoints.next_s(self.began_s)

    def end(self, ends_s: int) -> bool:
        """Keep the state at the end of a leg and prepare the next; False if the simulators did not come so far."""
        if any(leg.now_s != ends_s for leg in self.of.values()):
            return False
        self._recorder.flush()
        try:
            self._checkpoints.save(ends_s, keep(self._state(), self._constant))
        except NotKept as error:
            self._checkpoints.failed(str(error))
        self.began_s = ends_s
        for leg in self.of.values():
            leg.again()
        return True

    def close(self) -> None:
        """From here on mosaik's end is the simulators' end."""
        for leg in self.of.values():
            leg.ends = True

    def _state(self) -> dict[str, Any]:
        """What the simulators hold between two legs, and what they gave last."""
        others = {name: leg for name, leg in self.of.items() if name != RECORDER}
        return {
            "simulators": {name: leg.rooms for name, leg in others.items()},
            "last": {name: leg.handed() for name, leg in others.items()},
            "recorder": self._recorder.told(),
        }
