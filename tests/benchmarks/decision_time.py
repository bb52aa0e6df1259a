"""How long one decision of the joint policy takes: a day in quarters of an hour, all levers.

python -m tests.benchmarks.decision_time
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from scenarios import Study
from scenarios.build import build
from scenarios.simulation import simulate_plan
from simulators.scheduler.policies.mpc import JointMpc
from simulators.scheduler.simulator import Scheduler

STUDY = Study().changed(
    site="germany", replicas=4, rate=6.0, deferrable_share=0.5, slo_ttft=1.0, slo_tpot=0.06, policy="mpc", days=1.25,
    drain_hours=0.0,
)  # fmt: skip


BLOCKS = 96
"""Of a whole plan: towards the end of the run they are fewer."""


def decisions(study: Study = STUDY) -> list[float]:
    """CPU time of every decision in which a whole plan was made, s."""
    taken: list[float] = []

    class Timed(JointMpc):
        def decide(self, observation: Any) -> Any:
            before, started = self._plan, time.process_time()
            commands = list(super().decide(observation))
            plan = self._plan
            if plan is not None and plan is not before and len(plan.problem.signal) == BLOCKS:
                taken.append(time.process_time() - started)
            return commands

    class TimedScheduler(Scheduler):
        def make(self, eid: str, model: str, *values: Any, **parameters: Any) -> Any:
            entity = super().make(eid, model, *values, **parameters)
            entity.policy = Timed()
            return entity

    simulate_plan(build(study), simulators={"controller": TimedScheduler})
    return taken


def main() -> None:
    """Print the times."""
    taken = decisions()
    ms = 1e3 * np.array(taken[1:])  # the first one also draws the site's hull
    print(f"{len(ms)} decisions over {BLOCKS} blocks, CPU time: median {np.median(ms):.1f} ms, "
          f"95th percentile {np.quantile(ms, 0.95):.1f} ms, first {1e3 * taken[0]:.0f} ms")  # fmt: skip


if __name__ == "__main__":
    main()
