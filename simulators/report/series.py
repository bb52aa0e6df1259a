"""From the recorded rows to the series the pictures show. Power in MW, carbon in kg, time in s."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import pandas as pd

from simulators.quantities.latencies import LatencyRecord
from simulators.quantities.schema import BY_NAME
from simulators.quantities.sketch import PERCENTILES
from simulators.report.labels import RunMeta, label

Kind = Literal["average", "marginal"]

INTENSITY: dict[Kind, str] = {
    "average": "carbon_intensity_g_per_kwh",
    "marginal": "marginal_intensity_g_per_kwh",
}
"""Columns of the two carbon intensities: import times the first is an emission, times the second it never is."""

SUPPLY = {
    name: label(column)
    for name, column in (
        ("pv", "pv_mw"), ("wind", "wind_mw"), ("battery", "discharge_mw"), ("grid", "import_mw"),
    )
}  # fmt: skip
SURPLUS = {name: label(f"{name}_mw") for name in ("charge", "export", "curtailed")}
CARRIED = "carried_mw"
"""Column that the caller may add: what own supply carried of the load, as the matched ratio counts it, MW."""
TRAFFIC = ["arrived", "completed", "rejected", "running", "waiting", "held", "hold"]
IN_SYSTEM = {name: label(name) for name in ("running", "waiting", "held")}
NETWORK_COLUMNS = ["vm_min_pu", "vm_max_pu", "line_loading_max_percent", "trafo_loading_max_percent"]
BINS_S = (60, 300, 900, 1800, 3600, 10_800, 21_600, 86_400)


def bin_s(rows: int, step_s: int, most: int) -> int:
    """Shortest readable interval, s, that brings `rows` steps down to at most `most` points."""
    if rows <= most:
        return step_s
    for width_s in BINS_S:
        if width_s % step_s == 0 and rows * step_s <= most * width_s:
            return width_s
    return step_s * -(-rows // most)


def means(frame: pd.DataFrame, width_s: int) -> pd.DataFrame:
    """Means over intervals of `width_s` s; `frame` is indexed by time."""
    return frame.resample(pd.Timedelta(seconds=width_s), origin="start").mean()


def closed(frame: pd.DataFrame, width_s: int) -> pd.DataFrame:
    """The rows and one more at the end of the last interval, so that a step line shows that interval too."""
    end = frame.index[-1] + pd.Timedelta(seconds=width_s)
    return pd.concat([frame, frame.iloc[[-1]].set_axis(pd.DatetimeIndex([end]))])


def column(frame: pd.DataFrame, name: str) -> pd.Series[float]:
    """A column, or zeros where a run does not have it."""
    return frame[name].fillna(0.0) if name in frame else pd.Series(0.0, index=frame.index)


def sites(frame: pd.DataFrame) -> list[str]:
    """Names of the sites of a time series, in the order of their rows; none if it has no such column."""
    return list(dict.fromkeys(frame["site"])) if "site" in frame else []


def of_site(frame: pd.DataFrame, name: str) -> pd.DataFrame:
    """The rows of one site.

    Raises
    ------
    KeyError
        If the time series has no such site.

    Examples
    --------
    >>> frame = pd.DataFrame({"time": [0, 0], "site": ["a", "b"], "pv_mw": [0.25, 0.5]})
    >>> of_site(frame, "b")["pv_mw"].tolist()
    [0.5]
    """
    if name not in sites(frame):
        raise KeyError(f"no site {name!r}, there is {', '.join(sites(frame))}")
    return frame[frame["site"] == name].drop(columns="site").reset_index(drop=True)


def all_sites(frame: pd.DataFrame) -> pd.DataFrame:
    """All sites as one: one row per step, columns added up or averaged as the schema says.

    A column that has no meaning over sites (an intensity, a state of charge) stays only where all sites have the
    same value in every step, and so does one that the schema does not know.

    Examples
    --------
    >>> frame = pd.DataFrame({"time": [0, 0], "site": ["a", "b"], "pv_mw": [0.25, 0.5], "mfu": [0.1, 0.3]})
    >>> all_sites(frame).to_dict("records")
    [{'time': 0, 'pv_mw': 0.75, 'mfu': 0.2}]
    """
    names = sites(frame)
    if len(names) < 2:
        return frame.drop(columns="site", errors="ignore").reset_index(drop=True)
    grouped = frame.drop(columns="site").groupby("time", sort=False)
    whole = {}
    for name in frame.columns.drop(["time", "site"]):
        over = BY_NAME[name].over_sites if name in BY_NAME else None
        if over == "sum":
            whole[name] = grouped[name].sum(min_count=1)
        elif over == "mean":
            whole[name] = grouped[name].mean()
        elif _equal(grouped[name], len(names)):
            whole[name] = grouped[name].first()
    return pd.DataFrame(whole).rename_axis("time").reset_index()


def _equal(grouped: Any, sites: int) -> bool:
    """Whether in every step either all sites have the same value or none has one."""
    spread = grouped.agg(["min", "max", "count"])
    known = spread["count"] > 0
    return bool((~known | ((spread["count"] == sites) & (spread["min"] == spread["max"]))).all())


def indexed(frame: pd.DataFrame, meta: RunMeta) -> pd.DataFrame:
    """The recorded rows of one site indexed by local time.

    Raises
    ------
    ValueError
        If there are rows of several sites.
    """
    if len(sites(frame)) > 1:
        raise ValueError("rows of several sites, expected those of one (of_site) or their sums (all_sites)")
    frame = frame.drop(columns="site", errors="ignore")
    return frame.set_index(frame["time"].dt.tz_convert(meta.zone)).drop(columns="time")


def power_flows(frame: pd.DataFrame) -> pd.DataFrame:
    """Who carries the load, and where the rest goes; MW, per row.

    ``pv + wind + battery + grid = load`` in every row that is balanced and has no unserved load. What leaves the
    load's bus (`charge`, `export`, `curtailed`) is taken from own generation first, then from the grid, then from the
    battery; PV and wind share it in proportion to what they generate.
    """
    pv, wind = column(frame, "pv_mw"), column(frame, "wind_mw")
    grid, battery = column(frame, "import_mw"), column(frame, "discharge_mw")
    away = {
        name: column(frame, f"{name}{suffix}")
        for name, suffix in (("charge", "_mw"), ("export", "_mw"), ("curtailed", "_mw"))
    }
    generated = pv + wind
    leaves = sum(away.values(), start=pd.Series(0.0, index=frame.index))
    from_generation = np.minimum(leaves, generated)
    from_grid = np.minimum(leaves - from_generation, grid)
    from_battery = np.minimum(leaves - from_generation - from_grid, battery)
    kept = 1.0 - from_generation / generated.where(generated > 0.0, 1.0)
    return pd.DataFrame(
        {
            "pv": pv * kept,
            "wind": wind * kept,
            "battery": battery - from_battery,
            "grid": grid - from_grid,
            "load": column(frame, "facility_mw"),
            **away,
        }
    )


def carbon_kinds(frame: pd.DataFrame) -> list[Kind]:
    """The kinds of carbon intensity a run knows."""
    return [kind for kind, name in INTENSITY.items() if name in frame and bool(frame[name].notna().any())]


def carbon_flows(frame: pd.DataFrame, step_s: int, kind: Kind = "average") -> pd.DataFrame:
    """Import times intensity of the run, and of the same load without own generation and battery.

    With the average intensity it is the operational carbon, with the marginal one what the import causes.

    Returns
    -------
    pandas.DataFrame
        `intensity` (gCO2eq/kWh); `rate` and `rate_without` (kg/h, since 1 MW at 1 g/kWh emits 1 kg/h);
        `total` and `total_without` (kg, up to the end of the row).
    """
    intensity = frame[INTENSITY[kind]]
    rate = column(frame, "import_mw") * intensity
    rate_without = column(frame, "facility_mw") * intensity
    hours = step_s / 3600.0
    return pd.DataFrame(
        {
            "intensity": intensity,
            "rate": rate,
            "rate_without": rate_without,
            "total": rate.cumsum() * hours,
            "total_without": rate_without.cumsum() * hours,
        }
    )


def carried(frame: pd.DataFrame) -> pd.DataFrame:
    """What own supply carried (`own`) of the load (`load`), MW, per row: the one definition of what is matched.

    `CARRIED` is the matched ratio's own series, so that all that is drawn adds up to that ratio; without it, all that
    the battery gives counts as own.
    """
    flows = power_flows(frame)
    own = frame[CARRIED] if CARRIED in frame else flows["pv"] + flows["wind"] + flows["battery"]
    return pd.DataFrame({"own": np.minimum(own, flows["load"]), "load": flows["load"]})


def matched_ratio(frame: pd.DataFrame) -> float:
    """Share of the load that own supply carried, interval by interval; NaN without a load.

    Examples
    --------
    >>> matched_ratio(pd.DataFrame({"pv_mw": [3.0, 0.0], "facility_mw": [2.0, 2.0], "import_mw": [0.0, 2.0]}))
    0.5
    """
    sums = carried(frame).sum()
    return float(sums["own"] / sums["load"]) if sums["load"] > 0 else float("nan")


def coverage(frame: pd.DataFrame) -> pd.DataFrame:
    """Share of the load carried by own supply, by local hour (rows) and date (columns).

    Carried energy over used energy (`carried`) within the hour, from the recorded intervals; NaN where the run has no
    row. A surplus in one interval does not make up for a lack in another.
    """
    cells = carried(frame)
    index = pd.DatetimeIndex(frame.index)
    sums = cells.groupby([index.hour, index.date]).sum()
    matrix = (sums["own"] / sums["load"].where(sums["load"] > 0.0)).unstack()
    return matrix.reindex(range(24))


def over_time(record: LatencyRecord, name: str, start: pd.Timestamp) -> pd.DataFrame:
    """Median, 95th and 99th percentile of a latency by period of arrival, s; NaN where nothing arrived.

    Indexed by the start of the periods; they are `record.period_s` long, the first begins at `start`.
    """
    rows = {at_s: sketch.quantiles(list(PERCENTILES.values())) for at_s, sketch in record.over_time(name)}
    spread = pd.DataFrame.from_dict(rows, orient="index", columns=list(PERCENTILES), dtype=np.float64)
    if rows:
        first, last = (int(at_s // record.period_s) for at_s in (min(rows), max(rows)))
        spread = spread.reindex(np.arange(first, last + 1) * record.period_s)
    spread.index = start + pd.to_timedelta(spread.index.to_numpy(dtype=np.float64), unit="s")
    return spread


def has_battery(frame: pd.DataFrame) -> bool:
    """Whether the run has a battery: one that never moved still has a state of charge."""
    return {"soc", "charge_mw", "discharge_mw"} <= set(frame) and bool(frame["soc"].notna().any())


def has_generation(frame: pd.DataFrame) -> bool:
    """Whether the run has any PV or wind."""
    return bool((column(frame, "pv_mw") + column(frame, "wind_mw")).gt(0.0).any())


def network(frame: pd.DataFrame) -> pd.DataFrame:
    """Voltages and loadings of the network, and the voltage at the site's bus where all sites share one."""
    return frame[[*NETWORK_COLUMNS, *(["vm_pu"] if "vm_pu" in frame else [])]]


def has_network(frame: pd.DataFrame) -> bool:
    """Whether the run has a network with voltages and loadings."""
    return set(NETWORK_COLUMNS) <= set(frame)
