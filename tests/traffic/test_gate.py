"""The gate: nothing is lost, nothing leaves too late, the earliest deadline leaves first, at the pace asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from simulators.quantities.requests import RequestBlock
from simulators.traffic.gate import Gate

GRID_S = 0.25
"""All times of the property tests are multiples of it, so sums and comparisons are exact."""


@dataclass
class Held:
    """A request in the reference below."""

    number: int
    arrived_at: float
    deadline: float


class PlainGate:
    """The same rules for one request at a time: a sorted list, and a clock for the next free turn."""

    def __init__(self) -> None:
        self.waiting: list[Held] = []
        self.last_turn = -np.inf

    def step(
        self,
        arrivals: list[tuple[Held, bool]],
        begins_at: float,
        until: float,
        hold: bool,
        gap_s: float | None,
    ) -> dict[int, float]:
        left = {}
        for request, deferrable in arrivals:
            if hold and deferrable and request.deadline > request.arrived_at:
                self.waiting.append(request)
            else:
                left[request.number] = request.arrived_at
        self.waiting.sort(key=lambda r: r.deadline)
        turn = max(begins_at, self.last_turn + (gap_s or 0.0))
        for request in self.waiting.copy():
            at = max(request.deadline, begins_at)
            if not hold and gap_s is not None:
                at = min(at, turn)
                if turn < until:
                    self.last_turn = turn
                turn += gap_s
            at = max(at, request.arrived_at)
            if at < until:
                left[request.number] = at
                self.waiting.remove(request)
            elif not hold and gap_s is not None:
                break
        return left


def block(
    arrived_at: list[float],
    deferrable: list[bool],
    first_number: int = 0,
    deadlines: NDArray[np.float64] | float = np.inf,
) -> RequestBlock:
    rows = len(arrived_at)
    ten = np.full(rows, 10)
    return RequestBlock(
        np.array(arrived_at, dtype=np.float64),
        ten,
        ten,
        deferrable=np.array(deferrable, dtype=np.bool_),
        deadline=np.broadcast_to(deadlines, rows),
        request_id=first_number + np.arange(rows),
    )


@st.composite
def histories(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Steps of one length: what arrives in each, when it must leave, and what the scheduler asks for."""
    steps = []
    for number in range(draw(st.integers(1, 7))):
        arrivals = sorted(draw(st.lists(st.integers(0, 39), max_size=6)))
        steps.append(
            {
                "arrived_at": [(40 * number + a) * GRID_S for a in arrivals],
                "patience_s": [draw(st.integers(0, 150)) * GRID_S for _ in arrivals],
                "deferrable": [draw(st.booleans()) for _ in arrivals],
                "hold": draw(st.booleans()),
                "gap_s": draw(st.sampled_from([None, 0.0, 0.5, 2.0, 8.0, 64.0])),
            }
        )
    return steps


@given(histories())
def test_gate_against_one_request_at_a_time(steps):
    gate, plain = Gate(), PlainGate()
    count, released = 0, 0
    for number, step in enumerate(steps):
        begins_at, until = 10.0 * number, 10.0 * (number + 1)
        arrived_at = step["arrived_at"]
        deadlines = np.array(
            [
                a + p if d else np.inf
                for a, p, d in zip(arrived_at, step["patience_s"], step["deferrable"], strict=True)
            ]
        )
        rate = {None: 0.0, 0.0: np.inf}.get(step["gap_s"]) if not step["gap_s"] else 1.0 / step["gap_s"]
        arrivals = block(arrived_at, step["deferrable"], count, deadlines)
        left = gate.pass_through(arrivals, begins_at, until, step["hold"], rate)
        requests = [Held(count + i, a, d) for i, (a, d) in enumerate(zip(arrived_at, deadlines, strict=True))]
        expected = plain.step(
            list(zip(requests, step["deferrable"], strict=True)),
            begins_at,
            until,
            step["hold"],
            step["gap_s"],
        )
        assert dict(zip(left.request_id.tolist(), left.released_at.tolist(), strict=True)) == expected
        assert np.all(np.diff(left.released_at) >= 0)
        count += len(arrivals)
        released += len(left)
        assert gate.held == len(plain.waiting) == count - released


@given(histories())
def test_nothing_is_lost_late_early_or_without_reason(steps):
    gate = Gate()
    deadline_of: dict[int, float] = {}
    deferrable_of: dict[int, bool] = {}
    seen: set[int] = set()
    for number, step in enumerate(
        [*steps, {"arrived_at": [], "patience_s": [], "deferrable": [], "hold": True, "gap_s": None}]
    ):
        begins_at = 10.0 * number
        until = 10.0 * (number + 1) if number < len(steps) else 1e9
        first = len(deadline_of)
        deadlines = np.where(
            step["deferrable"], np.array(step["arrived_at"]) + np.array(step["patience_s"]), np.inf
        )
        for i, (deadline, deferrable) in enumerate(zip(deadlines, step["deferrable"], strict=True)):
            deadline_of[first + i], deferrable_of[first + i] = float(deadline), deferrable
        rate = np.inf if not step["gap_s"] else 1.0 / step["gap_s"]
        arrivals = block(step["arrived_at"], step["deferrable"], first, deadlines)
        left = gate.pass_through(arrivals, begins_at, until, step["hold"], rate)
        for request_id, arrived_at, released_at in zip(
            left.request_id.tolist(), left.arrived_at.tolist(), left.released_at.tolist(), strict=True
        ):
            assert request_id not in seen
            seen.add(request_id)
            assert begins_at <= released_at < until
            assert arrived_at <= released_at
            if deferrable_of[request_id]:
                assert released_at <= max(deadline_of[request_id], arrived_at)
            else:
                assert released_at == arrived_at
    assert seen == set(deadline_of)
    assert gate.held == 0


def held_gate(deadlines: list[float]) -> Gate:
    """A gate that holds requests which arrived in the first 10 s."""
    gate = Gate()
    n = len(deadlines)
    arrivals = block(np.linspace(0, 9, n).tolist(), [True] * n, 0, np.array(deadlines))
    assert len(gate.pass_through(arrivals, 0.0, 10.0, True, np.inf)) == 0
    return gate


NOTHING = block([], [])


def test_the_earliest_deadline_leaves_first():
    gate = held_gate([500.0, 300.0, 400.0, 200.0])
    left = gate.pass_through(NOTHING, 10.0, 20.0, False, 0.5)
    assert left.request_id.tolist() == [3, 1, 2, 0]
    assert left.released_at.tolist() == [10.0, 12.0, 14.0, 16.0]


def test_a_slow_release_keeps_its_pace_across_steps():
    """One request in 25 s, in steps of 10 s: a pace below one per step must not turn into one per step."""
    gate = held_gate([1e6] * 6)
    times: list[float] = []
    for begins_at in np.arange(10.0, 110.0, 10.0):
        left = gate.pass_through(NOTHING, begins_at, begins_at + 10, False, 1 / 25)
        times += left.released_at.tolist()
    assert times == pytest.approx([10.0, 35.0, 60.0, 85.0])


def test_a_rate_of_zero_releases_only_what_is_due():
    gate = held_gate([15.0, 400.0])
    left = gate.pass_through(NOTHING, 10.0, 20.0, False, 0.0)
    assert left.released_at.tolist() == [15.0]
    assert gate.held == 1
    assert gate.pass_through(NOTHING, 20.0, 30.0, False, np.inf).released_at.tolist() == [20.0]


def test_new_arrivals_pass_those_still_held():
    """While held requests trickle out, a new deferrable one need not queue behind them."""
    gate = held_gate([1e6] * 3)
    left = gate.pass_through(block([12.0], [True], 3, 1e6), 10.0, 20.0, False, 1 / 8)
    assert left.request_id.tolist() == [0, 3, 1]
    assert left.released_at.tolist() == [10.0, 12.0, 18.0]


def test_who_must_leave_when_is_told():
    gate = Gate()
    times = np.arange(6.0)
    deadlines = np.array([100.0, 950.0, 1000.0, 5000.0, 1e6, np.inf])
    block = RequestBlock(times, np.full(6, 9), np.full(6, 9), deferrable=np.full(6, True), deadline=deadlines)
    gate.pass_through(block, 0.0, 60.0, hold=True)
    assert gate.due(60.0, 900.0, 4).tolist() == [2, 1, 0, 3]
    assert gate.due(5000.0, 900.0, 4).tolist() == [4, 0, 0, 2]  # overdue ones leave next
    assert gate.held == 6
