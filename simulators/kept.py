"""The state of simulators as plain values, to go on from later, in another process.

A world that goes on is made anew from the same study; then `restored.restore` puts the values of `keep` into it. So
only what a run changes has to be written: arrays, numbers, texts, containers, random generators and objects of this
project's classes. Functions, types, options and whatever else never changes are those of the new world. Nothing is
executed while reading: a class is looked up by name among this project's own, and its objects are filled without being
called.

A class whose attributes cannot be written, e.g. an iterator, names them in ``REBUILT`` and makes them anew in
``rebuild(before)``, which is called when everything else is in place; `before` holds its attributes in the new world.
A class from a user's file says itself what to keep, by ``state()``, plain values, and ``restore(values)``.
"""

from __future__ import annotations

import datetime as dt
import functools
import hashlib
import types
from array import array
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Mapping
from enum import Enum
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
from pydantic import BaseModel

from simulators.errors import InputError
from simulators.threads import settle

OWN = ("simulators.", "scenarios.")
_PLAIN = frozenset({int, float, str, bool, type(None)})
_CONSTANT = (
    *(
        types.FunctionType,
        types.BuiltinFunctionType,
        types.MethodType,
        types.ModuleType,
        type,
        np.ufunc,
        np.dtype,
    ),
    *(
        BaseModel,
        Path,
        ZoneInfo,
        dt.date,
        dt.time,
        dt.timedelta,
        dt.tzinfo,
        functools.partial,
        Enum,
        slice,
        range,
    ),
    *(
        pd.Timestamp,
        pd.Index,
        pd.DataFrame,
        pd.Series,
        bytes,
        types.MappingProxyType,
        type(functools.cache(len)),
    ),
)
_DIGEST = 16
_LEAST = 64  # numbers of a list from which on it is kept as an array


class NotKept(InputError):
    """Something in a simulator cannot be kept; the message names it."""


class Kept:
    """State as plain values: a tree for JSON, and the arrays that it names by number."""

    def __init__(self, tree: Any, arrays: list[np.ndarray[Any, Any]]) -> None:
        self.tree = tree
        self.arrays = arrays


def digests(root: Any) -> dict[str, str]:
    """Hashes of the arrays in a world before its first step, by place: those that stay as they are need not be kept."""
    keeper = _Keeper({})
    keeper.take(root, "")
    return keeper.found


def keep(root: Any, constant: Mapping[str, str]) -> Kept:
    """The state of `root`: a dictionary of simulators, numbers, whatever the module's text lists.

    Parameters
    ----------
    root
        What to keep; it is left as it is.
    constant
        `digests` of the same world before its first step.

    Raises
    ------
    NotKept
        If something cannot be kept.

    Examples
    --------
    >>> from simulators.restored import restore
    >>> rng, copy = np.random.default_rng(1), np.random.default_rng(1)
    >>> _ = rng.random(100)
    >>> restore({"rng": copy, "sum": 0}, keep({"rng": rng, "sum": 7}, {}))["sum"], copy.random() == rng.random()
    (7, True)
    """
    settle()
    keeper = _Keeper(constant)
    tree = keeper.take(root, "")
    return Kept(tree, keeper.arrays)


def _class_name(kind: type[Any]) -> str:
    return f"{kind.__module__}:{kind.__qualname__}"


def _is_own(kind: type[Any]) -> bool:
    return kind.__module__.startswith(OWN)


def attributes_of(value: Any) -> dict[str, Any]:
    """Attributes of an object, slots included, but for those that are computed when asked for, and rebuilt ones."""
    found = dict(getattr(value, "__dict__", {}))
    for kind in type(value).__mro__:
        slots = vars(kind).get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            if name not in ("__dict__", "__weakref__") and hasattr(value, name):
                found[name] = getattr(value, name)
    rebuilt = getattr(type(value), "REBUILT", ())
    return {
        name: one
        for name, one in found.items()
        if name not in rebuilt and not isinstance(getattr(type(value), name, None), functools.cached_property)
    }


def digest(values: np.ndarray[Any, Any]) -> str:
    data = np.ascontiguousarray(values)
    hashed = hashlib.blake2b(str((data.dtype, data.shape)).encode(), digest_size=_DIGEST)
    hashed.update(data.tobytes())
    return hashed.hexdigest()


class _Keeper:
    """Walks what is to be kept; everything that was met before is named by the number of its first time."""

    def __init__(self, constant: Mapping[str, str]) -> None:
        self.arrays: list[np.ndarray[Any, Any]] = []
        self.found: dict[str, str] = {}
        self._constant = constant
        self._met: dict[int, int] = {}
        self._alive: list[Any] = []  # so that no number of an object is used again meanwhile

    def take(self, value: Any, at: str) -> Any:
        if type(value) in _PLAIN:
            return value
        if id(value) in self._met:
            return {"met": self._met[id(value)]}
        number = self._met[id(value)] = len(self._alive)
        self._alive.append(value)
        entry = self._entry(value, at)
        return {"n": number, **entry}

    def _entry(self, value: Any, at: str) -> dict[str, Any]:
        if isinstance(value, np.ndarray):
            return self._array(value, at, "array")
        if isinstance(value, array):
            return self._array(
                np.frombuffer(value, value.typecode) if value else np.zeros(0, value.typecode), at, "buffer"
            )
        if isinstance(value, np.generic):
            return self._array(np.asarray(value), at, "scalar")
        if isinstance(value, np.random.Generator):
            return {"rng": self.take(_plain_state(value.bit_generator.state), at)}
        if isinstance(value, _CONSTANT) or type(value).__module__.startswith(("numba.", "pandapower.")):
            return {"same": type(value).__name__}
        if isinstance(value, dict):
            return self._dict(value, at)
        if isinstance(value, list | tuple | set | frozenset | deque):
            return self._sequence(value, at)
        if callable(getattr(value, "state", None)) and callable(getattr(value, "restore", None)):
            try:
                return {"own": self.take(value.state(), at)}
            except InputError as error:
                raise NotKept(str(error)) from None
        if not attributes_of(value) and not hasattr(type(value), "__next__"):
            return {"same": type(value).__name__}
        if _is_own(type(value)):
            return {"object": _class_name(type(value)), "values": self._named(attributes_of(value), at)}
        raise NotKept(
            f"{type(value).__module__}.{type(value).__qualname__} in {at.strip('/')} cannot be kept, "
            "expected a class with state(), plain values, and restore(values)"
        )

    def _array(self, values: np.ndarray[Any, Any], at: str, kind: str) -> dict[str, Any]:
        if values.dtype.hasobject:
            return {"objects": [self.take(one, f"{at}/{i}") for i, one in enumerate(values.ravel().tolist())],
                    "shape": list(values.shape)}  # fmt: skip
        self.found[at] = hashed = digest(values)
        if kind != "scalar" and self._constant.get(at) == hashed:
            return {"constant": hashed}
        self.arrays.append(np.array(values))
        return {kind: len(self.arrays) - 1}

    def _dict(self, value: dict[Any, Any], at: str) -> dict[str, Any]:
        kind = next((k.__name__ for k in (Counter, defaultdict, OrderedDict) if isinstance(value, k)), "dict")
        if kind == "dict" and type(value) is not dict and not _is_own(type(value)):
            raise NotKept(f"{type(value).__qualname__} in {at.strip('/')} cannot be kept")
        pairs = [
            [self.take(key, f"{at}/{i}:key"), self.take(one, f"{at}/{key}")]
            for i, (key, one) in enumerate(value.items())
        ]
        return {"mapping": kind, "pairs": pairs}

    def _sequence(self, value: Any, at: str) -> dict[str, Any]:
        kind = type(value)
        name = next(k.__name__ for k in (list, tuple, set, frozenset, deque) if isinstance(value, k))
        if len(value) >= _LEAST and set(map(type, value)) == {float}:
            return {"numbers": self._array(np.array(value), at, "array"), "sequence": name}
        entry: dict[str, Any] = {
            "sequence": name,
            "items": [self.take(one, f"{at}/{i}") for i, one in enumerate(value)],
        }
        if hasattr(kind, "_fields"):
            entry["object"] = _class_name(kind)
        return entry

    def _named(self, values: Mapping[str, Any], at: str) -> dict[str, Any]:
        return {name: self.take(one, f"{at}/{name}") for name, one in values.items()}


def _plain_state(state: Any) -> Any:
    """The state of a bit generator with its arrays as lists."""
    if isinstance(state, Mapping):
        return {name: _plain_state(one) for name, one in state.items()}
    return state.tolist() if isinstance(state, np.ndarray) else state
