"""Prices, loads and generation from markets: ENTSO-E, SMARD, EIA-930."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pandas as pd

from simulators.errors import InputError
from simulators.profiles.decimals import MISSING, Decimal
from simulators.profiles.formats.base import Column, Content, Format, Sheet
from simulators.profiles.formats.carbon import columns_of
from simulators.profiles.formats.records import listed, wide
from simulators.profiles.tables import Table

_CET = "Europe/Brussels"
_GERMAN = "Europe/Berlin"
_STAMP = r"(\d\d?)[./](\d\d?)[./](\d{4}) (\d\d?:\d\d)(?::\d\d)?(?: ?\((CES?T|UTC)\))?"
_RANGE = r"\n\W?\d\d[./]\d\d[./]\d{4} \d\d:\d\d(:\d\d)?( \(CES?T\))? - \d\d[./]\d\d[./]\d{4}"
"""A first cell that is a range of time: older exports call the column Time."""


def _entsoe(content: Content) -> Sheet:
    """ENTSO-E: the market time unit is a range, or a start; in CET, or in UTC where the header says so."""
    table = content.table(decimal="point")
    times = (str(n) for n in table.frame.columns if re.match(r"(mtu|time|datetime|date)\b", str(n).lower()))
    time = next(times, None)
    if time is None:
        raise InputError(f"{content.path}: no time column (MTU), found {table.columns()}")
    cells = table.frame[time].astype("string").str.strip()
    zone = "UTC" if "utc" in time.lower() or bool(cells.str.endswith("(UTC)").all()) else _CET
    frame = _with_currency(table.frame.copy())
    frame[time], marked = _starts(table, time)
    values = [str(n) for n in frame.columns if re.search(r"[\[(][^)\]]*(/MWh|MW)\s*[\])]", str(n))]
    values = [name for name in values if "intraday" not in name.lower()]
    values = [n for n in values if not frame[n].astype("string").str.lower().str.strip().isin(MISSING).all()]
    if not values:
        raise InputError(f"{content.path}: no prices, loads or generation in it, found {table.columns()}")
    empty = (
        frame[values]
        .apply(lambda cells: cells.astype("string").str.strip().str.lower().isin(MISSING))
        .all(axis=1)
    )
    table = replace(table, frame=frame)
    if bool(empty.any()) and zone != "UTC" and not marked:
        table = _without_absent_hour(table, time, empty)
    named = [
        n
        for n in table.frame.columns
        if re.match(r"(area|sequence|resolution|production ?type)", str(n).lower())
    ]
    production = next((n for n in named if str(n).lower().startswith("production")), None)
    if production is not None and len(values) == 1:
        # a mix in long form: its sources are the columns
        long = table.frame[production].astype("string") + f" [{_unit(values[0])}]"
        table = replace(table, frame=table.frame.assign(**{production: long}))
        values_of = wide(table, time, [str(n) for n in named], values)
        made = values_of.frame.rename(columns=lambda n: str(n).removeprefix(f"{values[0]} "))
        return Sheet(replace(values_of, frame=made), time, timezone=zone, label="start")
    table = wide(table, time, [str(n) for n in named], values)
    return Sheet(table, time, timezone="UTC" if marked else zone, label="start")


def _with_currency(frame: pd.DataFrame) -> pd.DataFrame:
    """``Price[Currency/MWh]`` with its currency, which stands in a column of its own."""
    if "Currency" not in frame:
        return frame
    said = {str(cell).strip() for cell in frame["Currency"].dropna().unique()} - {"", "-"}
    if len(said) != 1:
        return frame
    currency = said.pop()  # older exports write EUR above prices in pounds
    return frame.rename(columns=lambda name: re.sub(r"(Currency|EUR)/MWh", f"{currency}/MWh", str(name)))


def _unit(header: str) -> str:
    found = re.search(r"[\[(]([^\])]*)[\])]", header)
    return found[1] if found else "MW"


def _starts(table: Table, time: str) -> tuple[pd.Series[str], bool]:
    """Starts of the ranges as ISO text; in UTC if the cells mark their zone as (CET) or (CEST)."""
    cells = table.frame[time].astype("string").str.strip()
    if bool(cells.str.match(r"\d{4}-").all()):
        return cells, False
    parts = cells.str.extract(r"^" + _STAMP)
    bad = np.flatnonzero(parts[0].isna().to_numpy())
    if len(bad):
        raise table.error(
            int(bad[0]),
            f"'{cells.iloc[bad[0]]}' in column '{time}' is no time",
            "01/01/2024 00:00 - 01/01/2024 01:00",
        )
    iso = parts[2] + "-" + parts[1].str.zfill(2) + "-" + parts[0].str.zfill(2) + " " + parts[3].str.zfill(5)
    zones = parts[4]
    if not bool(zones.isin(["CET", "CEST"]).any()):
        return iso, False
    if not bool(zones.notna().all()):
        # only the rows around the clock change are marked: local time tells the others
        stamps = pd.DatetimeIndex(pd.to_datetime(iso))
        summer = (zones == "CEST").fillna(False).to_numpy(dtype=bool)
        local = stamps.tz_localize(_CET, ambiguous=summer, nonexistent="shift_forward")
    else:
        hours = pd.to_timedelta(np.where(zones == "CEST", 2, 1), unit="h")
        local = (pd.DatetimeIndex(pd.to_datetime(iso)) - hours).tz_localize("UTC")
    return pd.Series(
        local.tz_convert("UTC").strftime("%Y-%m-%d %H:%M+00:00"), index=iso.index, dtype="string"
    ), True


def _without_absent_hour(table: Table, time: str, empty: pd.Series[bool]) -> Table:
    """Leave out empty rows of the hour that the clock skips in spring: some exports write them."""
    stamps = pd.DatetimeIndex(pd.to_datetime(table.frame[time], errors="coerce"))
    local = stamps.tz_localize(_CET, ambiguous=np.ones(len(stamps), dtype=bool), nonexistent="NaT")
    absent = np.asarray(local.isna()) & ~np.asarray(stamps.isna()) & empty.to_numpy(dtype=bool)
    return replace(table, frame=table.frame[~absent].reset_index(drop=True)) if absent.any() else table


def _smard(content: Content) -> Sheet:
    """SMARD: German or English export, in local time; energies are those of the interval."""
    german = content.header.lstrip('"').lower().startswith("datum")
    decimal: Decimal = "comma" if german else "point"
    table = content.table(decimal=decimal)
    frame = table.frame
    names = {str(name).strip().lower(): str(name) for name in frame.columns}
    begin = next((names[key] for key in ("datum von", "start date") if key in names), None)
    if begin is None:
        day = names.get("datum") or names.get("date") or str(frame.columns[0])
        clock = next(
            (names[key] for key in ("uhrzeit", "anfang", "start", "time of day") if key in names), None
        )
        if clock is None:
            raise InputError(f"{content.path}: no time beside '{day}', found {table.columns()}")
        begin = "time"
        frame = frame.assign(time=frame[day].str.strip() + " " + frame[clock].str.strip())
    drop = {"datum", "date", "uhrzeit", "anfang", "ende", "start", "end", "datum bis", "end date", "datetime"}
    kept = [str(n) for n in frame.columns if str(n).strip().lower() not in drop and str(n) != begin]
    resolution = r"\s*(original|berechnete |calculated |original )?(auflösungen|resolutions)\s*$"
    made = frame[[begin, *kept]].rename(
        columns={name: re.sub(resolution, "", name, flags=re.IGNORECASE) for name in kept}
    )
    return Sheet(replace(table, frame=made), begin, timezone=_GERMAN, label="start")


def _is_smard(content: Content) -> bool:
    begins = r"\W*(datum von;datum bis|start date;end date|datum;(uhrzeit|anfang)|date;start);"
    header = content.header.lower().replace('"', "")
    return re.match(begins, header) is not None and re.search(r"\[(mwh|./mwh|eur/mwh)\]", header) is not None


def _eia930(content: Content) -> Sheet:
    """EIA-930: balance files and workbooks' sheets; the time is the end of its hour, thousands have commas."""
    table = content.table(decimal="point")
    names = {str(name).strip().lower(): str(name) for name in table.frame.columns}
    time = next(names[key] for key in ("utc time at end of hour", "utc time") if key in names)
    values = [
        str(n)
        for n in table.frame.columns
        if re.search(r"\(MW\)|^(ng: ?\w+|d|demand|net generation)$|intensity", str(n), re.IGNORECASE)
    ]
    area = [str(n) for n in table.frame.columns if str(n).strip().lower() in ("ba", "balancing authority")]
    keep = [n for n in values if "imputed" not in n.lower() and "adjusted" not in n.lower()]
    cells = table.frame[time].astype("string").str.strip()
    if bool(cells.str.match(r"\d\d?/\d\d?/\d{4} ").all()):  # month first, whatever the days
        iso = pd.to_datetime(cells, format="mixed", dayfirst=False, errors="coerce").dt.strftime(
            "%Y-%m-%d %H:%M"
        )
        table = replace(table, frame=table.frame.assign(**{time: iso.fillna(cells).astype("string")}))
    return Sheet(wide(table, time, area, keep), time, timezone="UTC", label="end")


def _eia_interface(content: Content) -> Sheet:
    """EIA's interface: one row per period, respondent and type (or fuel); the period is the end of its hour, in UTC."""
    held = content.json
    if held is None:
        table = content.table(decimal="point")
    else:
        frame = pd.DataFrame(listed(content, ("data",), held.get("response", held)))
        table = content.own(Table(content.path, frame, 1, {}, content.sha256))
    frame = table.frame
    units = {str(unit).lower() for unit in frame["value-units"].unique()} if "value-units" in frame else set()
    if not units or not units <= {"megawatthours", "mwh"}:
        raise InputError(
            f"{content.path}: its values are in {', '.join(sorted(units)) or 'no unit'}; expected MWh"
        )
    key = "fueltype" if "fueltype" in frame else "type"
    if key not in frame:
        raise InputError(f"{content.path}: no type or fueltype beside its values, found {table.columns()}")
    areas = ["respondent"] if "respondent" in frame and frame["respondent"].nunique() > 1 else []
    kinds = frame[key].astype("string").str.strip()
    frame = frame.assign(_kind=kinds, period=frame["period"].astype("string").str.strip())
    kinds_there = list(kinds.unique())
    if len(kinds_there) > 1 or areas:
        made = wide(
            replace(table, frame=frame.rename(columns={"value": "MWh"})), "period", ["_kind", *areas], ["MWh"]
        )
    else:
        made = replace(
            table, frame=frame[["period", "value"]].rename(columns={"value": f"MWh {kinds_there[0]}"})
        )
    columns = {
        name: Column(_EIA_TYPES.get(name.split()[1], "mix"), "MWh", rank=int(name.split()[1] == "DF"))
        for name in map(str, made.frame.columns)
        if name.startswith("MWh ")
    }
    return Sheet(made, "period", columns, timezone="UTC", label="end")


_EIA_TYPES = {"D": "load", "DF": "load", "SUN": "pv", "WND": "wind"}


def _is_eia_interface(content: Content) -> bool:
    held = content.json
    if held is None:
        return {"period", "respondent", "value", "value-units"} <= set(columns_of(content))
    response = held.get("response") if isinstance(held, dict) else None
    records = response.get("data") if isinstance(response, dict) else None
    return isinstance(records, list) and bool(records) and {"period", "respondent"} <= set(records[0])


def _is_eia930(content: Content) -> bool:
    names = set(columns_of(content))
    return "utc time at end of hour" in names or (
        "utc time" in names and bool({"ba", "balancing authority"} & names)
    )


def _is_entsoe(content: Content) -> bool:
    names = columns_of(content)
    named = any(re.match(r"mtu\b", name) for name in names) or {"resolutioncode", "areacode"} <= set(names)
    return named or re.search(_RANGE, content.head) is not None


FORMATS = (
    Format(
        "entsoe", "ENTSO-E transparency platform CSV", "price; load; generation by source", "EUR/MWh, MW",
        "15 min to 1 h", "start", "column MTU (CET/CEST) or MTU (UTC), as ranges or starts",
        "ENTSO-E, transparency.entsoe.eu: day-ahead prices 12.1.D, actual load 6.1.A, generation 16.1.B&C",
        _is_entsoe, _entsoe,
    ),
    Format(
        "smard", "SMARD CSV (German, English)", "price; load; generation by source", "EUR/MWh, MWh per interval",
        "15 min, 1 h", "start", "Datum von;Datum bis;..., Datum;Uhrzeit;... or Start date;End date;...",
        "Bundesnetzagentur, smard.de, download of market data; local time, decimal comma in German",
        _is_smard, _smard,
    ),
    Format(
        "eia-930", "EIA-930 CSV", "load; generation by source; carbon, average, direct", "MW, lbs/kWh", "1 h", "end",
        "column UTC time, or UTC Time at End of Hour",
        "EIA, Form 930, Hourly and Daily Balancing Authority Operations Report, instructions",
        _is_eia930, _eia930,
    ),
    Format(
        "eia-interface", "EIA interface v2 (CSV, JSON)", "load; generation by source", "MWh per hour", "1 h", "end",
        "period, respondent, type or fueltype, value, value-units",
        "EIA, opendata: electricity/rto; hour-ending convention of eia.gov/electricity/gridmonitor/about",
        _is_eia_interface, _eia_interface,
    ),
)  # fmt: skip
