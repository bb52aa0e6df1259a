"""The time series by the hour, as a table that spreadsheets open: UTC and local time, units in the header."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from simulators.quantities.schema import BY_NAME, Over

HOURLY = "timeseries_hourly.csv"
_RULES: dict[Over, str] = {"mean": "mean", "sum": "sum", "last": "last", "lowest": "min", "highest": "max"}


def hourly(
    timeseries: pd.DataFrame,
    step_s: int,
    timezones: Mapping[str, str],
    units: Mapping[str, str] | None = None,
) -> pd.DataFrame:
    """Rows of one hour (of UTC) and site, made of the steps that begin in it as the schema says.

    Where steps reach over the end of an hour, a row is named after the start of its first step, not the full hour.

    Parameters
    ----------
    timeseries
        One row per step and site: ``time`` (UTC), ``site``, and columns of the schema; others are left out.
    step_s
        Length of a step, s.
    timezones
        IANA name of each site's zone.
    units
        Of columns whose unit is of the run, not of the schema: prices in its currency.

    Returns
    -------
    pandas.DataFrame
        ``time[UTC]``, ``time[local]`` (with its offset), ``site``, ``covered[s]`` (how much of the hour was simulated:
        energies are means of power times that), and the columns with their units.

    Examples
    --------
    >>> steps = pd.DataFrame({"time": pd.date_range("2024-06-01T22:00Z", periods=3, freq="30min"), "site": "a",
    ...                       "it_mw": [1.0, 2.0, 4.0], "arrived": [5.0, 6.0, 7.0]})
    >>> print(hourly(steps, 1800, {"a": "Europe/Berlin"}).to_csv(index=False))
    time[UTC],time[local],site,covered[s],it_mw[MW],arrived[1]
    2024-06-01T22:00Z,2024-06-02T00:00+02:00,a,3600,1.5,11.0
    2024-06-01T23:00Z,2024-06-02T01:00+02:00,a,1800,4.0,7.0
    <BLANKLINE>
    """
    columns = [name for name in timeseries if name in BY_NAME]
    hour = timeseries["time"].dt.floor("h")
    if bool((((timeseries["time"] - hour) // pd.Timedelta(seconds=1)) % step_s).any()) or 3600 % step_s:
        hour = (
            timeseries["time"].groupby(hour).transform("min")
        )  # no step begins with the hour: rows say when they do
    groups = timeseries.assign(hour=hour).groupby(["hour", "site"], sort=False, observed=True)
    found = groups[columns].agg({name: _RULES[BY_NAME[name].over_time] for name in columns})
    own = units or {}
    found = found.rename(columns={name: f"{name}[{own.get(name, BY_NAME[name].unit)}]" for name in columns})
    found.insert(0, "covered[s]", groups.size() * step_s)
    found = found.reset_index()
    local = [
        hour.tz_convert(timezones.get(str(site), "UTC")).isoformat(timespec="minutes")
        for hour, site in zip(found["hour"], found["site"], strict=True)
    ]
    found.insert(1, "time[local]", local)
    found.insert(0, "time[UTC]", found.pop("hour").dt.strftime("%Y-%m-%dT%H:%MZ"))
    return found


def write_hourly(
    path: Path | str,
    timeseries: pd.DataFrame,
    step_s: int,
    timezones: Mapping[str, str],
    units: Mapping[str, str] | None = None,
) -> None:
    """Write `hourly` as CSV, with numbers that read back to the last bit."""
    hourly(timeseries, step_s, timezones, units).to_csv(path, index=False, lineterminator="\n")
