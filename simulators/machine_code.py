"""Functions compiled by numba, kept on disk where only their owner can write.

Each room that compiles has one `Compiler`, which knows all sources whose code may end up in one compiled function.
`NUMBA_DISABLE_JIT=1` runs everything as plain Python for debugging.
"""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar, cast

import numba

F = TypeVar("F", bound=Callable[..., object])


class Compiler:
    """The one way a room compiles its hot functions.

    Parameters
    ----------
    room
        Folder of the room; the cache lies beside its sources where that can be written.
    sources
        All files whose functions may be compiled into each other.
    """

    def __init__(self, room: Path, sources: Sequence[Path]) -> None:
        self._room = room
        self._sources = tuple(sources)
        self._folder = None if "NUMBA_CACHE_DIR" in os.environ else self.cache_folder()

    def __call__(self, function: F) -> F:
        """Compile `function` on its first call and keep the result on disk; typed as the function itself."""
        if numba.config.DISABLE_JIT:
            return function
        options = {"error_model": "numpy", "nogil": True}
        if self._folder is None and "NUMBA_CACHE_DIR" not in os.environ:
            return cast(F, numba.njit(**options)(function))
        # numba takes the folder from a global when a function is decorated; nobody else's functions are to land in ours
        before = numba.config.CACHE_DIR
        numba.config.CACHE_DIR = before if self._folder is None else str(self._folder)
        try:
            return cast(F, numba.njit(cache=True, **options)(function))
        finally:
            numba.config.CACHE_DIR = before

    def cache_folder(self) -> Path | None:
        """Where compiled code is kept: beside the sources, else in the user's folder; None: nowhere that is safe."""
        name = self._digest()
        owner = os.getuid() if hasattr(os, "getuid") else "user"
        home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") if _has_home() else None
        own = Path(tempfile.gettempdir()) / f"wattloop-{owner}"
        for folder in (self._room / "__pycache__", home / "wattloop" if home else own, own):
            if private(folder) and private(folder / name):
                return folder / name
        return None

    def _digest(self) -> str:
        """A name for all sources that may be compiled together.

        numba looks at the file of a function, not at those of the functions it calls: without this, a change of a power
        law would leave the old one in the compiled loop.
        """
        digest = hashlib.sha256(numba.__version__.encode())
        for source in (*self._sources, Path(__file__)):
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


def _has_home() -> bool:
    try:
        return Path.home().is_dir()
    except RuntimeError:
        return False
