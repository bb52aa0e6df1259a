"""How much PV and battery? Every combination of sizes over one load, in a plain loop.

python scenarios/sizing.py --load my_site.csv --try-pv-kw 0,20,50,100 --try-battery-kwh 0,50,100
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from pydantic import BaseModel, ConfigDict, Field, field_validator
from tqdm import tqdm

from scenarios.bill import currency
from scenarios.build import build
from scenarios.output import configuration
from scenarios.run_options import RunOptions
from scenarios.sizes import OBJECTIVES, figure, parse_sizes, sized, sizings
from scenarios.study import Study
from scenarios.workers import WorkerOptions
from simulators.commandline import command
from simulators.console import App
from simulators.errors import InputError
from simulators.recorder.store import RunFolder
from simulators.report.labels import energy_text, number, share

SKIP = ("network", "grid_at", "routing", "geo", "mw", "bus", "pv_kw", "battery_kwh", "own_supply", "engine", "where",
        "serving", "traffic", "cluster", "reliability", "control", "power_resolution_s", "drain_hours", "rt_factor",
        "live_carbon")  # fmt: skip
"""What this command does not read."""


class SizingStudy(BaseModel):
    """A load, the sizes to try, and where the results go."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    study: Study = Study(run=RunOptions(days=365, step=900))
    try_pv_kw: str = Field("0,10,20,50,100", description="sizes of PV to try, kW; 0: without")
    try_battery_kwh: str = Field("0,20,50,100", description="sizes of the battery to try, kWh; 0: without")
    pv_cost_per_kw_year: float = Field(
        0.0,
        ge=0,
        le=10**9,
        description="what a kW of PV costs in a year (its price over its life), in the price's currency",
    )
    battery_cost_per_kwh_year: float = Field(0.0, ge=0, le=10**9, description="... and a kWh of battery")
    pool: WorkerOptions = WorkerOptions()
    out: Path = Field(Path("results/sizing"), description="folder for the results")

    @field_validator("try_pv_kw", "try_battery_kwh")
    @classmethod
    def _numbers(cls, value: str) -> str:
        parse_sizes(value)
        return value


def run(chosen: SizingStudy) -> None:
    """Simulate every combination of PV and battery over a load (--load): energy, carbon, cost and matched share.

    Writes table.csv, table.parquet and sizing.png into the folder --out. The load stays as it is whatever the sizes;
    cost is the bill under the tariff, and what PV and battery cost in a year where that is said.
    """
    started = time.perf_counter()
    pv, battery = parse_sizes(chosen.try_pv_kw), parse_sizes(chosen.try_battery_kwh)
    if chosen.study.serves:
        raise InputError(
            "--load: not given, expected the file of the load that PV and battery are to be sized for"
        )
    costs = (chosen.pv_cost_per_kw_year, chosen.battery_cost_per_kwh_year)
    with RunFolder(chosen.out) as folder:
        plan = build(sized(chosen.study, pv[0], battery[0]))
        with tqdm(total=len(pv) * len(battery), unit="sizing", delay=3, disable=None) as bar:
            table = sizings(chosen.study, pv, battery, costs, bar.update, chosen.pool)
        table.to_csv(folder.path("table.csv"), index=False)
        table.to_parquet(folder.path("table.parquet"), index=False)
        money = currency(plan.site.study.tariff, plan.site.price_unit)
        title = f"{plan.site.title}, {chosen.study.run.days:g} days"
        figure(table, money, title).savefig(folder.path("sizing.png"), metadata={"Software": None})
        folder.write_json("config.json", configuration(plan, chosen.model_dump(mode="json")))
        best = {
            name: table[[name in names.split(", ") for names in table["best"]]].to_dict("records")
            for name in OBJECTIVES
        }
        folder.write_json("summary.json", {"best": best, "wall_s": time.perf_counter() - started})
        target = folder.finish()
    for name, (words, unit, _) in OBJECTIVES.items():
        for row in best[name][:1]:
            told = share(row[name]) if unit == "1" else number(row[name], money if name == "cost" else unit)
            edge = (
                ", at the edge of what was tried"
                if max(pv) == row["pv_kw"] or max(battery) == row["battery_kwh"]
                else ""
            )
            print(f"  {words}: {told} with {row['pv_kw']:g} kW of PV and {row['battery_kwh']:g} kWh{edge}")
    least, most = table["unserved_mwh"].min(), table["unserved_mwh"].max()
    if most > 0:
        print(
            f"  Load not met: {energy_text(least)} to {energy_text(most)}; the best are those that leave the least"
        )
    print(f"results: {target}")


def app() -> App:
    """The command."""
    return App.of(command(SizingStudy, run, skip=SKIP))


if __name__ == "__main__":
    app()()
