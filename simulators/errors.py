"""The one exception a user is meant to read."""

from __future__ import annotations


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
