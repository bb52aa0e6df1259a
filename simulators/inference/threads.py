"""Replicas side by side: the compiled loop runs without Python's lock, so threads share the cores.

Between two outside events a replica is a closed system, so whatever the number of threads, each does the same, to the
last bit. ``WATTLOOP_THREADS`` sets the number; by default it is that of the cores this process may use, and 1 in the
worker processes of a sweep, which share them already.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
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


Work = Callable[[int], None]
Ended = SimpleQueue[BaseException | None]


class _Helper:
    """A thread that takes part in one piece of work after the other.

    Handing over is a turn of a queue, some 20 us; an executor's futures take twice as long, more than the work of many
    a step.
    """

    def __init__(self, name: str) -> None:
        self._given: SimpleQueue[tuple[Work, Iterator[int], Ended]] = SimpleQueue()
        Thread(target=self._run, name=name, daemon=True).start()

    def begin(self, work: Work, left: Iterator[int], ended: Ended) -> None:
        """Have it do the work for numbers that are left; `ended` hears of each what it failed with, or None."""
        self._given.put((work, left, ended))

    def _run(self) -> None:
        while True:
            work, left, ended = self._given.get()
            for number in left:
                error: BaseException | None = None
                try:
                    work(number)
                except BaseException as raised:
                    error = raised
                ended.put(error)
                del error
            del work, left, ended  # what they hold is not kept until the next piece comes


@cache
def _helpers(process: int, count: int) -> list[_Helper]:
    """Threads of this process (a forked child has none of its parent's)."""
    return [_Helper(f"replicas-{number}") for number in range(count)]


def in_threads(work: Work, numbers: Sequence[int]) -> None:
    """Do the work for each number; whichever thread is free takes the next, and the first exception comes back.

    A helper that is not awake before all are taken is not waited for.
    """
    count = min(threads(), len(numbers))
    left = iter(numbers)  # of a sequence: threads may share it, each number comes once
    if count <= 1:
        for number in left:
            work(number)
        return
    ended: Ended = SimpleQueue()
    for helper in _helpers(os.getpid(), count - 1):
        helper.begin(work, left, ended)
    own = 0
    try:
        for number in left:
            own += 1
            work(number)
    finally:
        own += sum(1 for _ in left)  # after a failure nothing more is begun
        # what others have begun is waited for, also then: nothing goes on behind the caller's back
        failed = [error for error in [ended.get() for _ in range(len(numbers) - own)] if error is not None]
    if failed:
        raise failed[0]
