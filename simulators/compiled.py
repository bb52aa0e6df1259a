"""The one way hot functions are compiled.

numba turns a loop into machine code: Python spends about 1 us per statement on records, compiled code a few ns. The
result is kept on disk, so the compilation is paid once per installation. `NUMBA_DISABLE_JIT=1` runs everything as
plain Python for debugging.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol, TypeVar, cast

import numba
from numba.extending import register_jitable

from simulators.caches import folder_for
from simulators.loops import in_loops_from_now_on

F = TypeVar("F", bound=Callable[..., object])

in_loops_from_now_on(register_jitable)


class Compiler(Protocol):
    """Compiles a function on its first call and keeps the result on disk; typed as the function itself."""

    def __call__(self, function: F) -> F: ...


def _digest(sources: Sequence[Path]) -> str:
    """A name for all sources that may be compiled together.

    numba looks at the file of a function, not at those of the functions it calls: without this, a change of a power law
    would leave the old one in the compiled loop.
    """
    digest = hashlib.sha256(numba.__version__.encode())
    for source in (*sources, Path(__file__)):
        digest.update(source.read_bytes())
    return f"compiled-{digest.hexdigest()[:16]}"


def cache_folder(room: Path, sources: Sequence[Path]) -> Path | None:
    """Where compiled code is kept; None: nowhere that is safe."""
    return folder_for(room, _digest(sources))


def compiler(room: Path, sources: Sequence[Path], *, inline: bool = False) -> Compiler:
    """A compiler for the functions of a room.

    Parameters
    ----------
    room
        Its folder.
    sources
        All files whose functions end up in one piece of machine code; a change of any makes all of it anew.
    inline
        Whether machine code of a function is put wherever it is called.
    """
    options = {"error_model": "numpy", "nogil": True, "forceinline": inline}
    folder = None if "NUMBA_CACHE_DIR" in os.environ else cache_folder(room, sources)

    def compiled(function: F) -> F:
        if numba.config.DISABLE_JIT:
            return function
        if folder is None and "NUMBA_CACHE_DIR" not in os.environ:
            return cast(F, numba.njit(**options)(function))
        # numba takes the folder from a global when a function is decorated; nobody else's functions are to land in ours
        before = numba.config.CACHE_DIR
        numba.config.CACHE_DIR = before if folder is None else str(folder)
        try:
            return cast(F, numba.njit(cache=True, **options)(function))
        finally:
            numba.config.CACHE_DIR = before

    return compiled
