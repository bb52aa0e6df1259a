"""Processes that end with the one that started them, however that ends."""

from __future__ import annotations

import os
import signal
import threading
import time
from multiprocessing import parent_process

PARENT = "WATTLOOP_PARENT"
"""Environment variable: the process a command belongs to."""

LOOKS_EVERY_S = 0.5


def end_with_parent() -> None:
    """Have this process get SIGTERM once the process it belongs to is gone, even if that was killed outright.

    It belongs to the process of `multiprocessing` that made it, else to the one that `PARENT` names; without both
    nothing happens. Where a child is not handed on when its parent ends (Windows), nothing happens either.
    """
    made_by = parent_process()
    told = os.environ.get(PARENT, "")
    number = made_by.pid if made_by is not None else int(told) if told.isdecimal() else None
    if number is None or os.name != "posix":
        return

    def look() -> None:
        while os.getppid() == number:
            time.sleep(LOOKS_EVERY_S)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=look, name="ends with its parent", daemon=True).start()


def belonging() -> dict[str, str]:
    """The environment of a child that shall end with this process; the child calls `end_with_parent`."""
    return {**os.environ, PARENT: str(os.getpid())}
