"""The one exception a user is meant to read."""

from __future__ import annotations


class InputError(ValueError):
    """Something the user handed over is wrong: a file, a row, an option.

    The message is one line that says what is wrong, where (file, row, option) and what was expected.
    Scenarios and command lines print it and exit with code 2; any other exception is a bug and keeps its
    traceback.
    """


class SimulatorLost(RuntimeError):
    """A simulator in another process stopped answering; the message names it. What was simulated is kept."""
