"""Does a battery that keeps its charge for the dirty hours help?

Question. The usual rule stores every surplus and covers every deficit at once. Mine waits: it covers the deficit only
while grid power is dirty. A class with `power_w` in a file of its own is all it takes; here it is this very file.
What to look for. The operational carbon of both, and how full the battery is at the end: what is left has a value too.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # not needed once the package is installed

from scenarios import Study, simulate
from simulators.storage.dispatch import Situation


@dataclass(frozen=True)
class KeepForDirtyHours:
    """Store surplus always; discharge only above `dirty_g_per_kwh`."""

    dirty_g_per_kwh: float = 300.0

    def power_w(self, situation: Situation) -> float:
        """Terminal power wished for, W; charging is positive."""
        surplus_w = situation.generation_w - situation.load_w
        if surplus_w > 0 or situation.ci_g_per_kwh > self.dirty_g_per_kwh:
            return surplus_w
        return 0.0


def main() -> None:
    """Two rules, one site."""
    study = Study().changed(site="germany", days=2, step=900, model="meta-llama/Meta-Llama-3-8B", gpu="a100", tp=1,
                            replicas=1, rate=0.3, pv_kw=8.0, battery_kwh=10.0, without=["wind"])  # fmt: skip
    for rule in ("self-consumption", f"{Path(__file__).resolve()}:KeepForDirtyHours"):
        result = simulate(study.changed(dispatch=rule))
        left_kwh = result.timeseries.stored_mwh.iloc[-1] * 1e3
        print(
            f"{rule.rpartition('/')[2]:<40} {result.figures.carbon_kg.operational:.3f} kg, {left_kwh:.1f} kWh left"
        )


if __name__ == "__main__":
    main()
