"""Work on several cores at once: compiled loops and NumPy's run without Python's lock, so threads share the cores.

``WATTLOOP_THREADS`` sets the number of threads; by default it is that of the cores this process may use, and 1 in the
worker processes of a sweep, which share them already. What is done side by side shares nothing that any of it changes,
and what is done `beside` is waited for before anybody looks at it: whatever the number, results are the same, to the
last bit.
"""

from __future__ import annotations

import atexit
import os
from collections.abc import Callable, Iterator, Sequence
from functools import cache, partial
from queue import SimpleQueue
from threading import Event, Thread
from typing import Any, Generic, TypeVar, cast

from simulators.errors import InputError

VARIABLE = "WATTLOOP_THREADS"

T = TypeVar("T")

_under_way: set[Beside[Any]] = set()
os.register_at_fork(after_in_child=_under_way.clear)


def threads() -> int:
    """How many threads share the work.

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
    """A thread that does one task after the other; tasks see to what they fail with.

    Handing over is a turn of a queue, some 20 us; an executor's futures take twice as long, more than the work of many
    a step.
    """

    def __init__(self, name: str) -> None:
        self._given: SimpleQueue[Callable[[], None]] = SimpleQueue()
        Thread(target=self._run, name=name, daemon=True).start()

    def begin(self, task: Callable[[], None]) -> None:
        """Have it do a task, after those it was given before."""
        self._given.put(task)

    def _run(self) -> None:
        while True:
            task = self._given.get()
            task()
            del task  # what it holds is not kept until the next one comes


@cache
def _helpers(process: int, count: int) -> list[_Helper]:
    """Threads of this process (a forked child has none of its parent's)."""
    return [_Helper(f"helper-{number}") for number in range(count)]


def _take_part(work: Work, left: Iterator[int], ended: Ended) -> None:
    """Do the work for numbers that are left; `ended` hears of each what it failed with, or None."""
    for number in left:
        error: BaseException | None = None
        try:
            work(number)
        except BaseException as raised:
            error = raised
        ended.put(error)
        del error


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
    for helper in _helpers(os.getpid(), threads() - 1)[: count - 1]:
        helper.begin(partial(_take_part, work, left, ended))
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


class Beside(Generic[T]):
    """Work that a helper does while the caller goes on; whoever comes first, the helper or who wants it, does it.

    With one thread it is done at once.

    Examples
    --------
    >>> total = Beside(lambda: sum(range(10)))
    >>> total.result()
    45
    """

    def __init__(self, work: Callable[[], T]) -> None:
        self._work: Callable[[], T] | None = work
        self._turn = iter(range(1))
        self._over = Event()
        self._value: T | None = None
        self._error: BaseException | None = None
        if (count := threads()) > 1:
            _under_way.add(self)
            _helpers(os.getpid(), count - 1)[0].begin(self._do)
        else:
            self._do()

    def _do(self) -> None:
        for _ in self._turn:
            try:
                assert self._work is not None
                self._value = self._work()
            except BaseException as error:
                self._error = error
            self._work = None
            _under_way.discard(self)
            self._over.set()

    def wait(self) -> None:
        """Come back when it is done, whatever came of it."""
        self._do()
        self._over.wait()

    def result(self) -> T:
        """What the work gave, when it is done; what it failed with is raised."""
        self.wait()
        if self._error is not None:
            raise self._error
        return cast(T, self._value)


@atexit.register
def settle() -> None:
    """Wait for all that is done beside: nothing changes behind the caller's back then."""
    for work in tuple(_under_way):
        work.wait()
