"""Every line and transformer out of service, one after the other: `wattloop grid n-1`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict, Field

from scenarios.grid_window import Window, opened, write
from simulators.errors import InputError
from simulators.grid.network import Network
from simulators.grid.options import NetworkOptions
from simulators.grid.studies.outages import Outage, outages
from simulators.grid.studies.outages_figure import outages_figure
from simulators.grid.studies.year import run_year
from simulators.recorder.store import RunFolder

LISTED = 12
"""Outages on the console."""


class OutageStudy(BaseModel):
    """A network, and when it is looked at."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    network: NetworkOptions = NetworkOptions()
    window: Window = Window()
    open_points: bool = Field(
        True, description="look for open switches that bring back what an outage leaves dark"
    )
    out: Path = Field(Path("results/grid_n-1"), description="folder for the results")


def n_1(chosen: OutageStudy) -> None:
    """Take out every line and transformer: islands, overloads, voltages, and open points that help.

    Over a background, at the step of the run in which a line or transformer is loaded most.
    """
    with RunFolder(chosen.out) as folder:  # first: whoever may not write there hears it at once
        _n_1(chosen, folder)


def _n_1(chosen: OutageStudy, folder: RunFolder) -> None:
    if chosen.network.background is None:
        chosen = chosen.model_copy(update={"window": Window(start="2023-01-01", days=1, step=86_400)})
    network, background, steps = opened(chosen.network, chosen.window)
    frame = run_year(network, background, steps, np.zeros((steps.steps, 0))).frame()
    loading = frame[["line_loading_max_percent", "trafo_loading_max_percent"]].max(axis=1).fillna(-1.0)
    at = int(loading.to_numpy().argmax())
    when = f" Looked at {frame.time[at]:%Y-%m-%d %H:%M} UTC." if chosen.network.background is not None else ""
    found = outages(network, background.at(at), chosen.open_points)
    if not found:
        raise InputError(f"network {network.name}: no line or transformer in service")
    table = _table(network, found)
    _print(network, found, table, f"{background.note}{when}")
    summary = {
        "network": network.name,
        "background": background.note,
        "at": frame.time[at].isoformat(),
        "outages": len(found),
        "secure": sum(outage.secure for outage in found),
        "with_unsupplied": sum(outage.unsupplied_buses > 0 for outage in found),
        "worst": table.head(LISTED).drop(columns="violations").to_dict("records"),
    }
    write(
        folder,
        chosen,
        chosen.network.files(),
        summary,
        {"outages": table},
        {"n-1": outages_figure(table, network.name)},
    )


def _table(network: Network, found: list[Outage]) -> pd.DataFrame:
    """One row per outage, the worst first."""
    rows = []
    for outage in found:
        others = [v for v in outage.violations if v.kind != "no supply"]
        worst = max(others, key=lambda violation: violation.rank, default=None)
        rows.append(
            {
                "element": outage.branch[0],
                "index": outage.branch[1],
                "name": network.element_name(*outage.branch),
                "unsupplied_mw": outage.unsupplied_mw,
                "unsupplied_buses": outage.unsupplied_buses,
                "loading_max_percent": outage.loading_max_percent,
                "vm_min_pu": outage.vm_min_pu,
                "worst": "" if worst is None else network.describe(worst),
                "closing": outage.closing,
                "still_unsupplied_mw": outage.still_unsupplied_mw if outage.closing else outage.unsupplied_mw,
                "violations_after_closing": outage.closed_violations,
                "violations": "; ".join(network.describe(v) for v in outage.violations),
            }
        )
    frame = pd.DataFrame(rows)
    return frame.sort_values(
        ["unsupplied_mw", "unsupplied_buses", "loading_max_percent"], ascending=False, kind="stable"
    ).reset_index(drop=True)


def _print(network: Network, found: list[Outage], table: pd.DataFrame, note: str) -> None:
    secure = sum(outage.secure for outage in found)
    dark = sum(outage.unsupplied_buses > 0 for outage in found)
    helped = sum(outage.closing != "" and outage.closed_violations == 0 for outage in found)
    print(
        f"{network.name}: of {len(found)} outages {secure} violate nothing, {dark} leave buses without supply,"
    )
    print(f"{helped} of which closing one open point cures without violating anything. {note}")
    print(
        f"  {'out of service':<26}{'dark MW':>9}{'buses':>7}{'loading %':>11}{'vm p.u.':>9}  close (then dark MW)"
    )
    for row in table.head(LISTED).to_dict("records"):
        close = f"{row['closing']} ({row['still_unsupplied_mw']:.3g})" if row["closing"] else "-"
        element = f"{row['element']} {row['index']}"
        name = element if row["name"] == element else f"{row['name']} ({element})"
        figures = (
            f"{row['unsupplied_mw']:>9.3f}{row['unsupplied_buses']:>7}{row['loading_max_percent']:>11.1f}"
        )
        print(f"  {name[:25]:<26}{figures}{row['vm_min_pu']:>9.4f}  {close}")
