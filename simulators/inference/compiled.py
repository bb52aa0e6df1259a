"""The one way this room compiles its hot functions.

numba turns the batch loop into machine code: Python spends about 1 us per statement on records, the loop a few ns per
request in the batch. The result is kept on disk, so the compilation (some 20 s) is paid once per installation.
`NUMBA_DISABLE_JIT=1` runs everything as plain Python for debugging.
"""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import numba
import numpy as np
from numpy.typing import NDArray

F = TypeVar("F", bound=Callable[..., object])

_ROOM = Path(__file__).parent
_SOURCES = (
    *sorted((_ROOM / "batching").glob("*.py")),
    *sorted((_ROOM / "power").glob("*.py")),
    _ROOM / "timing" / "tables.py",
    Path(__file__),
)


def _digest() -> str:
    """A name for all sources that may be compiled together.

    numba looks at the file of a function, not at those of the functions it calls: without this, a change of a power law
    would leave the old one in the compiled loop.
    """
    digest = hashlib.sha256(numba.__version__.encode())
    for source in _SOURCES:
        digest.update(source.read_bytes())
    return f"compiled-{digest.hexdigest()[:16]}"


def private(folder: Path) -> bool:
    """Whether a folder is ours alone to write: machine code is loaded from it. Makes it if it is not there.

    On systems without owners and modes of that kind, the user's temporary folder is taken as private.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = folder.lstat()
    except OSError:
        return False
    if not stat.S_ISDIR(found.st_mode) or not os.access(folder, os.W_OK):
        return False
    if not hasattr(os, "getuid"):
        return True
    return found.st_uid == os.getuid() and not found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def cache_folder() -> Path | None:
    """Where compiled code is kept: beside the sources, else in a folder of the user's; None: nowhere that is safe."""
    name = _digest()
    owner = os.getuid() if hasattr(os, "getuid") else "user"
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") if _has_home() else None
    own = Path(tempfile.gettempdir()) / f"wattloop-{owner}"
    for folder in (_ROOM / "__pycache__", home / "wattloop" if home else own, own):
        if private(folder) and private(folder / name):
            return folder / name
    return None


def _has_home() -> bool:
    try:
        return Path.home().is_dir()
    except RuntimeError:
        return False


_FOLDER = None if "NUMBA_CACHE_DIR" in os.environ else cache_folder()


def compiled(function: F) -> F:
    """Compile `function` on its first call and keep the result on disk; typed as the function itself."""
    if numba.config.DISABLE_JIT:
        return function
    if _FOLDER is None and "NUMBA_CACHE_DIR" not in os.environ:
        return cast(F, numba.njit(error_model="numpy")(function))
    # numba takes the folder from a global when a function is decorated; nobody else's functions are to land in ours
    before = numba.config.CACHE_DIR
    numba.config.CACHE_DIR = before if _FOLDER is None else str(_FOLDER)
    try:
        return cast(F, numba.njit(cache=True, error_model="numpy")(function))
    finally:
        numba.config.CACHE_DIR = before


def readable(records: NDArray[np.void]) -> Any:
    """Records as the loop reads them: compiled, fields of any structured array are attributes; in Python, a view is."""
    return records.view(np.recarray) if numba.config.DISABLE_JIT else records


def resolved(function: F, *arguments: object) -> F:
    """`function` compiled for arguments of these types, without numba's look at every argument of every call.

    That look costs some 100 us for record arrays, the call itself a few. The caller vouches for the types.
    """
    if numba.config.DISABLE_JIT:
        return function
    dispatcher: Any = function
    types = tuple(numba.typeof(a) for a in arguments)
    dispatcher.compile(types)
    return cast(F, dispatcher.overloads[types].entry_point)
