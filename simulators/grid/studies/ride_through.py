"""Voltage dips against ride-through curves, and the counters that keep data centres on their own supply."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from simulators.errors import InputError
from simulators.paths import DATA
from simulators.profiles.formats.base import Content
from simulators.profiles.tables import Table
from simulators.quantities.factor import Factor

FOLDER = DATA / "ride_through"
CURVES = {"itic": FOLDER / "itic.csv", "ercot_lel": FOLDER / "ercot_lel.csv"}
DIPS = {"nerc-2024": FOLDER / "nerc_2024-07-10.csv"}

COUNT = Factor(
    value=3.0,
    low=1.0,
    high=5.0,
    unit="1",
    source="disturbances within a minute after which data centres stayed on their own supply until they were returned "
    "by hand: NERC, Incident Review of January 2025; the range is an estimate, ERCOT's NOGRR 282 forbids counting",
)
WITHIN_S = Factor(value=60.0, low=60.0, high=60.0, unit="s", source=COUNT.source)
REQUALIFY_S = Factor(
    value=10.0,
    low=1.0,
    high=30.0,
    unit="s",
    source="an estimate: how long a UPS watches the supply before it takes it again",
)


class Dip(NamedTuple):
    """A voltage away from nominal: from when (s of the run), for how long, s, and how high, p.u.; above 1 a swell."""

    at_s: float
    duration_s: float
    voltage_pu: float


@dataclass(frozen=True)
class Curve:
    """What a load bears.

    Attributes
    ----------
    name, source
        Of the file.
    duration_s, voltage_pu
        Corners: a voltage as low as this (above 1: as high) is borne for so long; shape (corners,).
    """

    name: str
    source: str
    duration_s: NDArray[np.float64]
    voltage_pu: NDArray[np.float64]

    def borne_s(self, voltage_pu: float) -> float:
        """How long a voltage is borne, s; 0 beyond all corners.

        Examples
        --------
        >>> read_curve("itic").borne_s(0.75), read_curve("itic").borne_s(1.0)
        (0.5, inf)
        """
        low = voltage_pu <= 1.0
        side = (self.voltage_pu <= 1.0) == low
        if not side.any():
            return math.inf
        corners = self.voltage_pu[side]
        met = corners <= voltage_pu if low else corners >= voltage_pu
        return float(self.duration_s[side][met].max(initial=0.0))

    def rides_through(self, dip: Dip) -> bool:
        """Whether a dip leaves the load where it is.

        Examples
        --------
        >>> six = read_dips("nerc-2024")
        >>> [sum(map(read_curve(name).rides_through, six)) for name in CURVES]
        [0, 6]
        """
        return dip.duration_s <= self.borne_s(dip.voltage_pu)


class Transfer(NamedTuple):
    """A time on the own supply: from and until (s; inf: nobody returns it), and whether a counter kept it there."""

    from_s: float
    until_s: float
    kept: bool


@dataclass(frozen=True)
class Rule:
    """What follows a dip that is not borne.

    Attributes
    ----------
    count
        Such dips within `within_s` after which the load stays on its own supply; 0: never.
    within_s
        See `count`.
    requalify_s
        How long after the last dip the load returns by itself.
    by_hand_s
        How long after the counter has kept it there it is returned by hand; inf: not in this run.
    """

    count: int = round(COUNT.value)
    within_s: float = WITHIN_S.value
    requalify_s: float = REQUALIFY_S.value
    by_hand_s: float = math.inf


def transfers(dips: Sequence[Dip], curve: Curve, rule: Rule) -> list[Transfer]:
    """Times on the own supply.

    Dips are what the supply does, so that they are counted while the load is away from it too.

    Examples
    --------
    >>> six = read_dips("nerc-2024")
    >>> transfers(six, read_curve("itic"), Rule())[-1]  # the third, after 33 s, keeps it there
    Transfer(from_s=32.8, until_s=inf, kept=True)
    >>> transfers(six, read_curve("ercot_lel"), Rule())
    []
    """
    found: list[Transfer] = []
    seen: list[float] = []
    for dip in sorted(dips):
        if curve.rides_through(dip):
            continue
        seen = [at for at in seen if at > dip.at_s - rule.within_s] + [dip.at_s]
        if found and dip.at_s < found[-1].until_s:
            if found[-1].kept:
                continue
            dip = dip._replace(at_s=found[-1].from_s, duration_s=dip.at_s + dip.duration_s - found[-1].from_s)
            found.pop()
        kept = rule.count > 0 and len(seen) >= rule.count
        ends = seen[-1] + rule.by_hand_s if kept else dip.at_s + dip.duration_s + rule.requalify_s
        found.append(Transfer(dip.at_s, ends, kept))
        seen = [] if kept else seen
    return found


def read_curve(name: str | Path) -> Curve:
    """A bundled curve by name, or one of a table with ``duration_s`` (``inf``: for ever) and ``voltage_pu``.

    Raises
    ------
    InputError
        If there is none, or a value is out of range.
    """
    table = _table(name, CURVES, "ride-through curve", ("duration_s", "voltage_pu"))
    duration_s, voltage_pu = _durations(table), table.numbers("voltage_pu")
    _check(table, "duration_s", duration_s, 0.0, math.inf)
    _check(table, "voltage_pu", voltage_pu, 0.0, 10.0)
    title = table.comments.get("name", Path(table.path).name)
    return Curve(title, table.comments.get("source", str(table.path)), duration_s, voltage_pu)


def read_dips(name: str | Path) -> list[Dip]:
    """Bundled dips by name, or those of a table with ``at_s``, ``duration_s`` and ``voltage_pu``.

    Raises
    ------
    InputError
        If there is none, or a value is out of range.
    """
    table = _table(name, DIPS, "list of dips", ("at_s", "duration_s", "voltage_pu"))
    columns = [table.numbers("at_s"), table.numbers("duration_s"), table.numbers("voltage_pu")]
    for column, values, most in zip(
        ("at_s", "duration_s", "voltage_pu"), columns, (86_400.0, 600.0, 3.0), strict=True
    ):
        _check(table, column, values, 0.0, most)
    return sorted(Dip(*map(float, row)) for row in zip(*columns, strict=True))


def _table(name: str | Path, bundled: dict[str, Path], what: str, columns: tuple[str, ...]) -> Table:
    path = bundled.get(str(name), Path(name))
    if not path.is_file():
        raise InputError(f"{name}: no such {what}, expected {', '.join(bundled)} or a file")
    table = Content(path, option="").table()
    missing = [column for column in columns if column not in table.frame.columns]
    if missing:
        raise InputError(
            f"{path}: no column '{missing[0]}'; it has {table.columns()}; expected {','.join(columns)}"
        )
    return table


def _durations(table: Table) -> NDArray[np.float64]:
    """Numbers, and ``inf``."""
    cells = table.frame["duration_s"]
    endless = cells.astype("string").str.strip().str.lower().isin(["inf", "infinity"]).to_numpy(dtype=bool)
    changed = table.frame.assign(duration_s=cells.mask(endless, "0"))
    values = Table(table.path, changed, table.first_row, table.comments, table.sha256, option="").numbers(
        "duration_s"
    )
    return np.where(endless, np.inf, values)


def _check(table: Table, column: str, values: NDArray[np.float64], low: float, high: float) -> None:
    bad = np.flatnonzero(~((values >= low) & (values <= high)))
    if len(bad):
        cell = table.frame[column].iloc[bad[0]]
        raise table.error(int(bad[0]), f"'{cell}' in column '{column}'", f"{low:g} to {high:g}")
