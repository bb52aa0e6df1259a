"""How this room compiles its hot functions, the batch loop above all; see `simulators.compiled`."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar, cast

import numba
import numpy as np
from numba.core import cgutils
from numba.core.types import Array
from numba.core.types.containers import BaseTuple
from numba.extending import intrinsic
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
inlined = compiler(ROOM, SOURCES, inline=True)
"""For what is called in every iteration: a call hands over every field of every array, some 1.5 kB."""

T = TypeVar("T")


def _uncounted(context: Any, builder: Any, kind: Any, value: Any) -> Any:
    """The value of an array, or of a tuple, without the owner that references are counted at."""
    if isinstance(kind, Array):
        array = context.make_array(kind)(context, builder, value)
        array.meminfo = cgutils.get_null_value(array.meminfo.type)
        array.parent = cgutils.get_null_value(array.parent.type)
        return array._getvalue()
    if isinstance(kind, BaseTuple):
        parts = [_uncounted(context, builder, k, builder.extract_value(value, i)) for i, k in enumerate(kind)]
        return context.make_tuple(builder, kind, parts)
    return value


def _borrowed(typing_context: Any, value: Any) -> Any:
    """What numba asks of an intrinsic: its signature, and how it is made."""

    def make(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return _uncounted(context, builder, value, arguments[0])

    return value(value), make


def _itself(value: T) -> T:
    return value


borrowed: Any = _itself if numba.config.DISABLE_JIT else intrinsic(_borrowed)
"""The same arrays, alone or in tuples, without counting references: the caller keeps them alive.

A compiled function counts references to every array it is handed, and does so atomically: with a dozen arrays in a
replica's state that was half the time of the batch loop, more where threads share the arrays.
"""


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
