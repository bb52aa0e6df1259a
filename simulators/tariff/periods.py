"""Periods of a time-of-use tariff, as people write them: ``0.42 16-21 mon-fri jun-sep``."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite

import numpy as np
from numpy.typing import NDArray

from simulators.tariff.local import LocalTimes

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
EXPECTED = "expected a price and when it holds, e.g. '0.42 16-21 mon-fri jun-sep'"
MOST_PER_KWH = 1e5
"""In any currency."""

_CLOCK = r"(\d{1,2})(?::([0-5]\d))?"
_HOURS = re.compile(rf"{_CLOCK}-{_CLOCK}")


@dataclass(frozen=True)
class Period:
    """A price and when it holds, in local time.

    Attributes
    ----------
    price
        Per kWh.
    hours
        Spans of the day, h; one that ends before it begins goes over midnight. Empty: the whole day.
    weekdays, months
        0 (Monday) to 6, and 1 to 12; empty: all.
    """

    price: float
    hours: tuple[tuple[float, float], ...] = ()
    weekdays: tuple[int, ...] = ()
    months: tuple[int, ...] = ()

    @classmethod
    def parsed(cls, text: str) -> Period:
        """A period from text: a price, then hours, weekdays and months in any order, lists with commas.

        Raises
        ------
        ValueError
            If it is not of that form; says what was expected.

        Examples
        --------
        >>> Period.parsed("0.42 6-9,16:30-21 mon-fri jun-sep")
        Period(price=0.42, hours=((6.0, 9.0), (16.5, 21.0)), weekdays=(0, 1, 2, 3, 4), months=(6, 7, 8, 9))
        """
        price_text, *rest = text.split() or [""]
        try:
            price = float("nan" if "_" in price_text or not price_text.isascii() else price_text)
        except ValueError:
            price = float("nan")
        if not isfinite(price) or abs(price) > MOST_PER_KWH:
            raise ValueError(f"{text!r}: no price at its start, {EXPECTED}")
        hours: list[tuple[float, float]] = []
        weekdays: list[int] = []
        months: list[int] = []
        for word in rest:
            for entry in word.lower().split(","):
                if match := _HOURS.fullmatch(entry):
                    hours.append(_span(match, text))
                elif (days := _named(entry, WEEKDAYS)) is not None:
                    weekdays += days
                elif (named := _named(entry, MONTHS)) is not None:
                    months += [month + 1 for month in named]
                else:
                    raise ValueError(f"{text!r}: {entry!r} is no hours, weekdays or months, {EXPECTED}")
        return cls(price, tuple(hours), tuple(dict.fromkeys(weekdays)), tuple(dict.fromkeys(months)))

    def holds(self, times: LocalTimes) -> NDArray[np.bool_]:
        """In which intervals it holds, by their starts; shape (n,). A weekday is that of the interval."""
        found = np.ones(times.steps, dtype=bool)
        if self.weekdays:
            found &= np.isin(times.weekday, self.weekdays)
        if self.months:
            found &= np.isin(times.month, self.months)
        if self.hours:
            found &= np.any([_within(times.hour, low, high) for low, high in self.hours], axis=0)
        return found


def _within(hour: NDArray[np.float64], low: float, high: float) -> NDArray[np.bool_]:
    if low < high:
        return (hour >= low) & (hour < high)
    return (hour >= low) | (hour < high)


def _span(match: re.Match[str], text: str) -> tuple[float, float]:
    low, high = (int(match[i]) + int(match[i + 1] or 0) / 60 for i in (1, 3))
    if low >= 24 or high > 24 or low == high:
        raise ValueError(f"{text!r}: hours {match[0]} are none of a day, {EXPECTED}")
    return low, high


def _named(entry: str, names: Sequence[str]) -> list[int] | None:
    """Positions of one name, or of a span that may go over the end; None if it names none of them."""
    first, dash, last = entry.partition("-")
    if first[:3] not in names or (dash and last[:3] not in names) or not entry.replace("-", "").isalpha():
        return None
    begin = names.index(first[:3])
    if not dash:
        return [begin]
    length = (names.index(last[:3]) - begin) % len(names)
    return [(begin + i) % len(names) for i in range(length + 1)]
