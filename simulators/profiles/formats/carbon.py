"""Carbon intensities: Electricity Maps, WattTime, SGIP, EIA's averages."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from simulators.errors import InputError
from simulators.profiles.formats.base import Column, Content, Format, Issued, Sheet
from simulators.profiles.formats.issued import from_columns, from_pairs, from_records
from simulators.profiles.profile import Kind
from simulators.profiles.tables import Table
from simulators.profiles.times import find_time_column

_LBS = "lbsCO2/MWh"
_G = "gCO2eq/kWh"


def columns_of(content: Content) -> list[str]:
    """Names in the header line, in lower case, without quotation marks."""
    separator = max(",;\t", key=content.header.count)
    return [name.strip().strip('"').strip().lower() for name in content.header.split(separator)]


def plain_sheet(content: Content) -> Sheet:
    """A table whose headers say it all; a date and a clock in two columns become one time."""
    table = content.table()
    names = {str(name).strip().lower(): str(name) for name in table.frame.columns}
    day = next((names[key] for key in ("date", "datum", "day") if key in names), None)
    clock = next((names[key] for key in ("time", "uhrzeit", "zeit") if key in names), None)
    if day is not None and clock is not None:
        text = table.frame[[day, clock]].astype("string").apply(lambda cells: cells.str.strip())
        if bool(text[day].str.fullmatch(r"[\d./-]+").all()) and bool(text[clock].str.contains(":").all()):
            joined = text[day].str.cat(text[clock], sep=" ")
            frame = table.frame.drop(columns=[day, clock]).assign(**{"date and time": joined})
            return Sheet(replace(table, frame=frame), "date and time", estimated=estimated(table))
    return Sheet(table, find_time_column(table), estimated=estimated(table))


def estimated(table: Table) -> NDArray[np.bool_] | None:
    """Flags of a column called ``Data Estimated``; None without one."""
    for name in table.frame.columns:
        if str(name).strip().lower() in ("data estimated", "data_estimated", "isestimated"):
            text = table.frame[name].astype("string").str.strip().str.lower()
            return text.isin(["true", "1", "yes"]).to_numpy(dtype=bool)
    return None


def _electricity_maps_json(content: Content) -> Sheet:
    """The API's history: one list of ``carbonIntensity`` with ``datetime``, each of one ``emissionFactorType``."""
    records = _records(content, ("history", "data"))
    frame = pd.DataFrame(records)
    types = set(frame.get("emissionFactorType", pd.Series(["lifecycle"])).dropna())
    if len(types) != 1:
        raise InputError(
            f"{content.path}: mixes emission factors ({', '.join(sorted(map(str, types)))}); expected one"
        )
    basis = Column("carbon", _G, "average", "direct" if types == {"direct"} else "life cycle")
    table = _sorted_table(content, frame[[n for n in frame.columns if n != "createdAt"]], "datetime")
    return Sheet(table, "datetime", {"carbonIntensity": basis}, "UTC", "start", estimated(table))


def _records(content: Content, keys: Sequence[str]) -> list[dict[str, Any]]:
    held = content.json
    records = held
    if isinstance(held, Mapping):
        records = next((held[key] for key in keys if isinstance(held.get(key), list)), None)
    if not isinstance(records, list) or len(records) < 2 or not all(isinstance(r, dict) for r in records):
        raise InputError(f"{content.path}: holds no list of values; expected it as downloaded")
    return records


def _sorted_table(content: Content, frame: pd.DataFrame, time: str) -> Table:
    """Records as a table, oldest first: interfaces give the newest first."""
    if time not in frame:
        raise InputError(f"{content.path}: its values have no '{time}'; expected it as downloaded")
    frame = frame.sort_values(time, kind="stable").reset_index(drop=True)
    return content.own(Table(content.path, frame, 1, {}, content.sha256))


def signal(content: Content, name: str | None, version: int) -> Kind | None:
    """The kind of a WattTime signal; only carbon has one."""
    if name is None:
        return None
    folded = name.lower()
    if folded in ("co2_moer", "moer"):
        return "marginal"
    if folded in ("co2_aoer", "aoer"):
        return "average"
    raise InputError(f"{content.path}: is WattTime's {name} (v{version}); expected co2_moer or co2_aoer")


def _watttime_json(content: Content) -> Sheet:
    """WattTime: v3 has ``meta`` with units and signal, v2 is a bare list or a forecast; both in lbs/MWh."""
    held = content.json
    meta = held.get("meta", {}) if isinstance(held, Mapping) else {}
    records = _records(content, ("data", "forecast"))
    if "forecast" in records[0]:
        raise InputError(
            f"{content.path}: holds {len(records)} forecasts, each issued at its own time; expected the historical "
            "values here"
        )
    version = 3 if meta else 2
    kind = signal(
        content, meta.get("signal_type") or records[0].get("datatype") or (None if meta else "MOER"), version
    )
    unit = str(meta.get("units") or _LBS)
    table = _sorted_table(content, pd.DataFrame(records)[["point_time", "value"]], "point_time")
    issued = meta.get("generated_at") or (held.get("generated_at") if isinstance(held, Mapping) else None)
    note = f" (a forecast issued {issued})" if issued else ""
    return Sheet(table, "point_time", {"value": Column("carbon", unit, kind)}, "UTC", "instant", note=note)


def _watttime_issued(content: Content) -> Issued:
    """v3 ``forecast`` (one issue) and ``forecast/historical`` (several); v2 the same without ``meta``."""
    held = content.json
    meta = held.get("meta", {}) if isinstance(held, Mapping) else {}
    records = _records_of(content)
    issues = records
    if "forecast" not in records[0]:
        issued = meta.get("generated_at") or (held.get("generated_at") if isinstance(held, Mapping) else None)
        if issued is None:
            raise InputError(f"{content.path}: holds values, no forecasts; expected WattTime's forecast")
        issues = [{"generated_at": issued, "forecast": records}]
    kind = signal(content, meta.get("signal_type") or "MOER", 3 if meta else 2)
    return from_records(content, issues, str(meta.get("units") or _LBS), kind)


def _records_of(content: Content) -> list[dict[str, Any]]:
    held = content.json
    if isinstance(held, Mapping) and "generated_at" in held and isinstance(held.get("forecast"), list):
        return [dict(held)]
    if isinstance(held, Mapping) and isinstance(held.get("data"), list) and len(held["data"]) == 1:
        return list(held["data"])
    return _records(content, ("data",))


def _pairs(content: Content) -> Issued:
    table = content.table()
    value = [str(n) for n in table.frame.columns if str(n) not in ("request_time", "forecast_time")]
    if len(value) != 1:
        raise InputError(
            f"{content.path}: expected request_time, forecast_time and one value, found {table.columns()}"
        )
    return from_pairs(content, "request_time", "forecast_time", value[0], _G, "marginal")


def _watttime_v2(content: Content) -> Sheet:
    table = content.table()
    name = next(str(name) for name in table.frame.columns if str(name).strip().lower() == "moer")
    return Sheet(table, find_time_column(table), {name: Column("carbon", _LBS, "marginal")}, "UTC", "instant")


def _watttime_v3(content: Content) -> Sheet:
    """The client's CSV: ``point_time,value``; its ``meta``, the file's name or the user tells signal and unit."""
    table = content.table()
    unit, kind = None, None
    if "meta" in table.frame:
        try:
            meta = ast.literal_eval(str(table.frame["meta"].iloc[0]))
            unit, kind = str(meta["units"]), signal(content, str(meta["signal_type"]), 3)
        except (ValueError, SyntaxError, KeyError, TypeError):
            raise table.error(
                0, "column 'meta' cannot be read", "it as WattTime's client writes it"
            ) from None
    named = re.search(r"co2_(moer|aoer)", content.path.name.lower())
    if unit is None and (named or content.stated):
        unit, kind = _LBS, signal(content, named[0] if named else "co2_moer", 3)
    elif unit is None:
        raise InputError(
            f"{content.path}: column 'value' names neither unit nor signal (the layout is WattTime's); expected "
            f"{table.advice('format', 'watttime-v3')} for a marginal rate in lbs/MWh"
        )
    return Sheet(table, "point_time", {"value": Column("carbon", unit, kind)}, "UTC", "instant")


def _sgip(content: Content) -> Sheet:
    """SGIP: kg/kWh, the newest version of the model; ``f1``, ``f2``, ... are forecasts, no values of the row's time."""
    table = content.table()
    ahead = [name for name in table.frame.columns if re.fullmatch(r"f\d+", str(name))]
    versions = {
        str(name): float(found[1])
        for name in table.frame.columns
        if (found := re.fullmatch(r"moer version (\d+(?:\.\d+)?)", str(name).strip().lower()))
    }
    newest = sorted(versions, key=lambda name: -versions[name])
    columns = {name: Column("carbon", None, "marginal", None, rank) for rank, name in enumerate(newest)}
    table = replace(table, frame=table.frame.drop(columns=ahead))
    note = f" ({len(ahead)} forecasts beside each value)" if ahead else ""
    note += f" ({newest[0]}, the newest of {len(newest)})" if len(newest) > 1 else ""
    return Sheet(table, find_time_column(table), columns, "UTC", "instant", note=note)


def _mixed(content: Content) -> Sheet:
    """EIA generation by source with its average intensity, made of IPCC's life-cycle factors."""
    table = content.table()
    columns = {name: Column("mix", "MW") for name in ("WAT", "OIL", "NG", "COL", "NUC", "OTH")}
    columns |= {"SUN": Column("pv", "MW"), "WND": Column("wind", "MW")}
    columns["avg_CI"] = Column("carbon", _G, "average", "life cycle")
    return Sheet(table, find_time_column(table), columns, "UTC", "start")


def _is_watttime_json(content: Content) -> bool:
    held = content.json
    if isinstance(held, Mapping):
        held = held.get("data") if isinstance(held.get("data"), list) else held.get("forecast")
    first = held[0] if isinstance(held, list) and held else None
    return isinstance(first, Mapping) and ("point_time" in first or "forecast" in first)


def _is_electricity_maps_json(content: Content) -> bool:
    held = content.json
    if not isinstance(held, Mapping):
        return False
    records = held.get("history") or held.get("data")
    return isinstance(records, list) and bool(records) and "carbonIntensity" in (records[0] or {})


_WATTTIME = (
    "WattTime, docs.watttime.org: historical, forecast; signals co2_moer and co2_aoer in lbs_co2_per_mwh"
)
FORMATS = (
    Format(
        "electricity-maps", "Electricity Maps CSV", "carbon, average: life cycle and direct", _G, "1 h, 15 min, 5 min",
        "start", "Carbon intensity gCO2eq/kWh (Life cycle | LCA | direct), or carbon_intensity_avg",
        "Electricity Maps, portal.electricitymaps.com/datasets",
        lambda c: bool(re.search(r"carbon intensity gco|carbon_intensity_(direct_)?avg", c.header.lower())),
        plain_sheet,
    ),
    Format(
        "electricity-maps-json", "Electricity Maps JSON", "carbon, average: life cycle or direct", _G, "1 h", "start",
        "history or data with carbonIntensity", "Electricity Maps, API reference, carbon intensity history",
        _is_electricity_maps_json, _electricity_maps_json,
    ),
    Format(
        "watttime-json", "WattTime JSON (v2, v3)", "carbon, marginal or average; forecasts", _LBS, "5 min", "instant",
        "data or forecast with point_time and value", _WATTTIME, _is_watttime_json, _watttime_json, _watttime_issued,
    ),
    Format(
        "watttime-v2", "WattTime CSV (v2)", "carbon, marginal", _LBS, "5 min", "instant",
        "columns timestamp, MOER, MOER version", _WATTTIME,
        lambda c: {"moer", "moer version"} <= set(columns_of(c)), _watttime_v2,
    ),
    Format(
        "watttime-v3", "WattTime CSV (v3)", "carbon, marginal or average", _LBS, "5 min", "instant",
        "columns point_time, value", _WATTTIME, lambda c: {"point_time", "value"} <= set(columns_of(c)), _watttime_v3,
    ),
    Format(
        "sgip", "SGIP MOER, with its forecasts", "carbon, marginal; forecasts", "kgCO2/kWh", "5 min", "instant",
        "column moer or MOER version 2.0; f1, f2, ...", "SGIP signal, docs.sgipsignal.com",
        lambda c: any(re.fullmatch(r"moer( version [\d.]+)?", name) for name in columns_of(c)), _sgip, from_columns,
    ),
    Format(
        "vessim-forecast", "Vessim forecast CSV", "carbon, marginal, forecasts", _G, "5 min", "instant",
        "columns request_time, forecast_time and a region", "Vessim, datasets: WattTime forecasts in g/kWh",
        lambda c: {"request_time", "forecast_time"} <= set(columns_of(c)), issued=_pairs,
    ),
    Format(
        "eia-average", "EIA mix with its average", "carbon, average, life cycle", _G, "1 h", "start",
        "columns WND, SUN, ... and avg_CI",
        "EIA-930 with IPCC's factors (AR5, annex III): Hewlett Packard Labs, dc-rl",
        lambda c: {"avg_ci", "sun", "wnd", "ng"} <= set(columns_of(c)), _mixed,
    ),
)  # fmt: skip
