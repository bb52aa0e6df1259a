"""The one way this room compiles its hot functions.

numba turns the batch loop into machine code: Python spends about 1 us per statement on records, the loop a few ns per
request in the batch. The result is kept on disk, so the compilation (some 20 s) is paid once per installation.
`NUMBA_DISABLE_JIT=1` runs everything as plain Python for debugging.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import numba

F = TypeVar("F", bound=Callable[..., object])

_ROOM = Path(__file__).parent
_SOURCES = (
    *sorted((_ROOM / "batching").glob("*.py")),
    *sorted((_ROOM / "power").glob("*.py")),
    Path(__file__),
)


def _cache_folder() -> str:
    """A folder named after all sources that may be compiled together.

    numba looks at the file of a function, not at those of the functions it calls: without this, a change of a power law
    would leave the old one in the compiled loop.
    """
    digest = hashlib.sha256(numba.__version__.encode())
    for source in (*_SOURCES, _ROOM / "timing" / "tables.py"):
        digest.update(source.read_bytes())
    name = f"compiled-{digest.hexdigest()[:16]}"
    beside = _ROOM / "__pycache__"
    if os.access(beside if beside.exists() else _ROOM, os.W_OK):
        return str(beside / name)
    return str(Path(tempfile.gettempdir()) / f"wattloop-{os.getuid()}" / name)


if "NUMBA_CACHE_DIR" not in os.environ:
    numba.config.CACHE_DIR = _cache_folder()


def compiled(function: F) -> F:
    """Compile `function` on its first call and keep the result on disk; typed as the function itself."""
    return cast(F, numba.njit(cache=True, error_model="numpy")(function))


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
