"""Replicas side by side: the compiled loop runs without Python's lock, so threads share the cores.

Between two outside events a replica is a closed system, so whatever the number of threads, each does the same, to the
last bit. ``WATTLOOP_THREADS`` sets the number; by default it is that of the cores this process may use, and 1 in the
worker processes of a sweep, which share them already.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import cache
from queue import SimpleQueue
from threading import Thread

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


Work = Callable[[Sequence[int]], None]
Ended = SimpleQueue[BaseException | None]


class _Helper:
    """A thread that does one piece of work after the other; handing over is two turns of a queue, some 20 us.

    An executor's futures take twice as long, more than the work of many a step.
    """

    def __init__(self, name: str) -> None:
        self._given: SimpleQueue[tuple[Work, Sequence[int], Ended]] = SimpleQueue()
        Thread(target=self._run, name=name, daemon=True).start()

    def begin(self, work: Work, numbers: Sequence[int], ended: Ended) -> None:
        """Have the work done for some numbers; `ended` is told what it failed with, or None."""
        self._given.put((work, numbers, ended))

    def _run(self) -> None:
        while True:
            work, numbers, ended = self._given.get()
            error: BaseException | None = None
            try:
                work(numbers)
            except BaseException as raised:
                error = raised
            ended.put(error)
            del work, numbers, ended, error  # what they hold is not kept until the next piece comes


@cache
def _helpers(process: int, count: int) -> list[_Helper]:
    """Threads of this process (a forked child has none of its parent's)."""
    return [_Helper(f"replicas-{number}") for number in range(count)]


def in_threads(work: Work, numbers: Sequence[int]) -> None:
    """Do the work for all numbers, shared out among the threads; the first exception comes back."""
    count = min(threads(), len(numbers))
    if count <= 1:
        work(numbers)
        return
    shares = [numbers[first::count] for first in range(count)]
    ended: Ended = SimpleQueue()
    for helper, share in zip(_helpers(os.getpid(), count - 1), shares[1:], strict=True):
        helper.begin(work, share, ended)
    try:
        work(shares[0])
    finally:
        # all of them are waited for, also where one fails: none goes on behind the caller's back
        failed = [error for error in [ended.get() for _ in shares[1:]] if error is not None]
    if failed:
        raise failed[0]
