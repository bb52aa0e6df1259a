"""A site behind a connection that is firm up to less than its nameplate: `wattloop grid connection`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
from pydantic import BaseModel, ConfigDict, Field
from tqdm import tqdm

from scenarios.build import build
from scenarios.grid_window import Window, opened
from scenarios.output import configuration
from scenarios.result import Result
from scenarios.simulation import simulate_plan
from scenarios.study import Study
from simulators.errors import InputError
from simulators.grid.options import NetworkOptions
from simulators.grid.studies.connection import curtailment, steepest_mw_per_min
from simulators.grid.studies.connection_figure import connection_figure
from simulators.grid.studies.hosting import hosting_capacity_mw
from simulators.grid.studies.hosting_year import hosting_year
from simulators.quantities.saturation import label_text
from simulators.recorder.store import RunFolder

ANSWER = "watt:budget_w={firm_w:g},of=import,ahead=true"
"""What answers where the study names no policy: power caps under which the import cannot pass the limit."""

WITHOUT, WITH = "without", "with"

Runs = Mapping[str, Result]
"""The same requests without an answer to the limit and with one."""


class ConnectionStudy(BaseModel):
    """A site on a network, and the limit it is to keep."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    study: Study = Study(network=NetworkOptions())
    firm_mw: float | None = Field(
        None,
        gt=0,
        description="what the connection gives at all times, MW; --mw above it is served as it can be  [default: what "
        "the bus hosts without violation, over the background if there is one]",
    )
    ramp_mw_per_min: float | None = Field(
        None,
        gt=0,
        description="largest change of the import that is agreed, from step to step, MW per minute  [default: none]",
    )
    starts: str | None = Field(
        None,
        description="several starts with commas between, e.g. 2016-01-11,2016-07-11: --days are run from each  "
        "[default: --start alone]",
    )
    out: Path = Field(Path("results/grid_connection"), description="folder for the results")


def connection(chosen: ConnectionStudy) -> None:
    """Run a site of more than its connection's firm limit, without and with a policy that keeps it: what that costs."""
    with RunFolder(chosen.out) as folder:  # first: whoever may not write there hears it at once
        _connection(chosen, folder)


def _connection(chosen: ConnectionStudy, folder: RunFolder) -> None:
    study = chosen.study.at_its_network()
    if study.network is None or study.site.connection.bus is None:
        raise InputError("--bus: not given, expected the index or name of a bus of the network")
    if len(study.sites) > 1:
        raise InputError("connection: several sites given, expected one")
    starts = _starts(chosen, study)
    firm_mw = chosen.firm_mw or _hosted_mw(study, starts)
    policy = study.site.control.policy
    if policy == "none":
        policy = ANSWER.format(firm_w=firm_mw * 1e6)
    answers = ((WITHOUT, "none"), (WITH, policy))
    plans = [  # all are checked before the first one runs
        {name: build(_alike(study, start, spec)) for name, spec in answers} for start in starts
    ]
    answered = []
    with tqdm(total=2 * len(starts), desc="runs", disable=None) as bar:
        for pair in plans:
            runs = {}
            for name, plan in pair.items():
                runs[name] = simulate_plan(plan)
                bar.update()
            answered.append(runs)
    table = pd.DataFrame([row for one in answered for row in rows_of(one, firm_mw)])
    series = pd.concat([_series(one) for one in answered], ignore_index=True)
    summary = _summary(chosen, study, table, firm_mw, policy)
    print_table(table, summary)
    figure = connection_figure(series, table, firm_mw, summary["title"])
    options = chosen.model_dump(mode="json")
    folder.write_json("config.json", configuration(answered[0][WITH].plan, options))
    folder.write_json("summary.json", summary)
    for name, frame in (("answers", table), ("timeseries", series)):
        frame.to_parquet(folder.path(f"{name}.parquet"), index=False)
    figure.savefig(folder.path("figures/connection.png"), metadata={"Software": None})
    print(f"results: {folder.finish()}")


def _starts(chosen: ConnectionStudy, study: Study) -> list[str | None]:
    if chosen.starts is None:
        return [study.run.start]
    starts = [part.strip() for part in chosen.starts.split(",")]
    if not all(starts) or study.run.start is not None:
        raise InputError("--starts: expected dates with commas between, and no --start beside them")
    for start in starts:  # each before the first of them is simulated
        study.run.model_copy(update={"start": start}).starts_at(datetime(2000, 1, 1, tzinfo=UTC), "UTC")
    if len(set(starts)) < len(starts):
        raise InputError(f"--starts: {chosen.starts!r} has a date twice, expected each once")
    return list(starts)


def _alike(study: Study, start: str | None, policy: str) -> Study:
    """The study from a start under a policy, as long as under any other: what is compared ends together."""
    drain = study.drain_steps * study.run.step / 3600.0 if study.run.drain_hours is None else None
    changes: dict[str, Any] = {"policy": policy}
    if start is not None:
        changes["start"] = start
    if drain is not None:
        changes["drain_hours"] = drain
    return study.changed(**changes)


def _hosted_mw(study: Study, starts: list[str | None]) -> float:
    """The constant load that violates nothing at the bus, in the steps of all runs."""
    options, bus = study.network, study.site.connection.bus
    assert options is not None
    assert bus is not None
    found = []
    for start in starts:
        window = Window(start=start, days=study.run.days, step=study.run.step)
        if options.stands_still:
            network, _, _ = opened(options, Window(start="2023-01-01", days=1, step=86_400))
            return _some(hosting_capacity_mw(network, bus).capacity_mw)
        network, background, steps = opened(options, window)
        hosted = hosting_year(network, background, steps, [network.bus_index(bus)])
        found.append(hosted.buses[0].firm_mw)
    return _some(min(found))


def _some(firm_mw: float) -> float:
    if not firm_mw > 0.0:
        raise InputError(
            "--firm-mw: not given, and the bus hosts no load at all times; expected a number of MW"
        )
    return firm_mw


def rows_of(one: Runs, firm_mw: float) -> list[dict[str, Any]]:
    """One row for the run without an answer, one with: energies in MWh, times in s."""
    rows = []
    for name, result in one.items():
        frame, step_s = result.timeseries, result.study.run.step
        import_mw = frame["import_mw"].to_numpy()
        beyond = curtailment(import_mw, firm_mw, step_s / 3600.0)
        figures, network = result.figures, result.network
        served = figures.served
        rows.append(
            {
                "start": result.plan.start.isoformat(),
                "run": name,
                "beyond_mwh": beyond.mwh,
                "beyond_hours": beyond.hours,
                "import_max_mw": float(import_mw.max()),
                "steepest_mw_per_min": steepest_mw_per_min(import_mw, step_s),
                "violation_hours": network["violation_hours"],
                "line_loading_max_percent": network["line_loading_percent_max"]["value"],
                "facility_mwh": figures.energy_mwh.facility,
                "import_mwh": figures.energy_mwh.grid_import,
                "output_tokens": served.decode_tokens,
                "requests_completed": served.requests_completed,
                "requests_unfinished": served.requests_arrived - served.requests_completed,
                "ttft_p50_s": served.classes.interactive.ttft_s.p50,
                "ttft_p99_s": served.classes.interactive.ttft_s.p99,
                "tpot_p99_s": served.classes.interactive.tpot_s.p99,
                "e2e_p99_s": served.classes.interactive.e2e_s.p99,
                "saturation": served.saturation.label if served.saturation else None,
            }
        )
    return rows


def _series(one: Runs) -> pd.DataFrame:
    without, answered = (one[name].timeseries for name in (WITHOUT, WITH))
    made = pd.DataFrame({"time": without["time"]})
    for column in ("import_mw", "facility_mw", "line_loading_max_percent", "vm_min_pu", "violations"):
        made[f"{column}_without"], made[f"{column}_with"] = without[column], answered[column]
    return made


def _summary(
    chosen: ConnectionStudy, study: Study, table: pd.DataFrame, firm_mw: float, policy: str
) -> dict[str, Any]:
    totals = {name: table[table["run"] == name] for name in (WITHOUT, WITH)}
    without, answered = totals[WITHOUT], totals[WITH]
    assert study.network is not None
    bus, mw = study.site.connection.bus, study.site.cluster.mw
    size = "a cluster" if mw is None else f"{mw:g} MW"
    ramp = float(answered["steepest_mw_per_min"].max())
    lost = without["output_tokens"].sum() - answered["output_tokens"].sum()
    return {
        "title": f"{size} at bus {bus} of {study.network.network}, {firm_mw:.2f} MW firm",
        "firm_mw": firm_mw,
        "policy": policy,
        "background": study.network.note,
        "curtailed_mwh": float(without["beyond_mwh"].sum()),
        "curtailed_hours": float(without["beyond_hours"].sum()),
        "kept": bool((answered["beyond_hours"] == 0.0).all()),
        "violation_hours_without": float(without["violation_hours"].sum()),
        "violation_hours_with": float(answered["violation_hours"].sum()),
        "facility_mwh_less": float(without["facility_mwh"].sum() - answered["facility_mwh"].sum()),
        "import_mwh_less": float(without["import_mwh"].sum() - answered["import_mwh"].sum()),
        "output_tokens_lost": float(lost),
        "output_tokens_lost_share": float(lost / without["output_tokens"].sum()),
        "ramp_mw_per_min": ramp,
        "ramp_kept": None if chosen.ramp_mw_per_min is None else ramp <= chosen.ramp_mw_per_min,
        "runs": table.to_dict("records"),
    }


SHOWN = (
    ("beyond the firm limit, MWh", "beyond_mwh", 3),
    ("... hours", "beyond_hours", 2),
    ("highest import, MW", "import_max_mw", 3),
    ("steepest, MW per minute", "steepest_mw_per_min", 3),
    ("network beyond a limit, h", "violation_hours", 2),
    ("highest loading of a line, %", "line_loading_max_percent", 1),
    ("facility, MWh", "facility_mwh", 2),
    ("import, MWh", "import_mwh", 2),
    ("output tokens, million", "output_tokens", 1),
    ("requests unfinished at the end", "requests_unfinished", 0),
    ("TTFT p50, s", "ttft_p50_s", 3),
    ("TTFT p99, s", "ttft_p99_s", 3),
    ("TPOT p99, s", "tpot_p99_s", 4),
    ("end to end p99, s", "e2e_p99_s", 2),
)
"""Rows on the console: words, column, digits."""


def print_table(table: pd.DataFrame, summary: Mapping[str, Any]) -> None:
    """The runs side by side, and what keeping the limit takes."""
    print(f"{summary['title']}; {summary['policy']}")
    print(summary["background"])
    for start, rows in table.groupby("start", sort=False):
        print(f"  {f'from {start}':<34}{'without':>14}{'with':>14}{'difference':>14}")
        without, answered = (rows[rows["run"] == name].iloc[0] for name in (WITHOUT, WITH))
        for words, column, digits in SHOWN:
            scale = 1e6 if column == "output_tokens" else 1.0
            before, after = float(without[column]) / scale, float(answered[column]) / scale
            cells = "".join(f"{value:>14,.{digits}f}" for value in (before, after, after - before))
            print(f"  {words:<34}{cells}")
        labels = (label_text(row["saturation"]) for row in (without, answered))
        print(f"  {'saturation':<34}{''.join(f'{label:>14}' for label in labels)}")
    beyond = f"{summary['curtailed_mwh']:,.3f} MWh in {summary['curtailed_hours']:,.2f} h"
    lost = f"{summary['output_tokens_lost']:,.0f} ({100 * summary['output_tokens_lost_share']:.3f} %)"
    kept = "kept" if summary["kept"] else "NOT kept"
    print(f"curtailed against the firm limit: {beyond}; {kept}; output tokens lost: {lost}")
    if summary["ramp_kept"] is not None:
        print(f"ramp limit {'kept' if summary['ramp_kept'] else 'NOT kept'}")
