"""State that was kept (`simulators.kept`) put into simulators made anew."""

from __future__ import annotations

import importlib
from array import array
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Mapping
from dataclasses import is_dataclass
from typing import Any

import numpy as np

from simulators.kept import OWN, Kept, NotKept, attributes_of, digest


def restore(root: Any, kept: Kept) -> Any:
    """Put kept state into a world made like the one it is of; returns `root` or what now stands for it.

    Raises
    ------
    NotKept
        If the world differs from the one that was kept.
    """
    filler = _Filler(kept.arrays)
    found = filler.fill(root, kept.tree, "")
    for rebuild in filler.rebuilds:
        rebuild()
    return found


class _Filler:
    """Walks kept state beside the new world. Objects and arrays of the new world are filled where they are, so that
    whoever holds them, e.g. a function, still does."""

    def __init__(self, arrays: list[np.ndarray[Any, Any]]) -> None:
        self.rebuilds: list[Callable[[], None]] = []
        self._arrays = arrays
        self._met: dict[int, Any] = {}

    def fill(self, fresh: Any, entry: Any, at: str) -> Any:
        if not isinstance(entry, dict):
            return entry
        if "met" in entry:
            return self._met[entry["met"]]
        value = self._value(fresh, entry, at)
        self._met[entry["n"]] = value
        return value

    def _value(self, fresh: Any, entry: dict[str, Any], at: str) -> Any:
        if "same" in entry:
            if type(fresh).__name__ != entry["same"]:
                raise self._differs(at)
            return fresh
        if "constant" in entry:
            values = np.frombuffer(fresh, fresh.typecode) if isinstance(fresh, array) and fresh else fresh
            if not isinstance(values, np.ndarray) or digest(values) != entry["constant"]:
                raise self._differs(at)
            return fresh
        if "array" in entry:
            return self._array(fresh, self._arrays[entry["array"]])
        if "scalar" in entry:
            return self._arrays[entry["scalar"]][()]
        if "buffer" in entry:
            values = self._arrays[entry["buffer"]]
            return array(values.dtype.char, values.tobytes())
        if "objects" in entry:
            made = np.empty(len(entry["objects"]), dtype=object)
            made[:] = [self.fill(None, one, f"{at}/{i}") for i, one in enumerate(entry["objects"])]
            return made.reshape(entry["shape"])
        if "rng" in entry:
            if not isinstance(fresh, np.random.Generator):
                raise self._differs(at)
            fresh.bit_generator.state = _state(self.fill(None, entry["rng"], at), fresh.bit_generator.state)
            return fresh
        if "mapping" in entry:
            return self._mapping(fresh, entry, at)
        if "sequence" in entry:
            return self._sequence(fresh, entry, at)
        if "own" in entry:
            if fresh is None or not callable(getattr(fresh, "restore", None)):
                raise self._differs(at)
            fresh.restore(self.fill(None, entry["own"], at))
            return fresh
        return self._object(fresh, entry, at)

    @staticmethod
    def _array(fresh: Any, values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        if isinstance(fresh, np.ndarray) and _alike(fresh, values) and fresh.flags.writeable:
            fresh[...] = values
            return fresh
        made = values.copy()
        return made.view(np.recarray) if isinstance(fresh, np.recarray) else made

    def _mapping(self, fresh: Any, entry: dict[str, Any], at: str) -> Any:
        before = fresh if isinstance(fresh, dict) else {}
        pairs = []
        for i, (key_entry, one) in enumerate(entry["pairs"]):
            key = self.fill(None, key_entry, f"{at}/{i}:key")
            pairs.append((key, self.fill(before.get(key), one, f"{at}/{key}")))
        if isinstance(fresh, dict):
            fresh.clear()
            for key, one in pairs:
                fresh[key] = one
            return fresh
        if entry["mapping"] == "defaultdict":
            raise self._differs(at)  # its default is not known
        return {"dict": dict, "Counter": Counter, "OrderedDict": OrderedDict}[entry["mapping"]](pairs)

    def _sequence(self, fresh: Any, entry: dict[str, Any], at: str) -> Any:
        if "numbers" in entry:
            if "constant" in entry["numbers"]:
                if (
                    not isinstance(fresh, list | tuple | deque)
                    or digest(np.array(fresh)) != entry["numbers"]["constant"]
                ):
                    raise self._differs(at)
                return fresh
            items = self._arrays[entry["numbers"]["array"]].tolist()
        else:
            before = list(fresh) if isinstance(fresh, list | tuple | deque) else []
            before += [None] * (len(entry["items"]) - len(before))
            items = [
                self.fill(old, one, f"{at}/{i}")
                for i, (old, one) in enumerate(zip(before, entry["items"], strict=False))
            ]
        match entry["sequence"]:
            case "list" | "deque" if isinstance(fresh, list | deque):
                fresh.clear()
                fresh.extend(items)
                return fresh
            case "list":
                return items
            case "deque":
                return deque(items)
            case "tuple":
                kind = _own_class(entry["object"]) if "object" in entry else tuple
                return kind._make(items) if hasattr(kind, "_make") else tuple(items)
            case "set":
                if isinstance(fresh, set):
                    fresh.clear()
                    fresh.update(items)
                    return fresh
                return set(items)
            case _:
                return frozenset(items)

    def _object(self, fresh: Any, entry: dict[str, Any], at: str) -> Any:
        kind = _own_class(entry["object"])
        frozen = is_dataclass(kind) and getattr(kind, "__dataclass_params__").frozen  # noqa: B009
        before = attributes_of(fresh) if type(fresh) is kind else {}
        # what is frozen may be shared with others, who want it as it is
        made = fresh if before and not frozen else object.__new__(kind)
        self._met[entry["n"]] = made
        values = {
            name: self.fill(before.get(name), one, f"{at}/{name}") for name, one in entry["values"].items()
        }
        if made is not fresh and hasattr(kind, "REBUILT"):
            raise self._differs(at)
        for name, one in values.items():
            object.__setattr__(made, name, one)
        for name in before.keys() - values.keys() if made is fresh else ():
            object.__delattr__(made, name)
        if hasattr(kind, "REBUILT"):
            self.rebuilds.append(lambda: made.rebuild(before))
        return made

    @staticmethod
    def _differs(at: str) -> NotKept:
        return NotKept(
            f"{at.strip('/')} is not as it was when the state was kept, expected the same study and files"
        )


def _alike(one: np.ndarray[Any, Any], other: np.ndarray[Any, Any]) -> bool:
    return one.shape == other.shape and bool(one.dtype == other.dtype)


def _state(kept: Any, like: Any) -> Any:
    """The state of a bit generator in the form that it has it."""
    if isinstance(like, Mapping):
        return {name: _state(kept[name], one) for name, one in like.items()}
    return np.array(kept, like.dtype) if isinstance(like, np.ndarray) else kept


def _own_class(name: str) -> Any:
    module, _, path = name.partition(":")
    if not module.startswith(OWN):
        raise NotKept(f"{name}: is no class of WattLoop, expected an unchanged checkpoint")
    found: Any = importlib.import_module(module)
    for part in path.split("."):
        found = getattr(found, part)
    if not isinstance(found, type):
        raise NotKept(f"{name}: is no class, expected an unchanged checkpoint")
    return found
