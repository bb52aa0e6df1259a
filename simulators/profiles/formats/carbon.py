"""Carbon intensities: Electricity Maps, EIA's averages; what readers of records and plain tables share."""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from simulators.errors import InputError
from simulators.profiles.clock import find_time_column, joined
from simulators.profiles.formats.base import Column, Content, Format, Sheet
from simulators.profiles.formats.headers import column
from simulators.profiles.formats.records import listed, sorted_table, wide
from simulators.profiles.tables import Table

_LBS = "lbsCO2/MWh"
_G = "gCO2eq/kWh"


def columns_of(content: Content) -> list[str]:
    """Names in the header line, in lower case, without quotation marks."""
    separator = max(",;\t", key=content.header.count)
    return [name.strip().strip('"').strip().lower() for name in content.header.split(separator)]


def plain_sheet(content: Content) -> Sheet:
    """A table whose headers say it all; a date and a clock in two columns become one time."""
    table = content.table()
    made = joined(table)
    if made is not None:
        return Sheet(*made, estimated=estimated(table))
    return Sheet(table, find_time_column(table), estimated=estimated(table))


def _electricity_maps(content: Content) -> Sheet:
    """The portal's CSV: one zone, or several one below the other, of which each becomes a column of its own."""
    sheet = plain_sheet(content)
    zone = next(
        (str(n) for n in sheet.table.frame.columns if str(n).strip().lower() in ("zone id", "zone_id")), None
    )
    if zone is None or sheet.table.frame[zone].nunique() < 2:
        return sheet
    headers = [str(name) for name in sheet.table.frame.columns]
    found = {
        name: entry for name in headers if (entry := column(name, headers)) and entry.quantity == "carbon"
    }
    made = wide(sheet.table, sheet.time, [zone], list(found))
    columns = {f"{name} {area}": found[name] for name in found for area in sheet.table.frame[zone].unique()}
    return Sheet(made, sheet.time, columns, sheet.timezone, sheet.label)


def estimated(table: Table) -> NDArray[np.bool_] | None:
    """Flags of a column called ``Data Estimated``; None without one."""
    for name in table.frame.columns:
        if str(name).strip().lower() in ("data estimated", "data_estimated", "isestimated"):
            text = table.frame[name].astype("string").str.strip().str.lower()
            return text.isin(["true", "1", "yes"]).to_numpy(dtype=bool)
    return None


def _electricity_maps_json(content: Content) -> Sheet:
    """The API's history: one list of ``carbonIntensity`` with ``datetime``, each of one ``emissionFactorType``."""
    frame = pd.DataFrame(listed(content, ("history", "data", "forecast")))
    types = set(frame.get("emissionFactorType", pd.Series(["lifecycle"])).dropna())
    if len(types) != 1:
        raise InputError(
            f"{content.path}: mixes emission factors ({', '.join(sorted(map(str, types)))}); expected one"
        )
    basis = Column("carbon", _G, "average", "direct" if types == {"direct"} else "life cycle")
    table = sorted_table(content, frame[[n for n in frame.columns if n != "createdAt"]], "datetime")
    return Sheet(table, "datetime", {"carbonIntensity": basis}, "UTC", "start", estimated(table))


def _mixed(content: Content) -> Sheet:
    """EIA generation by source with its average intensity, made of IPCC's life-cycle factors."""
    table = content.table()
    columns = {name: Column("mix", "MW") for name in ("WAT", "OIL", "NG", "COL", "NUC", "OTH")}
    columns |= {"SUN": Column("pv", "MW"), "WND": Column("wind", "MW")}
    columns["avg_CI"] = Column("carbon", _G, "average", "life cycle")
    return Sheet(table, find_time_column(table), columns, "UTC", "start")


def _is_electricity_maps_json(content: Content) -> bool:
    held = content.json
    if not isinstance(held, Mapping):
        return False
    records = held.get("history") or held.get("data") or held.get("forecast")
    return isinstance(records, list) and bool(records) and "carbonIntensity" in (records[0] or {})


FORMATS = (
    Format(
        "electricity-maps", "Electricity Maps CSV", "carbon, average: life cycle and direct", _G, "1 h, 15 min, 5 min",
        "start", "Carbon intensity gCO2eq/kWh (Life cycle | LCA | direct), or carbon_intensity_avg",
        "Electricity Maps, portal.electricitymaps.com/datasets",
        lambda c: bool(re.search(r"carbon intensity gco|carbon_intensity_(direct_)?avg", c.header.lower())),
        _electricity_maps,
    ),
    Format(
        "electricity-maps-json", "Electricity Maps JSON", "carbon, average: life cycle or direct", _G, "1 h", "start",
        "history or data with carbonIntensity", "Electricity Maps, API reference, carbon intensity history",
        _is_electricity_maps_json, _electricity_maps_json,
    ),
    Format(
        "eia-average", "EIA mix with its average", "carbon, average, life cycle", _G, "1 h", "start",
        "columns WND, SUN, ... and avg_CI",
        "EIA-930 with IPCC's factors (AR5, annex III): Hewlett Packard Labs, dc-rl",
        lambda c: {"avg_ci", "sun", "wnd", "ng"} <= set(columns_of(c)), _mixed,
    ),
)  # fmt: skip
