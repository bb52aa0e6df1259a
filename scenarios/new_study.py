"""A study to start from: a TOML file with every option, its unit and its default, that runs as it is.

wattloop new my_site
"""

from __future__ import annotations

import json
import re
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import typer
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from scenarios.run_options import RunOptions
from scenarios.study import SiteStudy, Study
from simulators.console import App
from simulators.errors import InputError
from simulators.leaves import BARE, kinds, nested, whole_option
from simulators.profiles.options import DEFAULT_SITE

WIDTH = 100
CHOSEN: dict[str, dict[str, Any]] = {
    "run": {"days": 1.0},
    "place": {"site": DEFAULT_SITE},
    "traffic": dict.fromkeys(("rate",)),
    "serving": dict.fromkeys(("model", "gpu", "tp", "replicas")),
    "control": dict.fromkeys(("policy",)),
}
"""What stands in the file without being commented out, by table; None: with its default."""
ABOUT = {
    "run": "when, how long",
    "place": "where: weather, carbon intensity, price; your own files in place of the site's",
    "measured": "a measured load in place of the simulated cluster",
    "traffic": "requests",
    "serving": "model, GPUs, server",
    "cluster": "the replicas together",
    "reliability": "replicas that fail, or are maintained",
    "facility": "the building: PUE, cooling, power chain, water",
    "generation": "PV and wind",
    "storage": "battery",
    "connection": "to the grid",
    "control": "the carbon-aware scheduler",
    "accounting": "what counts as carbon",
    "tariff": "what power costs",
    "voltage_control": "tap changers, and the reactive power of converters",
    "network": "a power network around the site (wattloop grid run)",
    "geo": "several sites: who serves whom (wattloop geo)",
}
HEAD = """\
# A study of WattLoop: wattloop run --config {file} --out results/{name}
# What is commented out has the default that stands there; NUMBER, TEXT, FILE: none unless the text says one.
# A FILE may be {{path = "my.csv", column = "...", unit = "...", timezone = "...", fill = "previous:3h"}}.
# What is given on the command line goes before this file.
"""


def study_text(name: str, file: str) -> str:
    """The file: every option of a study in its table.

    Parameters
    ----------
    name
        Of the site.
    file
        Of the file, for its first line.

    Examples
    --------
    >>> Study.from_toml(study_text("here", "here.toml")).site.name
    'here'
    """
    study = Study()
    lines = [
        HEAD.format(file=file, name=name),
        *_table("run", RunOptions, study.run, "[run]"),
        "",
        "[[sites]]",
    ]
    lines += [f"name = {json.dumps(name)}"]
    tables: list[str] = []
    for part, field in SiteStudy.model_fields.items():
        inner, many = nested(field.annotation)
        if inner is not None and not many:
            tables += ["", *_table(part, inner, getattr(study.site, part), f"[sites.{part}]")]
        elif part != "name":
            lines += _option(part, field, getattr(study.site, part), live=False)
    lines += tables
    for part in ("network", "geo"):
        found, _ = nested(Study.model_fields[part].annotation)
        assert found is not None
        lines += ["", *_table(part, found, None, f"# [{part}]")]
    return "\n".join(lines) + "\n"


def _table(part: str, model: type[BaseModel], values: BaseModel | None, head: str) -> Iterator[str]:
    yield f"{head}  # {ABOUT[part]}" if part in ABOUT else head
    chosen = CHOSEN.get(part, {})
    inside: list[str] = []
    for name, field in model.model_fields.items():
        inner, many = nested(field.annotation)
        if inner is not None and not many and not getattr(inner, BARE, None):
            inside += ["", *_table(name, inner, None, f"{head[:-1]}.{name}]")]
            continue
        default = (
            getattr(values, name) if values is not None else field.get_default(call_default_factory=True)
        )
        if name in chosen and chosen[name] is not None:
            default = chosen[name]
        yield from _option(name, field, default, live=name in chosen)
    yield from inside


def _option(name: str, field: FieldInfo, default: Any, *, live: bool) -> Iterator[str]:
    """Description and value of an option."""
    words = textwrap.wrap(field.description or "", WIDTH - 4, break_on_hyphens=False)
    yield from (f"#   {line}" for line in words)
    value = toml_value(default)
    if value is None:
        value = _stand_in(field)
    yield f"{'' if live else '# '}{name} = {value}"


def toml_value(value: Any) -> str | None:
    """A plain value as TOML; None if there is none.

    Examples
    --------
    >>> toml_value(("pv", "wind")), toml_value(1e-06), toml_value({"a": 1.5}), toml_value(None)
    ('["pv", "wind"]', '1e-06', '{a = 1.5}', None)
    """
    if isinstance(value, BaseModel):
        value = value.model_dump(mode="json", exclude_none=True)
    if value is None:
        return None
    if isinstance(value, dict):
        return (
            "{"
            + ", ".join(f"{key} = {toml_value(item)}" for key, item in value.items() if item is not None)
            + "}"
        )
    if isinstance(value, list | tuple):
        return "[" + ", ".join(filter(None, map(toml_value, value))) + "]"
    if isinstance(value, bool | int | float):
        return json.dumps(value)
    return json.dumps(str(value), ensure_ascii=False)


def _stand_in(field: FieldInfo) -> str:
    """What an option without a default expects."""
    kind = kinds(field)[0]
    inner, _ = nested(kind)
    if not whole_option(field) and ((inner is not None and getattr(inner, BARE, None)) or kind is Path):
        return '"FILE"'
    return {int: "NUMBER", float: "NUMBER", bool: "true"}.get(kind, '"TEXT"')


def write_study(given: Path) -> Path:
    """Write the file; never over another.

    Raises
    ------
    InputError
        If its name is none for a site, or the file is there or cannot be written.
    """
    if not given.name:
        raise InputError(f"new: {str(given)!r} given, expected a name of letters, digits, - and _")
    path = given if given.suffix == ".toml" else given.with_name(f"{given.name}.toml")
    name = path.stem
    if not re.fullmatch(r"[\w-]+", name):
        raise InputError(f"new: {name!r} given, expected a name of letters, digits, - and _")
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(study_text(name, path.name))
    except FileExistsError:
        raise InputError(f"{path}: is there already, expected another name") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror}), expected a writable place") from None
    return path


def _command(
    name: Annotated[Path, typer.Argument(metavar="NAME", help="of the site; the file is NAME.toml")],
) -> None:
    """Write a study to start from: every option with its unit and default, commented out but for the main ones."""
    path = write_study(name)
    print(f"{path}: change it, then wattloop run --config {path} --out results/{path.stem}")


def app() -> App:
    """The command."""
    return App.of(_command)


if __name__ == "__main__":
    app()()
