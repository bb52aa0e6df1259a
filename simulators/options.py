"""Trees of pydantic models as flat options: every leaf by its own name, in a file also in the tables of the tree.

``study.sites.generation.pv_kw`` is the option ``pv_kw``: every leaf of a tree has a name of its own. Files may say it
flat (``pv_kw = 30``), in the tables of the tree (``[[sites]]``, ``generation = {pv_kw = 30}``), or both.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from simulators.errors import InputError, nearest
from simulators.files import control, read_json, read_toml
from simulators.leaves import BARE, EACH, is_number, leaves, nested, option_name, whole_option
from simulators.spelling import ODD_NUMBER

SIZES = (1e-9, 1e12)
"""Between which sizes a number other than 0 may lie, whatever it is of: beyond them lie slips of the hand, and sums of
them that no computer can hold."""


def read_config(path: Path) -> dict[str, Any]:
    """What a TOML or JSON file holds.

    Raises
    ------
    InputError
        If the file cannot be read or holds no table.
    """
    read = read_json if path.suffix == ".json" else read_toml
    entries: Any = read(path, f"--config {path}", "TOML or JSON")
    if not isinstance(entries, dict):
        raise InputError(f"--config {path}: expected a table of options, name by name")
    entries = entries.get("options", entries)
    if not isinstance(entries, dict) or not entries:
        raise InputError(f"--config {path}: expected a table of options, name by name")
    return entries


def _underscored(value: Any, where: str) -> Any:
    if isinstance(value, dict):
        made: dict[str, Any] = {}
        for key, item in value.items():
            name = str(key).replace("-", "_")
            if name in made:
                raise InputError(f"{where}{name}: given twice, with - and with _; expected once")
            made[name] = _underscored(item, where)
        return made
    return [_underscored(item, where) for item in value] if isinstance(value, list) else value


class Tree:
    """Puts options, flat or in tables, on the defaults of a tree of models.

    Parameters
    ----------
    model, default, skip
        See `leaves`. What lies below a part that is skipped keeps its default.
    passing
        Top-level names of a file that are no options, e.g. what else a result's ``config.json`` holds.
    """

    def __init__(
        self,
        model: type[BaseModel],
        default: BaseModel | None = None,
        skip: Sequence[str] = (),
        passing: Sequence[str] = ("inputs", "facts", "versions"),
    ) -> None:
        self.model = model
        self.leaves = {leaf.name: leaf for leaf in leaves(model, default, skip)}
        self._default = default if default is not None else model.model_construct()
        self._passing = set(passing)
        self._parts: dict[str, tuple[str, ...]] = {}
        for leaf in self.leaves.values():
            for length in range(1, len(leaf.path)):
                if leaf.path[length - 1] != EACH:
                    self._parts.setdefault(leaf.path[length - 1], leaf.path[:length])

    def place(self, entries: Mapping[str, Any], where: str) -> dict[str, Any]:
        """The whole tree as a dictionary, with `entries` (leaves or parts by name) in their places.

        Raises
        ------
        InputError
            If a name is neither a leaf nor a part; the message suggests the nearest.
        """
        tree: dict[str, Any] = self._default.model_dump(mode="python")
        entries = _underscored(dict(entries), where)
        names = sorted(entries, key=lambda name: not isinstance(entries[name], Mapping | list))  # parts first
        for name in names:
            value = entries[name]
            is_part = name in self._parts and (isinstance(value, Mapping) or _holds_tables(value))
            if is_part:
                put(tree, self._parts[name], value)
            elif name in self.leaves:
                put(tree, self.leaves[name].path, value)
            elif name not in self._passing:
                hint = nearest(name, [*self.leaves, *self._parts])
                raise InputError(f"{where}unknown option {name!r}, expected some of those --help lists{hint}")
        return tree

    def checked(self, tree: Mapping[str, Any], file: Path | None = None) -> Any:
        """The validated model; pydantic's first finding, or what it would take for a number, as one line."""
        self._check_spelling(tree, file)
        try:
            found = self.model.model_validate(tree)
        except ValidationError as error:
            raise InputError(self._complaint(error, file)) from None
        absurd = _absurd(found)
        if absurd is not None:
            path, value = absurd
            names = [leaf.name for leaf in self.leaves.values() if path[: len(leaf.path)] == leaf.path]
            where = f" (in {file})" if file else ""
            raise InputError(
                f"{option_name(names[0] if names else path[-1])}: {value:g} given{where}, expected 0 or a size between "
                f"{SIZES[0]:g} and {SIZES[1]:g}"
            )
        return found

    def _check_spelling(self, tree: Mapping[str, Any], file: Path | None) -> None:
        """Refuse what would be read as something else: ``1_000``, full-width digits, true for 1, control characters."""
        where = f" (in {file})" if file else ""
        for leaf in self.leaves.values():
            number = is_number(leaf.field)
            for given in _given(tree, leaf.path):
                if isinstance(given, str) and not given.strip() and leaf.default != given:
                    raise InputError(
                        f"{option_name(leaf.name)}: {given!r} given{where}, expected a value, or the option left out"
                    )
                if isinstance(given, str) and control(given):
                    shown = "".join(letter if letter.isprintable() else "?" for letter in given)[:60]
                    raise InputError(
                        f"{option_name(leaf.name)}: {shown!r} given{where}, expected text without control characters"
                    )
                if number and isinstance(given, bool):
                    raise InputError(f"{option_name(leaf.name)}: {given} given{where}, expected a number")
                if number and isinstance(given, str) and ODD_NUMBER.search(given):
                    raise InputError(
                        f"{option_name(leaf.name)}: {given[:60]!r} given{where}, expected a number such as 1200 or 0.5"
                    )

    def _names_within(self, path: tuple[str, ...]) -> list[str]:
        """Names in the parts of a list that is one option; none if the path leads into none."""
        for leaf in self.leaves.values():
            inner, _ = nested(leaf.field.annotation)
            if whole_option(leaf.field) and path[: len(leaf.path)] == leaf.path and inner is not None:
                return list(inner.model_fields)
        return []

    def _complaint(self, error: ValidationError, file: Path | None) -> str:
        first = error.errors()[0]
        reason = first["msg"].removeprefix("Value error, ").removeprefix("Assertion failed, ")
        path = tuple(EACH if isinstance(part, int) else str(part) for part in first["loc"])
        where = f" (in {file})" if file else ""
        if first["type"] == "extra_forbidden":
            table = ".".join(part for part in path[:-1] if part != EACH)
            depth = len(path) - 1
            inside = (leaf.path for leaf in self.leaves.values() if leaf.path[:depth] == path[:depth])
            siblings = list(dict.fromkeys(name[depth] for name in inside if len(name) > depth))
            siblings = siblings or self._names_within(path)
            hint = nearest(path[-1], siblings) or f"; expected one of {', '.join(siblings)}"
            return f"{table}: unknown option {path[-1]!r}{where}{hint}"
        found = [leaf for leaf in self.leaves.values() if path[: len(leaf.path)] == leaf.path]
        if not found:
            found = [leaf for leaf in self.leaves.values() if leaf.path[:-1] == path and len(path) > 1][:1]
            if not found or not getattr(nested(found[0].field.annotation)[0], BARE, None):
                return reason
        reason = reason[:1].lower() + reason[1:]
        given = first["input"]
        if whole_option(found[0].field) and len(path) > len(found[0].path) + 1:
            said = path[-1] if isinstance(given, Mapping) else f"{path[-1]}={given}"
            return f"{option_name(found[0].name)}: {said}{where}, {reason}"
        if isinstance(given, Mapping):
            return f"{option_name(found[0].name)}: {reason}{where}"
        return f"{option_name(found[0].name)}: {given!r} given{where}, {reason}"


def _given(tree: Any, path: Sequence[str]) -> Iterator[Any]:
    """Every value that stands at a path of a tree, those of a list one by one."""
    if path and path[0] == EACH:
        for item in tree if isinstance(tree, list | tuple) else ():
            yield from _given(item, path[1:])
    elif path:
        if isinstance(tree, Mapping) and path[0] in tree:
            yield from _given(tree[path[0]], path[1:])
    elif isinstance(tree, list | tuple):
        yield from tree
    else:
        yield tree


def _absurd(value: Any, path: tuple[str, ...] = ()) -> tuple[tuple[str, ...], float] | None:
    """The first number of a tree that lies outside `SIZES`, and where it stands; None if there is none."""
    if isinstance(value, float):
        return None if value == 0 or SIZES[0] <= abs(value) <= SIZES[1] else (path, value)
    inner: Iterable[tuple[str, Any]] = ()
    if isinstance(value, BaseModel):
        inner = ((name, getattr(value, name)) for name in type(value).model_fields)
    elif isinstance(value, Mapping):
        inner = ((str(name), item) for name, item in value.items())
    elif isinstance(value, list | tuple):
        inner = ((EACH, item) for item in value)
    return next((found for name, item in inner if (found := _absurd(item, (*path, name)))), None)


def _holds_tables(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(item, Mapping) for item in value)


def put(tree: Any, path: Sequence[str], value: Any) -> None:
    """Set what stands at a path; tables are merged into those that are there, a table with a path is a new file."""
    head, rest = path[0], path[1:]
    if head == EACH:
        for item in tree:
            put(item, rest, value)
        return
    if rest:
        if tree.get(head) is None or not isinstance(tree[head], dict | list | tuple):
            tree[head] = {}
        if rest == ("path",):
            tree[head] = {}  # another file: nothing said of the old one holds
        put(tree[head], rest, value)
        return
    tree[head] = _merged(tree.get(head), value)


def _merged(old: Any, new: Any) -> Any:
    if isinstance(new, Mapping) and isinstance(old, Mapping) and "path" not in new:
        return dict(old) | {name: _merged(old.get(name), value) for name, value in new.items()}
    if _holds_tables(new) and isinstance(old, list | tuple) and old and isinstance(old[0], Mapping):
        return [_merged(old[0], item) for item in new]
    return new
