"""When replicas are out: as a file lists it, or by chance.

A failure comes at a random time, after an exponentially distributed time of service, and takes the replica, or all
replicas of a server, until it is repaired. Maintenance is planned: a replica finishes what it has before.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite
from pathlib import Path
from typing import NamedTuple

import numpy as np

from simulators.errors import InputError
from simulators.files import read_rows
from simulators.spelling import plain_number

FAILURE, MAINTENANCE = "failure", "maintenance"
KINDS = (FAILURE, MAINTENANCE)

BACK, DRAIN, FAIL = range(3)
"""What happens to replicas, in the order of what happens at one moment: they are back, are to be drained, fail."""

COLUMNS = (
    "expected a CSV with the columns replica (from 0), start, end (s from the start of the run), perhaps kind"
)


class Outage(NamedTuple):
    """Replicas out from one time to another, s, together; `planned`: they are drained first."""

    start_s: float
    end_s: float
    replicas: tuple[int, ...]
    planned: bool = False


class Happening(NamedTuple):
    """What (`BACK`, `DRAIN`, `FAIL`) happens to replicas at a time, s."""

    at: float
    what: int
    replicas: tuple[int, ...]


def read_outages(path: Path, replicas: int) -> list[Outage]:
    """Outages from a CSV file: replica, start and end, s from the start of the run, and kind (failure unless said).

    Parameters
    ----------
    path
        Of the file.
    replicas
        How many there are.

    Raises
    ------
    InputError
        If it cannot be read, has no such columns or rows, names a replica that there is not or a kind that is unknown,
        an outage does not end after its start, or two of one replica overlap; names the row.
    """
    rows = read_rows(path, f"--failures {path}", COLUMNS.removeprefix("expected "))
    if not rows or not {"replica", "start", "end"} <= set(rows[0]):
        raise InputError(f"{path}: has no rows under the columns replica, start and end; {COLUMNS}")
    found = [_outage(row, f"{path}, row {number}", replicas) for number, row in enumerate(rows, 1)]
    last: dict[int, Outage] = {}
    for outage in sorted(found):
        [replica] = outage.replicas
        if replica in last and outage.start_s < last[replica].end_s:
            raise InputError(
                f"{path}: replica {replica} is out from {outage.start_s:g} s on and already until "
                f"{last[replica].end_s:g} s, expected outages that do not overlap"
            )
        last[replica] = outage
    return sorted(found)


def _outage(row: dict[str, str | None], where: str, replicas: int) -> Outage:
    kind = (row.get("kind") or FAILURE).strip()
    if kind not in KINDS:
        raise InputError(f"{where}: kind {kind!r} is unknown, expected {' or '.join(KINDS)}")
    replica, start_s, end_s = (_number(row.get(name), name, where) for name in ("replica", "start", "end"))
    if not replica.is_integer() or not 0 <= replica < replicas:
        raise InputError(f"{where}: replica {replica:g}, expected one of 0 to {replicas - 1}")
    if not 0 <= start_s < end_s:
        raise InputError(
            f"{where}: from {start_s:g} s to {end_s:g} s, expected a start from 0 on and a later end"
        )
    return Outage(start_s, end_s, (int(replica),), kind == MAINTENANCE)


def _number(text: str | None, name: str, where: str) -> float:
    try:
        value = plain_number(text or "")
    except ValueError:
        value = np.nan
    if not isfinite(value):
        raise InputError(f"{where}: {name} {(text or '')[:40]!r}, expected a number")
    return value


class Breakdowns:
    """Units that fail by chance and are repaired, each by random numbers of its own: one more changes no other.

    Parameters
    ----------
    units
        Replicas that fail together.
    mtbf_s
        Mean time from a unit's repair to its next failure, s, for each; exponential.
    repair_s
        Mean time to repair, s; exponential.
    seed, first
        Of the random numbers; the number of the first unit in them.

    Examples
    --------
    >>> units = Breakdowns([(0, 1)], [3600.0], 60.0, seed=1)
    >>> [first, *others] = units.begin_before(86_400.0)
    >>> first.replicas, first.start_s > 0, len(others) > 10, units.begin_before(86_400.0)
    ((0, 1), True, True, [])
    """

    def __init__(
        self,
        units: Sequence[Sequence[int]],
        mtbf_s: Sequence[float],
        repair_s: float,
        seed: int,
        first: int = 0,
    ) -> None:
        self._units = [tuple(unit) for unit in units]
        self._mtbf_s = list(mtbf_s)
        self._repair_s = repair_s
        self._rng = [
            np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(1_000_033, first + number)))
            for number in range(len(units))
        ]
        self._next_s = [float(rng.exponential(mean_s)) for rng, mean_s in zip(self._rng, mtbf_s, strict=True)]

    def begin_before(self, until: float) -> list[Outage]:
        """The failures before a time, s, that were not asked for before."""
        found = []
        for number, unit in enumerate(self._units):
            while self._next_s[number] < until:
                rng, start_s = self._rng[number], self._next_s[number]
                end_s = start_s + float(rng.exponential(self._repair_s))
                found.append(Outage(start_s, end_s, unit))
                self._next_s[number] = end_s + float(rng.exponential(self._mtbf_s[number]))
        return found


class Timetable:
    """What happens to replicas, interval by interval.

    Parameters
    ----------
    listed
        Outages that are known.
    breakdowns
        Units that fail by chance; None: nothing does.

    Examples
    --------
    >>> table = Timetable([Outage(5.0, 70.0, (0,)), Outage(8.0, 9.0, (1,), planned=True)])
    >>> [(one.at, one.what == FAIL) for one in table.before(60.0)], len(table.before(80.0))
    ([(5.0, True), (8.0, False), (9.0, False)], 1)
    """

    def __init__(self, listed: Sequence[Outage], breakdowns: Breakdowns | None = None) -> None:
        self._breakdowns = breakdowns
        self._coming: list[Happening] = []
        self._add(listed)

    def _add(self, outages: Sequence[Outage]) -> None:
        for one in outages:
            self._coming.append(Happening(one.start_s, DRAIN if one.planned else FAIL, one.replicas))
            self._coming.append(Happening(one.end_s, BACK, one.replicas))
        self._coming.sort()

    def before(self, until: float) -> list[Happening]:
        """What happens before a time, s, and was not told before: in order, what happens at once together."""
        if self._breakdowns is not None:
            self._add(self._breakdowns.begin_before(until))
        told: list[Happening] = []
        while self._coming and self._coming[0].at < until:
            one = self._coming.pop(0)
            if told and told[-1][:2] == one[:2]:
                told[-1] = told[-1]._replace(replicas=(*told[-1].replicas, *one.replicas))
            else:
                told.append(one)
        return told
