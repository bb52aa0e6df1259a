"""A small site that runs in a second, and its results."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import scenarios
from scenarios import solar_datacenter
from tests.conftest import ROOT, Ended, call_app

SMALL = (
    "--model", "meta-llama/Meta-Llama-3-8B", "--gpu", "a100", "--tp", "1", "--replicas", "1", "--rate", "0.3",
    "--days", "0.1", "--pv-kw", "2", "--wind-kw", "0.5", "--battery-kwh", "0.5",
    "--drain-hours", "0",
)  # fmt: skip
"""One GPU with its server, about 1.3 kW; 2.4 hours in steps of a minute, and no more, whatever is deferred."""

MORNING = ("--start", "2017-06-05T09:00")
QUICK = ("--no-report", "--no-compare")


def main_scenario(*arguments: object) -> Ended:
    """Run the main scenario in this process."""
    return call_app(solar_datacenter.app(), *arguments)


def simulate(*arguments: object) -> Ended:
    """Run it at the small site."""
    return main_scenario(*SMALL, *arguments)


def everything(result: scenarios.Result) -> str:
    """Everything a result with its requests says, as one text."""
    assert result.requests is not None
    tables = "".join(frame.to_csv(index=False) for frame in (result.timeseries, result.requests))
    return json.dumps(result.to_json(), sort_keys=True) + json.dumps(result.network_record) + tables


@dataclass(frozen=True)
class Result:
    """A results folder."""

    folder: Path

    @property
    def summary(self) -> dict[str, Any]:
        return json.loads((self.folder / "summary.json").read_text())

    @property
    def config(self) -> dict[str, Any]:
        return json.loads((self.folder / "config.json").read_text())

    @property
    def options(self) -> dict[str, Any]:
        """The leaves of the options by name."""
        return dict(_leaves(self.config["options"]))

    @property
    def series(self) -> pd.DataFrame:
        return pd.read_parquet(self.folder / "timeseries.parquet")

    @property
    def requests(self) -> pd.DataFrame:
        return pd.read_parquet(self.folder / "requests.parquet").set_index("request_id").sort_index()

    @property
    def summary_bytes(self) -> bytes:
        """The summary without the one line that a clock wrote."""
        lines = (self.folder / "summary.json").read_bytes().splitlines(keepends=True)
        return b"".join(line for line in lines if not line.startswith(b'  "wall_s"'))


def _leaves(tree: Any) -> Iterator[tuple[str, Any]]:
    for name, value in tree.items():
        for part in value if isinstance(value, list) else [value]:
            if isinstance(part, dict):
                yield from _leaves(part)
        if not isinstance(value, dict) and not (
            value and isinstance(value, list) and isinstance(value[0], dict)
        ):
            yield name, value


def result(folder: Path, *arguments: object) -> Result:
    """The results of a run that must succeed."""
    ended = simulate(*QUICK, *arguments, "--out", folder)
    assert ended.code == 0, ended.err
    return Result(folder)


def hourly_file(folder: Path, header: str, *columns: list[float]) -> Path:
    """Four days of hours from 2017-06-05 UTC, each column repeated as often as it takes."""
    hours = pd.date_range("2017-06-05", periods=96, freq="h", tz="UTC")
    values = zip(*(np.resize(column, 96) for column in columns), strict=True)
    rows = [
        ",".join([hour.isoformat(), *(f"{v:g}" for v in row)])
        for hour, row in zip(hours, values, strict=True)
    ]
    file = folder / "hourly.csv"
    file.write_text(f"time,{header}\n" + "\n".join(rows) + "\n")
    return file


DATA = ROOT / "data"
