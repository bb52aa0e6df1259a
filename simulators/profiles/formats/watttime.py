"""Marginal rates: WattTime and SGIP, as values and as forecasts."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pandas as pd

from simulators.errors import InputError
from simulators.profiles.clock import find_time_column
from simulators.profiles.formats.base import Column, Content, Format, Issued, Sheet
from simulators.profiles.formats.carbon import columns_of
from simulators.profiles.formats.issued import from_columns, from_pairs, from_records
from simulators.profiles.formats.records import listed, sorted_table, wide
from simulators.profiles.profile import Kind
from simulators.profiles.tables import Table

_LBS = "lbsCO2/MWh"
_G = "gCO2eq/kWh"


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
    records = listed(content, ("data", "forecast"))
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
    if "value" not in records[0] and "moer" in records[0]:  # SGIP's interface: kg/kWh
        made = sorted_table(content, pd.DataFrame(records)[["point_time", "moer"]], "point_time")
        return Sheet(made, "point_time", {"moer": Column("carbon", None, "marginal")}, "UTC", "instant")
    values = pd.DataFrame(records)
    if not {"point_time", "value"} <= set(values.columns):
        raise InputError(
            f"{content.path}: its records have no point_time and value; expected it as downloaded"
        )
    table = sorted_table(content, values[["point_time", "value"]], "point_time")
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
    return listed(content, ("data",))


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
    names = {str(name).strip().lower(): str(name) for name in table.frame.columns}
    time, name, version = find_time_column(table), names["moer"], names["moer version"]
    made = wide(table, time, [version], [name])
    versions = sorted(table.frame[version].unique(), reverse=True)
    ends = [f"{name} {said}" for said in versions] if len(versions) > 1 else [name]
    columns = {end: Column("carbon", _LBS, "marginal", None, rank) for rank, end in enumerate(ends)}
    note = f" (version {versions[0]}, the newest of {len(versions)})" if len(versions) > 1 else ""
    return Sheet(made, time, columns, "UTC", "instant", note=note)


def _watttime_v3(content: Content) -> Sheet:
    """The client's CSV: ``point_time,value``, of one region or several, or of one forecast."""
    table = content.table()
    unit, kind = _said_of_values(content, table)
    note = ""
    if "generated_at" in table.frame:
        issues = table.frame["generated_at"].nunique()
        if issues > 1:
            raise InputError(
                f"{content.path}: holds {issues} forecasts, each issued at its own time; expected the historical "
                "values here"
            )
        note = f" (a forecast issued {table.frame['generated_at'].iloc[0]})"
    region = [name for name in ("region", "ba") if name in table.frame]
    areas: list[str] = list(table.frame[region[0]].unique()) if region else []
    made = wide(table, "point_time", region, ["value"])
    names = [f"value {area}" for area in areas] if len(areas) > 1 else ["value"]
    return Sheet(
        made, "point_time", dict.fromkeys(names, Column("carbon", unit, kind)), "UTC", "instant", note=note
    )


def _said_of_values(content: Content, table: Table) -> tuple[str, Kind | None]:
    """Unit and kind of ``value``: by ``meta`` or ``datatype`` beside it, by the file's name, or by the user."""
    if "meta" in table.frame:
        try:
            meta = ast.literal_eval(str(table.frame["meta"].iloc[0]))
            return str(meta["units"]), signal(content, str(meta["signal_type"]), 3)
        except (ValueError, SyntaxError, KeyError, TypeError):
            raise table.error(
                0, "column 'meta' cannot be read", "it as WattTime's client writes it"
            ) from None
    if {"datatype", "frequency"} <= set(map(str, table.frame.columns)):
        return _LBS, signal(content, str(table.frame["datatype"].iloc[0]), 2)
    named = re.search(r"co2_(moer|aoer)", content.path.name.lower())
    if named or content.stated:
        return _LBS, signal(content, named[0] if named else "co2_moer", 3)
    raise InputError(
        f"{content.path}: column 'value' names neither unit nor signal (the layout is WattTime's); expected "
        f"{table.advice('format', 'watttime-v3')} for a marginal rate in lbs/MWh"
    )


def _issued_v3(content: Content) -> Issued:
    """The client's forecasts: one row per point, each with its time of issue."""
    table = content.table()
    if "generated_at" not in table.frame:
        raise InputError(f"{content.path}: holds values, no forecasts; expected a column generated_at")
    unit, kind = _said_of_values(content, table)
    return from_pairs(content, "generated_at", "point_time", "value", unit, kind)


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


def _is_watttime_json(content: Content) -> bool:
    held = content.json
    if isinstance(held, Mapping):
        held = held.get("data") if isinstance(held.get("data"), list) else held.get("forecast")
    first = held[0] if isinstance(held, list) and held else None
    return isinstance(first, Mapping) and ("point_time" in first or "forecast" in first)


_WATTTIME = (
    "WattTime, docs.watttime.org: historical, forecast; signals co2_moer and co2_aoer in lbs_co2_per_mwh"
)
FORMATS = (
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
        _issued_v3,
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
)  # fmt: skip
