"""The one way a small file of the user's is read: as text, TOML or JSON, or one line that says why it cannot be.

A pipe is not waited for, a device not read, a file of many gigabytes not held; what is nested deeper than any
configuration, says a name twice, or holds a number that no quantity has, is refused where it stands.
"""

from __future__ import annotations

import csv
import json
import os
import stat
import tomllib
from collections.abc import Callable, Iterable
from datetime import date, time
from pathlib import Path
from typing import Any

from simulators.errors import InputError

MOST_BYTES = 1 << 26
"""Of a file that is no table: no configuration, network or log of a run has more."""

MOST_LEVELS = 64
"""Tables in tables; the deepest of the bundled files has five."""

MOST_COUNTED = 10**18
"""No count and no identifier is greater."""


def check_file(path: Path, where: str | None = None, most_bytes: int = MOST_BYTES) -> None:
    """Refuse what is no file that can be read to its end.

    Parameters
    ----------
    path
        Of the file.
    where
        What a message opens with; the path unless told otherwise.
    most_bytes
        Size up to which it is read.

    Raises
    ------
    InputError
        No such file, a folder, a pipe, a device, a loop of links, no permission, too large.
    """
    where = str(path) if where is None else where
    try:
        found = os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        raise InputError(f"{where}: no such file") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{where}: cannot be read ({reason(error)})") from None
    if stat.S_ISDIR(found.st_mode):
        raise InputError(f"{where}: is a folder, expected a file")
    if not stat.S_ISREG(found.st_mode):
        raise InputError(f"{where}: is a pipe or a device, expected a file")
    if found.st_size > most_bytes:
        raise InputError(
            f"{where}: has {found.st_size >> 20} MiB, expected at most {max(1, most_bytes >> 20)} MiB"
        )


def is_there(path: Path) -> bool:
    """Whether there is anything of this name, however odd it is.

    Examples
    --------
    >>> is_there(Path("no\\0name")), is_there(Path("."))
    (False, True)
    """
    try:
        return path.exists()
    except (OSError, ValueError):
        return False


def read_bytes(path: Path, where: str | None = None, most_bytes: int = MOST_BYTES) -> bytes:
    """The bytes of a file.

    Raises
    ------
    InputError
        As `check_file`, or if it cannot be read.
    """
    check_file(path, where, most_bytes)
    try:
        return path.read_bytes()
    except OSError as error:
        where = str(path) if where is None else where
        raise InputError(f"{where}: cannot be read ({reason(error)})") from None


def read_text(
    path: Path, where: str | None = None, expected: str = "text", most_bytes: int = MOST_BYTES
) -> str:
    """The text of a file in UTF-8, with or without a byte order mark.

    Raises
    ------
    InputError
        As `read_bytes`, or if it is no text; `expected` says what it should be.
    """
    raw = read_bytes(path, where, most_bytes)
    where = str(path) if where is None else where
    if (at := raw.find(b"\0")) >= 0:
        raise InputError(f"{where}: line {_line(raw, at)}: is no text there (NUL), expected {expected}")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = _line(raw, error.start)
        raise InputError(f"{where}: line {line}: is not in UTF-8, expected {expected}") from None


def _line(raw: bytes, at: int) -> int:
    return raw.count(b"\n", 0, at) + 1


def read_toml(path: Path, where: str | None = None, expected: str = "TOML") -> dict[str, Any]:
    """What a TOML file holds.

    Raises
    ------
    InputError
        As `read_text`, if it is no TOML, or as `checked`.
    """
    return parse_toml(
        read_text(path, where, expected).replace("\r\n", "\n"),
        str(path) if where is None else where,
        expected,
    )


def read_rows(path: Path, where: str, expected: str) -> list[dict[str, str | None]]:
    """The rows of a small CSV file, by the names in its header; lines that begin with # are comments.

    Raises
    ------
    InputError
        As `read_text`, if it is no CSV, or if a column stands in it twice; `expected` says what it should be.
    """
    lines = (line for line in read_text(path, where, expected).splitlines() if not line.startswith("#"))
    try:
        reader = csv.DictReader(lines)
        rows = list(reader)
    except csv.Error as error:
        raise InputError(f"{where}: {error}; expected {expected}") from None
    names = list(reader.fieldnames or ())
    if twice := [name for name in names if names.count(name) > 1]:
        raise InputError(f"{where}: column {twice[0][:40]!r} stands twice; expected {expected}")
    return rows


def parse_toml(text: str, where: str, expected: str = "TOML") -> dict[str, Any]:
    """What TOML text holds; see `read_toml`."""
    found: dict[str, Any] = _parsed(tomllib.loads, text, where, expected, "TOML")
    checked(found, where)
    return found


def read_json(
    path: Path, where: str | None = None, expected: str = "JSON", constants: bool = False
) -> dict[str, Any] | list[Any]:
    """What a JSON file holds: a table or a list.

    Parameters
    ----------
    path, where, expected
        As of `read_text`.
    constants
        Whether ``NaN`` and ``Infinity``, which are no JSON, may stand in it.

    Raises
    ------
    InputError
        As `read_text`, if it is no JSON, an object says a name twice, or as `checked`.
    """
    text = read_text(path, where, expected)
    where = str(path) if where is None else where
    found = _parsed(lambda told: json.loads(told, object_pairs_hook=once), text, where, expected, "JSON")
    if not isinstance(found, dict | list):
        raise InputError(f"{where}: holds a single value, expected {expected}")
    checked(found, where, finite=not constants)
    return found


def once(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """An object of JSON.

    Raises
    ------
    ValueError
        If a name stands in it twice.
    """
    made: dict[str, Any] = {}
    for name, value in pairs:
        if name in made:
            raise ValueError(f"{name[:40]!r} stands twice in one table")
        made[name] = value
    return made


def _parsed(parse: Callable[[str], Any], text: str, where: str, expected: str, kind: str) -> Any:
    try:
        return parse(text)
    except RecursionError:
        raise InputError(f"{where}: nested too deeply, expected {expected}") from None
    except json.JSONDecodeError as error:
        raise InputError(
            f"{where}: line {error.lineno}: not valid JSON ({error.msg}), expected {expected}"
        ) from None
    except (ValueError, OverflowError) as error:
        said = str(error)
        said = "a number has too many digits" if "digits" in said and "conversion" in said else said
        raise InputError(f"{where}: not valid {kind}: {said[:160]}, expected {expected}") from None


def checked(root: Any, where: str, *, finite: bool = True) -> None:
    """Refuse what no file of ours holds.

    Raises
    ------
    InputError
        Nested too deeply, a number that is not finite or too large, text with control characters; names the entry.
    """
    pending: list[tuple[Any, str, int]] = [(root, "", 0)]
    while pending:
        value, entry, level = pending.pop()
        if level > MOST_LEVELS:
            raise InputError(f"{where}: nested too deeply, expected at most {MOST_LEVELS} levels")
        if isinstance(value, dict):
            for name, item in value.items():
                if control(str(name)):
                    raise InputError(f"{where}: a name holds control characters, expected text")
                pending.append((item, f"{entry}.{name}" if entry else str(name), level + 1))
        elif isinstance(value, list):
            pending.extend((item, entry, level + 1) for item in value)
        elif isinstance(value, str):
            if control(value, "\n\r\t"):
                raise InputError(f"{where}: {entry[:60]} holds control characters, expected text")
        elif isinstance(value, bool | date | time) or value is None:
            continue
        elif isinstance(value, int) and abs(value) > MOST_COUNTED:
            raise InputError(
                f"{where}: {entry[:60]} is a number of {value.bit_length()} bits, expected at most 1e18"
            )
        elif finite and isinstance(value, float) and not abs(value) < float("inf"):
            raise InputError(f"{where}: {entry[:60]} is {value}, expected a finite number")


def control(text: str, allowed: str = "") -> bool:
    """Whether text holds control characters, or bytes that are no text.

    Examples
    --------
    >>> control("Käse 12"), control("a\\x1b[31mb"), control("two\\nlines", "\\n")
    (False, True, False)
    """
    return any(
        (letter < " " and letter not in allowed)
        or "\x7f" <= letter <= "\x9f"
        or "\ud800" <= letter <= "\udfff"
        for letter in text
    )


def reason(error: Exception) -> str:
    """What the system says of a file, in a few words."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return str(error).splitlines()[0].lower() if str(error) else type(error).__name__
