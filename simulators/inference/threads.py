"""Replicas side by side: the compiled loop runs without Python's lock, so threads share the cores.

Between two outside events a replica is a closed system, so whatever the number of threads, each does the same, to the
last bit. ``WATTLOOP_THREADS`` sets the number; by default it is that of the cores this process may use, and 1 in the
worker processes of a sweep, which share them already.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from functools import cache

from simulators.errors import InputError

VARIABLE = "WATTLOOP_THREADS"


def threads() -> int:
    """How many threads carry replicas.

    Raises
    ------
    InputError
        If the environment asks for no whole number above 0.
    """
    asked = os.environ.get(VARIABLE, "").strip()
    if not asked:
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if not asked.isascii() or not asked.isdigit() or not 0 < int(asked) <= 1024:
        raise InputError(f"{VARIABLE}: {asked[:40]!r} given, expected a whole number from 1 to 1024")
    return int(asked)


@cache
def _pool(process: int, size: int) -> Executor:
    """Threads of this process (a forked child has none of its parent's)."""
    return ThreadPoolExecutor(size, thread_name_prefix="replicas")


def in_threads(work: Callable[[Sequence[int]], None], numbers: Sequence[int]) -> None:
    """Do the work for all numbers, shared out among the threads; the first exception comes back."""
    count = min(threads(), len(numbers))
    if count <= 1:
        work(numbers)
        return
    shares = [numbers[first::count] for first in range(count)]
    begun = [_pool(os.getpid(), count - 1).submit(work, share) for share in shares[1:]]
    try:
        work(shares[0])
    finally:
        # all of them are waited for, also where one fails: none goes on behind the caller's back
        failed = [error for error in [share.exception() for share in begun] if error is not None]
    if failed:
        raise failed[0]
