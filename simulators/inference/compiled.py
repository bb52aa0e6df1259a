"""The one way this room compiles its hot functions.

numba turns the batch loop into machine code: Python spends about 1 us per attribute-heavy statement, the loop
needs a few ns per request in the batch. The cache lies beside the source, so the compilation (some seconds) is paid
once per installation. `NUMBA_DISABLE_JIT=1` runs everything as plain Python for debugging.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

F = TypeVar("F", bound=Callable[..., object])


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
