"""From the recorded rows to the series the pictures show. Power in MW, carbon in kg, time in s."""

from __future__ import annotations

import numpy as np
import pandas as pd

from simulators.report.labels import RunMeta

SUPPLY = {"pv": "PV", "wind": "Wind", "battery": "Battery discharge", "grid": "Grid import"}
SURPLUS = {"charge": "Battery charge", "export": "Grid export", "curtailed": "Curtailed"}
TRAFFIC = ["arrived", "completed", "rejected", "running", "waiting", "held", "hold"]
NETWORK_COLUMNS = ["vm_pu", "line_loading_max_percent", "trafo_loading_max_percent"]
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


def indexed(frame: pd.DataFrame, meta: RunMeta) -> pd.DataFrame:
    """The recorded rows indexed by local time."""
    return frame.set_index(frame["time"].dt.tz_convert(meta.zone)).drop(columns="time")


def power_flows(frame: pd.DataFrame) -> pd.DataFrame:
    """Who carries the load, and where the rest goes; MW, per row.

    ``pv + wind + battery + grid = load`` in every row that is balanced. What leaves the load's bus
    (`charge`, `export`, `curtailed`) is taken from own generation first, then from the grid, then from the
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


def carbon_flows(frame: pd.DataFrame, step_s: int) -> pd.DataFrame:
    """Operational carbon of the run, and of the same load without own generation and battery.

    Returns
    -------
    pandas.DataFrame
        `intensity` (gCO2eq/kWh); `rate` and `rate_without` (kg/h, since 1 MW at 1 g/kWh emits 1 kg/h);
        `total` and `total_without` (kg, up to the end of the row).
    """
    intensity = frame["carbon_intensity_g_per_kwh"]
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


def coverage(frame: pd.DataFrame) -> pd.DataFrame:
    """Share of the load covered by own generation and battery, by local hour (rows) and date (columns).

    Covered energy over used energy within the hour, from the recorded intervals; NaN where the run has no
    row. A surplus in one interval does not make up for a lack in another.
    """
    flows = power_flows(frame)
    own = flows["pv"] + flows["wind"] + flows["battery"]
    cells = pd.DataFrame({"own": np.minimum(own, flows["load"]), "load": flows["load"]})
    index = pd.DatetimeIndex(frame.index)
    sums = cells.groupby([index.hour, index.date]).sum()
    matrix = (sums["own"] / sums["load"].where(sums["load"] > 0.0)).unstack()
    return matrix.reindex(range(24))


def over_time(
    values: pd.Series[float], at_s: pd.Series[float], start: pd.Timestamp, width_s: int
) -> pd.DataFrame:
    """Median, 95th and 99th percentile of `values` by when they happened (`at_s`, s from `start`)."""
    bins = np.floor(at_s / width_s)
    spread = values.groupby(bins).quantile(np.array([0.5, 0.95, 0.99])).unstack()
    spread.columns = pd.Index(["p50", "p95", "p99"])
    wanted = np.arange(bins.min(), bins.max() + 1) if len(bins) else np.array([])
    spread = spread.reindex(wanted)
    spread.index = start + pd.to_timedelta(spread.index.to_numpy() * width_s, unit="s")
    return spread


def has_battery(frame: pd.DataFrame) -> bool:
    """Whether the run has a battery: one that never moved still has a state of charge."""
    return {"soc", "charge_mw", "discharge_mw"} <= set(frame) and bool(frame["soc"].notna().any())


def has_generation(frame: pd.DataFrame) -> bool:
    """Whether the run has any PV or wind."""
    return bool((column(frame, "pv_mw") + column(frame, "wind_mw")).gt(0.0).any())


def has_network(frame: pd.DataFrame) -> bool:
    """Whether the run has a network with voltages and loadings."""
    return set(NETWORK_COLUMNS) <= set(frame)
