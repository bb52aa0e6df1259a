"""What an earlier run wrote: any series of it may drive another."""

from __future__ import annotations

from simulators.profiles.formats.base import Column, Content, Format, Sheet
from simulators.profiles.formats.carbon import columns_of
from simulators.profiles.formats.records import wide
from simulators.quantities.schema import BY_NAME

_KNOWN = {
    "facility_mw": Column("load", "MW"),
    "it_mw": Column("load", "MW", rank=1),
    "gpu_mw": Column("load", "MW", rank=2),
    "carbon_intensity_g_per_kwh": Column("carbon", "gCO2eq/kWh", "average"),
    "marginal_intensity_g_per_kwh": Column("carbon", "gCO2eq/kWh", "marginal", rank=5),
    "price_per_kwh": Column("price", "1/kWh"),
    "pv_mw": Column("pv", "MW"),
    "wind_mw": Column("wind", "MW"),
}


def _names(content: Content) -> list[str]:
    if content.packed:
        return [str(name) for name in content.table().frame.columns]
    return columns_of(content)


def _run(content: Content) -> Sheet:
    """One row per step and site; of several sites each column comes once per site, named behind it."""
    table = content.table()
    present = [name for name in map(str, table.frame.columns) if name in BY_NAME]
    sites = table.frame["site"].nunique()
    made = wide(table, "time", ["site"], present)
    columns: dict[str, Column] = {}
    for name, known in _KNOWN.items():
        ends = [f"{name} {site}" for site in table.frame["site"].unique()] if sites > 1 else [name]
        columns |= {end: known for end in ends if end in made.frame and made.frame[end].notna().any()}
    return Sheet(made, "time", columns, "UTC", "start")


FORMATS = (
    Format(
        "wattloop", "time series of a run", "load; PV and wind output; carbon; price", "MW, gCO2eq/kWh, 1/kWh",
        "the run's step", "start", "columns time, site and facility_mw", "simulators/quantities/schema.py",
        lambda c: {"time", "site", "facility_mw"} <= set(_names(c)), _run,
    ),
)  # fmt: skip
