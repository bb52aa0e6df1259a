"""What is worked out from files and options alone, kept on disk: the next run reads it in milliseconds.

Tables of iteration times, a weather file, the power of a PV array over a year: each takes tenths of a second to a
second and comes out the same as long as its inputs do. `derived` keeps such arrays under a name that is a hash of all
they depend on: what was asked for, the code that answers it, and the files and packages it reads. So nothing ever has
to be thrown away for being out of date; what has not been read for longest goes when there is too much.

``WATTLOOP_CACHE_DIR`` names another folder than the installation's own; ``WATTLOOP_CACHE_DIR=off`` keeps nothing.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import platform
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import lru_cache
from importlib import metadata, util
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from simulators.caches import folder_for, private

FOLDER = "WATTLOOP_CACHE_DIR"
MOST_FILES, MOST_BYTES = 256, 64 * 2**20
"""Of each kind at most; a set of tables takes some 0.2 MB."""
_DIGEST = 32  # bytes of SHA-256, in front of the arrays

Arrays = dict[str, NDArray[Any]]


def derived(what: str, key: Mapping[str, Any], grounds: str, make: Callable[[], Arrays]) -> Arrays:
    """Arrays as `make` works them out, or as it did before.

    Parameters
    ----------
    what
        What they are, for the file's name; each kind has room of its own.
    key
        All that was asked for, as plain values.
    grounds
        A hash of everything else they depend on: see `code_of`, `versions_of` and `package_of`.
    make
        Works them out, by name; texts are 0-dimensional arrays, and nothing may be an object.

    Returns
    -------
    dict
        The same to the last bit whether they were kept or not. They belong to the caller.

    Raises
    ------
    Exception
        What `make` raises; that is not kept.

    Examples
    --------
    >>> derived("squares", {"up_to": 3}, "1", lambda: {"squares": np.arange(4) ** 2})["squares"]
    array([0, 1, 4, 9])
    """
    folder = kept_in()
    if folder is None:
        return make()
    asked = json.dumps([what, key, grounds, _machine()], sort_keys=True, default=np.generic.item)
    path = folder / f"{what}-{hashlib.sha256(asked.encode()).hexdigest()[:40]}.npz"
    found = _read(path)
    if found is None:
        packed = _packed(make())
        _write(path, packed, what)
        found = _unpacked(packed)
    return found


@lru_cache(maxsize=64)
def code_of(*sources: Path) -> str:
    """A hash of source files, and of all Python files in folders; packages below a folder are left out."""
    digest = hashlib.sha256()
    for source in sources:
        for file in sorted(source.glob("*.py")) if source.is_dir() else (source,):
            digest.update(file.read_bytes())
    return digest.hexdigest()


@lru_cache(maxsize=16)
def versions_of(*distributions: str) -> str:
    """Versions of installed packages that are only code."""
    return " ".join(metadata.version(name) for name in distributions)


@lru_cache(maxsize=16)
def package_of(name: str, distribution: str = "") -> str:
    """A hash of an installed package's version and of all its files' names, sizes and times; empty: there is none.

    Files beside code, tables for instance, may be changed by hand: the version alone would not tell. Asked for before
    the package is imported it stays the same, whatever files Python adds.
    """
    spec = util.find_spec(name)
    if spec is None:
        return ""
    digest = hashlib.sha256(metadata.version(distribution or name).encode())
    for folder in sorted(spec.submodule_search_locations or ()):
        for found in sorted(_files(folder)):
            digest.update(repr(found).encode())
    return digest.hexdigest()


def _files(folder: str) -> list[tuple[str, int, int]]:
    found = []
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir():
                found += _files(entry.path) if entry.name != "__pycache__" else []
            else:
                about = entry.stat()
                found.append((entry.path, about.st_size, about.st_mtime_ns))
    return found


@lru_cache(maxsize=1)
def _machine() -> list[Any]:
    """What may change the last bit of a sum or a power: NumPy chooses its loops by the processor."""
    vectors = np.show_config(mode="dicts").get("SIMD Extensions", {}).get("found", [])  # type: ignore[union-attr]
    return [np.__version__, platform.machine(), platform.python_version(), vectors]


def kept_in() -> Path | None:
    """The folder it is kept in; None: nowhere."""
    return _folder_of(os.environ.get(FOLDER, ""))


@lru_cache(maxsize=8)
def _folder_of(said: str) -> Path | None:
    if said == "off":
        return None
    if said:
        return Path(said) if private(Path(said)) else None
    return folder_for(Path(__file__).parent, "derived")


def _packed(arrays: Arrays) -> bytes:
    """Arrays as bytes, with a hash in front: what was cut short or changed is not read."""
    file = io.BytesIO()
    np.savez(file, allow_pickle=False, **arrays)
    content = file.getvalue()
    return hashlib.sha256(content).digest() + content


def _unpacked(packed: bytes) -> Arrays:
    with np.load(io.BytesIO(packed[_DIGEST:]), allow_pickle=False) as file:
        return {name: file[name] for name in file.files}


def _read(path: Path) -> Arrays | None:
    """What was kept; None if nothing was, or it is damaged."""
    try:
        packed = path.read_bytes()
        if packed[:_DIGEST] != hashlib.sha256(packed[_DIGEST:]).digest():
            return None
        os.utime(path)  # read last just now
        return _unpacked(packed)
    except (OSError, ValueError, EOFError, BadZipFile):
        return None


def _write(path: Path, packed: bytes, what: str) -> None:
    """Keep it: written aside and renamed, for others may read and write it now. Whatever cannot be written is not."""
    with suppress(OSError):
        handle, aside = tempfile.mkstemp(".part", f"{what}-", path.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(packed)
            os.replace(aside, path)
        except BaseException:
            with suppress(OSError):
                os.unlink(aside)
            raise
        _limit(path.parent, what)


def _limit(folder: Path, what: str) -> None:
    """Remove what was not read for longest, until the rest is few enough; also what killed processes left behind."""
    found = []
    for path in folder.glob(f"{what}-*"):
        with suppress(OSError):  # another process removed it
            about = path.stat()
            found.append((about.st_mtime_ns, about.st_size, path))
    size = 0
    for number, (_, bytes_, path) in enumerate(sorted(found, reverse=True, key=_newest), 1):
        size += bytes_
        if number > MOST_FILES or size > MOST_BYTES:
            with suppress(OSError):
                path.unlink()


def _newest(found: tuple[int, int, Path]) -> int:
    return found[0]
