"""A user's own power curve: a table of wind speed at hub height, m/s, and power, W, kW or MW."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from simulators.errors import InputError
from simulators.generation.turbines import Turbine
from simulators.profiles.formats.base import Content
from simulators.profiles.tables import Table

HEADER = "wind_speed[m/s],power[kW]"
SPEED_UNITS = ("m/s", "m_s", "mps", "ms-1", "m s-1", "ms^-1")
POWER_UNITS = {"w": 1.0, "kw": 1e3, "mw": 1e6}
FASTEST_M_S, STRONGEST_W = 60.0, 30e6
"""Beyond every turbine there is (70 m/s is what they must survive standing still; the largest make 26 MW)."""

_UNIT = re.compile(r"[\[(]\s*(.+?)\s*[\])]\s*$|(?:^|[_ ])(kw|mw|w|m_s|mps)$", re.IGNORECASE)


def read_power_curve(path: Path) -> Turbine:
    """The turbine of a power curve at 1.225 kg/m3; rated at its peak, still below the first and above the last speed.

    Other columns may stand beside; two whose header names a unit of power, one of them called power, are no doubt.

    Raises
    ------
    InputError
        If the file cannot be read, or is no power curve: it names row and column.
    """
    table = Content(path, option="").table()
    names = [str(name) for name in table.frame.columns]
    speed = _column(table, "wind speed", "m/s", [name for name in names if _unit(name) in SPEED_UNITS])
    power = _column(table, "power", "kW", [name for name in names if _unit(name) in POWER_UNITS])
    speed_m_s = table.numbers(speed)
    power_w = table.numbers(power) * POWER_UNITS[_unit(power)]
    for values, name, high, most in (
        (speed_m_s, speed, FASTEST_M_S, f"0 to {FASTEST_M_S:g} m/s"),
        (power_w, power, STRONGEST_W, f"0 (also where it draws power) to {STRONGEST_W / 1e6:g} MW"),
    ):
        bad = np.flatnonzero(~((values >= 0) & (values <= high)))
        if len(bad):
            cell = table.frame[name].iloc[bad[0]]
            raise table.error(int(bad[0]), f"'{cell}' in column '{name}'", most)
    falls = np.flatnonzero(np.diff(speed_m_s) <= 0)
    if len(falls):
        row = int(falls[0]) + 1
        raise table.error(
            row, f"wind speed {speed_m_s[row]:g} m/s after {speed_m_s[row - 1]:g}", "rising wind speeds"
        )
    if len(power_w) < 3 or not power_w.any():
        raise InputError(f"{path}: {len(power_w)} rows, at most {power_w.max():g} W; expected a power curve")
    return Turbine(
        path.name, f"own curve {path.name}", float(power_w.max()), speed_m_s, power_w, str(path), None
    )


def _unit(name: object) -> str:
    """The unit a header names, in lower case; empty if it names none."""
    found = _UNIT.search(str(name).strip())
    return "" if found is None else (found[1] or found[2]).lower()


def _column(table: Table, what: str, unit: str, found: list[str]) -> str:
    """The one column of a quantity; the one that bears its name, if several have its unit."""
    named = [name for name in found if what.split()[-1] in name.lower()]
    found = named if len(found) > 1 and len(named) == 1 else found
    if len(found) == 1:
        return found[0]
    problem = f"{len(found)} columns" if found else "no column"
    raise InputError(
        f"{table.path}: {problem} of {what} with its unit; it has {table.columns()}; expected a header such as {HEADER}"
        f" ({what} in {unit})"
    )
