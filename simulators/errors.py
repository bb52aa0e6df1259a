"""What a user is meant to read: exceptions, and how their messages are made to fit one line."""

from __future__ import annotations

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
