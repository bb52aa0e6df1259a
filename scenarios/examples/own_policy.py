"""What does a scheduling rule of my own save?

Question. Half of the requests may wait for eight hours. My rule: let them go only while the grid is cleaner than it
was on average so far. A class with `decide` in a file of its own is all it takes; here it is this very file.
What to look for. The carbon falls, the delay of what was held rises, the number of finished requests stays. What is
still held at the end counts too: both runs go on for another eight hours. Over a single day the rule saves nothing.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # not needed once the package is installed

from scenarios import Study, simulate
from simulators.quantities.commands import Command, Release
from simulators.scheduler.observation import Observation


@dataclass
class CleanerThanUsual:
    """Hold while grid power is dirtier than `factor` times the mean of what was seen so far."""

    factor: float = 1.0
    needs: frozenset[str] = frozenset({"carbon"})
    _seen: list[float] = field(default_factory=list)

    def decide(self, observation: Observation) -> Iterator[Command]:
        """One command per step."""
        self._seen.append(observation.ci_g_per_kwh)
        usual = sum(self._seen) / len(self._seen)
        yield Release(hold=observation.ci_g_per_kwh > self.factor * usual)


def main() -> None:
    """The rule against none, on the same requests."""
    study = Study().changed(site="germany", days=3, step=300, model="meta-llama/Meta-Llama-3-8B", gpu="a100", tp=1,
                            replicas=1, rate=0.5, deferrable_share=0.5, defer_hours=8,
                            drain_hours=8,  # both go on until the last deferred request is done
                            without=["pv", "wind", "battery"])  # fmt: skip
    for policy in ("none", f"{Path(__file__).resolve()}:CleanerThanUsual:factor=0.98"):
        figures = simulate(study.changed(policy=policy)).figures
        print(
            f"{policy.rpartition('/')[2]:<40} {figures.carbon_kg.operational:.3f} kg, "
            f"{figures.served.requests_completed:,.0f} requests done, "
            f"{figures.served.held_s.requests:,.0f} held for {figures.served.held_s.mean / 60:.0f} min on average"
        )


if __name__ == "__main__":
    main()
