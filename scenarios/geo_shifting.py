"""Several sites in one world: which of them serves whose requests?

python scenarios/geo_shifting.py --days 7 --residency germany=germany
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from math import nan
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import matplotlib as mpl
import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, field_validator
from tqdm import tqdm

from scenarios.build import build
from scenarios.catalogue import table
from scenarios.geo_figure import figure
from scenarios.result import Result
from scenarios.run_options import RunOptions
from scenarios.shipping import job_of, opened
from scenarios.simulation import simulate
from scenarios.study import SiteStudy, Study
from scenarios.workers import WorkerOptions, all_of
from simulators.commandline import command
from simulators.console import App
from simulators.errors import InputError
from simulators.inference.stated import stated
from simulators.quantities.saturation import label_text
from simulators.recorder.store import RunFolder
from simulators.recorder.summary import versions
from simulators.report.canvas import style
from simulators.scheduler.dispatch import dispatcher
from simulators.scheduler.options import DispatchOptions

SKIP = ("network", "grid_at", "routing", "mw", "bus", "dispatcher", "power_resolution_s")
"""What this command does not read."""

ROUND_TRIPS_MS = {("california", "germany"): 150.0}
"""Between users and sites: light in fibre takes 90 ms over 9,000 km and back (200 km/ms); detours and routers add to
that. An assumption: 130 to 180 ms."""


def _study() -> Study:
    base = Study().changed(rate=4.0, replicas=4, deferrable_share=0.0, without=["pv", "wind", "battery"])
    places = {"california": "california_2022", "germany": "germany"}
    sites = tuple(
        SiteStudy.model_validate(base.changed(site=place).site.model_dump() | {"name": name})
        for name, place in places.items()
    )
    trips: dict[str, dict[str, float]] = {}
    for (one, other), ms in ROUND_TRIPS_MS.items():
        trips.setdefault(one, {})[other] = ms
        trips.setdefault(other, {})[one] = ms
    run = RunOptions(start="2022-06-20T00:00+00:00", days=2.0, step=300)
    return Study(run=run, sites=sites, geo=DispatchOptions(latency_ms=trips))


class GeoShifting(BaseModel):
    """Sites, and who decides where requests go."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    study: Study = _study()
    dispatches: tuple[str, ...] = Field(
        ("home", "greedy:objective=latency", "spread", "greedy"),
        description="who decides: home, spread, greedy, with parameters, or FILE.py:CLASS (repeatable); the others are "
        "compared with the first",
    )
    pool: WorkerOptions = WorkerOptions()
    out: Path = Field(Path("results/geo_shifting"), description="folder for the results")

    @field_validator("dispatches")
    @classmethod
    def _known(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for one in value:
            dispatcher(one)
        if len(set(value)) < len(value):
            raise ValueError("expected each once")
        return value


def run(chosen: GeoShifting) -> None:
    """Run the same requests of several sites under several dispatchers: carbon, energy, who serves, how users wait.

    Writes dispatch.csv (a row for each), sites.csv (one for each and each site), summary.json and geo.png. A latency
    counts from release to the user, so it has the round trip in it.
    """
    started = time.perf_counter()
    study = chosen.study
    if study.geo is None or len(study.sites) < 2:
        raise InputError("geo: one site given, expected several [[sites]] in --config")
    build(under(study, chosen.dispatches[0]))  # what is wrong is said before workers start
    with RunFolder(chosen.out) as folder:
        with tqdm(total=len(chosen.dispatches), unit="run", disable=None) as bar:
            jobs = [job_of(under(study, spec)) for spec in chosen.dispatches]
            found = all_of(run_one, jobs, chosen.pool, lambda at: bar.update())
        results = dict(zip(chosen.dispatches, found, strict=True))
        rows = pd.DataFrame([row_of(spec, result) for spec, result in results.items()])
        rows["saved"] = 1.0 - rows["kg"] / rows["kg"].iloc[0]
        rows.to_csv(folder.path("dispatch.csv"), index=False)
        by_site(results).to_csv(folder.path("sites.csv"), index=False)
        with mpl.rc_context(style()):
            figure(rows, results).savefig(folder.path("geo.png"))
        told = {row["dispatch"]: _plain(row) for row in rows.to_dict("records")}
        folder.write_json("summary.json", {"dispatch": told, "wall_s": time.perf_counter() - started})
        folder.write_json("config.json", {"options": chosen.model_dump(mode="json"), "versions": versions()})
        target = folder.finish()
    print(stated(site.serving for site in study.sites if site.serves))
    print(terminal(rows))
    print(f"figure: {target / 'geo.png'}")


def under(study: Study, dispatcher: str) -> Study:
    """The study with a dispatcher."""
    assert study.geo is not None
    return study.model_copy(update={"geo": study.geo.model_copy(update={"dispatcher": dispatcher})})


def run_one(argument: Mapping[str, Any]) -> Result:
    """A run: what a worker does."""
    return simulate(opened(argument))


def _plain(row: Any) -> dict[str, Any]:
    return {str(name): None if value != value else value for name, value in row.items()}


def row_of(spec: str, result: Result) -> dict[str, Any]:
    """What a run comes to over all sites; a figure that it does not have is NaN."""
    served = result.figures.served
    frame = result.timeseries
    kg = result.figures.carbon_kg.settled
    interactive = served.classes.interactive
    wakes = frame.groupby("site")["awake"].apply(lambda awake: awake.diff().clip(lower=0).sum())
    return {
        "dispatch": spec,
        "kg": nan if kg is None else kg,
        "facility_kwh": 1e3 * result.figures.energy_mwh.facility,
        "completed": served.requests_completed,
        "unfinished": served.requests_arrived - served.requests_completed,
        "ttft_p50_s": interactive.ttft_s.p50,
        "ttft_p99_s": interactive.ttft_s.p99,
        "tpot_p99_s": interactive.tpot_s.p99,
        "slo_kept": served.slo_kept is not False,
        "saturation": served.saturation.label if served.saturation else None,
        "wake_ups": float(wakes.sum()),
        "refused": float(frame["refused"].sum()),
    } | {
        f"served_{name}": site.served.requests_completed / max(served.requests_completed, 1)
        for name, site in result.sites.items()
    }


def by_site(results: dict[str, Result]) -> pd.DataFrame:
    """Every site under every dispatcher: what it served, drew and emitted, and how long its own users waited."""
    rows = []
    for spec, result in results.items():
        for number, (name, site) in enumerate(result.sites.items()):
            tenant = result.figures.served.tenants.get(str(number))
            rows.append(
                {
                    "dispatch": spec, "site": name, "completed": site.served.requests_completed,
                    "facility_kwh": 1e3 * site.energy_mwh.facility, "kg": site.carbon_kg.settled,
                    "g_per_kwh": result.timeseries.query("site == @name")["carbon_intensity_g_per_kwh"].mean(),
                    "awake_mean": result.timeseries.query("site == @name")["awake"].mean(),
                    "users_ttft_p50_s": tenant.interactive.ttft_s.p50 if tenant else None,
                    "users_ttft_p99_s": tenant.interactive.ttft_s.p99 if tenant else None,
                }
            )  # fmt: skip
    return pd.DataFrame(rows)


def terminal(rows: pd.DataFrame) -> str:
    """The rows as aligned text."""
    sites = [str(name) for name in rows if str(name).startswith("served_")]
    header = ("dispatch", "kg", "saved", "kWh", "ttft p50", "ttft p99", "tpot p99", "slo", "saturation", "wakes",
              "unfinished", *(f"at {name.removeprefix('served_')}" for name in sites))  # fmt: skip
    return table(
        [
            header,
            *(
                (
                    row["dispatch"], f"{row['kg']:.1f}", f"{row['saved']:.1%}", f"{row['facility_kwh']:.0f}",
                    f"{1e3 * row['ttft_p50_s']:.0f} ms", f"{1e3 * row['ttft_p99_s']:.0f} ms",
                    f"{1e3 * row['tpot_p99_s']:.1f} ms", "kept" if row["slo_kept"] else "broken",
                    label_text(row["saturation"]), f"{row['wake_ups']:.0f}", f"{row['unfinished']:.0f}",
                    *(f"{row[name]:.0%}" for name in sites),
                )
                for row in rows.to_dict("records")
            ),
        ]
    )  # fmt: skip


def app() -> App:
    """The command."""
    return App.of(command(GeoShifting, run, GeoShifting(), SKIP))


if __name__ == "__main__":
    app()()
