"""Series as read from a file, kept on disk: reading and checking a year of hours takes a tenth of a second."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import fields
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from simulators.derived import Arrays, code_of, derived, versions_of
from simulators.profiles.archives import on_disk
from simulators.profiles.profile import Profile
from simulators.profiles.weather import Weather

LEAST_BYTES = 16 * 1024
"""Files below are read at once."""
ROOM = Path(__file__).parent

Series = TypeVar("Series", Profile, Weather)


def stored(kind: type[Series], path: Path, how: Mapping[str, Any], read: Callable[[], Series]) -> Series:
    """What `read` makes of a file, or made of the same bytes before.

    Parameters
    ----------
    kind
        What that is.
    path
        The file; a member of an archive as `archives` names it.
    how
        All that the reader is told, as plain values.
    read
        Reads it.

    Raises
    ------
    InputError
        What `read` raises.
    """
    sha256 = _hash_of_large(on_disk(path))
    if not sha256:
        return read()
    asked = {"path": str(path), "sha256": sha256, "how": dict(how)}
    grounds = repr((code_of(ROOM, ROOM / "formats"), versions_of("pandas", "pvlib", "pyarrow")))
    return from_arrays(kind, derived(kind.__name__.lower(), asked, grounds, lambda: as_arrays(read())))


def _hash_of_large(path: Path) -> str:
    """Empty of a small file, and of one that cannot be read: its reader says why."""
    try:
        if path.stat().st_size < LEAST_BYTES:
            return ""
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except (OSError, ValueError):
        return ""


def as_arrays(series: Profile | Weather) -> Arrays:
    """A series as arrays alone; what is none goes into a text."""
    values = {field.name: getattr(series, field.name) for field in fields(series)}
    arrays = {name: value for name, value in values.items() if isinstance(value, np.ndarray)}
    plain = {name: value for name, value in values.items() if name not in arrays}
    plain["start"] = series.start.isoformat()
    return arrays | {"plain": np.array(json.dumps(plain, default=np.generic.item))}


def from_arrays(kind: type[Series], arrays: Arrays) -> Series:
    """The series that `as_arrays` was given."""
    values: dict[str, Any] = json.loads(str(arrays["plain"]))
    values["start"] = datetime.fromisoformat(values["start"])
    return kind(**values | {name: value for name, value in arrays.items() if name != "plain"})


def fingerprint(series: Profile | Weather) -> str:
    """A hash of all its values and of what is said of them."""
    digest = hashlib.sha256()
    for name, values in sorted(as_arrays(series).items()):
        digest.update(f"{name} {values.dtype} {values.shape}".encode())
        digest.update(np.ascontiguousarray(values).tobytes())
    return digest.hexdigest()
