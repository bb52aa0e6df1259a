"""What a replica's GPUs draw while they serve nothing: loaded and idle, parked, or on the way between the two."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from simulators.errors import InputError
from simulators.inference.power.states import State


class IdleRule(NamedTuple):
    """Where a replica goes when it has been idle for `after_s` seconds."""

    state: State
    after_s: float


class Standby:
    """Power of one GPU of a replica while no iteration runs, a step function of time.

    Parameters
    ----------
    loaded_w
        With the model loaded and ready to serve, W.

    Attributes
    ----------
    state
        The state the replica is parked in or on its way to; None: it serves, or will once it is awake.
    rule
        When it is parked by itself; None: never.
    """

    def __init__(self, loaded_w: float) -> None:
        self.loaded_w = loaded_w
        self.state: State | None = None
        self.rule: IdleRule | None = None
        self._steps: list[tuple[float, float, bool]] = [(0.0, loaded_w, False)]  # from (s), W, in transition

    def park(self, at: float, state: State) -> None:
        """Leave loaded idle for `state` at time `at`, s."""
        self.state = state
        self._pass_through(at, state.enter_s, state.enter_j, state.power_w, state.name)

    def wake(self, at: float) -> float:
        """Load the model again from time `at` on, s; a transition under way is finished first.

        Returns
        -------
        float
            When the replica can serve, s.
        """
        state = self.state
        assert state is not None, "only a parked replica can be woken"
        self.state = None
        begins_at = max(at, self._steps[-1][0])
        self._pass_through(begins_at, state.leave_s, state.leave_j, self.loaded_w, state.name)
        return begins_at + state.leave_s

    def crash(self, at: float, state: State) -> None:
        """Leave whatever it is doing for `state` at time `at`, s: what it was on its way to does not come."""
        self.state = state
        self._steps = [step for step in self._steps if step[0] < at]
        self._steps.append((at, state.power_w, False))

    @property
    def settled_at(self) -> float:
        """When it is where it goes, s; from then on its power is that of its state."""
        return self._steps[-1][0]

    def supply(self, at: float, on: bool) -> None:
        """Switch the server around a parked GPU off, or on again, at time `at`, s."""
        assert self.state is not None, "the server of a replica that serves stays on"
        self._steps.append((at, self.state.power_w if on else 0.0, False))

    def _pass_through(self, at: float, lasts_s: float, joules: float, then_w: float, name: str) -> None:
        if lasts_s > 0:
            self._steps.append((at, joules / lasts_s, True))
        elif joules > 0:
            raise InputError(f"state {name}: {joules:g} J in a transition of 0 s, expected a time")
        self._steps.append((at + lasts_s, then_w, False))

    def forget(self, before: float) -> None:
        """Drop what ended before a time, s."""
        while len(self._steps) > 1 and self._steps[1][0] <= before:
            self._steps.pop(0)

    def energy_j(self, edges: NDArray[np.float64]) -> NDArray[np.float64]:
        """Energy of one GPU between each two `edges` (s), as if it served nothing.

        Returns
        -------
        array
            Columns: all of it, and what of it fell on transitions, J; shape (len(edges) - 1, 2).
        """
        joules = np.zeros((len(edges) - 1, 2))
        if len(self._steps) == 1:  # always so where nothing parks
            joules[:, 0] = self._steps[0][1] * (edges[1:] - edges[:-1])
            return joules
        ends = [step[0] for step in self._steps[1:]] + [np.inf]
        for (starts_at, watts, moving), ends_at in zip(self._steps, ends, strict=True):
            within = np.clip(edges, starts_at, ends_at)
            joules[:, 0] += watts * np.diff(within)
            if moving:
                joules[:, 1] += watts * np.diff(within)
        return joules
