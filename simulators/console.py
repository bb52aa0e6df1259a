"""What every command has in common: how it ends when something is wrong.

What a user gave (`InputError`, an unknown option, a file that cannot be written) ends with one line on stderr and exit
code 2; what stops a run from outside (`RunStopped`: a full disk, a lost simulator) with one line and 1. Anything else
is a fault of WattLoop's own: two lines, the second with the path of a log that holds the traceback, and exit code 70
(``EX_SOFTWARE``). With ``WATTLOOP_DEBUG=1`` in the environment faults and refusals keep their traceback.
"""

from __future__ import annotations

import atexit
import gc
import os
import platform
import sys
import tempfile
import traceback
from collections.abc import Callable
from typing import Any

import typer

from simulators.errors import InputError, RunStopped, nearest, one_line
from simulators.files import reason

REFUSED, STOPPED, BUG = 2, 1, 70
GARBAGE = (50_000, 20, 50)
"""Objects after which Python looks for cycles; its own 700 make it look at all of pandas, numba and SciPy again and
again while they are imported, 0.4 s of a start."""


class App(typer.Typer):
    """A command, or several, that end as this module says.

    What follows the first paragraph of `about` keeps its lines.
    """

    def __init__(self, about: str | None = None) -> None:
        kept = about and about.replace("\n\n", "\n\n\b\n")  # else lines of examples are run together
        super().__init__(
            add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None, help=kept
        )

    @classmethod
    def of(cls, function: Callable[..., None]) -> App:
        """One that is a single command."""
        made = cls()
        made.command()(function)
        return made

    def __call__(self, *args: Any, **settings: Any) -> Any:
        """Run what the command line says, and end the process."""
        gc.set_threshold(*GARBAGE)
        atexit.unregister(gc.freeze)
        atexit.register(gc.freeze)  # nothing is looked for in what ends anyway: 0.5 s
        try:
            code = super().__call__(*args, **{"standalone_mode": False} | settings)
        except Exception as error:
            if debugging():
                raise
            code = ended(error)
        if isinstance(code, int) and code:
            sys.exit(code)


def debugging() -> bool:
    """Whether tracebacks are wanted."""
    return os.environ.get("WATTLOOP_DEBUG", "") not in ("", "0")


def ended(error: Exception) -> int:
    """Say what stopped a command; its exit code."""
    if isinstance(error, InputError):
        return _say(error, REFUSED)
    if isinstance(error, RunStopped):
        return _say(error, STOPPED)
    if isinstance(error, BrokenPipeError):  # whoever read what we print has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return STOPPED
    if type(error).__name__ == "Abort":  # what typer makes of Ctrl-C, and of a file that ends too early
        return _report(error.__cause__) if isinstance(error.__cause__, EOFError) else 130
    if hasattr(error, "format_message"):  # what typer, and click in it, calls a wrong use
        return _say(_wrong_use(error), REFUSED)
    if isinstance(error, MemoryError):
        return _say(
            "this takes more memory than there is, expected fewer or longer steps (--days, --step)", REFUSED
        )
    if isinstance(error, OSError) and error.filename is not None and error.errno is not None:
        return _say(f"{os.fsdecode(error.filename)}: {reason(error)}", REFUSED)
    return _report(error)


def _say(message: Exception | str, code: int) -> int:
    print(f"error: {one_line(message)}", file=sys.stderr)
    return code


def _wrong_use(error: Any) -> str:
    """What is wrong with a command line, and the nearest option or command there is."""
    context = getattr(error, "ctx", None)
    name = getattr(context, "command_path", "") or "wattloop"
    said = str(getattr(error, "message", "") or error.format_message()).rstrip(".")
    if option := getattr(error, "option_name", None):
        if "such option" in said:
            known = [each for param in context.command.params for each in param.opts] if context else []
            hint = nearest(option.replace("_", "-"), known)
            return f"{option}: no such option of {name}{hint}; {name} --help lists them"
        wrong = "given a value, expected none" if "not take" in said else "no value given, expected one"
        return f"{option}: {wrong}; --help tells what it means"
    if (param := getattr(error, "param", None)) is not None:
        shown = param.opts[0] if param.param_type_name == "option" else (param.metavar or param.name).upper()
        if not said or said.lower().startswith("missing"):
            return f"{shown}: not given, expected it; {name} --help tells what it is"
        said = said.removeprefix("Value error, ")
        return f"{shown}: {said[:1].lower()}{said[1:]}; {name} --help tells what was expected"
    commands = list(getattr(getattr(context, "command", None), "commands", {}))
    if said.startswith("No such command"):
        wrong = said.split("'")[1] if said.count("'") > 1 else said
        hint = nearest(wrong.replace("_", "-"), commands)
        return f"{wrong}: no such command of {name}, expected one of {', '.join(commands)}{hint}"
    if said.startswith("Missing command"):
        return f"{name}: no command given, expected one of {', '.join(commands)}"
    return f"{said[:1].lower()}{said[1:]}; {name} --help tells what was expected"


def _report(error: Exception) -> int:
    """Keep the traceback of a fault in a file that is ours alone, and name the file."""
    kind = type(error).__name__
    told = "".join(traceback.format_exception(error))
    about = f"python {platform.python_version()} on {platform.platform()}\narguments: {sys.argv[1:]!r}\n\n"
    try:
        # made anew, for us alone to read, through no link that lies there
        handle, path = tempfile.mkstemp(prefix="wattloop-fault-", suffix=".log")
        with os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(about + told)
        where = f"the traceback is in {path}"
    except OSError as no_log:
        where = f"no log could be written ({reason(no_log)}); WATTLOOP_DEBUG=1 prints the traceback"
    print(
        f"error: a fault in WattLoop, not in your input: {one_line(f'{kind}: {error}')[:200]}",
        file=sys.stderr,
    )
    print(f"       please report it; {where}", file=sys.stderr)
    return BUG
