"""Studies of a sweep: every combination of values of options, or a file of them."""

from __future__ import annotations

import csv
import io
import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import product
from math import prod
from pathlib import Path
from typing import Any, NamedTuple, get_origin

from scenarios.sizes import PLANTS, resized
from scenarios.study import Study
from simulators.errors import InputError
from simulators.files import checked, once, read_text
from simulators.leaves import Leaf, kinds
from simulators.options import Tree
from simulators.spelling import ODD_NUMBER

MOST = 1_000_000
"""Studies of one sweep: more are a slip of the hand."""

Changes = dict[str, Any]


class Variant(NamedTuple):
    """One study of a sweep, and in what it differs from the others: values of options by name."""

    changes: Changes
    study: Study


def variants(study: Study, vary: Sequence[str], file: Path | None) -> list[Variant]:
    """The study with every combination of the values of `vary` on every entry of `file`.

    Parameters
    ----------
    study
        What they have in common.
    vary
        ``NAME=VALUE,VALUE,...``; the values of one that have commas in them are separated by semicolons. The last
        changes fastest. A size of PV, wind or battery may be 0: without.
    file
        Studies as tables of options: a CSV file (a column for each option), a JSON list, or one JSON table a line.

    Raises
    ------
    InputError
        If a name is unknown, a value is wrong, or nothing varies.

    Examples
    --------
    >>> found = variants(Study(), ["pv_kw=0,20", "policy=none;carbon:quantile=0.2,spread=false"], None)
    >>> [tuple(one.changes.values()) for one in found][1:3]
    [('0', 'carbon:quantile=0.2,spread=false'), ('20', 'none')]
    >>> found[0].study.site.without
    ('pv',)
    """
    axes = axes_of(vary)
    entries: list[Changes] = [{}] if file is None else read_studies(file)
    if not axes and file is None:
        raise InputError(
            "--vary: nothing given, expected NAME=VALUE,VALUE,... such as pv_kw=0,20,50, or --studies"
        )
    if twice := [name for name in axes if any(name in entry for entry in entries)]:
        raise InputError(f"--vary {twice[0]}: {file} says it too, expected one of both")
    count = len(entries) * prod(map(len, axes.values()))
    if count > MOST:
        raise InputError(f"--vary: {count} studies, expected at most {MOST}")
    tree = Tree(Study, study)
    made = []
    for number, entry in enumerate(entries, 1):
        where = "--vary: " if file is None else f"{file}, study {number}: "
        for values in product(*axes.values()):
            changes: Changes = {**entry, **dict(zip(axes, values, strict=True))}
            try:
                made.append(Variant(changes, _changed(study, tree, changes, where)))
            except InputError as error:
                raise error if str(error).startswith(where) else InputError(f"{where}{error}") from None
    return made


def axes_of(vary: Sequence[str]) -> dict[str, list[str]]:
    """Options that vary and the values of each, as they were written; see `variants`.

    Raises
    ------
    InputError
        If one is not ``NAME=VALUE,VALUE,...``, or is there twice.

    Examples
    --------
    >>> axes_of(["tp=1,2", "policy=none;carbon:quantile=0.2,spread=false"])
    {'tp': ['1', '2'], 'policy': ['none', 'carbon:quantile=0.2,spread=false']}
    """
    axes: dict[str, list[str]] = {}
    for text in vary:
        name, equals, values = text.partition("=")
        name = name.strip().removeprefix("--").replace("-", "_")
        found = [value.strip() for value in re.split(";" if ";" in values else ",", values)]
        if not (name and equals and all(found)):
            raise InputError(f"--vary: {text!r} given, expected NAME=VALUE,VALUE,... such as pv_kw=0,20,50")
        if name in axes:
            raise InputError(f"--vary: {name} is named twice, expected each once")
        if len(set(found)) < len(found):
            raise InputError(f"--vary: {text!r} has a value twice, expected each once")
        axes[name] = found
    return axes


def _changed(study: Study, tree: Tree, changes: Mapping[str, Any], where: str) -> Study:
    sizes = {name: size for name in PLANTS if (size := _number(changes.get(name))) is not None}
    sizes = {name: size for name, size in sizes.items() if size >= 0}
    entries = {name: _value(tree.leaves.get(name), value) for name, value in changes.items()}
    if sizes:
        given = study if "without" not in entries else study.changed(without=entries["without"])
        entries = {name: value for name, value in entries.items() if name not in sizes}
        entries |= resized(given, sizes)
    found: Study = tree.checked(tree.place(entries, where))
    return found


def _number(value: Any) -> float | None:
    if value is None or isinstance(value, bool) or ODD_NUMBER.search(str(value)):
        return None
    try:
        return float(value)
    except (TypeError, ValueError):
        return None


def _value(leaf: Leaf | None, value: Any) -> Any:
    """A text for an option that holds several is one of them."""
    several = leaf is not None and any(get_origin(kind) in (tuple, dict) for kind in kinds(leaf.field))
    return [value] if several and isinstance(value, str) else value


def read_studies(file: Path) -> list[Changes]:
    """Tables of options from a file; see `variants`.

    Raises
    ------
    InputError
        If it cannot be read, or an entry is no table.
    """
    text = read_text(file, f"--studies {file}", "a CSV or JSON file of studies")
    found = _rows(file, text) if file.suffix.lower() == ".csv" else _tables(file, text)
    if not found:
        raise InputError(f"--studies {file}: no study in it, expected at least one")
    return found


def _rows(file: Path, text: str) -> list[Changes]:
    """A row for each study; an empty cell leaves an option as it is."""
    reader = csv.reader(io.StringIO(text, newline=None), strict=True)
    found = []
    try:
        names = _names([name.strip() for name in next(reader, [])], f"--studies {file}: a column")
        for row in reader:
            if row and len(row) != len(names):
                raise InputError(
                    f"--studies {file}, line {reader.line_num}: expected {len(names)} cells as the header has"
                )
            if row:
                cells = zip(names, row, strict=True)
                found.append({name: cell.strip() for name, cell in cells if cell.strip()})
    except csv.Error as error:
        raise InputError(
            f"--studies {file}, line {reader.line_num}: {error}, expected comma-separated cells"
        ) from None
    return found


def _names(said: Sequence[str], where: str) -> list[str]:
    """Names of options as they are called here, each once."""
    names = [name.replace("-", "_") for name in said]
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        raise InputError(f"{where} is there twice ({twice[0]!r}), expected each once")
    return names


def _parsed(text: str) -> Any:
    return json.loads(text, object_pairs_hook=once)


def _tables(file: Path, text: str) -> list[Changes]:
    lines = text.lstrip().startswith("{")
    found = []
    try:
        parsed = [_parsed(line) for line in text.splitlines() if line.strip()] if lines else _parsed(text)
    except RecursionError:
        raise InputError(f"--studies {file}: nested too deeply, expected a JSON list of tables") from None
    except ValueError as error:
        raise InputError(
            f"--studies {file}: {str(error)[:120]}, expected a JSON list of tables, or one table a line"
        ) from None
    checked(parsed, f"--studies {file}")
    for number, entry in enumerate(parsed if isinstance(parsed, list) else [parsed], 1):
        if not isinstance(entry, dict):
            raise InputError(
                f"--studies {file}, study {number}: {entry!r} given, expected a table of options"
            )
        names = _names(list(entry), f"--studies {file}, study {number}: an option")
        found.append(dict(zip(names, entry.values(), strict=True)))
    return found
