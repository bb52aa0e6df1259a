"""All levers at once: the best schedule for the coming day, made anew every quarter of an hour."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from math import ceil, inf, isfinite
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from simulators.errors import InputError
from simulators.quantities.commands import (
    Awake,
    BatteryPower,
    ChunkBudget,
    ClockLimit,
    Command,
    Release,
)
from simulators.quantities.facts import DUE_S, SiteFacts
from simulators.scheduler.fleet import Fleet
from simulators.scheduler.horizon import Problem, Solution, solve
from simulators.scheduler.observation import Observation
from simulators.scheduler.policy import expect, need

BLOCK_S = 900.0

SMOOTH_S = 600.0
"""Time constant of the mean of the arrivals seen, s: short beside the hours in which they change, long enough that
chance does not wake a replica."""

SHY = 0.5
"""Share of a further replica's rate from which one is woken for work that could wait."""


@dataclass
class JointMpc:
    """Deferrable work, replicas, clock, chunk budget, battery and import together, over a rolling horizon.

    Every quarter of an hour a linear programme finds the schedule with the least carbon (or cost) over the horizon: its
    power curve is the engine's own, its forecasts those of the study. Its first block is carried out: replicas for what
    cannot wait are woken ahead of need, the lowest clock is taken that keeps the targets of interactive requests.

    Attributes
    ----------
    horizon_s
        How far it looks ahead, s.
    objective
        ``carbon`` or ``cost``: what is least.
    defer, awake, clock, chunk, battery
        Levers it may use: hold deferrable work; park replicas and switch empty servers off; lower the clock; cut
        prompts smaller; command the battery.
    headroom
        Share of the latency targets it plans with, above 0.
    spare
        Share of a rate that it expects to be exceeded by; replicas are woken for that much more, >= 0.
    import_limit_w
        Most to take from the grid, W, where the connection itself has no lower limit.

    Examples
    --------
    >>> JointMpc(battery=False).horizon_s
    86400.0
    """

    forecast_step_s: ClassVar[float] = BLOCK_S
    foresight: ClassVar[bool] = False

    horizon_s: float = 86_400.0
    objective: str = "carbon"
    defer: bool = True
    awake: bool = True
    clock: bool = True
    chunk: bool = True
    battery: bool = True
    headroom: float = 1.0
    spare: float = 0.05
    import_limit_w: float = inf
    _plan: Plan | None = field(default=None, init=False, repr=False)
    _fleet: Fleet | None = field(default=None, init=False, repr=False)
    _seen_per_s: float = field(default=-1.0, init=False, repr=False)

    def __post_init__(self) -> None:
        expect(self.horizon_s > 0, "mpc", f"a positive horizon, not {self.horizon_s} s")
        expect(self.objective in ("carbon", "cost"), "mpc", f"objective carbon or cost, not {self.objective}")
        expect(self.headroom > 0, "mpc", f"headroom above 0, not {self.headroom}")
        expect(self.spare >= 0, "mpc", f"spare >= 0, not {self.spare}")
        expect(self.import_limit_w >= 0, "mpc", f"import_limit_w >= 0, not {self.import_limit_w}")

    @property
    def needs(self) -> frozenset[str]:
        """What it plans with."""
        signal = {"carbon": "carbon_forecast", "cost": "price_forecast"}[self.objective]
        common = {"arrivals_forecast", "generation_forecast", "generation", "load", "charge", "queue"}
        return frozenset({signal, *common, "deadlines", "load_curve", "replicas"})

    def decide(self, observation: Observation) -> Iterator[Command]:
        if self._fleet is None:
            facts = observation.facts
            awake = self.awake and isfinite(facts.replica_off_w)  # else nothing is known of parking
            self._fleet = Fleet(facts, awake, self.clock, self.chunk, self.headroom)
        self._look(observation)
        plan = self._plan
        if plan is None or observation.time_s - plan.made_s >= self.solve_every_s(observation.facts):
            plan = self._plan = self._planned(observation, self._fleet)
        yield from self._carried_out(observation, self._fleet, plan)

    def least_kg(self, seen: Observation) -> float:
        """Carbon of the best schedule from what is seen on, not rounded to whole replicas, kg.

        What the battery holds more in the end than at first counts as what it gives, at the mean intensity of the time.
        """
        awake = self.awake and isfinite(seen.facts.replica_off_w)
        plan = self._planned(seen, Fleet(seen.facts, awake, self.clock, self.chunk, self.headroom))
        solution, problem = plan.solution, plan.problem
        if problem.battery is None:
            return solution.objective / 1e3
        charged = np.maximum(solution.battery_w, 0.0) * problem.battery.charge_efficiency
        given = np.maximum(-solution.battery_w, 0.0) / problem.battery.discharge_efficiency
        more_wh = float((charged - given).sum()) * problem.block_s / 3600.0
        worth_g = more_wh / 1e3 * problem.battery.discharge_efficiency * float(problem.signal.mean())
        return (solution.objective - worth_g) / 1e3

    def solve_every_s(self, facts: SiteFacts) -> float:
        """How long a plan is followed, s."""
        return facts.forecast_step_s

    def _look(self, seen: Observation) -> None:
        """Keep the mean of the interactive arrivals seen lately."""
        if seen.time_s == 0:
            return
        now_per_s = (seen.arrived - seen.deferrable) / seen.step_s
        share = min(1.0, seen.step_s / SMOOTH_S)
        before = self._seen_per_s if self._seen_per_s >= 0 else now_per_s
        self._seen_per_s = before + share * (now_per_s - before)

    def _planned(self, seen: Observation, fleet: Fleet) -> Plan:
        facts, block_s = seen.facts, seen.facts.forecast_step_s
        ahead = seen.ci_forecast_g_per_kwh if self.objective == "carbon" else seen.price_forecast_per_kwh
        arrivals, deferrable = seen.arrivals_forecast_per_s, seen.deferrable_forecast_per_s
        blocks = min(len(ahead), len(arrivals), max(1, ceil((facts.end_s - seen.time_s) / block_s)))
        if not blocks:
            raise InputError("policy 'mpc': needs forecasts of signal and arrivals, which are not connected")
        starts = seen.time_s + block_s * np.arange(blocks)
        coming = starts < facts.arrivals_end_s
        interactive = np.where(coming, np.maximum(arrivals[:blocks] - deferrable[:blocks], 0.0), 0.0)
        if not self.defer:
            interactive = np.where(coming, arrivals[:blocks], 0.0)
        own = np.zeros(blocks)
        told = seen.generation_forecast_w[:blocks]
        own[: len(told)] = told
        available, due = _work(seen, np.where(coming, deferrable[:blocks], 0.0) if self.defer else 0.0 * own)
        battery = facts.battery if self.battery else None
        problem = Problem(
            block_s=block_s,
            interactive_per_s=interactive,
            available=available,
            due=due,
            generation_w=own,
            signal=np.asarray(ahead[:blocks], dtype=np.float64),
            lines=fleet.hull,
            most_per_s=fleet.most_per_s,
            battery=battery,
            stored_wh=0.0 if battery is None else need(seen.soc, "SoC[1]", "mpc") * battery.capacity_wh,
            import_limit_w=min(self.import_limit_w, facts.import_limit_w),
        )
        return Plan(seen.time_s, problem, solve(problem))

    def _carried_out(self, seen: Observation, fleet: Fleet, plan: Plan) -> Iterator[Command]:
        facts, block = seen.facts, plan.block(seen.time_s)
        # what has come lately counts where it is more than was foreseen
        expected = max(plan.problem.interactive_per_s[block], self._seen_per_s) * (1.0 + self.spare)
        wanted = expected + plan.solution.released_per_s[block]
        replicas = self._replicas(seen, fleet, plan, expected, wanted)
        serving = min(replicas, max(1, int(seen.awake))) if seen.awake == seen.awake else replicas
        if fleet.awake:
            yield Awake(replicas, "host_off" if replicas < facts.replicas else "off")
        room = serving * fleet.most_per_replica - expected
        # a further replica that is awake anyway is filled
        rate = wanted - expected if serving >= replicas else min(wanted - expected, room)
        rate = max(0.0, min(rate, room))
        if self.defer:
            yield Release(False, rate, queue=True) if rate > 0 else Release(True, 0.0, queue=True)
        setting = fleet.setting(serving, expected + rate)
        if self.clock:
            yield ClockLimit(setting.mode.clock)
        if fleet.cuts:
            yield ChunkBudget(setting.mode.chunk_tokens)
        if self.battery and facts.battery is not None:
            yield BatteryPower(_battery_w(seen, plan, block))

    def _replicas(self, seen: Observation, fleet: Fleet, plan: Plan, expected: float, wanted: float) -> int:
        """How many are to serve: those that what cannot wait needs, now and when the next one were awake."""
        if not fleet.awake:
            return fleet.needed(expected)

        def soon(lead_s: float) -> float:
            first, last = plan.block(seen.time_s), plan.block(seen.time_s + lead_s)
            return float(plan.problem.interactive_per_s[first : last + 1].max()) * (1.0 + self.spare)

        needed, facts = fleet.ahead_of_need(expected, soon, seen.step_s), seen.facts
        block = plan.block(seen.time_s)
        more = (wanted - needed * fleet.most_per_replica) / fleet.most_per_replica
        if more >= SHY or (more > 0 and plan.presses(block, needed * fleet.most_per_replica)):
            needed = min(facts.replicas, needed + ceil(more))
        return needed


@dataclass(frozen=True)
class Plan:
    """A solved problem.

    Attributes
    ----------
    made_s
        When it begins, s.
    problem, solution
        What was asked, and the answer.
    """

    made_s: float
    problem: Problem
    solution: Solution

    def block(self, time_s: float) -> int:
        """The block a time lies in; the last one beyond the end."""
        last = len(self.problem.signal) - 1
        return min(last, int((time_s - self.made_s) // self.problem.block_s))

    def presses(self, block: int, most_per_s: float) -> bool:
        """Whether some request would leave too late if no more than a rate were served from a block on."""
        problem = self.problem
        left = float(self.solution.released_per_s[:block].sum()) * problem.block_s
        room = np.maximum(most_per_s - problem.interactive_per_s[block:], 0.0) * problem.block_s
        return bool(np.any(left + np.cumsum(room) < problem.due[block:] - 1.0))


def _work(
    seen: Observation, deferrable_per_s: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Deferrable requests there by the end of each block, and those that must have left, in sum."""
    facts, blocks = seen.facts, len(deferrable_per_s)
    block_s = facts.forecast_step_s
    ends = block_s * (1 + np.arange(blocks))
    coming = np.concatenate(([0.0], np.cumsum(deferrable_per_s) * block_s))
    available = seen.held + coming[1:]
    waits_s = facts.defer_window_s - min(facts.serve_s, facts.defer_window_s / 2)
    due = np.interp(ends - waits_s, np.concatenate(([0.0], ends)), coming, left=0.0)
    if len(seen.held_due):
        held = np.concatenate(([0.0], np.cumsum(seen.held_due[:-1]), [seen.held]))
        due = due + np.interp(ends, DUE_S * np.arange(len(held)), held)
    # all must be done before the end of the run
    due = np.where(seen.time_s + ends > facts.end_s - facts.serve_s, available, due)
    return available, np.minimum(due, available)


def _battery_w(seen: Observation, plan: Plan, block: int) -> float:
    """The battery's planned power, within what it can do; it gives no more than the site takes, from sun no more than
    is left over."""
    battery = seen.facts.battery
    assert battery is not None
    planned = float(plan.solution.battery_w[block])
    generation_w = seen.generation_w if isfinite(seen.generation_w) else 0.0  # nan: the site has no plant
    net = seen.load_w - generation_w
    from_grid = (
        plan.solution.import_w[block] > plan.solution.meter_w[block] - plan.problem.generation_w[block] + 1.0
    )
    if planned < 0 and plan.solution.import_w[block] < 1.0:
        planned = -max(net, 0.0)  # it carries the site alone
    elif planned < 0:
        planned = max(planned, -max(net, 0.0))
    elif planned > 0 and not from_grid:
        planned = max(-net, 0.0)
    hours, stored_wh = seen.step_s / 3600.0, seen.soc * battery.capacity_wh
    room = max(0.0, battery.soc_max * battery.capacity_wh - stored_wh) / battery.charge_efficiency / hours
    stock = max(0.0, stored_wh - battery.soc_min * battery.capacity_wh) * battery.discharge_efficiency / hours
    return max(-min(battery.discharge_w, stock), min(planned, min(battery.charge_w, room)))
