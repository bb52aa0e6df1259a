"""Limits exceeded, from when to when: violations of consecutive steps joined."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime

import pandas as pd

from simulators.grid.limits import POWER_UNITS, Violation
from simulators.grid.network import Network

SECONDS_PER_HOUR = 3600.0

Key = tuple[str, int, str]
"""Table and index of an element, and kind of limit."""


@dataclass
class Spell:
    """One limit of one element exceeded without a break.

    Attributes
    ----------
    worst, at_s
        What, at its worst, and when, s.
    first_s, end_s
        From when to when, s.
    beyond_hours
        Sum of value less limit times hours, in the violation's unit times h; NaN where there is no value.
    """

    worst: Violation
    at_s: int
    first_s: int
    end_s: int
    beyond_hours: float

    @property
    def hours(self) -> float:
        """How long."""
        return (self.end_s - self.first_s) / SECONDS_PER_HOUR

    @property
    def key(self) -> Key:
        """Which limit of which element."""
        return self.worst.element, self.worst.index, self.worst.kind


@dataclass
class Spells:
    """The spells of a run, in the order they began.

    Examples
    --------
    >>> spells, overload = Spells(), Violation("line", 3, "overload", 104.0, 100.0)
    >>> for at_s in (0, 900, 2700):
    ...     spells.see([overload], at_s, 900)
    >>> [(spell.first_s, spell.end_s, spell.beyond_hours) for spell in spells.found]
    [(0, 1800, 2.0), (2700, 3600, 1.0)]
    """

    found: list[Spell] = field(default_factory=list)
    _last: dict[Key, Spell] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        self._last.update({spell.key: spell for spell in self.found})

    def see(self, violations: Iterable[Violation], at_s: int, step_s: int) -> None:
        """Take in what was exceeded in [`at_s`, `at_s` + `step_s`)."""
        for violation in violations:
            beyond = abs(violation.value - violation.limit) * step_s / SECONDS_PER_HOUR
            key = (violation.element, violation.index, violation.kind)
            spell = self._last.get(key)
            if spell is None or spell.end_s != at_s:
                spell = self._last[key] = Spell(violation, at_s, at_s, at_s + step_s, beyond)
                self.found.append(spell)
                continue
            spell.end_s = at_s + step_s
            spell.beyond_hours += beyond
            if violation.rank > spell.worst.rank:
                spell.worst, spell.at_s = violation, at_s

    def by_limit(self) -> Iterator[list[Spell]]:
        """Those of one limit of one element together, in the order of their first."""
        together: dict[Key, list[Spell]] = {}
        for spell in self.found:
            together.setdefault(spell.key, []).append(spell)
        yield from together.values()

    def frame(self, network: Network, start: datetime) -> pd.DataFrame:
        """One row per spell: element, kind, begin, end, worst value, depth, and depth times hours (e.g. p.u. h)."""
        begin = pd.Timestamp(start)
        rows = [
            (
                *(spell.worst.element, spell.worst.index, network.violation_name(spell.worst)),
                spell.worst.kind,
                begin + pd.Timedelta(seconds=spell.first_s),
                begin + pd.Timedelta(seconds=spell.end_s),
                spell.hours,
                *(spell.worst.value, spell.worst.limit, abs(spell.worst.value - spell.worst.limit)),
                spell.beyond_hours,
                unit_of(spell.worst),
            )
            for spell in self.found
        ]
        return pd.DataFrame(rows, columns=list(COLUMNS))


COLUMNS = (
    *("element", "index", "name", "kind", "begin", "end", "hours"),
    *("worst", "limit", "depth", "beyond_times_hours", "unit"),
)


def unit_of(violation: Violation) -> str:
    """Of the value and limit of a violation.

    Examples
    --------
    >>> unit_of(Violation("bus", 3, "low voltage", 0.88, 0.9))
    'p.u.'
    """
    if violation.kind == "no supply":
        return "MW"
    if violation.kind == "overload":
        return "%"
    return POWER_UNITS.get(violation.kind, "" if math.isnan(violation.value) else "p.u.")
