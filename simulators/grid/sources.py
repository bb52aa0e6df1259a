"""Where networks come from: a shipped name, a SimBench code, or a pandapower JSON file.

pandapower's JSON format names Python modules and classes, and its reader imports what it finds there. A
network handed over by a stranger must not decide what this process imports or which other file it opens, so a
file is read twice: once as plain JSON, to see that it holds nothing but tables, arrays and scalars, and only
then by pandapower.
"""

from __future__ import annotations

import difflib
import importlib
import json
from pathlib import Path
from typing import Any

import pandapower
import pandapower.networks

from simulators.errors import InputError, first_line
from simulators.files import read_text
from simulators.grid.damage import refuse_damage, refuse_text
from simulators.grid.defaults import SIMBENCH_CODE
from simulators.grid.tables import TABLES

_CASES = (
    *(
        "case4gs",
        "case5",
        "case6ww",
        "case9",
        "case14",
        "case24_ieee_rts",
        "case30",
        "case_ieee30",
        "case33bw",
    ),
    *(
        "case39",
        "case57",
        "case89pegase",
        "case118",
        "case145",
        "case_illinois200",
        "case300",
        "case1354pegase",
    ),
    *("GBreducednetwork", "GBnetwork", "iceland"),
)

NETWORKS: dict[str, tuple[str, dict[str, Any]]] = {
    "mv_oberrhein": ("mv_oberrhein", {}),
    "mv_oberrhein_generation": ("mv_oberrhein", {"scenario": "generation"}),
    "cigre_hv": ("create_cigre_network_hv", {}),
    "cigre_mv": ("create_cigre_network_mv", {}),
    "cigre_mv_pv_wind": ("create_cigre_network_mv", {"with_der": "pv_wind"}),
    "cigre_lv": ("create_cigre_network_lv", {}),
    "lv_schutterwald": ("lv_schutterwald", {}),
    "kerber_dorfnetz": ("create_kerber_dorfnetz", {}),
    "kerber_landnetz_freileitung_1": ("create_kerber_landnetz_freileitung_1", {}),
    "kerber_landnetz_kabel_1": ("create_kerber_landnetz_kabel_1", {}),
    "kerber_vorstadtnetz_kabel_1": ("create_kerber_vorstadtnetz_kabel_1", {}),
    "synthetic_voltage_control_lv": ("create_synthetic_voltage_control_lv_network", {}),
    "mv_open_ring": ("simple_mv_open_ring_net", {}),
    "four_load_branch": ("panda_four_load_branch", {}),
    "example_simple": ("example_simple", {}),
    "example_multivoltage": ("example_multivoltage", {}),
    **{case: (case, {}) for case in _CASES},
}
"""Name a user types -> function of pandapower.networks and its arguments."""

_ALLOWED_OBJECTS = {
    ("pandapower.auxiliary", "pandapowerNet"),
    ("pandas.core.frame", "DataFrame"),
    ("pandas", "DataFrame"),
    ("pandas.core.series", "Series"),
    ("pandas", "Series"),
    ("numpy", "array"),
    *(
        ("numpy", kind)
        for kind in ("bool", "bool_", "int32", "int64", "uint32", "uint64", "float32", "float64")
    ),
    *(("builtins", kind) for kind in ("tuple", "set", "frozenset", "complex")),
}
_ALLOWED_KEYS = {
    *("_module", "_class", "_object", "orient", "dtype", "is_multiindex", "is_multicolumn"),
    *("index_name", "index_names", "column_name", "column_names"),
}


def load_network(name_or_path: str | Path) -> Any:
    """A fresh ``pandapowerNet``.

    Parameters
    ----------
    name_or_path
        A key of `NETWORKS`, the name of the pandapower function behind one, a SimBench code (needs the
        ``grid`` extra), or the path of a pandapower JSON file.

    Raises
    ------
    InputError
        Unknown name, missing or broken file, a file that holds objects other than tables, or SimBench absent.

    Examples
    --------
    >>> len(load_network("cigre_mv").bus)
    15
    """
    name = str(name_or_path)
    if (known := _shipped(name)) is not None:
        function, options = known
        return getattr(pandapower.networks, function)(**options)
    if (path := network_file(name_or_path)) is not None:
        return _read_json(path)
    if SIMBENCH_CODE.fullmatch(name):
        return _simbench(name)
    close = difflib.get_close_matches(name, NETWORKS, n=3)
    hint = f" (did you mean {' or '.join(close)}?)" if close else ""
    raise InputError(
        f"network {name!r}: not a known name and not a file{hint}; expected a pandapower .json file, a "
        f"SimBench code like 1-MV-rural--0-sw, or one of {', '.join(NETWORKS)}"
    )


def network_file(name_or_path: str | Path) -> Path | None:
    """The file that `load_network` reads; None for a network that comes with a package.

    Examples
    --------
    >>> network_file("mv_oberrhein") is None, network_file("my_net.json").name
    (True, 'my_net.json')
    """
    path = Path(name_or_path)
    try:
        there = path.suffix.lower() == ".json" or path.exists()
    except (OSError, ValueError):  # a name that no file can have
        there = True
    return path if there and _shipped(str(name_or_path)) is None else None


def _shipped(name: str) -> tuple[str, dict[str, Any]] | None:
    """Function of pandapower.networks and its arguments."""
    functions = {function: (function, options) for function, options in NETWORKS.values() if not options}
    return NETWORKS.get(name) or functions.get(name)


def _simbench(code: str) -> Any:
    try:
        simbench = importlib.import_module("simbench")
    except ModuleNotFoundError as error:
        raise InputError(
            f"network {code!r}: SimBench networks need the extra: pip install 'wattloop[grid]'"
        ) from error
    if code not in simbench.collect_all_simbench_codes():
        raise InputError(f"network {code!r}: not a SimBench code; expected one like 1-MV-rural--0-sw")
    return simbench.get_simbench_net(code)


def _read_json(path: Path) -> Any:
    """A network from a pandapower JSON file, after `_check_objects`."""
    where = f"network file {path}"
    text = read_text(path, where, "a file written by pandapower.to_json", 1 << 28)
    try:
        _check_objects(_parse(text), str(path))
    except json.JSONDecodeError as error:
        raise InputError(
            f"network file {path}, line {error.lineno}: not JSON ({error.msg}); expected a file written by "
            "pandapower.to_json"
        ) from error
    except ValueError as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"network file {path}: {first_line(error)}, expected a network") from error
    except RecursionError as error:
        raise InputError(f"network file {path}: nested too deeply for a network") from error
    refuse_text(_tables(text), where)
    try:
        net = pandapower.from_json_string(text, convert=True)
    except Exception as error:  # pandapower raises whatever its tables trip over
        raise InputError(f"network file {path}: pandapower cannot read it ({first_line(error)})") from error
    if not isinstance(net, pandapower.pandapowerNet) or net.get("bus") is None or len(net.bus) == 0:
        raise InputError(f"network file {path}: no network in it; expected a file from pandapower.to_json")
    refuse_damage(net, where)
    return net


def _tables(text: str) -> dict[str, dict[str, Any]]:
    """The element tables of a pandapower file, as plain values; none where it is built otherwise."""
    found = {}
    root = json.loads(text)
    held = root.get("_object") if isinstance(root, dict) else None
    for name, entry in (held if isinstance(held, dict) else {}).items():
        is_table = isinstance(entry, dict) and entry.get("_class") == "DataFrame"
        if name in TABLES and is_table and entry.get("orient") == "split":
            table = json.loads(entry["_object"])
            if isinstance(table, dict) and {"columns", "index", "data"} <= set(table):
                found[name] = {**table, "dtype": dict(entry.get("dtype") or {})}
    return found


def _parse(text: str) -> Any:
    """Plain JSON as nested lists of values and ``_Pairs``, so that a repeated key cannot hide."""
    return json.loads(text, object_pairs_hook=_Pairs)


class _Pairs(list[tuple[str, Any]]):
    """The key-value pairs of one JSON object, in file order."""


def _check_objects(root: Any, where: str) -> None:
    """Raise an `InputError` unless every object marked for construction is a plain table, array or scalar.

    Tables are JSON inside JSON strings, several levels deep, so every string that could hold JSON is opened.
    """
    pending = [root]
    while pending:
        value = pending.pop()
        if isinstance(value, _Pairs):
            _check_one(value, where)
            pending.extend(item for _, item in value)
        elif isinstance(value, list):
            pending.extend(value)
        elif isinstance(value, str) and value.lstrip()[:1] in ("{", "["):
            try:
                pending.append(_parse(value))
            except json.JSONDecodeError as error:
                # Names in brackets are fine; what a laxer parser might take for a marked object is not.
                if "_module" in value or "_class" in value or "\\u" in value:
                    raise InputError(f"network file {where}: a table is not JSON ({error.msg})") from error


def _check_one(pairs: _Pairs, where: str) -> None:
    keys = [key for key, _ in pairs]
    if "_module" not in keys and "_class" not in keys:
        return
    if len(set(keys)) != len(keys):
        raise InputError(f"network file {where}: an object in it repeats a key")
    fields = dict(pairs)
    module, kind = str(fields.get("_module")), str(fields.get("_class"))
    if (module, kind) not in _ALLOWED_OBJECTS:
        raise InputError(
            f"network file {where}: it holds a {module}.{kind}; expected tables and numbers only "
            "(controllers, functions and other Python objects are not loaded: remove them before saving)"
        )
    if kind in ("DataFrame", "Series"):
        surplus = set(fields) - _ALLOWED_KEYS
        table = fields.get("_object")
        if surplus or not isinstance(table, str) or table.lstrip()[:1] not in ("{", "["):
            raise InputError(f"network file {where}: a table in it is not stored as pandapower.to_json does")
