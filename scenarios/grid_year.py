"""A network by itself over a year of its background: `wattloop grid year`."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from scenarios.grid_window import Window, opened, write
from simulators.errors import InputError
from simulators.grid.feeder_plot import feeder_figure
from simulators.grid.options import NetworkOptions
from simulators.grid.plot import network_figure
from simulators.grid.reactive import rule_of
from simulators.grid.record import network_summary
from simulators.grid.studies.year import Year, run_year
from simulators.grid.studies.year_figure import year_figure
from simulators.recorder.store import RunFolder


class YearStudy(BaseModel):
    """A network, what its elements do, and a constant load if there is to be one."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    network: NetworkOptions = NetworkOptions()
    window: Window = Window()
    bus: str | None = Field(None, description="bus of a constant load: index or name  [default: none]")
    mw: float | None = Field(None, ge=-(10**5), le=10**5, description="its power, MW; negative: it feeds in")
    out: Path = Field(Path("results/grid_year"), description="folder for the results")


def year(chosen: YearStudy) -> None:
    """Run the network through its background: voltage band, loadings, losses, and every limit exceeded."""
    with RunFolder(chosen.out) as folder:  # first: whoever may not write there hears it at once
        _year(chosen, folder)


def _year(chosen: YearStudy, folder: RunFolder) -> None:
    if (chosen.bus is None) != (chosen.mw is None):
        raise InputError("--bus, --mw: one given, expected both, or neither")
    if chosen.network.voltage_control.reactive is not None and chosen.bus is None:
        raise InputError("--reactive: given without a load, expected --bus and --mw too")
    network, background, steps = opened(chosen.network, chosen.window)
    control = chosen.network.voltage_control
    if chosen.bus is not None:
        network.attach(chosen.bus, "load", rule_of(control.reactive, control.reactive_mva))
    p_mw = np.full((steps.steps, len(network.sites)), chosen.mw or 0.0)
    found = run_year(network, background, steps, p_mw, chosen.network.elements)
    violations = found.record.spells.frame(network, steps.start)
    summary = network_summary(found.record) | {
        "background": background.note,
        "start": steps.start.isoformat(),
        "step_s": steps.step_s,
        "steps": steps.steps,
        "headline": found.headline(),
    }
    tables = {"timeseries": found.frame(), "violations": violations}
    if found.record.series is not None:
        tables["elements"] = found.record.series.frame(network, steps.start)
    figures = {
        "year": year_figure(found),
        "network": network_figure(network, found.record),
        "feeder": feeder_figure(network, found.record),
    }
    _print(found, background.note)
    write(folder, chosen, chosen.network.files(), summary, tables, figures)


def _print(found: Year, note: str) -> None:
    record, columns = found.record, found.columns
    print(f"{found.network.name}, {found.steps.steps} steps of {found.steps.step_s} s: {found.headline()}")
    print(note)
    rows = (
        ("voltage", "p.u.", np.concatenate([columns["vm_min_pu"], columns["vm_max_pu"]]), 4),
        ("highest loading of a line", "%", columns["line_loading_max_percent"], 1),
        ("highest loading of a transformer", "%", columns["trafo_loading_max_percent"], 1),
        ("from the external grid", "MW", columns["slack_mw"], 3),
        ("losses", "MW", columns["loss_mw"], 4),
    )
    print(f"  {'':<36}{'least':>10}{'median':>10}{'highest':>10}")
    for name, unit, values, digits in rows:
        known = values[np.isfinite(values)]
        three = np.quantile(known, [0.0, 0.5, 1.0]) if len(known) else [math.nan] * 3
        cells = "".join(f"{value:>10.{digits}f}" for value in three)
        print(f"  {f'{name}, {unit}':<36}{cells}")
    print(f"  external grid {record.slack_mwh:,.0f} MWh, losses {record.losses_mwh:,.0f} MWh, ", end="")
    print(f"limits exceeded in {record.violation_hours:,.2f} h, unsupplied {record.unsupplied_mwh:,.1f} MWh")
