"""How long studies of energy alone take: one JSON line per case.

    python tests/benchmarks/energy_chain.py [--quick] [--full]

Every case runs in a process of its own: a year of minutes in the plain loop; the same in mosaik, as the cost of twenty
days' steps times a year's, with --full all of them; a hundred sizes of PV and battery over a year of quarter hours.
Times are of the processor, `start_s` is the imports, `peak_rss_mib` is of the whole process. --quick: days in place of
years.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

DAYS = 365
GOALS = {"plain": 10.0, "mosaik": 120.0, "sizings": 60.0}
"""Seconds that a case may take; 600 MiB for each."""


def load_file(folder: Path, days: int) -> Path:
    """Forty kilowatts that follow the day, with noise, in minutes."""
    minutes = np.arange(days * 1440)
    times = pd.date_range("2016-08-01T07:00", periods=len(minutes), freq="60s", tz="UTC")
    wave = 15e3 * np.sin(2 * np.pi * minutes / 1440)
    values = 4e4 + wave + np.random.default_rng(1).normal(0.0, 3e3, len(minutes))
    file = folder / "load.parquet"
    pd.DataFrame({"time": times, "load_w": values.round(1)}).to_parquet(file, index=False)
    return file


def measure(case: str, file: str, days: int, year: int) -> dict[str, object]:
    """Run one case in this process."""
    from scenarios import Study
    from scenarios.build import build
    from scenarios.simulation import simulate_plan
    from scenarios.sizes import sizings

    start_s = time.process_time()
    study = Study().changed(load=file, start="2016-08-01", days=days)
    if case == "sizings":
        study = study.changed(step=900)
        sizes = np.linspace(0, 180, 10).tolist()
        told: dict[str, object] = {"sizings": len(sizings(study, sizes, sizes))}
        cpu_s = time.process_time() - start_s
    else:
        plan = build(study.changed(engine=case))
        built_s = time.process_time() - start_s
        told = {"import_mwh": simulate_plan(plan).figures.energy_mwh.grid_import}
        steps_s = time.process_time() - start_s - built_s
        told["us_per_step"] = round(1e6 * steps_s / study.steps, 1)
        if year > days:
            told["extrapolated_from_days"] = days
        cpu_s = built_s + steps_s * year / days
    told["steps"] = study.steps
    peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {
        "case": case, "cpu_s": round(cpu_s, 2), "goal_s": GOALS[case], "start_s": round(start_s, 2),
        "peak_rss_mib": round(peak_mib), **told,
    }  # fmt: skip


def main() -> None:
    """Every case, one after the other."""
    if "--case" in sys.argv:
        case, file, days, year = sys.argv[sys.argv.index("--case") + 1 :][:4]
        print(json.dumps(measure(case, file, int(days), int(year))), flush=True)
        return
    quick, full = "--quick" in sys.argv, "--full" in sys.argv
    year = 3 if quick else DAYS
    with tempfile.TemporaryDirectory() as folder:
        file = load_file(Path(folder), year)
        for case in GOALS:
            days = year if case != "mosaik" or full else min(20, year)
            command = [sys.executable, __file__, "--case", case, str(file), str(days), str(year)]
            subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
