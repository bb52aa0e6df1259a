"""Ctrl-C and SIGTERM that wait until what is being written is whole."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any


class Interruptions:
    """Takes SIGINT, SIGTERM and SIGHUP between `watch` and `unwatch`, and raises them outside guarded blocks.

    Attributes
    ----------
    last
        The last signal that came; None if none did.
    """

    def __init__(self) -> None:
        self.last: signal.Signals | None = None
        self._handlers: dict[signal.Signals, Any] = {}
        self._guards = 0
        self._pending = False  # it came in a guarded block and is still to be raised

    def watch(self) -> None:
        """Take the signals over from whoever handles them."""
        if threading.current_thread() is not threading.main_thread():
            return  # Python delivers signals to the main thread alone
        for name in ("SIGINT", "SIGTERM", "SIGHUP"):
            number = getattr(signal, name, None)
            # what the caller ignores (nohup, a shell's background job) stays ignored
            if number is not None and signal.getsignal(number) != signal.SIG_IGN:
                self._handlers[number] = signal.signal(number, self._come)

    def unwatch(self) -> None:
        """Hand the signals back."""
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        self._handlers.clear()

    @contextmanager
    def guarded(self) -> Iterator[None]:
        """A signal waits until the block is left."""
        self._guards += 1
        try:
            yield
        finally:
            self._guards -= 1
        if self._pending and self._guards == 0:
            self.stop()

    def ignore(self) -> None:
        """From here on a signal is noted but has nothing left to stop."""
        self._guards += 1

    def stop(self) -> None:
        """Raise what came, if something did."""
        self._pending = False
        if self.last == signal.SIGINT:
            raise KeyboardInterrupt
        if self.last is not None:
            raise SystemExit(128 + self.last)  # the shell's convention for a process ended by a signal

    def _come(self, number: int, frame: FrameType | None) -> None:
        self.last = signal.Signals(number)
        self._pending = True
        if self._guards == 0:
            self.stop()
