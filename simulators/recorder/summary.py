"""Small, exact helpers for what goes into `summary.json` and `config.json`."""

from __future__ import annotations

import hashlib
import math
import platform
from collections.abc import Mapping
from datetime import date, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

# the packages whose version can change a result, besides the project itself
PACKAGES = (
    "wattloop",
    "aiconfigurator-core",
    "mosaik",
    "mosaik-api-v3",
    "numba",
    "numpy",
    "pandapower",
    "pandas",
    "pvlib",
    "pyarrow",
    "scipy",
    "simpy",
    "windpowerlib",
)


def percentiles(values: ArrayLike) -> dict[str, float | None]:
    """Median, 95th and 99th percentile (linear interpolation); NaN is left out, None if nothing is left."""
    finite = np.asarray(values, dtype=np.float64)
    finite = finite[~np.isnan(finite)]
    if finite.size == 0:
        return {"p50": None, "p95": None, "p99": None}
    p50, p95, p99 = np.percentile(finite, (50.0, 95.0, 99.0))
    return {"p50": float(p50), "p95": float(p95), "p99": float(p99)}


def latencies(requests: pd.DataFrame) -> pd.DataFrame:
    """What each finished request experienced; one row per request, NaN where it does not apply.

    Serving latency counts from the moment the request was released to the cluster, so that a request held
    back on purpose does not look like a slow server; the time it was held is a column of its own.

    Returns
    -------
    pandas.DataFrame
        `ttft_s` time to first token (release to end of prefill, s), `tpot_s` time per output token after the
        first (s; NaN for a single token), `e2e_s` release to completion (s), `held_s` arrival to release (s).
    """
    released_at = requests["released_at"] if "released_at" in requests else requests["arrived_at"]
    # the first output token comes with the prefill, so n tokens have n - 1 gaps
    gaps = (requests["decode_tokens"] - 1).where(requests["decode_tokens"] > 1).astype(np.float64)
    return pd.DataFrame(
        {
            "ttft_s": requests["prefill_completed_at"] - released_at,
            "tpot_s": (requests["completed_at"] - requests["prefill_completed_at"]) / gaps,
            "e2e_s": requests["completed_at"] - released_at,
            "held_s": released_at - requests["arrived_at"],
        }
    )


def versions() -> dict[str, str]:
    """Versions of Python and of every installed package that can change a result."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue  # extras such as pandapower's networks may be absent
    return found


def sha256(path: Path | str) -> str:
    """SHA-256 of a file as lower-case hex, read in pieces."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def plain(value: Any, where: str = "") -> Any:
    """`value` as plain JSON types: NumPy scalars and arrays, paths and dates converted, tuples as lists.

    Raises
    ------
    ValueError
        For NaN or an infinity, naming where in the structure it is.
    TypeError
        For anything else JSON does not know.
    """
    if isinstance(value, Mapping):
        return {str(key): plain(item, f"{where}.{key}" if where else str(key)) for key, item in value.items()}
    if isinstance(value, list | tuple | np.ndarray):
        return [plain(item, f"{where}[{index}]") for index, item in enumerate(value)]
    if isinstance(value, bool | np.bool_):
        return bool(value)
    if isinstance(value, int | np.integer):
        return int(value)
    if isinstance(value, float | np.floating):
        if not math.isfinite(value):
            raise ValueError(f"{where or 'value'} is {float(value)}, expected a finite number or null")
        return float(value)
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, Path):
        return str(value)
    if value is None or isinstance(value, str):
        return value
    raise TypeError(f"{where or 'value'} is a {type(value).__name__}, which JSON cannot hold")


def check_finite(value: Any) -> None:
    """Raise ValueError, naming the place, if a nested structure holds NaN or an infinity."""
    plain(value)
