"""How much of what perfect foresight would save a receding horizon saves, and whether it keeps the import limit.

    python tests/benchmarks/dispatch.py [--days 30] [--json]

Thirty days in steps of 900 s: the carbon intensity, price and sun of bundled sites, a load of 10 kW in the mean that
follows the bundled day of traffic with 5 % of noise, 15 kW of PV and a battery of 40 kWh and 10 kW. Every run ends with
the charge it began with. Savings are against self-consumption; the optimum is one linear programme over the whole span.
`perfect` and `persistence` are the forecasts of 24 h that the rule gets, in intervals of an hour. Exit code 1: a
perfect forecast reaches less than 97 % of the optimum's saving, an import limit is broken, or load unserved.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from datetime import datetime
from math import inf
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from scenarios.series import read_series
from scenarios.span import Span
from scenarios.study import Study
from simulators.profiles.site import load_site
from simulators.storage.battery import BatteryConfig
from simulators.storage.connection import Connection
from simulators.storage.dispatch import Horizon, Rule, SelfConsumption
from simulators.storage.planner import Outlook, Terms, optimum
from simulators.storage.run import run
from simulators.storage.site import Site

ROOT = Path(__file__).resolve().parents[2]
GOAL = 0.97
STEP_S = 900
BATTERY = BatteryConfig(40e3, 10e3, 10e3, soc_min=0.1, soc_initial=0.5)
CASES = [
    ("california_2022", "2022-06-20", "carbon", inf),
    ("california_2022", "2022-06-20", "carbon", 12e3),
    ("california_2022", "2022-06-20", "price", inf),
    ("california_2022", "2022-06-20", "price", 12e3),
    ("germany", "2023-06-05", "carbon", inf),
    ("germany", "2023-06-05", "carbon", 14e3),
]


def load(steps: int) -> np.ndarray:
    """A load of 10 kW in the mean, W; shape (steps,)."""
    day = json.loads((ROOT / "data" / "traffic" / "diurnal_day.json").read_text())["hourly_factor"]
    shape = np.array(day)[(np.arange(steps) * STEP_S // 3600) % 24]
    return 10e3 * (0.4 + 0.6 * shape) * (1 + 0.05 * np.random.default_rng(1).standard_normal(steps))


def measure(site: str, start: str, objective: str, limit_w: float, days: int) -> dict[str, object]:
    """One case: costs of self-consumption, optimum and horizon, in kg or in money."""
    steps = days * 86400 // STEP_S
    study = Study().changed(site=site, days=days, step=STEP_S, pv_kw=15.0, without=["wind"])
    span = Span(datetime.fromisoformat(f"{start}T00:00+00:00"), STEP_S, steps)
    series = read_series(study.site, load_site(site), span)
    load_w, pv_w = load(steps), series.pv_w
    ci, price = (None if values is None else values[:steps] for values in (series.average, series.price))
    per_kwh = ci / 1e3 if objective == "carbon" else price
    connection = Connection(import_limit_w=limit_w)

    def cost(rule: Rule) -> dict[str, float]:
        started = time.process_time()
        found = run(
            Site(BATTERY, rule, connection, STEP_S, steps * STEP_S), load_w, pv_w, None, None, ci, price
        )
        imported_kw = found.columns["import_mw"] * 1e3
        return {
            "cost": float((imported_kw * per_kwh).sum() * STEP_S / 3600),
            "most_kw": float(imported_kw.max()),
            "unserved_kwh": float(found.columns["unserved_mw"].sum() * 1e3 * STEP_S / 3600),
            "cpu_s": time.process_time() - started,
        }

    plain = cost(SelfConsumption())
    start_wh = BATTERY.store().energy_wh
    terms = Terms(start_wh, BATTERY.soc_min * BATTERY.capacity_wh, STEP_S / 3600, 1.0, start_wh)
    outlook = Outlook(load_w, pv_w, per_kwh, np.zeros(steps))
    plan = optimum(BATTERY.spec(STEP_S), connection.limits(STEP_S), outlook, terms)
    best = float((plan.import_w / 1e3 * per_kwh).sum() * STEP_S / 3600)
    told: dict[str, object] = {
        "site": site, "objective": objective, "limit_kw": None if limit_w == inf else limit_w / 1e3,
        "self_consumption": plain["cost"], "optimum": best, "optimum_saves": 1 - best / plain["cost"],
    }  # fmt: skip
    for forecast in ("perfect", "persistence"):
        found = cost(Horizon(objective, forecast=forecast))
        reached = (plain["cost"] - found["cost"]) / (plain["cost"] - best)
        told[forecast] = found | {"reached": reached}
    return told


def good(case: dict[str, object]) -> bool:
    """Whether a case keeps its goals."""
    perfect = case["perfect"]
    kept = case["limit_kw"] is None or perfect["most_kw"] <= case["limit_kw"] * (1 + 1e-9)
    return perfect["reached"] >= GOAL and kept and perfect["unserved_kwh"] <= 1e-6


def main() -> int:
    """Print a table, or JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--days", type=int, default=30, help="length of every case")
    parser.add_argument("--json", action="store_true", help="print JSON in place of a table")
    options = parser.parse_args()
    cases = [measure(*case, options.days) for case in CASES]
    if options.json:
        print(json.dumps(cases))
    else:
        print("site             objective  limit   optimum saves   perfect  persistence   most import  CPU")
        for case in cases:
            limit = "none" if case["limit_kw"] is None else f"{case['limit_kw']:.0f} kW"
            perfect, persistence = case["perfect"], case["persistence"]
            print(
                f"{case['site']:<16} {case['objective']:<9} {limit:>6} {case['optimum_saves']:>15.1%} "
                f"{perfect['reached']:>9.2%} {persistence['reached']:>12.2%} {perfect['most_kw']:>10.2f} kW "
                f"{perfect['cpu_s']:>4.1f} s{'' if good(case) else '   missed'}"
            )
    return 0 if all(good(case) for case in cases) else 1


if __name__ == "__main__":
    sys.exit(main())
