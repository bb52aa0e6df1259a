"""From what arrives in a step to rows of tables: one row per step and site."""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from simulators.errors import InputError
from simulators.quantities.schema import BY_NAME, REQUESTS, TIMESERIES

ALL_SITES = "*"
"""In place of a site: what all sites share, e.g. the network."""

_DTYPES = {column.name: column.dtype for column in REQUESTS}

Inputs = Mapping[str, Mapping[str, Any]]
Columns = dict[str, ArrayLike]


class Clock:
    """Moments of a run as UTC time stamps."""

    def __init__(self, start: datetime) -> None:
        self._start = pd.Timestamp(start).tz_convert("UTC").tz_localize(None).to_datetime64()

    def at_s(self, seconds: ArrayLike) -> pd.DatetimeIndex:
        """Time stamps of whole seconds from the start."""
        return pd.DatetimeIndex(self._start + np.asarray(seconds, dtype="timedelta64[s]"), tz="UTC")

    def at_ns(self, nanoseconds: NDArray[np.int64]) -> pd.DatetimeIndex:
        """Time stamps of nanoseconds from the start."""
        return pd.DatetimeIndex(self._start + nanoseconds.astype("timedelta64[ns]"), tz="UTC")


class Recorded(NamedTuple):
    """One value of each step: where it comes from, and its site and column."""

    source: str
    attribute: str
    site: str
    column: str


class SeriesRows:
    """Rows of the time series, in long form: for every step one row per site.

    Parameters
    ----------
    columns
        What is recorded. Sources of the same site and column are added up. What is given for the site ``*``
        stands in every site's row; a site that lacks a column has NaN there.
    sites
        In the order of their rows; those of `columns` if none are given.
    """

    def __init__(self, columns: Sequence[Recorded], sites: Sequence[str]) -> None:
        named = dict.fromkeys(entry.site for entry in columns if entry.site != ALL_SITES)
        self.sites = tuple(sites or named or (ALL_SITES,))
        if unknown := [site for site in named if site not in self.sites]:
            raise InputError(
                f"recorder: columns names the site {unknown[0]!r}, expected one of {', '.join(self.sites)}"
            )
        given = {(entry.site, entry.column) for entry in columns}
        for site, column in given:
            if site != ALL_SITES and (ALL_SITES, column) in given:
                raise InputError(
                    f"recorder: column {column} is given for all sites and for {site}, expected one of both"
                )
        known = [column.name for column in TIMESERIES]
        present = dict.fromkeys(entry.column for entry in columns)
        self.columns = [name for name in known if name in present]
        self.columns += [name for name in present if name not in BY_NAME]
        places = {
            pair: place for place, pair in enumerate(dict.fromkeys((e.site, e.column) for e in columns))
        }
        self._places = places
        # sorted: mosaik's order changes from run to run; a fixed one gives equal sums
        self._sources: dict[str, dict[str, list[int]]] = {}
        for entry in sorted(columns, key=lambda entry: (entry.attribute, entry.source)):
            by_source = self._sources.setdefault(entry.attribute, {})
            by_source.setdefault(entry.source, []).append(places[entry.site, entry.column])
        self._wanted: list[tuple[str, list[tuple[str, int]]]] = [
            (attribute, [(source, place) for source, at in by_source.items() for place in at])
            for attribute, by_source in self._sources.items()
        ]
        self._values = array("d")

    def check(self, inputs: Inputs, apart: Sequence[str]) -> None:
        """Whether what is connected is what was asked for; the attributes `apart` go elsewhere."""
        for attribute, by_source in self._sources.items():
            for source in by_source:
                if source not in inputs.get(attribute, {}):
                    raise InputError(
                        f"recorder: columns names {source} {attribute}, expected it to be connected"
                    )
        for attribute, given in inputs.items():
            for source in given if attribute not in apart else ():
                if source not in self._sources.get(attribute, {}):
                    raise InputError(
                        f"recorder: {source} {attribute} is connected, expected a column for it in columns"
                    )

    def add(self, time: int, inputs: Inputs) -> None:
        """Take the values of a step."""
        row = [0.0] * len(self._places)
        try:
            for attribute, wanted in self._wanted:
                given = inputs[attribute]
                for source, place in wanted:
                    value = given[source]
                    row[place] += np.nan if value is None else value
            self._values.extend(row)
        except (KeyError, TypeError, ValueError):
            raise self._complaint(time, inputs) from None

    def add_series(self, inputs: Mapping[str, Mapping[str, NDArray[np.float64]]], steps: int) -> None:
        """Take the values of several steps at once: series of one value for each by attribute and source."""
        rows = np.zeros((steps, len(self._places)))
        for attribute, wanted in self._wanted:
            for source, place in wanted:
                rows[:, place] += inputs[attribute][source]
        self._values.frombytes(rows.tobytes())

    def _complaint(self, time: int, inputs: Inputs) -> ValueError:
        for attribute, wanted in self._wanted:
            for source, _ in wanted:
                if source not in inputs.get(attribute, {}):
                    return ValueError(f"{source} did not hand over {attribute} at {time} s")
                value = inputs[attribute][source]
                if value is not None and not isinstance(value, int | float | np.number):
                    return ValueError(
                        f"{source} handed over {attribute} = {value!r} at {time} s, not a number"
                    )
        return ValueError(f"the values at {time} s are not numbers")

    def take(self, times: Sequence[int] | NDArray[np.int64], clock: Clock) -> Columns:
        """The rows of the buffered steps, which are forgotten; of a step that was cut short nothing is kept."""
        steps, sites = len(times), len(self.sites)
        width = len(self._places)
        values = np.array(self._values[: steps * width]).reshape(steps, width)
        self._values = array("d")
        table: Columns = {
            "time": clock.at_s(np.repeat(np.asarray(times), sites)),
            "site": np.tile(np.array(self.sites, dtype=object), steps),
        }
        for name in self.columns:
            by_site = np.full((steps, sites), np.nan)
            for index, site in enumerate(self.sites):
                place = self._places.get((site, name), self._places.get((ALL_SITES, name)))
                if place is not None:
                    by_site[:, index] = values[:, place]
            table[name] = by_site.ravel()
        return table


class RequestRows:
    """Rows of finished requests, with the site that served them."""

    def __init__(self) -> None:
        self._blocks: list[tuple[int, str, Columns]] = []
        self.waiting = 0
        self.written = False

    def add(self, time: int, site: str, finished: Mapping[str, Sequence[Any]] | None) -> None:
        """Take what a cluster finished in a step; nothing, None, is no row."""
        if not finished:
            return
        names = [*(name for name in _DTYPES if name in finished)]
        names += [name for name in finished if name not in _DTYPES]
        block: Columns = {name: np.asarray(finished[name], dtype=_DTYPES.get(name)) for name in names}
        lengths = {len(np.atleast_1d(values)) for values in block.values()}
        if len(lengths) != 1:
            raise ValueError(f"the columns of the requests finished at {time} s are of different lengths")
        self._blocks.append((time, site, block))
        self.waiting += lengths.pop()

    def take(self, until: int) -> Columns | None:
        """The buffered rows of steps before `until`, which are forgotten; None if there are none."""
        blocks = [(site, block) for time, site, block in self._blocks if time < until]
        self._blocks, self.waiting = [], 0
        if not blocks:
            return None
        names = list(blocks[0][1])
        for _, block in blocks:
            if set(block) != set(names):
                odd = sorted(set(block) ^ set(names))
                raise ValueError(f"requests: columns {odd} are not given by every cluster in every step")
        sites = [np.full(len(np.asarray(block[names[0]])), site, dtype=object) for site, block in blocks]
        self.written = True
        return {
            "site": np.concatenate(sites),
            **{name: np.concatenate([np.asarray(block[name]) for _, block in blocks]) for name in names},
        }

    def empty(self) -> Columns:
        """The table of a run in which no request was finished."""
        self.written = True
        return {
            "site": np.array([], dtype=str),
            **{name: np.array([], dtype=dtype) for name, dtype in _DTYPES.items()},
        }


class FastRows:
    """Rows of the power within the steps, in W."""

    def __init__(self, step_s: int) -> None:
        self._step_ns = step_s * 1_000_000_000
        self._parts: list[tuple[int, str, NDArray[np.float64]]] = []
        self.waiting = 0

    def add(self, time: int, by_site: Mapping[str, Sequence[Sequence[float]]]) -> None:
        """Take the power of each site's clusters, MW, in equal parts of a step."""
        for site, series in by_site.items():
            power_w = np.sum([np.asarray(part, dtype=np.float64) for part in series], axis=0) * 1e6
            self._parts.append((time, site, power_w))
            self.waiting += len(power_w)

    def take(self, until: int, clock: Clock) -> Columns | None:
        """The buffered rows of steps before `until`, which are forgotten; None if there are none."""
        parts = [part for part in self._parts if part[0] < until]
        self._parts, self.waiting = [], 0
        if not parts:
            return None
        at_ns = [
            time * 1_000_000_000
            + (np.arange(len(power)) * (self._step_ns / len(power))).round().astype(np.int64)
            for time, _, power in parts
        ]
        return {
            "time": clock.at_ns(np.concatenate(at_ns)),
            "site": np.concatenate([np.full(len(power), site, dtype=object) for _, site, power in parts]),
            "gpu_w": np.concatenate([power for _, _, power in parts]),
        }
