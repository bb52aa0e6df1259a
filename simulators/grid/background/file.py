"""A network's own powers from a table of the user's: one column per element, per bus, or for all of a kind.

The header of a column says who follows it, and its unit::

    time,load 3 P[MW],load 3 Q[MVar],sgen WKA 1 P[kW],bus 100 P[MW],load P[1]

An element goes by its index or its name. ``[1]`` is a factor on what the file of the network says. What a column says
of one element goes before what another says of all, and a bus before both: then nothing else at that bus draws or feeds
in. Reactive power without a column of its own keeps the power factor of the network's file.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

import numpy as np
import pandapower
from numpy.typing import NDArray

from simulators.errors import InputError, nearest
from simulators.grid.background.background import Part
from simulators.grid.draws import SIGNS, Draws
from simulators.profiles.axis import on_axis, read_axis
from simulators.profiles.fileref import FileRef
from simulators.profiles.fill import parse_fill
from simulators.profiles.formats.base import Content
from simulators.profiles.formats.carbon import plain_sheet
from simulators.profiles.profile import Profile

_HEADER = re.compile(r"(?P<kind>\w+)(?:\s+(?P<element>.+?))?\s+(?P<quantity>[PQ])\s*\[(?P<unit>[^\]]*)\]")
_MEGA = {"P": {"MW": 1.0, "kW": 1e-3, "W": 1e-6}, "Q": {"MVar": 1.0, "kVar": 1e-3, "Var": 1e-6}}
_EXPECTED = "expected e.g. 'load 3 P[MW]', 'bus 100 P[MW]' or 'sgen P[1]'"
_QUANTITY = {"P": "p_mw", "Q": "q_mvar"}

Reals = NDArray[np.float64]
Rows = NDArray[np.int64]


def covered(ref: FileRef) -> tuple[datetime, int]:
    """Start of a table (UTC), and its length, s."""
    sheet = plain_sheet(Content(ref.path, "background", ref.decimal))
    rule = None if ref.fill is None else parse_fill(ref.fill)
    axis = read_axis(sheet.table, sheet.time, ref.timezone or "UTC", ref.label or "start", rule)
    return axis.start, axis.step_s * (int(axis.positions[-1]) + 1)


class Column(NamedTuple):
    """What one column of the file is about.

    Attributes
    ----------
    header
        As it stands there.
    kind, row
        Table and row of it; ``bus`` and the bus's index; row -1: all of the table.
    quantity
        ``P`` or ``Q``.
    mega
        MW or MVar per unit of its values; 0: they are factors.
    """

    header: str
    kind: str
    row: int
    quantity: str
    mega: float


class File:
    """A table of powers, read for one network, which gets a load at every bus that the table speaks of.

    Parameters
    ----------
    net
        A ``pandapowerNet``.
    ref
        The file.

    Raises
    ------
    InputError
        Whatever is wrong with the file; one line.
    """

    def __init__(self, net: Any, ref: FileRef) -> None:
        sheet = plain_sheet(Content(ref.path, "background", ref.decimal))
        table = sheet.table
        rule = None if ref.fill is None else parse_fill(ref.fill)
        axis = read_axis(table, sheet.time, ref.timezone or "UTC", ref.label or "start", rule)
        headers = [str(name) for name in table.frame.columns if str(name) != sheet.time]
        self.columns = [_column(net, header, str(ref.path)) for header in headers]
        if not self.columns:
            raise InputError(f"{ref.path}: no column but the time, {_EXPECTED}")
        _refuse_twice(self.columns, str(ref.path))
        self._profiles = []
        for header in headers:
            values, _ = on_axis(table, header, axis, table.numbers(header), rule)
            if not np.isfinite(values).all():
                raise table.error(
                    int(np.argmin(np.isfinite(values))), f"column '{header}' is infinite", "a number"
                )
            self._profiles.append(
                Profile(
                    header,
                    "",
                    axis.start,
                    axis.step_s,
                    values,
                    str(ref.path),
                    align=ref.align,
                    path=str(ref.path),
                    option="background",
                )
            )
        self._net = net
        self.buses = sorted({column.row for column in self.columns if column.kind == "bus"})
        self._ratios = {bus: _ratio(net, bus) for bus in self.buses}
        self._carriers = {bus: _carrier(net, bus) for bus in self.buses}

    def series(self, start: datetime, step_s: int, steps: int) -> Reals:
        """Means over the steps of a run; shape (steps, columns)."""
        return np.stack([profile.means(start, step_s, steps) for profile in self._profiles], axis=1)

    def parts(self, draws: Draws) -> list[Part]:
        """Who follows which series: all of a kind first, then single elements, then buses, which go before both."""
        of_all, single, of_bus = list[Part](), list[Part](), self._silence()
        for at, column in enumerate(self.columns):
            if column.kind == "bus":
                of_bus += self._bus(at, column)
            else:
                (of_all if column.row < 0 else single).extend(self._elements(at, column, draws))
        return [*of_all, *single, *of_bus]

    def _silence(self) -> list[Part]:
        """Nothing else at the buses that have a column; series 0 times nothing."""
        made = []
        for table in SIGNS:
            rows = np.flatnonzero(self._net[table].bus.isin(self.buses).to_numpy())
            made += [_part(table, quantity, rows, 0, np.zeros(len(rows))) for quantity in ("p_mw", "q_mvar")]
        return made

    def _bus(self, at: int, column: Column) -> list[Part]:
        row = np.array([self._carriers[column.row]])
        mega = np.array([column.mega])
        made = [_part("load", _QUANTITY[column.quantity], row, at, mega)]
        if column.quantity == "P" and not self._has(column, "Q"):
            made.append(_part("load", "q_mvar", row, at, mega * self._ratios[column.row]))
        return made

    def _elements(self, at: int, column: Column, draws: Draws) -> list[Part]:
        size = len(self._net[column.kind])
        rows = np.arange(size) if column.row < 0 else np.array([column.row])
        own = draws.own[column.kind]
        p_mw, q_mvar = own.p_mw[rows], own.q_mvar[rows]
        mine = p_mw if column.quantity == "P" else q_mvar
        factors = mine if column.mega == 0.0 else np.full(len(rows), column.mega)
        made = [_part(column.kind, _QUANTITY[column.quantity], rows, at, factors)]
        if column.quantity == "P" and not self._has(column, "Q"):
            ratio = np.divide(q_mvar, p_mw, out=np.zeros(len(rows)), where=p_mw != 0.0)
            of_q = q_mvar if column.mega == 0.0 else factors * ratio
            made.append(_part(column.kind, "q_mvar", rows, at, of_q))
        return made

    def _has(self, column: Column, quantity: str) -> bool:
        return any(
            c.kind == column.kind and c.row == column.row and c.quantity == quantity for c in self.columns
        )


def _part(table: str, quantity: str, rows: Rows, column: int, factors: Reals) -> Part:
    return Part(table, quantity, rows.astype(np.int64), np.full(len(rows), column, np.int64), factors)


def _column(net: Any, header: str, path: str) -> Column:
    found = _HEADER.fullmatch(header.strip())
    kinds = (*SIGNS, "bus")
    if found is None or found["kind"] not in kinds:
        hint = nearest(header.split()[0], kinds) if header.split() else ""
        raise InputError(f"{path}: column '{header}', {_EXPECTED}{hint}")
    kind, element, quantity, unit = (found[name] for name in ("kind", "element", "quantity", "unit"))
    mega = 0.0 if unit == "1" else _MEGA[quantity].get(unit)
    if mega is None:
        raise InputError(
            f"{path}: column '{header}': unit '{unit}', expected one of {', '.join(_MEGA[quantity])}, or 1 for a factor"
        )
    if kind == "gen" and quantity == "Q":
        raise InputError(f"{path}: column '{header}': generators hold their voltage, expected P")
    if mega == 0.0 and kind == "bus":
        raise InputError(f"{path}: column '{header}': a bus has no power to multiply, expected MW or MVar")
    if element is None:
        if mega != 0.0:
            raise InputError(f"{path}: column '{header}': a power of which {kind}? {_EXPECTED}")
        return Column(header, kind, -1, quantity, mega)
    return Column(
        header, kind, _row(net, kind, element.strip(), f"{path}: column '{header}'"), quantity, mega
    )


def _row(net: Any, kind: str, element: str, where: str) -> int:
    """Row of an element, or index of a bus, given by index or name."""
    table = net[kind]
    if re.fullmatch(r"\d+", element) and int(element) in table.index:
        return int(element) if kind == "bus" else int(table.index.get_loc(int(element)))
    named = np.flatnonzero((table["name"] == element).to_numpy())
    if len(named) != 1:
        count = f"{len(named)} are called so" if len(named) else "not in the network"
        raise InputError(f"{where}: {kind} {element!r}: {count}; expected the index or the name of one")
    return int(table.index[named[0]]) if kind == "bus" else int(named[0])


def _refuse_twice(columns: Sequence[Column], path: str) -> None:
    seen: dict[tuple[str, int, str], str] = {}
    for column in columns:
        key = (column.kind, column.row, column.quantity)
        if key in seen:
            raise InputError(
                f"{path}: columns '{seen[key]}' and '{column.header}' are of the same, expected one"
            )
        seen[key] = column.header
        if (
            column.quantity == "Q"
            and column.kind == "bus"
            and (column.kind, column.row, "P") not in {(c.kind, c.row, c.quantity) for c in columns}
        ):
            raise InputError(f"{path}: column '{column.header}', expected one with its P as well")


def _ratio(net: Any, bus: int) -> float:
    """Reactive per active power of what loads draw at a bus; 0 where they draw none."""
    here = net.load[(net.load.bus == bus) & net.load.in_service.astype(bool)]
    p_mw = float((here.p_mw * here.scaling).sum())
    return float((here.q_mvar * here.scaling).sum()) / p_mw if p_mw else 0.0


def _carrier(net: Any, bus: int) -> int:
    """Row of the load that draws what the file says of a bus: one made for it."""
    pandapower.create_load(net, bus, p_mw=0.0, q_mvar=0.0, name=f"background of bus {bus}")
    return len(net.load) - 1
