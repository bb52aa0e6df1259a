"""What a profile file holds, for a person who has not used it yet: facts, gaps, statistics, and how to use it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from simulators.errors import InputError
from simulators.profiles.axis import read_axis
from simulators.profiles.fileref import FileRef
from simulators.profiles.fill import FillRule
from simulators.profiles.forecasts import read_forecasts
from simulators.profiles.formats.base import Content, Format
from simulators.profiles.formats.headers import column as known_column
from simulators.profiles.profile import Profile
from simulators.profiles.readers import OPTIONS
from simulators.profiles.registry import detect
from simulators.profiles.weather import FIELDS

KINDS = ("carbon", "marginal", "price", "pv", "wind", "load", "weather", "forecasts")
"""What a file may be read as."""


@dataclass(frozen=True)
class Series:
    """One series, for a picture: name, unit, start (UTC), step, s, and values."""

    name: str
    unit: str
    start: datetime
    step_s: int
    values: NDArray[np.float64]


@dataclass(frozen=True)
class Finding:
    """What a file is as one kind of profile.

    Attributes
    ----------
    kind
        One of `KINDS`.
    facts
        Name and text, in the order of reading.
    series
        What may be drawn.
    use
        Options that make a run use it.
    """

    kind: str
    facts: tuple[tuple[str, str], ...]
    series: tuple[Series, ...]
    use: str


def inspected(ref: FileRef, kind: str | None = None) -> tuple[Format, list[Finding]]:
    """The format of a file, and what it is as each kind of profile it holds, or as the one asked for.

    Raises
    ------
    InputError
        If it cannot be read, as what was asked for or as anything.
    """
    content = Content(ref.path, "", ref.decimal)
    known = detect(content, ref.format)
    if kind is not None and kind not in KINDS:
        raise InputError(f"--as {kind}: unknown, expected one of {', '.join(KINDS)}")
    kinds = [kind] if kind else _likely(content, known)
    findings: list[Finding] = []
    refused: list[tuple[str, InputError]] = []
    for name in kinds:
        try:
            findings.append(_found(ref, name, known))
        except InputError as error:
            refused.append((name, error))
    if not findings:
        raise refused[0][1]
    findings += [Finding(name, (("refused", _said_by(why, ref)),), (), "") for name, why in refused]
    return known, findings


def _said_by(error: InputError, ref: FileRef) -> str:
    return str(error).removeprefix(str(ref.path)).strip(": ")


def _found(ref: FileRef, kind: str, known: Format) -> Finding:
    """What a file is as one kind; one that is refused for its holes is shown with them filled, and says so."""
    look = {"weather": _weather, "forecasts": _forecasts}.get(kind, _profile)
    try:
        return look(ref, kind, known)
    except InputError as error:
        if ref.fill is not None:
            raise
        try:
            found = look(ref.model_copy(update={"fill": "previous"}), kind, known)
        except InputError:
            raise error from None
        return replace(found, facts=(("as it is", f"refused: {_said_by(error, ref)}"), *found.facts))


def _likely(content: Content, known: Format) -> list[str]:
    """Kinds that a file's format or its headers name; one of weather is tried as weather."""
    ahead = ["forecasts"] if known.issued is not None else []
    if known.series is None:
        return ["weather"] if known.weather is not None else ahead
    sheet = known.series(content)
    others = [str(name) for name in sheet.table.frame.columns if str(name) != sheet.time]
    found = {
        entry.quantity for name in others if (entry := sheet.columns.get(name) or known_column(name, others))
    }
    kinds = [name for name in KINDS if name in found]
    if known.weather is not None and not kinds:
        kinds.append("weather")
    kinds = [*kinds, "carbon"] if "mix" in found and "carbon" not in kinds else kinds
    return [*(kinds or ["carbon", "price"]), *ahead]


def _profile(ref: FileRef, kind: str, known: Format) -> Finding:
    profile = ref.read(kind)
    of_kind = ", ".join(filter(None, (profile.kind, profile.basis)))
    stated = "" if profile.kind_known else " (the file does not say: it counts as average)"
    facts = [
        ("format", f"{known.title} ({known.name}), known by: {known.sign}"),
        ("column", profile.column),
        ("quantity", profile.name),
        *([("kind", of_kind + stated)] if of_kind else []),
        ("unit", f"{profile.unit}{_read_from(profile)}"),
        (
            "times",
            f"stand at: {ref.label or known.label}; {ref.timezone or 'zone as the format or the file says'}",
        ),
        *_span(profile.start, profile.step_s, len(profile.values)),
        ("gaps", _gaps(ref, known, profile)),
        ("values", _statistics(profile.values)),
        *_day(profile),
    ]
    if profile.estimated is not None:
        facts.append(("estimated", f"{profile.estimated.mean():.1%} of the values, says the publisher"))
    if done := profile.source.removeprefix(str(ref.path)).strip():
        facts.append(("done", done))
    series = Series(profile.name, profile.unit, profile.start, profile.step_s, profile.values)
    return Finding(
        kind, tuple(facts), (series,), _use(ref, OPTIONS.get(kind, ""), profile.start, profile.end)
    )


def _read_from(profile: Profile) -> str:
    return "" if profile.column.endswith(f"[{profile.unit}]") else f", from '{profile.column}'"


def _weather(ref: FileRef, kind: str, known: Format) -> Finding:
    weather = ref.read_weather()
    place = "not in the file: the site's is taken"
    if weather.own_place:
        place = f"{weather.latitude:g}, {weather.longitude:g}, {weather.altitude_m:g} m"
    facts = [
        ("format", f"{known.title} ({known.name}), known by: {known.sign}"),
        ("quantity", "weather of a typical year" if weather.cyclic else "weather"),
        ("place", place),
        ("times", f"stand at: {ref.label or known.label}"),
        *_span(weather.start, weather.step_s, weather.steps),
    ]
    series = []
    for field in FIELDS:
        if getattr(weather, field) is not None:
            column = weather.column(field)
            facts.append((column.name, f"{_statistics(column.values)} {column.unit}"))
            series.append(Series(column.name, column.unit, column.start, column.step_s, column.values))
    if weather.ghi_w_m2 is None:
        facts.append(("irradiance", "none: a run needs --without pv, or --pv-profile"))
    elif not weather.own_place:
        facts.append(("sun", "not checked: the file names no place"))
    if done := weather.source.removeprefix(str(ref.path)).strip():
        facts.append(("done", done))
    end = weather.start + timedelta(seconds=weather.step_s * weather.steps)
    use = _use(ref, kind, None if weather.cyclic else weather.start, end)
    return Finding(kind, tuple(facts), tuple(series), use)


def _forecasts(ref: FileRef, kind: str, known: Format) -> Finding:
    read = read_forecasts(ref.path, ref.format, ref.decimal)
    first, last = (datetime.fromtimestamp(float(read.at_s[i]), UTC) for i in (0, -1))
    count = read.values.shape[1]
    facts = (
        ("format", f"{known.title} ({known.name}), known by: {known.sign}"),
        ("quantity", f"{read.kind} carbon intensity, as it was told ahead"),
        ("unit", "gCO2eq/kWh"),
        ("issued", f"{len(read.at_s):,} times, {first:%Y-%m-%d %H:%M} to {last:%Y-%m-%d %H:%M} UTC"),
        ("ahead", f"{count} values, {read.lead_s / 60:g} min apart: {count * read.lead_s / 3600:g} h"),
        ("values", _statistics(read.values.ravel())),
    )
    return Finding(kind, facts, (), f"--carbon-forecast {ref.path} --forecast file")


def _span(start: datetime, step_s: int, steps: int) -> list[tuple[str, str]]:
    end = start + timedelta(seconds=step_s * steps)
    step = f"{step_s // 60} min" if step_s % 60 == 0 else f"{step_s} s"
    return [
        ("range", f"{start:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M} UTC, {step_s * steps / 86400:.6g} days"),
        ("resolution", f"{step}, {steps:,} intervals"),
    ]


def _gaps(ref: FileRef, known: Format, profile: Profile) -> str:
    """Missing rows and missing values, before any fill rule."""
    assert known.series is not None
    sheet = known.series(Content(ref.path, "", ref.decimal))
    zone = ref.timezone or sheet.timezone
    axis = read_axis(sheet.table, sheet.time, zone, "start", FillRule("previous"), ref.start)
    rows = int(axis.positions.max()) + 1 - len(axis.positions)
    empty = int(np.isnan(sheet.table.numbers(profile.column)).sum())
    return f"{rows} rows missing, {empty} rows without a value" if rows or empty else "none"


def _statistics(values: NDArray[np.float64]) -> str:
    low, five, middle, high, top = np.percentile(values, [0, 5, 50, 95, 100])
    return (
        f"mean {values.mean():.4g}, least {low:.4g}, 5 % {five:.4g}, median {middle:.4g}, 95 % {high:.4g}, "
        f"most {top:.4g}"
    )


def _day(profile: Profile) -> list[tuple[str, str]]:
    """When in the day it is low and high, in UTC, if it covers two days or more."""
    if len(profile.values) * profile.step_s < 2 * 86400 or profile.step_s > 3600:
        return []
    hours = day_means(profile.start, profile.step_s, profile.values)
    low, high = int(np.argmin(hours)), int(np.argmax(hours))
    text = f"lowest {hours.min():.4g} at {low:02d} h, highest {hours.max():.4g} at {high:02d} h UTC"
    return [("mean day", text)]


def day_means(start: datetime, step_s: int, values: NDArray[np.float64]) -> pd.Series[float]:
    """Mean of every hour of the day, UTC."""
    times = pd.date_range(start, periods=len(values), freq=pd.Timedelta(seconds=step_s))
    return pd.Series(values).groupby(times.hour).mean()


def _use(ref: FileRef, option: str, start: datetime | None, end: datetime) -> str:
    """The options that make a run use the file as it was read here."""
    if not option:
        return "no command takes it"
    given: Mapping[str, object] = ref.model_dump(exclude_defaults=True, mode="json")
    words = [f"--{option} {ref.path}"]
    words += [f"--{option}-{name} {value}" for name, value in given.items() if name != "path"]
    if start is not None:
        midnight = start if start.time() == datetime.min.time() else start + timedelta(days=1)
        whole = midnight.replace(hour=0, minute=0, second=0)
        first = f"{whole:%Y-%m-%d}" if whole < end else f"{start:%Y-%m-%dT%H:%MZ}"
        words.append(f"--start {first} (or --{option}-align calendar in a run of another year)")
    return " ".join(words)
