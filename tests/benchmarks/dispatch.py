"""How much of what perfect foresight would save a receding horizon saves, and whether it keeps the import limit.

    python tests/benchmarks/dispatch.py [--days 30] [--json]

Thirty days in steps of 900 s: the carbon intensity, price and sun of bundled sites, a load of 10 kW in the mean that
follows the bundled day of traffic with 5 % of noise, PV and batteries of several sizes. Every run ends with the charge
it began with. Savings are against self-consumption, whose unserved load is counted as if it had been imported at its
moment; the optimum is one linear programme over the whole span, every step an interval. `24 h` and `default` are the
rule with a perfect forecast of 24 h and of its own length, `persistence` with the one that tells the day before.
Where there is little to save, look at what was missed as a share of the whole (`short of`). Exit code 1: with a perfect
forecast of the default length less than 97 % of the optimum's saving is reached, an import limit is broken, or load
unserved; or with 24 h less than 97 % and more than 0.1 % of the whole is missed.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import asdict, dataclass
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
from simulators.storage.outlook import outlook
from simulators.storage.planner import Terms, optimum
from simulators.storage.run import run
from simulators.storage.site import Site

ROOT = Path(__file__).resolve().parents[2]
GOAL = 0.97
LEAST = 0.001
STEP_S = 900


@dataclass(frozen=True)
class Case:
    """A site, when its run starts, what is minimised, and sizes."""

    site: str
    start: str
    objective: str
    limit_kw: float | None = None
    pv_kw: float = 15.0
    battery_kwh: float = 40.0
    battery_hours: float = 4.0
    feed_in: float = 0.0

    @property
    def connection(self) -> Connection:
        """To the grid."""
        return Connection(import_limit_w=inf if self.limit_kw is None else self.limit_kw * 1e3)

    @property
    def battery(self) -> BatteryConfig:
        """Half full at the start."""
        power_w = self.battery_kwh * 1e3 / self.battery_hours
        return BatteryConfig(self.battery_kwh * 1e3, power_w, power_w, soc_min=0.1, soc_initial=0.5)


CASES = [
    Case("california_2022", "2022-06-20", "carbon"),
    Case("california_2022", "2022-06-20", "carbon", 12.0),
    Case("california_2022", "2022-06-20", "price"),
    Case("california_2022", "2022-06-20", "price", 12.0),
    Case("california_2022", "2022-06-20", "carbon", None, 40.0, 60.0),
    Case("germany", "2023-06-05", "carbon"),
    Case("germany", "2023-06-05", "carbon", 14.0),
    Case("germany", "2023-06-05", "carbon", 12.0),
    Case("germany", "2023-01-05", "carbon"),
    Case("germany", "2023-01-05", "carbon", 12.0),
    Case("germany", "2023-10-01", "carbon", 13.0, 30.0, 80.0, 2.0),
    Case("california_2022", "2022-11-01", "price", 11.0, 25.0, 80.0, 4.0),
    Case("california_2022", "2022-08-15", "carbon+price", None, 5.0, 20.0, 1.0),
    Case("california_2022", "2022-03-01", "price", None, 40.0, 40.0, 2.0, 0.05),
]


def load(steps: int) -> np.ndarray:
    """A load of 10 kW in the mean, W; shape (steps,)."""
    day = json.loads((ROOT / "data" / "traffic" / "diurnal_day.json").read_text())["hourly_factor"]
    shape = np.array(day)[(np.arange(steps) * STEP_S // 3600) % 24]
    return 10e3 * (0.4 + 0.6 * shape) * (1 + 0.05 * np.random.default_rng(1).standard_normal(steps))


def measure(case: Case, days: int) -> dict[str, object]:
    """One case: costs of self-consumption, optimum and horizon, in kg or in money."""
    steps = days * 86400 // STEP_S
    study = Study().changed(site=case.site, days=days, step=STEP_S, pv_kw=case.pv_kw, without=["wind"])
    span = Span(datetime.fromisoformat(f"{case.start}T00:00+00:00"), STEP_S, steps)
    series = read_series(study.site, load_site(case.site), span)
    load_w, pv_w = load(steps), series.pv_w
    ci, price = (None if values is None else values[:steps] for values in (series.average, series.price))
    rule = Horizon(case.objective)
    per_kwh = {"carbon": 0.0 if ci is None else ci / 1e3, "price": price}.get(case.objective)
    per_kwh = price + rule.per_kg * ci / 1e3 if per_kwh is None else per_kwh
    worth = np.full(steps, case.feed_in)
    ahead = {"load_w": load_w, "generation_w": pv_w, "ci_g_per_kwh": ci, "worth_per_kwh": worth}
    ahead |= {} if price is None else {"price_per_kwh": price}

    def cost(rule: Rule) -> dict[str, float]:
        started = time.process_time()
        site = Site(case.battery, rule, case.connection, STEP_S, steps * STEP_S, ahead)
        found = run(site, load_w, pv_w, None, None, ci, price)
        kw = {name: found.columns[f"{name}_mw"] * 1e3 for name in ("import", "export", "unserved")}
        return {
            "cost": float(((kw["import"] + kw["unserved"]) @ per_kwh - kw["export"] @ worth) * STEP_S / 3600),
            "most_kw": float(kw["import"].max()),
            "unserved_kwh": float(kw["unserved"].sum() * STEP_S / 3600),
            "cpu_s": time.process_time() - started,
        }

    plain = cost(SelfConsumption())
    start_wh = case.battery.store().energy_wh
    terms = Terms(start_wh, case.battery.soc_min * case.battery.capacity_wh, 1.0, start_wh)
    seen = outlook(load_w - pv_w, per_kwh, worth, STEP_S / 3600, case.connection.limits(STEP_S))
    plan = optimum(case.battery.spec(STEP_S), seen, terms)
    best = float((plan.import_w @ per_kwh - plan.surplus_w @ worth) / 1e3 * STEP_S / 3600)
    told: dict[str, object] = asdict(case) | {
        "self_consumption": plain["cost"],
        "self_consumption_unserved_kwh": plain["unserved_kwh"],
        "optimum": best,
        "optimum_unserved_kwh": float(plan.unserved_w.sum() / 1e3 * STEP_S / 3600),
        "optimum_saves": 1 - best / plain["cost"],
    }
    for name, options in (
        ("day", {"hours": 24.0}),
        ("default", {}),
        ("persistence", {"forecast": "persistence"}),
    ):
        found = cost(Horizon(case.objective, **options))
        reached = (plain["cost"] - found["cost"]) / (plain["cost"] - best)
        told[name] = found | {"reached": reached, "short": (found["cost"] - best) / abs(plain["cost"])}
    return told


def good(case: dict[str, object]) -> bool:
    """Whether a case keeps its goals."""
    for name in ("day", "default"):
        found = case[name]
        if case["limit_kw"] is not None and found["most_kw"] > case["limit_kw"] * (1 + 1e-9):
            return False
        if found["unserved_kwh"] > case["optimum_unserved_kwh"] + 1e-6:
            return False
    enough = case["day"]["reached"] >= GOAL or case["day"]["short"] <= LEAST
    return case["default"]["reached"] >= GOAL and enough


def main() -> int:
    """Print a table, or JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--days", type=int, default=30, help="length of every case")
    parser.add_argument("--every", type=int, default=1, help="run every so many of the cases")
    parser.add_argument("--json", action="store_true", help="print JSON in place of a table")
    options = parser.parse_args()
    cases = [measure(case, options.days) for case in CASES[:: options.every]]
    if options.json:
        print(json.dumps(cases))
    else:
        print(
            "site            start      objective       limit     PV  battery   saves    24 h (short of)  default "
            "persistence (short of, unserved)  CPU"
        )
        for case in cases:
            limit = "none" if case["limit_kw"] is None else f"{case['limit_kw']:.0f} kW"
            day, default, persistence = case["day"], case["default"], case["persistence"]
            print(
                f"{case['site']:<15} {case['start']} {case['objective']:<12} {limit:>8} {case['pv_kw']:>3.0f} kW "
                f"{case['battery_kwh']:>4.0f} kWh {case['optimum_saves']:>7.2%} {day['reached']:>8.2%} "
                f"({day['short']:.3%}) {default['reached']:>8.2%} {persistence['reached']:>8.1%} "
                f"({persistence['short']:.2%}, {persistence['unserved_kwh']:.1f} kWh of "
                f"{case['self_consumption_unserved_kwh']:.1f}) {default['cpu_s']:>5.1f} s"
                f"{'' if good(case) else '   missed'}"
            )
    return 0 if all(good(case) for case in cases) else 1


if __name__ == "__main__":
    sys.exit(main())
