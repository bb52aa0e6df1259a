"""Small, exact helpers for what goes into `summary.json` and `config.json`."""

from __future__ import annotations

import hashlib
import math
import os
import platform
from collections.abc import Mapping
from datetime import date, datetime
from functools import cache, lru_cache
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

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


def versions() -> dict[str, str]:
    """Versions of Python and of every installed package that can change a result."""
    return dict(_versions())


@cache
def _versions() -> Mapping[str, str]:
    """Looked up once: it takes some 10 ms, and a sweep asks for each of its studies."""
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


def sha256_as_it_is(path: Path | str) -> str:
    """`sha256`, worked out once for as long as a file's size and time stay the same."""
    status = Path(path).stat()
    return _sha256_of(os.path.abspath(path), status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=10_000)
def _sha256_of(path: str, changed_ns: int, size: int) -> str:
    return sha256(path)


def plain(value: Any, where: str = "") -> Any:
    """`value` as plain JSON types: NumPy scalars and arrays, paths and dates converted, tuples as lists.

    Raises
    ------
    ValueError
        For NaN or an infinity, naming where in the structure it is.
    TypeError
        For anything else JSON does not know.

    Examples
    --------
    >>> plain({"it_mw": np.array([0.25, 0.5]), "folder": Path("results")})
    {'it_mw': [0.25, 0.5], 'folder': 'results'}
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
