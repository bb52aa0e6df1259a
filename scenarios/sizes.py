"""Sizes of PV and battery over one load: every combination simulated, what each comes to, and which is best."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from scenarios.accounts import BoundaryFigures
from scenarios.build import build, read
from scenarios.result import Figures
from scenarios.shipping import job_of, opened
from scenarios.simulation import simulate_plan
from scenarios.study import Study
from scenarios.workers import HERE, WorkerOptions, all_of
from simulators.report.canvas import WIDTH_IN, heading, style
from simulators.report.labels import COLOURS, RunMeta
from simulators.spelling import plain_number

OBJECTIVES = {
    "operational_kg": ("Operational carbon, battery settled", "kgCO₂eq", min),
    "life_cycle_kg": ("Carbon with own supply's life cycle", "kgCO₂eq", min),
    "cost": ("Cost", "", min),
    "matched_ratio": ("Load matched by own supply", "1", max),
}
"""Columns that have a best value: name, unit (of the cost: the currency), and which end is better."""


def parse_sizes(text: str) -> list[float]:
    """Sizes of a list, each once.

    Examples
    --------
    >>> parse_sizes("0, 10,20")
    [0.0, 10.0, 20.0]
    """
    try:
        found = list(dict.fromkeys(plain_number(part) for part in text.split(",")))
    except ValueError:
        found = []
    if not found or not all(0 <= size < float("inf") for size in found):
        raise ValueError("expected numbers >= 0 with commas between, e.g. 0,10,20")
    return found


PLANTS = {"pv_kw": "pv", "wind_kw": "wind", "battery_kwh": "battery"}
"""Options that say a size, and the part that a size of 0 leaves out."""


def resized(study: Study, sizes: Mapping[str, float]) -> dict[str, Any]:
    """Changes that give a study sizes of `PLANTS` at every site; 0 leaves a part out.

    Examples
    --------
    >>> from scenarios import Study
    >>> resized(Study(), {"pv_kw": 0.0, "wind_kw": 8.0})
    {'without': ['pv'], 'wind_kw': 8.0}
    """
    parts = {PLANTS[name] for name in sizes}
    out = sorted(PLANTS[name] for name, size in sizes.items() if size == 0)
    without = [name for name in study.site.without if name not in parts] + out
    return {"without": without} | {name: size for name, size in sizes.items() if size > 0}


def sized(study: Study, pv_kw: float, battery_kwh: float) -> Study:
    """The study with these sizes at every site; 0 leaves a part out."""
    return study.changed(**resized(study, {"pv_kw": pv_kw, "battery_kwh": battery_kwh}))


def sizings(
    study: Study,
    pv_kw: Sequence[float],
    battery_kwh: Sequence[float],
    cost_per_year: tuple[float, float] = (0.0, 0.0),
    done: Callable[[int], object] = lambda count: None,
    pool: WorkerOptions = HERE,
) -> pd.DataFrame:
    """Every combination of sizes, one row each; what rests on files is read once for each size of PV.

    Parameters
    ----------
    study
        One of energy alone.
    pv_kw, battery_kwh
        Sizes; 0: without.
    cost_per_year
        What a kW of PV and a kWh of battery cost in a year, in the currency of the price.
    done
        Called with how many more are done.
    pool
        Where they are simulated, the batteries of one size of PV together.

    Returns
    -------
    pandas.DataFrame
        `pv_kw`, `battery_kwh`, energies in MWh, the columns of `OBJECTIVES` (NaN where there is no figure), and
        ``best``: those of them in which no other row is better. Only rows that leave the least load unserved compete:
        what is not delivered costs and emits nothing.

    Examples
    --------
    >>> from scenarios import Study
    >>> sized(Study(), pv_kw=0.0, battery_kwh=20.0).site.without
    ('pv',)
    """
    plain = {"battery_kwh": list(battery_kwh), "cost_per_year": list(cost_per_year)}
    jobs = [job_of(sized(study, pv, 0.0), pv_kw=pv, **plain) for pv in pv_kw]
    found = all_of(of_one_pv, jobs, pool, lambda at: done(len(battery_kwh)))
    rows = [row for some in found for row in some]
    table = pd.DataFrame(rows)
    unserved = table["unserved_mwh"]
    served = unserved <= unserved.min() + 1e-9
    best: list[list[str]] = [[] for _ in rows]
    for name, (_, _, end) in OBJECTIVES.items():
        known = table.loc[served, name].dropna()
        for at in known.index[known == end(known)] if len(known) else ():
            best[at].append(name)
    return table.assign(best=[", ".join(names) for names in best])


def of_one_pv(argument: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Rows of one size of PV with every battery: what a worker does."""
    study, pv = opened(argument), argument["pv_kw"]
    pv_cost, battery_cost = argument["cost_per_year"]
    years = study.length_s / (365 * 86400)
    series = read(study)
    rows = []
    for battery in argument["battery_kwh"]:
        figures = simulate_plan(build(sized(study, pv, battery), series)).figures
        owned = years * (pv * pv_cost + battery * battery_cost)
        rows.append({"pv_kw": pv, "battery_kwh": battery} | _row(figures, owned))
    return rows


def _row(figures: Figures, owned: float) -> dict[str, Any]:
    energy, bill = figures.energy_mwh, figures.cost
    return {
        "import_mwh": energy.grid_import,
        "export_mwh": energy.grid_export,
        "pv_mwh": energy.pv,
        "discharge_mwh": energy.battery_discharge,
        "curtailed_mwh": energy.curtailed,
        "unserved_mwh": energy.unserved,
        "operational_kg": _carbon(figures.boundaries["operational"]),
        "life_cycle_kg": _carbon(figures.boundaries["life-cycle"]),
        "cost": np.nan if bill is None else bill.total + owned,
        "matched_ratio": figures.renewable.matched_ratio,
    }


def _carbon(account: BoundaryFigures) -> float:
    """Grid, own supply and the battery back at its start, kg; what draws the load was made whatever the sizes."""
    if account.grid is None or account.battery_settlement is None:
        return float("nan")
    return account.grid + account.battery_settlement + account.own_supply


def figure(table: pd.DataFrame, currency: str, title: str) -> Figure:
    """One map for each objective there is, with its best sizes marked."""
    shown = [name for name in OBJECTIVES if table[name].notna().any()]
    with mpl.rc_context(style()):
        made = Figure(figsize=(WIDTH_IN, 0.9 + 3.1 * -(-len(shown) // 2)))
        heading(made, "Sizes of PV and battery", RunMeta(title, 3600), "circles: the best of each")
        panels = made.subplots(-(-len(shown) // 2), 2, squeeze=False).ravel()
        for axes, name in zip(panels, shown, strict=False):
            words, unit, end = OBJECTIVES[name]
            cells = table.pivot(index="battery_kwh", columns="pv_kw", values=name)
            values = cells.to_numpy(dtype=np.float64)
            colours = "viridis" if end is max else "viridis_r"
            drawn = axes.imshow(values, origin="lower", aspect="auto", cmap=colours)
            marked = table[[name in names.split(", ") for names in table["best"]]]
            for row in marked.itertuples():
                at = cells.columns.get_loc(row.pv_kw), cells.index.get_loc(row.battery_kwh)
                axes.plot(*at, "o", markersize=13, fillstyle="none", color=COLOURS["carbon"], mew=2)
            for axis, sizes in ((axes.xaxis, cells.columns), (axes.yaxis, cells.index)):
                every = -(-len(sizes) // 10)
                axis.set_ticks(np.arange(len(sizes))[::every], [f"{size:g}" for size in sizes[::every]])
            axes.grid(visible=False)
            unit = currency if name == "cost" else unit
            axes.set(
                title=f"{words} ({unit})" if unit not in ("", "1") else words,
                xlabel="PV (kW)",
                ylabel="Battery (kWh)",
            )
            made.colorbar(drawn, ax=axes, shrink=0.9)
        for axes in panels[len(shown) :]:
            axes.set_visible(False)
    return made
