"""The one way this room compiles its hot functions.

numba turns the batch loop into machine code: Python spends about 1 us per attribute-heavy statement, the loop
needs a few ns per request in the batch. The cache lies beside the source, so the compilation (some seconds) is paid
once per installation. `NUMBA_DISABLE_JIT=1` runs everything as plain Python for debugging.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, cast

import numba

F = TypeVar("F", bound=Callable[..., object])


def compiled(function: F) -> F:
    """Compile `function` on its first call and keep the result on disk; typed as the function itself."""
    return cast(F, numba.njit(cache=True, error_model="numpy")(function))
