"""A user's own class from a Python file: a policy, a battery rule.

``my_policy.py:MyPolicy`` names file and class; what follows another colon is the caller's (``:quantile=0.2``). The
file is run, with all it imports: name only files you trust.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import re
import sys
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from numbers import Real
from pathlib import Path
from typing import Any

from simulators.errors import InputError, nearest
from simulators.files import read_bytes
from simulators.spelling import ODD_NUMBER

_SPEC = re.compile(r"(?P<file>.+?\.py)(?::(?P<name>\w*)(?::(?P<rest>.*))?)?", re.DOTALL)


def own_file(spec: str) -> Path | None:
    """The file of ``FILE.py:CLASS``; None of anything else. A path may hold colons, but not one that follows ``.py``.

    Examples
    --------
    >>> own_file("rules/mine.py:Mine:limit=3").name
    'mine.py'
    >>> own_file("carbon:quantile=0.2")
    """
    match = _SPEC.fullmatch(spec)
    return Path(match["file"]) if match else None


def load_class(spec: str, what: str) -> tuple[type[Any], str]:
    """The class a specification names, and what stands after it.

    Parameters
    ----------
    spec
        ``FILE.py:CLASS`` or ``FILE.py:CLASS:REST``.
    what
        What it is for, e.g. ``policy``; opens every message.

    Raises
    ------
    InputError
        No such file or class, or the file cannot be run; one line that names it.
    """
    match = _SPEC.fullmatch(spec)
    if match is None:
        raise InputError(f"{what} {spec!r}: expected FILE.py:CLASS")
    path = Path(match["file"])
    if not match["name"]:
        raise InputError(f"{what} {path}: no class named, expected FILE.py:CLASS")
    source = read_bytes(path, f"{what} {path}")
    try:
        code = compile(source, str(path), "exec", dont_inherit=True)
    except (SyntaxError, ValueError, RecursionError, MemoryError, OverflowError) as error:
        line = getattr(error, "lineno", None)
        raise InputError(
            f"{what} {path}: cannot be read as Python{f', line {line}' if line else ''}: {fault_line(error)}"
        ) from None
    name = f"own_{hashlib.sha256(str(path.resolve()).encode() + source).hexdigest()[:16]}"
    module = sys.modules.get(name)
    if module is None:
        described = importlib.util.spec_from_file_location(name, path)
        assert described is not None
        module = importlib.util.module_from_spec(described)
        beside = str(path.resolve().parent)
        sys.modules[name] = module  # dataclasses look their module up
        sys.path.append(beside)  # it may import what lies beside it
        try:
            exec(code, vars(module))  # not by its loader, which may take an older version from its cache
        except (Exception, SystemExit) as error:
            del sys.modules[name]
            raise InputError(f"{what} {path}: fails on import: {fault_line(error)}") from error
        finally:
            sys.path.remove(beside)
    found = getattr(module, match["name"], None)
    if not isinstance(found, type):
        classes = [key for key, value in vars(module).items() if isinstance(value, type)]
        raise InputError(f"{what} {path}: has no class {match['name']!r}{nearest(match['name'], classes)}")
    return found, match["rest"] or ""


def fault_line(error: BaseException) -> str:
    """What kind of error it is and the first line it says, for a message of one line.

    Examples
    --------
    >>> fault_line(ValueError("too large\\nby far"))
    'ValueError: too large'
    """
    said = str(error).splitlines()
    return f"{type(error).__name__}: {said[0]}" if said else type(error).__name__


def parse_options(text: str, what: str) -> dict[str, Any]:
    """Options from ``name=value,name=value``; values as Python literals, else as text.

    Examples
    --------
    >>> parse_options("quantile=0.2,spread=false,limit=none", "policy")
    {'quantile': 0.2, 'spread': False, 'limit': None}
    """
    found: dict[str, Any] = {}
    for entry in filter(None, text.split(",")):
        name, equals, value = entry.partition("=")
        if not equals:
            raise InputError(f"{what}: {entry!r} given, expected name=value")
        name = name.strip().replace("-", "_")
        if name in found:
            raise InputError(f"{what}: {name} is given twice, expected once")
        found[name] = _literal(value.strip())
        if isinstance(found[name], int | float | complex) and ODD_NUMBER.search(value.strip()):
            raise InputError(
                f"{what}: {name} is {value.strip()[:40]!r}, expected a number such as 1200 or 0.5"
            )
    return found


def _literal(text: str) -> Any:
    words = {"true": True, "false": False, "none": None, "inf": float("inf")}
    if text.lower() in words:
        return words[text.lower()]
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return text


def _unfit(annotation: Any, value: Any) -> str:
    """What a field of this type expects in place of a value; empty if it will do or the type is another one."""
    kinds = set(str(getattr(annotation, "__name__", annotation)).replace(" ", "").split("|"))
    words = {
        "a number": kinds & {"float", "int"},
        "true or false": kinds & {"bool"},
        "none": kinds & {"None"},
    }
    if value is None:
        found = "none"
    elif isinstance(value, bool):
        found = "true or false"
    else:
        found = "a number" if isinstance(value, Real) else ""
    if not kinds <= {"float", "int", "bool", "None"} or words.get(found):
        return ""
    return " or ".join(word for word, meant in words.items() if meant)


def made(cls: type[Any], options: Mapping[str, Any], what: str) -> Any:
    """An instance with these options.

    Raises
    ------
    InputError
        If an option is unknown (the nearest is suggested), missing or refused.

    Examples
    --------
    >>> from fractions import Fraction
    >>> made(Fraction, {"numerator": 3, "denominator": 4}, "share")
    Fraction(3, 4)
    """
    if is_dataclass(cls):
        known = {entry.name: entry for entry in fields(cls) if entry.init and not entry.name.startswith("_")}
        if unknown := sorted(set(options) - set(known)):
            names = ", ".join(known) or "none at all"
            raise InputError(
                f"{what}: unknown option {unknown[0]!r}, expected one of {names}{nearest(unknown[0], list(known))}"
            )
        for name, entry in known.items():
            if entry.default is MISSING and entry.default_factory is MISSING and name not in options:
                raise InputError(f"{what}: option {name!r} is missing")
            if name in options and (expected := _unfit(entry.type, options[name])):
                raise InputError(f"{what}: {name} is {options[name]!r}, expected {expected}")
    try:
        return cls(**options)
    except InputError:
        raise
    except (Exception, SystemExit) as error:
        raise InputError(f"{what}: {fault_line(error)}") from error
