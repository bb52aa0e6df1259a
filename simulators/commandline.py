"""Command lines from trees of pydantic models: an option is described, bounded and defaulted in one place.

The leaves of a tree (`simulators.options`) become options: ``pv_kw`` -> ``--pv-kw``. The same names may stand in a
TOML or JSON file given as ``--config``. What is typed wins over the file, the file over the defaults. A wrong input
ends with one line on stderr and exit code 2
(`simulators.console`).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_origin

import typer
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from simulators.console import App
from simulators.leaves import Leaf, kinds, nested, option_name, whole_option
from simulators.options import Tree, put, read_config

Options = TypeVar("Options", bound=BaseModel)


def _typed(field: FieldInfo) -> Any:
    """What typer shall hand over; numbers stay text, so that whatever is wrong with them is pydantic's to say."""
    if kinds(field) == [bool]:
        return bool | None
    if any(get_origin(kind) in (tuple, dict) for kind in kinds(field)):
        return list[str] | None
    return str | None


def _metavar(field: FieldInfo) -> str | None:
    """What stands for the value in the help."""
    kind = kinds(field)[0]
    if not whole_option(field) and (nested(kind)[0] is not None or kind is Path):
        return "PATH"
    return None if kinds(field) == [bool] else {int: "INTEGER", float: "NUMBER"}.get(kind, "TEXT")


def _help(leaf: Leaf) -> str:
    text, default = leaf.field.description or "", leaf.default
    if default is None or default == () or default is False or default == {}:
        return text
    shown = " ".join(map(str, default)) if isinstance(default, tuple) else default
    return f"{text}  [default: {shown}]"


def command(
    model: type[Options],
    run: Callable[[Options], None],
    default: Options | None = None,
    skip: Sequence[str] = (),
) -> Callable[..., None]:
    """A function for typer that parses `model` from the command line and a file, then calls `run` with it."""
    tree = Tree(model, default, skip)

    def parse(config: Path | None = None, **typed: Any) -> None:
        from_file = read_config(config) if config else {}
        entries = tree.place(from_file, f"--config {config}: ")
        for name, value in typed.items():
            if value not in (None, [], ()):
                put(entries, tree.leaves[name].path, value)
        run(tree.checked(entries, config))

    about = typer.Option(help="TOML or JSON file with options named as below, or a result's config.json")
    parameters = [_parameter("config", Annotated[Path | None, about])]
    for leaf in tree.leaves.values():
        names = [option_name(leaf.name)]
        if kinds(leaf.field) == [bool]:
            names = [f"{names[0]}/--no-{names[0][2:]}"]
        option = typer.Option(*names, help=_help(leaf), show_default=False, metavar=_metavar(leaf.field))
        parameters.append(_parameter(leaf.name, Annotated[_typed(leaf.field), option]))
    parse.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    parse.__doc__ = run.__doc__
    parse.__annotations__ = {p.name: p.annotation for p in parameters}
    return parse


def _parameter(name: str, annotation: Any) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)


def main(
    model: type[Options],
    run: Callable[[Options], None],
    default: Options | None = None,
    skip: Sequence[str] = (),
) -> None:
    """Run a script that is one command."""
    App.of(command(model, run, default, skip))()
