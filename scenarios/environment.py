"""A site as an environment: `reset()`, then `step(commands)` until the run is over; for learning agents and own loops.

The same world as `simulate`'s, step by step: it runs in a thread of its own that waits, wherever a policy would be
asked, for what the caller commands.

>>> from scenarios.environment import Environment
>>> from scenarios import Study
>>> from simulators.quantities.commands import Release
>>> study = Study().changed(days=0.01, gpu="a100", tp=1, replicas=1, model="meta-llama/Meta-Llama-3-8B", rate=0.3)
>>> with Environment(study, needs={"queue", "carbon", "exchange"}) as site:
...     seen = site.reset()
...     while not site.done:
...         seen = site.step([Release(hold=seen.ci_g_per_kwh > 250)])
...     round(site.result.figures.energy_mwh.facility, 4) > 0
True
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from queue import Queue
from types import TracebackType
from typing import Any, Self

from scenarios.build import build
from scenarios.result import Result
from scenarios.simulation import simulate_plan
from scenarios.study import Study
from simulators.errors import InputError
from simulators.quantities.commands import Command
from simulators.scheduler.observation import NEEDS, Observation
from simulators.scheduler.simulator import Scheduler

J_PER_KWH = 3.6e6


class _Closed(Exception):
    """The caller wants no more steps."""


class _Seat:
    """Stands where a policy would: hands observations out, takes commands in."""

    def __init__(self) -> None:
        self.seen: Queue[Observation | BaseException | None] = Queue(1)
        self.said: Queue[list[Command] | None] = Queue(1)

    def decide(self, observation: Observation) -> list[Command]:
        self.seen.put(observation)
        commands = self.said.get()
        if commands is None:
            raise _Closed
        return commands


class Environment:
    """One site, stepped from outside.

    Parameters
    ----------
    study
        What to simulate, with one site; its policy is not asked.
    needs
        Signals to be observed, of `observation.NEEDS`; None: all (among them forecasts of arrivals and the load curve,
        which take some seconds to make).

    Attributes
    ----------
    done
        Whether the run is over.
    result
        The figures of the run, once it is over; `simulate` under a policy that commands the same gives the same.
    """

    def __init__(self, study: Study, needs: Iterable[str] | None = None) -> None:
        if len(study.sites) > 1:
            raise InputError("environment: several sites given, expected one")
        wanted = frozenset(NEEDS) if needs is None else frozenset(needs)
        if unknown := sorted(wanted - set(NEEDS)):
            raise InputError(f"environment: needs {unknown[0]!r}, expected some of {', '.join(NEEDS)}")
        self._study, self._needs = study, wanted
        self._thread: threading.Thread | None = None
        self._seat = _Seat()
        self._last: Observation | None = None
        self._result: Result | None = None
        self.done = False

    @property
    def result(self) -> Result:
        """The figures of the run."""
        if self._result is None:
            raise InputError("environment: the run is not over, expected step() until done")
        return self._result

    def reset(self, seed: int | None = None) -> Observation:
        """Begin the run anew, with other requests if a seed is given; what is seen in its first step."""
        self.close()
        if seed is not None:
            self._study = self._study.changed(seed=seed)
        seat = self._seat = _Seat()
        self._result, self.done = None, False
        plan = build(self._study.changed(policy="none"), needs=self._needs)

        class Seated(Scheduler):
            def make(self, eid: str, model: str, *values: Any, **parameters: Any) -> Any:
                entity = super().make(eid, model, *values, **parameters)
                entity.policy = seat  # type: ignore[assignment]
                return entity

        def run() -> None:
            try:
                self._result = simulate_plan(plan, simulators={"controller": Seated})
                seat.seen.put(None)
            except _Closed:
                pass
            except BaseException as error:
                seat.seen.put(error)

        self._thread = threading.Thread(target=run, daemon=True)
        self._thread.start()
        return self._next()

    def step(self, commands: Iterable[Command] = ()) -> Observation:
        """Have commands carried out in the present step; what is seen in the next one.

        After the last step the last observation comes again, and `done` is true.

        Raises
        ------
        InputError
            Before `reset`, after the end, or if something is no command.
        """
        if self._thread is None or self.done:
            raise InputError("environment: no run goes on, expected reset() first")
        told = list(commands)
        for command in told:
            if not isinstance(command, Command):
                raise InputError(
                    f"environment: {command!r} given, expected commands such as Release(hold=True)"
                )
        self._seat.said.put(told)
        return self._next()

    def _next(self) -> Observation:
        found = self._seat.seen.get()
        if isinstance(found, BaseException):
            self.done, self._thread = True, None
            raise found
        if found is None:
            self.done, self._thread = True, None
            assert self._last is not None
            return self._last
        self._last = found
        return found

    def close(self) -> None:
        """End a run that is not over."""
        thread, self._thread = self._thread, None
        if thread is not None and thread.is_alive():
            self.done = True
            self._seat.said.put(None)
            thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def grams(before: Observation, after: Observation) -> float:
    """Carbon of the grid power of one step, g: the intensity seen in it, the import seen in the step after it.

    Examples
    --------
    >>> first = Observation(0, 3600, ci_g_per_kwh=400.0)
    >>> grams(first, Observation(3600, 3600, import_w=500.0))
    200.0
    """
    return before.ci_g_per_kwh * after.import_w * before.step_s / J_PER_KWH
