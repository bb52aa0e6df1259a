"""Power logs as operators have them: nvidia-smi, DCGM exporter and dcgmi dmon -> readings per GPU.

nvidia-smi CSV
    timestamp, index (or uuid, pci.bus_id), power.draw.instant, power.draw.average or power.draw; with or without units,
    as `nvidia-smi --query-gpu=timestamp,index,power.draw --format=csv -lms 100` writes.
DCGM CSV
    timestamp (or time), gpu (or UUID; Hostname beside it), DCGM_FI_DEV_POWER_USAGE_INSTANT or DCGM_FI_DEV_POWER_USAGE;
    or, one row per field, metric (or __name__) and value.
dcgmi dmon text
    `#Entity POWER` or `POWINST`, then lines `GPU 0 312.5`, each behind a timestamp.

Further columns are ignored. Times are `2026/11/24 10:00:00.123`, ISO 8601 with or without an offset, or s, ms, us or ns
since 1970. Of several power columns the one that averages least is read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from simulators.errors import InputError
from simulators.files import read_text
from simulators.profiles.tables import plain_csv

FloatArray = NDArray[np.float64]
Clock = Literal["local", "utc", "none"]
Sensor = Literal["instant", "average", "nvml"]

TIMES = ("timestamp", "time", "datetime", "date")
GPUS = ("index", "gpu", "uuid", "gpu_uuid", "pci.bus_id", "gpu_bus_id", "device", "entity", "gpu_id")
HOSTS = ("hostname", "instance", "node", "host")
METRICS = ("metric", "__name__", "field")
POWER: dict[str, Sensor] = {
    "power.draw.instant": "instant",
    "dcgm_fi_dev_power_usage_instant": "instant",
    "powinst": "instant",
    "power.draw": "nvml",
    "dcgm_fi_dev_power_usage": "nvml",
    "power": "nvml",
    "power.draw.average": "average",
}
"""Power columns, the preferred first, and what they give: the present power, a mean over the last second, or whichever
of the two NVML gives for the board."""
_NOTHING = {"", "n/a", "[n/a]", "nan", "[not supported]", "[unknown error]"}
_DMON = re.compile(r"^\s*(?P<time>.*?)\s*\bGPU\s+(?P<gpu>\d+)\s+(?P<rest>\S.*)$")


@dataclass(frozen=True)
class Readings:
    """One GPU's readings: when, s (on the log's clock), and W."""

    at_s: FloatArray
    watts: FloatArray


@dataclass(frozen=True)
class PowerLog:
    """A power log.

    Attributes
    ----------
    path
        The file.
    column
        Its power column.
    sensor
        What that column gives.
    clock
        ``local``: seconds since 1970 on the wall clock of an unnamed time zone. ``utc``: seconds since 1970. ``none``:
        seconds since an unknown start.
    gpus
        Readings by GPU, in the file's names for them.
    """

    path: Path
    column: str
    sensor: Sensor
    clock: Clock
    gpus: dict[str, Readings]


def read_power_log(path: Path) -> PowerLog:
    """Read a log in one of the layouts above.

    Raises
    ------
    InputError
        If the file cannot be read, a column is missing, or a time or a power is none, or out of order.
    """
    lines = read_text(path, expected="a power log", most_bytes=1 << 29).splitlines()
    if any("#Entity" in line for line in lines[:5]):
        frame = _dmon_frame(path, lines)
    else:
        frame = _long_as_wide(path, _csv_frame(path))
    if frame.empty:
        raise InputError(f"{path}: no readings, expected a row per GPU and time")
    time = _named(path, frame, TIMES, "a time column")
    frame = frame[
        frame[time].str.lower() != time
    ]  # logs that were appended to each other repeat their header
    column = _power_column(path, frame)
    told = _labels(frame)
    silent = frame[column].str.lower().isin(_NOTHING).groupby(told).transform("all") & (told != "")
    frame = frame if silent.all() else frame[~silent]  # GPUs that never tell, as those cut into MIG instances
    at_s, clock = _seconds(path, frame[time], time)
    watts = _watts(path, frame[column], column)
    labels = _labels(frame)
    gpus = {}
    for label in dict.fromkeys(labels):
        rows = np.flatnonzero(labels == label)
        behind = np.flatnonzero(np.diff(at_s[rows]) <= 0)
        if len(behind):
            row = rows[behind[0] + 1]
            raise InputError(
                f"{path}: data row {frame.index[row] + 1}, {time}: {frame[time].iloc[row]!r}, expected a later time "
                f"than GPU {label} has before it (or a column index, gpu or uuid, if it is another GPU's)"
            )
        gpus[str(label)] = Readings(at_s[rows], watts[rows])
    return PowerLog(path, column, POWER[column], clock, gpus)


def _csv_frame(path: Path) -> pd.DataFrame:
    frame = plain_csv(
        path, twice=True, dtype=str, index_col=False, skipinitialspace=True, keep_default_na=False
    )
    named = {}
    for column in frame.columns:
        name, unit = re.fullmatch(r"(.*?)(?:\s*\[(.*)\])?", str(column).strip()).groups()  # type: ignore[union-attr]
        if name.lower() in POWER and unit not in (None, "W"):
            raise InputError(f"{path}: column {column!r}, expected its unit to be W")
        named[column] = name.lower()
    frame = frame.rename(columns=named)
    return frame.loc[:, ~frame.columns.duplicated()].map(str.strip)


def _long_as_wide(path: Path, frame: pd.DataFrame) -> pd.DataFrame:
    """A table with one row per field reduced to the rows of its best power field."""
    metric = next((name for name in METRICS if name in frame and "value" in frame), None)
    if metric is None:
        return frame
    fields = set(frame[metric].str.lower())
    chosen = next((name for name in POWER if name in fields), None)
    if chosen is None:
        raise InputError(f"{path}: column {metric!r} names no power, expected DCGM_FI_DEV_POWER_USAGE")
    return frame[frame[metric].str.lower() == chosen].rename(columns={"value": chosen})


def _dmon_frame(path: Path, lines: list[str]) -> pd.DataFrame:
    def rows() -> Iterator[dict[str, str]]:
        fields: list[str] = []
        for number, line in enumerate(lines, start=1):
            if "#Entity" in line:
                fields = line.split("#Entity")[1].lower().split()
            elif found := _DMON.match(line):
                values = found["rest"].split()
                if len(values) != len(fields):
                    raise InputError(
                        f"{path}: line {number}: {len(values)} values, expected {len(fields)} ({', '.join(fields)})"
                    )
                if not found["time"]:
                    raise InputError(
                        f"{path}: line {number}: no time, expected one before each GPU, as dcgmi dmon ... | ts "
                        "'%Y-%m-%dT%H:%M:%.S' writes"
                    )
                yield {"timestamp": found["time"].strip("[]: "), "gpu": found["gpu"]} | dict(
                    zip(fields, values, strict=True)
                )

    return pd.DataFrame(list(rows()))


def _named(path: Path, frame: pd.DataFrame, names: tuple[str, ...], what: str) -> str:
    found = next((name for name in names if name in frame), None)
    if found is None:
        raise InputError(
            f"{path}: {what} is missing among {', '.join(map(str, frame.columns[:8]))}; expected a header with one of "
            f"{', '.join(names)}"
        )
    return found


def _power_column(path: Path, frame: pd.DataFrame) -> str:
    """The power column that averages least among those with readings."""
    present = [name for name in POWER if name in frame]
    filled = [name for name in present if not frame[name].str.lower().isin(_NOTHING).all()]
    return (filled or present or [_named(path, frame, tuple(POWER), "a power column")])[0]


def _labels(frame: pd.DataFrame) -> NDArray[np.object_]:
    gpu = next((name for name in GPUS if name in frame), None)
    labels = frame[gpu] if gpu else pd.Series("0", index=frame.index)
    host = next((name for name in HOSTS if name in frame), None)
    if host and frame[host].nunique() > 1:
        labels = frame[host] + ":" + labels
    return labels.to_numpy(object)


def _watts(path: Path, texts: pd.Series, column: str) -> FloatArray:
    values = pd.to_numeric(texts.str.removesuffix("W").str.strip(), errors="coerce").to_numpy(float)
    bad = ~(np.isfinite(values) & (values >= 0))
    if bad.any():
        row = int(np.argmax(bad))
        raise InputError(
            f"{path}: data row {texts.index[row] + 1}, {column}: {texts.iloc[row]!r}, expected a power in W"
            + (" (a last line that broke off may be deleted)" if row == len(texts) - 1 else "")
        )
    return values


def _seconds(path: Path, texts: pd.Series, column: str) -> tuple[FloatArray, Clock]:
    numbers = np.asarray(pd.to_numeric(texts, errors="coerce"), np.float64)
    seconds: FloatArray
    clock: Clock
    if np.isfinite(numbers[0]):
        seconds, clock = _since_1970(numbers)
    else:
        zoned = bool(re.search(r"(Z|[+-]\d\d:?\d\d)$", texts.iloc[0]))
        stamps = pd.to_datetime(texts.str.replace("/", "-"), format="ISO8601", errors="coerce", utc=True)
        seconds = np.asarray((stamps - pd.Timestamp(0, tz="UTC")).dt.total_seconds(), np.float64)
        clock = "utc" if zoned else "local"
    bad = ~np.isfinite(seconds)
    if bad.any():
        row = int(np.argmax(bad))
        raise InputError(
            f"{path}: data row {texts.index[row] + 1}, {column}: {texts.iloc[row]!r}, expected a time like "
            "2026/11/24 10:00:00.123"
        )
    return seconds, clock


def _since_1970(numbers: FloatArray) -> tuple[FloatArray, Clock]:
    """Seconds, from numbers in s, ms, us or ns; small ones count from an unknown start."""
    for unit_s, least in ((1e-9, 1e17), (1e-6, 1e14), (1e-3, 1e11), (1.0, 1e8)):
        if numbers[0] >= least:
            return numbers * unit_s, "utc"
    return numbers, "none"
