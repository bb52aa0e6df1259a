"""How this room compiles its hot functions, the batch loop above all; see `simulators.compiled`."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import numba
import numpy as np
from numpy.typing import NDArray

from simulators.compiled import F, compiler

ROOM = Path(__file__).parent
SOURCES = (
    *sorted((ROOM / "batching").glob("*.py")),
    *sorted((ROOM / "power").glob("*.py")),
    ROOM / "timing" / "tables.py",
    Path(__file__),
)

compiled = compiler(ROOM, SOURCES)


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
