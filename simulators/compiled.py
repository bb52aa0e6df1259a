"""The one way hot functions are compiled.

numba turns a loop into machine code: Python spends about 1 us per statement on records, compiled code a few ns. The
result is kept on disk, so the compilation is paid once per installation; what is damaged there is compiled anew.
`NUMBA_DISABLE_JIT=1` runs everything as plain Python for debugging.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol, TypeVar, cast

import numba
from numba.core.caching import FunctionCache, IndexDataCacheFile
from numba.extending import register_jitable

from simulators.caches import folder_for
from simulators.loops import in_loops_from_now_on

F = TypeVar("F", bound=Callable[..., object])

in_loops_from_now_on(register_jitable)


class Compiler(Protocol):
    """Compiles a function on its first call and keeps the result on disk; typed as the function itself."""

    def __call__(self, function: F) -> F: ...


class _HashedFile(IndexDataCacheFile):  # type: ignore[misc]
    """numba's files of a function, each with a hash behind what numba reads: machine code that is not as it was
    written must not run."""

    def _dump(self, obj: Any) -> bytes:
        content: bytes = super()._dump(obj)
        return content + hashlib.sha256(content).digest()

    def _load_data(self, name: str) -> Any:
        content = Path(self._data_path(name)).read_bytes()
        size = hashlib.sha256().digest_size
        if hashlib.sha256(content[:-size]).digest() != content[-size:]:
            raise OSError(f"{name} is damaged")  # to numba: it is not there
        return super()._load_data(name)


class _SoundCache(FunctionCache):  # type: ignore[misc]
    """Compiled code of a function on disk: damaged, it counts as not there; where it cannot be written, it is not."""

    def __init__(self, function: Callable[..., object]) -> None:
        super().__init__(function)
        locator = self._impl.locator
        self._cache_file = _HashedFile(self._cache_path, self._impl.filename_base, locator.get_source_stamp())

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        try:
            return super().load_overload(sig, target_context)
        except Exception:  # whatever half a file makes of its reader
            with suppress(OSError):
                self.flush()
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        with suppress(OSError):
            super().save_overload(sig, data)


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
            made = numba.njit(**options)(function)
            made._cache = _SoundCache(function)
            return cast(F, made)
        finally:
            numba.config.CACHE_DIR = before

    return compiled
