"""Functions that compiled loops may call and that stay plain Python for everybody else.

numba need not be there to mark them: it takes half a second to import, and whoever asks for `--help` compiles nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable[..., object])

_waiting: list[Callable[..., object]] = []
_register: list[Callable[[Any], object]] = [_waiting.append]


def in_loops(function: F) -> F:
    """Let compiled functions call `function`, which stays plain Python for everybody else; both give the same bits."""
    _register[0](function)
    return function


def in_loops_from_now_on(register: Callable[[Any], object]) -> None:
    """Have a compiler know the functions that were marked before it came, and those to come."""
    _register[0] = register
    while _waiting:
        register(_waiting.pop(0))
