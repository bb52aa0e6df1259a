"""A finished result read back from its folder, and whether two of them saw the same requests."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pydantic import ValidationError

from scenarios.result import Figures
from simulators.errors import InputError
from simulators.files import read_json
from simulators.recorder import manifest

OF_THE_WORK = (
    "request trace",
    "rate profile",
    "daily shape of the traffic",
    "lengths of the requests",
    "load",
)
"""Inputs (`plan.Input.what`) that say what work there is."""
REQUEST = ("arrived_at", "prefill_tokens", "decode_tokens", "deferrable")
"""What makes a request, whoever serves it."""


@dataclass(frozen=True)
class Finished:
    """A result in its folder.

    Attributes
    ----------
    name
        What it is called beside others.
    folder
        Where it lies.
    study
        Its options, as plain values.
    figures
        Of all its sites.
    inputs
        SHA-256 of the files it read, by what they are; several of a kind by commas.
    versions
        Of what can change a result.
    """

    name: str
    folder: Path
    study: Mapping[str, Any]
    figures: Figures
    inputs: Mapping[str, str]
    versions: Mapping[str, str]

    def table(self, name: str, columns: tuple[str, ...]) -> pd.DataFrame | None:
        """Some columns of one of its tables; None if it has no such table.

        Raises
        ------
        InputError
            If the table cannot be read or lacks a column.
        """
        path = self.folder / f"{name}.parquet"
        if not path.is_file():
            return None
        try:
            return pd.read_parquet(path, columns=list(columns))
        except (OSError, ValueError, KeyError) as error:
            raise InputError(f"{path}: cannot be read ({error}), expected a table of a result") from None


def read_finished(folder: Path, name: str) -> Finished:
    """A result from its folder.

    Raises
    ------
    InputError
        If it is no folder of a finished run, or what is read of it is not as it was written.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder, expected the results folder of a run")
    for file in ("config.json", "summary.json"):
        if not (folder / file).is_file():
            raise InputError(f"{folder}: has no {file}, expected the results folder of a finished run")
    written = manifest.read(folder) or {}
    for file in written:
        if file.endswith((".json", ".parquet")) and not manifest.ours(folder, file, written):
            raise InputError(
                f"{folder / file}: is not as it was written, expected a result as the run left it"
            )
    config, summary = (_read(folder / file) for file in ("config.json", "summary.json"))
    options = config.get("options")
    study = options.get("study") if isinstance(options, dict) else None
    if not isinstance(study, dict) or not isinstance(study.get("sites"), list):
        raise InputError(
            f"{folder / 'config.json'}: holds no study, expected a result of wattloop run or grid run"
        )
    try:
        figures = Figures.model_validate({k: v for k, v in summary.items() if k in Figures.model_fields})
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise InputError(
            f"{folder / 'summary.json'}: {where}: {first['msg']}, expected the figures of a run by this version"
        ) from None
    return Finished(
        name, folder, study, figures, _hashes(config.get("inputs")), _texts(config.get("versions"))
    )


def _read(path: Path) -> dict[str, Any]:
    found = read_json(path, expected="what a run wrote")
    if not isinstance(found, dict):
        raise InputError(f"{path}: holds no table of names, expected what a run wrote")
    return found


def _hashes(inputs: Any) -> dict[str, str]:
    found: dict[str, str] = {}
    for entry in inputs if isinstance(inputs, list) else ():
        if isinstance(entry, dict):
            what = str(entry.get("what", ""))
            found[what] = ", ".join(filter(None, (found.get(what), str(entry.get("sha256", "")))))
    return found


def _texts(values: Any) -> dict[str, str]:
    return {str(key): str(value) for key, value in values.items()} if isinstance(values, dict) else {}


def flat(value: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The leaves of nested options with their dotted names; several sites by their names, one site without.

    Examples
    --------
    >>> dict(flat({"run": {"days": 2.0}, "sites": [{"name": "a", "serving": {"tp": 4}}]}))
    {'run.days': 2.0, 'name': 'a', 'serving.tp': 4}
    """
    if isinstance(value, Mapping) and value:
        for key, item in value.items():
            if key == "sites" and isinstance(item, list):
                for number, site in enumerate(item):
                    named = site.get("name", number) if isinstance(site, Mapping) else number
                    yield from flat(site, f"{named}." if len(item) > 1 else "")
            else:
                yield from flat(item, f"{prefix}{key}.")
    else:
        yield prefix.removesuffix("."), value


def differing(results: list[Finished]) -> dict[str, list[str]]:
    """Options, input files and versions in which results differ: what each has, by name."""
    found: dict[str, list[str]] = {}
    tables = [
        {name: _shown(value) for name, value in flat(result.study)}
        | {f"file: {what}": value[:12] for what, value in result.inputs.items()}
        | {f"version: {what}": value for what, value in result.versions.items()}
        for result in results
    ]
    for name in dict.fromkeys(name for table in tables for name in table):
        values = [table.get(name, "–") for table in tables]
        if len(set(values)) > 1:
            found[name] = values
    return found


def _shown(value: Any) -> str:
    if value is None or value in ([], {}):
        return "–"
    return f"{value:g}" if isinstance(value, float) else str(value)


def other_work(one: Finished, other: Finished) -> str:
    """Why two results did not see the same requests (or the same load from a file); empty if they did.

    What they were asked for is compared, then what was recorded: arrivals in every step, and the requests that both
    have finished.
    """
    asked = [_work(result) for result in (one, other)]
    for name in dict.fromkeys([*asked[0], *asked[1]]):
        values = [_shown(work.get(name)) for work in asked]
        if values[0] != values[1]:
            return f"{name} is {values[0]} in {one.name} and {values[1]} in {other.name}"
    arrived = [
        result.table("timeseries", ("time", "site", "arrived")) for result in (one, other) if serves(result)
    ]
    if len(arrived) == 2 and arrived[0] is not None and arrived[1] is not None:
        reason = _other_arrivals(*(_arrivals(frame) for frame in arrived if frame is not None))
        if reason:
            return f"{reason} in {one.name} and {other.name}"
    return _other_requests(one, other)


def serves(result: Finished) -> bool:
    """Whether requests were served; else the load is a file."""
    return result.figures.inference is not None


def _work(result: Finished) -> dict[str, Any]:
    """What was asked for of requests and loads."""
    leaves = dict(flat(result.study))
    parts = ("traffic", "measured")
    wanted = {
        name: value
        for name, value in leaves.items()
        if name in ("run.seed", "run.days") or set(name.split(".")[:-1]) & set(parts)
    }
    # which file it is says its hash, not its path
    paths = ("trace", "diurnal", "path")
    wanted = {name: value for name, value in wanted.items() if name.split(".")[-1] not in paths}
    if not serves(result):
        wanted.pop("run.seed", None)
        wanted["run.start"] = leaves.get("run.start")
    return wanted | {f"file: {what}": result.inputs[what] for what in OF_THE_WORK if what in result.inputs}


def _arrivals(frame: pd.DataFrame) -> pd.Series[float]:
    """Requests arrived by the time from the start, s, of all sites."""
    since_s = (frame["time"] - frame["time"].min()).dt.total_seconds().astype(int)
    sums: pd.Series[float] = frame["arrived"].fillna(0.0).groupby(since_s).sum()
    return sums


def _other_arrivals(one: pd.Series[float], other: pd.Series[float]) -> str:
    if not math.isclose(one.sum(), other.sum(), rel_tol=1e-12):
        return f"{one.sum():,.0f} and {other.sum():,.0f} requests arrived"
    steps = [int(np.diff(series.index[:2])[0]) if len(series) > 1 else 1 for series in (one, other)]
    common = math.lcm(*steps)
    sums = [series.groupby(series.index // common).sum() for series in (one, other)]
    wide = sums[0].reindex(sums[0].index.union(sums[1].index), fill_value=0.0)
    apart = np.flatnonzero(~np.isclose(wide, sums[1].reindex(wide.index, fill_value=0.0)))
    return (
        f"other numbers of requests arrived after {wide.index[apart[0]] * common / 3600:g} h"
        if len(apart)
        else ""
    )


def _other_requests(one: Finished, other: Finished) -> str:
    tables = [result.table("requests", ("site", "request_id", *REQUEST)) for result in (one, other)]
    if (
        tables[0] is None
        or tables[1] is None
        or any(table["site"].nunique() > 1 for table in tables if table is not None)
    ):
        return ""
    both = tables[0].merge(tables[1], on="request_id", suffixes=("", "_other"))
    for name in REQUEST:
        apart = both[both[name] != both[f"{name}_other"]]
        if len(apart):
            first = apart.iloc[0]
            return (
                f"request {first['request_id']:.0f} has {name} {float(first[name]):g} in {one.name} and "
                f"{float(first[f'{name}_other']):g} in {other.name}"
            )
    return ""
