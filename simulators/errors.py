"""What a user is meant to read: exceptions, and how their messages are made to fit one line."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

LONGEST = 300
"""Characters of a message."""


class InputError(ValueError):
    """Something the user handed over is wrong: a file, a row, an option.

    The message is one line that says what is wrong, where (file, row, option) and what was expected.
    Scenarios and command lines print it and exit with code 2; any other exception is a bug and keeps its
    traceback.
    """


class RunStopped(RuntimeError):
    """Something outside ended a run that was asked for rightly, e.g. a full disk; the message is one line.

    Scenarios and command lines print it and exit with code 1.
    """


class SimulatorLost(RunStopped):
    """A simulator in another process stopped answering; the message names it. What was simulated is kept."""


def one_line(error: BaseException | str) -> str:
    """A message on one line, without control characters, of at most `LONGEST` characters; its ends stay.

    Examples
    --------
    >>> one_line("two\\nlines \\x1b[31mred")
    'two lines [31mred'
    """
    text = "".join(letter if letter.isprintable() else " " for letter in str(error))
    text = " ".join(text.split())
    if len(text) <= LONGEST:
        return text
    tail = LONGEST // 3
    return f"{text[: LONGEST - tail - 5]} ... {text[-tail:]}"


def first_line(error: BaseException) -> str:
    """What another library says of a broken file, as far as it fits into one line.

    Examples
    --------
    >>> first_line(ValueError("too large\\nby far")), first_line(KeyError())
    ('too large', 'KeyError')
    """
    return (str(error).splitlines() or [type(error).__name__])[0][:200]


def nearest(name: str, known: Iterable[str], cutoff: float = 0.6) -> str:
    """A hint at the nearest known name, or nothing; `cutoff` is how alike it must be, 0 to 1.

    Examples
    --------
    >>> nearest("pv_kv", ["pv_kw", "wind_kw"])
    '; did you mean pv_kw?'
    """
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=cutoff)
    return f"; did you mean {close[0]}?" if close else ""
