"""A whole study in ten lines of TOML, changed and run again.

Question. What does a larger battery do for a site described in a file?
What to look for. The matched ratio rises with the battery, by less with every step: the same surplus fills it.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # not needed once the package is installed

from scenarios import Study, simulate

TOML = """
[run]
days = 2
step = 900

[[sites]]
place = {site = "germany"}
serving = {model = "meta-llama/Meta-Llama-3-8B", gpu = "a100", tp = 1, replicas = 1}
traffic = {rate = 0.3}
generation = {pv_kw = 8, wind_kw = 2}
"""


def main() -> None:
    """One study from text; three batteries."""
    study = Study.from_toml(TOML)
    for battery_kwh in (1.0, 5.0, 25.0):
        ratio = simulate(study.changed(battery_kwh=battery_kwh)).figures.renewable.matched_ratio
        print(f"{battery_kwh:>5.0f} kWh: {ratio:.1%} of the load carried by own supply")


if __name__ == "__main__":
    main()
