"""Finds what a network's tables hold that no power flow can work with, and names it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np
import pandapower
import pandas as pd
from numpy.typing import NDArray

from simulators.errors import InputError
from simulators.grid.tables import SCALARS, SWITCHED, TABLES, Table

Flags = NDArray[np.bool_]

_NUMBER, _POSITIVE, _FLAG = "a number", "a number above 0", "true or false"
_MOST_INDEX = 2**53
_LEAST_OHM = 1e-9
_NEGATIVE_FROM_KV = 100.0
"""Reduced networks of transmission have branches of negative resistance or reactance, and series capacitors are such:
among pandapower's own, case145, case300 and iceland. Below, a negative impedance is a slip."""

_TAP_CHANGERS = ("Ratio", "Symmetrical", "Ideal", "Tabular")
_RATIO = 3.0
"""How far the rated voltage of a transformer may be from that of its bus."""


def refuse_damage(net: Any, where: str) -> None:
    """Raise an `InputError` for the first value that pandapower's power flow cannot work with.

    Numbers that a file holds as other objects become numbers.

    Parameters
    ----------
    net
        A ``pandapowerNet``.
    where
        How to call it, e.g. ``network file my_net.json``.

    Raises
    ------
    InputError
        One line: `where`, table, index, column, what stands there and what was expected. Elements out of service
        are only held to what their rows refer to.

    Examples
    --------
    >>> from simulators.grid.sources import load_network
    >>> net = load_network("four_load_branch")
    >>> net.line.loc[2, "x_ohm_per_km"] = float("nan")
    >>> refuse_damage(net, "network file my_net.json")
    Traceback (most recent call last):
    simulators.errors.InputError: network file my_net.json, line 2, x_ohm_per_km: nan given, expected a number
    """
    for name, most in SCALARS.items():
        value = pd.to_numeric(pd.Series([net.get(name)]), errors="coerce").iloc[0]
        if not (np.isfinite(value) and value > 0.0):
            raise InputError(f"{where}, {name}: {net.get(name)} given, expected {_POSITIVE}")
        if value > most:
            raise InputError(f"{where}, {name}: {net.get(name)} given, expected at most {most:g}")
    usual = _usual_types()
    for name in TABLES:
        if not isinstance(net.get(name), pd.DataFrame):
            raise InputError(f"{where}, table {name}: not there, expected a table, if an empty one")
    for name, rules in TABLES.items():
        if len(net[name]):
            rows = _Rows(net, name, where)
            rows.check(rules)
            rows.become(usual[name])


@cache
def _usual_types() -> dict[str, Mapping[str, Any]]:
    """Table -> types of its columns as pandapower makes them."""
    empty = pandapower.create_empty_network()
    return {name: empty[name].dtypes for name in TABLES}


def refuse_text(tables: Mapping[str, Mapping[str, Any]], where: str) -> None:
    """Raise an `InputError` for the first value that is no number in a column that a file says holds numbers.

    pandapower's reader would trip over a number, and takes any text for true.

    Parameters
    ----------
    tables
        Table -> its ``columns``, ``index``, ``data`` (rows) and ``dtype`` (by column), as in a pandapower file.
    where
        How to call it.
    """
    for name, table in tables.items():
        _refuse_rows(name, table, where)
        for at, column in enumerate(table["columns"]):
            kind = str(table["dtype"].get(column, "object"))
            if not kind.lower().startswith(("float", "int", "uint", "bool")):
                continue
            needed = (
                kind.startswith(("int", "uint")) or kind == "bool"
            )  # pandas' own Int64 and boolean may be empty
            expected = _FLAG if kind.lower().startswith("bool") else _NUMBER
            for index, row in zip(table["index"], table["data"], strict=False):
                value = row[at] if isinstance(row, list) and at < len(row) else None
                whole = kind.lower().startswith(("int", "uint"))
                odd = whole and isinstance(value, float) and value % 1.0 != 0.0
                beyond = whole and isinstance(value, int | float) and abs(value) > _MOST_INDEX
                unclear = expected == _FLAG and value not in (None, True, False)
                if isinstance(value, str) or (value is None and needed) or odd or beyond or unclear:
                    raise InputError(
                        f"{where}, {name} {index}, {column}: {value!r} given, expected {expected}"
                    )


def _refuse_rows(name: str, table: Mapping[str, Any], where: str) -> None:
    """Indices, rows and columns that do not belong together; pandas would fill up, or stop without a place."""
    indices, rows, columns = (len(table[part]) for part in ("index", "data", "columns"))
    if indices != rows:
        raise InputError(f"{where}, table {name}: {indices} indices for {rows} rows")
    for index, row in zip(table["index"], table["data"], strict=True):
        if not isinstance(row, list) or len(row) != columns:
            count = len(row) if isinstance(row, list) else "no"
            raise InputError(f"{where}, {name} {index}: {count} values given, expected {columns}")


class _Rows:
    """The rows of one table."""

    def __init__(self, net: Any, name: str, where: str) -> None:
        self.net, self.name, self.where = net, name, where
        self.table: pd.DataFrame = net[name]

    def check(self, rules: Table) -> None:
        """All rules, references first: what an element is tells more than what it holds."""
        if len(twice := self.table.index[self.table.index.duplicated()]):
            raise InputError(f"{self.where}, {self.name} {twice[0]}: index given twice, expected each once")
        for column, target in rules.refers:
            self._refuse(column, ~self._known(column, target), f"an index of table {target}")
        for column in rules.flags:
            known = self._column(column).isin((True, False)).to_numpy()
            self._refuse(column, ~known, _FLAG)
        used = self._column(rules.flags[0]).astype(bool).to_numpy()
        for column in rules.there:
            self._column(column)
        for column in rules.finite:
            self._refuse(column, used & ~np.isfinite(self._numbers(column)), _NUMBER)
        for column in rules.positive:
            values = self._numbers(column)
            self._refuse(column, used & ~(np.isfinite(values) & (values > 0.0)), _POSITIVE)
        for column, low, high in rules.within:
            values = self._numbers(column)
            self._refuse(column, used & ((values < low) | (values > high)), f"from {low:g} to {high:g}")
        for column, other in rules.apart:
            same = self._column(column).to_numpy() == self._column(other).to_numpy()
            self._refuse(column, used & same, f"another bus than {other}")
        self._check_impedances(rules, used)
        self._check_optional(rules, used)
        if rules.tap:
            self._check_taps(used)
        self._check_special(used)

    def become(self, usual: Mapping[str, Any]) -> None:
        """Columns in pandapower's own types; a text among numbers is refused."""
        for column, dtype in usual.items():
            if dtype.kind not in "fiub" or column not in self.table or self.table[column].dtype == dtype:
                continue
            values = pd.to_numeric(self.table[column], errors="coerce")
            odd = (self.table[column].notna() & values.isna()).to_numpy()
            self._refuse(column, odd, _FLAG if dtype.kind == "b" else _NUMBER)
            if dtype.kind == "b":
                values = values.fillna(0.0)
            whole = dtype.kind not in "iu" or not (values.isna() | (values % 1 != 0) | (values < 0)).any()
            self.table[column] = values.astype(dtype if whole else "float64")

    def _column(self, column: str) -> Any:
        if column not in self.table:
            raise InputError(f"{self.where}, table {self.name}: no column {column}")
        return self.table[column]

    def _numbers(self, column: str) -> NDArray[np.float64]:
        found: NDArray[np.float64] = pd.to_numeric(self._column(column), errors="coerce").to_numpy(np.float64)
        return found

    def _known(self, column: str, target: str) -> Flags:
        known: Flags = self._column(column).isin(self.net[target].index).to_numpy()
        return known

    def _refuse(self, column: str, wrong: Flags, expected: str) -> None:
        if wrong.any():
            at = int(np.flatnonzero(wrong)[0])
            index, value = self.table.index[at], self.table[column].iloc[at]
            given = repr(value) if isinstance(value, str) else value
            raise InputError(
                f"{self.where}, {self.name} {index}, {column}: {given} given, expected {expected}"
            )

    def _check_impedances(self, rules: Table, used: Flags) -> None:
        for group in rules.impedance:
            values = [self._numbers(column) for column in group]
            for column, numbers in zip(group, values, strict=True):
                self._refuse(column, used & ~np.isfinite(numbers), _NUMBER)
            none = np.logical_and.reduce([numbers == 0.0 for numbers in values])
            others = f", or {' and '.join(group[:-1])} not 0" if len(group) > 1 else ""
            self._refuse(group[-1], used & none, f"an impedance: a number not 0{others}")

    def _check_optional(self, rules: Table, used: Flags) -> None:
        for column in (*rules.optional, *rules.optional_positive):
            if column not in self.table:
                continue
            there = used & self.table[column].notna().to_numpy()
            values = self._numbers(column)
            self._refuse(column, there & ~np.isfinite(values), _NUMBER)
            if column in rules.optional_positive:
                self._refuse(column, there & (values <= 0.0), _POSITIVE)
        for low, high in rules.ordered:
            if low in self.table and high in self.table:
                above = self._numbers(low) > self._numbers(high)
                self._refuse(low, used & above, f"at most {high}")

    def _check_taps(self, used: Flags) -> None:
        """A tap changer with a side, and a position, neutral or step, needs position and neutral."""
        if "tap_dependency_table" in self.table:
            tabled = used & self.table.tap_dependency_table.isin((True,)).to_numpy()
            self._refuse(
                "id_characteristic_table",
                tabled & ~np.isfinite(self._numbers("id_characteristic_table")),
                _NUMBER,
            )
        if not {"tap_side", "tap_pos"} <= set(self.table):
            return
        sided = used & self.table.tap_side.notna().to_numpy()
        self._refuse(
            "tap_side", sided & ~self.table.tap_side.isin(("hv", "mv", "lv")).to_numpy(), "hv, mv or lv"
        )
        steps = [column for column in ("tap_step_percent", "tap_step_degree") if column in self.table]
        moved = sided & np.any(
            [np.isfinite(self._numbers(column)) for column in ("tap_pos", "tap_neutral", *steps)], axis=0
        )
        for column in ("tap_pos", "tap_neutral"):
            self._refuse(column, moved & ~np.isfinite(self._numbers(column)), _NUMBER)

        if "tap_changer_type" in self.table:
            kind = self.table.tap_changer_type
            unknown = used & kind.notna().to_numpy() & ~kind.isin((*_TAP_CHANGERS, "None", "")).to_numpy()
            self._refuse("tap_changer_type", unknown, f"one of {', '.join(_TAP_CHANGERS)}")
        if "tap_step_percent" in steps:
            away = (self._numbers("tap_pos") - self._numbers("tap_neutral")) * self._numbers(
                "tap_step_percent"
            )
            self._refuse(
                "tap_pos", moved & (np.abs(away) >= 100.0), "a ratio within 100 % of the neutral one"
            )

    def _check_branch(self, used: Flags) -> None:
        """Impedances of lines and transformers that no real one has."""
        kv = self.net.bus.vn_kv.reindex(self.table["from_bus" if self.name == "line" else "hv_bus"])
        low = used & (pd.to_numeric(kv, errors="coerce").to_numpy(np.float64) < _NEGATIVE_FROM_KV)
        if self.name == "line":
            r, x = self._numbers("r_ohm_per_km"), self._numbers("x_ohm_per_km")
            for column, values in (("r_ohm_per_km", r), ("x_ohm_per_km", x)):
                self._refuse(column, low & (values < 0.0), "at least 0, on a line of less than 100 kV")
            ohm = np.hypot(r, x) * self._numbers("length_km")
            least = used & (ohm < _LEAST_OHM)
            self._refuse("x_ohm_per_km", least, f"an impedance of at least {_LEAST_OHM:g} ohm; use a switch")
            return
        self._refuse(
            "vk_percent", low & (self._numbers("vk_percent") < 0.0), "above 0, fed from less than 100 kV"
        )
        for side in ("hv", "lv"):
            at_bus = self.net.bus.vn_kv.reindex(self.table[f"{side}_bus"]).to_numpy(np.float64)
            ratio = self._numbers(f"vn_{side}_kv") / at_bus
            odd = used & ((ratio > _RATIO) | (ratio < 1.0 / _RATIO))
            self._refuse(f"vn_{side}_kv", odd, f"about vn_kv of {side}_bus")

    def _check_special(self, used: Flags) -> None:
        if self.name in ("line", "trafo"):
            self._check_branch(used)
        if self.name == "switch":
            resistance = self._numbers("z_ohm")
            self._refuse("z_ohm", resistance < 0.0, "at least 0")
            for kind, target in SWITCHED.items():
                of_kind = (self._column("et") == kind).to_numpy()
                self._refuse(
                    "element", of_kind & ~self._known("element", target), f"an index of table {target}"
                )
            self._refuse("et", ~self.table.et.isin(SWITCHED).to_numpy(), f"one of {', '.join(SWITCHED)}")
        elif self.name == "motor":
            self._refuse("cos_phi", used & (self._numbers("cos_phi") > 1.0), "at most 1")
        elif self.name in ("trafo", "trafo3w"):
            for side in ("",) if self.name == "trafo" else ("hv_", "mv_", "lv_"):
                whole, part = f"vk_{side}percent", f"vkr_{side}percent"
                beyond = np.abs(self._numbers(part)) > np.abs(self._numbers(whole))
                self._refuse(part, used & beyond, f"at most {whole}")
