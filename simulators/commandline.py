"""Command lines from pydantic models: an option is described, bounded and defaulted in one place.

A model's fields become options (``pv_kw`` -> ``--pv-kw``); the same fields may stand in a TOML or JSON file given as
``--config``. What is typed wins over the file, the file over the defaults. A wrong input ends with one line on stderr
and exit code 2.
"""

from __future__ import annotations

import inspect
import json
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_args

import typer
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from simulators.errors import InputError

Options = TypeVar("Options", bound=BaseModel)


def option_name(field: str) -> str:
    """The option of a field, e.g. ``--pv-kw``."""
    return "--" + field.replace("_", "-")


def _help(field: FieldInfo) -> str:
    text = field.description or ""
    default = field.default
    if default is None or default == () or default is False:
        return text
    return f"{text}  [default: {default}]"


def _kinds(field: FieldInfo) -> list[Any]:
    """The types a field may have, None apart."""
    return [kind for kind in get_args(field.annotation) if kind is not type(None)] or [field.annotation]


def _typed(field: FieldInfo) -> Any:
    """What typer shall hand over; numbers stay text, so that whatever is wrong with them is pydantic's to say."""
    if field.annotation is bool:
        return bool | None
    if any(getattr(kind, "__origin__", kind) is tuple for kind in (field.annotation, *_kinds(field))):
        return list[str] | None
    return str | None


def _metavar(field: FieldInfo) -> str | None:
    """What stands for the value in the help."""
    names = {int: "INTEGER", float: "NUMBER", Path: "PATH"}
    return None if field.annotation is bool else names.get(_kinds(field)[0], "TEXT")


def read_config(path: Path, model: type[BaseModel]) -> dict[str, Any]:
    """Options from a TOML or JSON file; a results folder's config.json is accepted as well.

    Raises
    ------
    InputError
        If the file cannot be read or names an unknown option.
    """
    try:
        text = path.read_text(encoding="utf-8")
        entries = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
    except FileNotFoundError:
        raise InputError(f"--config {path}: no such file") from None
    except (OSError, ValueError) as error:
        raise InputError(f"--config {path}: {error}, expected TOML or JSON") from None
    if isinstance(entries, dict):
        entries = entries.get("options", entries)
    if not isinstance(entries, dict):
        raise InputError(f"--config {path}: expected a table of options, name by name")
    named = {str(name).replace("-", "_"): value for name, value in entries.items()}
    unknown = sorted(set(named) - set(model.model_fields))
    if unknown:
        raise InputError(
            f"--config {path}: unknown option {unknown[0]!r}, expected some of those --help lists"
        )
    return named


def checked(model: type[Options], values: dict[str, Any], file: Path | None = None) -> Options:
    """The validated options; pydantic's first finding as one line."""
    try:
        return model.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        if not first["loc"]:
            raise InputError(first["msg"].removeprefix("Value error, ")) from None
        field = str(first["loc"][0])
        reason = first["msg"].removeprefix("Value error, ")
        reason = reason[0].lower() + reason[1:]
        where = f" (in {file})" if file else ""
        raise InputError(f"{option_name(field)}: {first['input']!r} given{where}, {reason}") from None


def command(model: type[Options], run: Callable[[Options], None]) -> Callable[..., None]:
    """A function for typer that parses `model` from the command line and a file, then calls `run` with it."""

    def parse(config: Path | None = None, **typed: Any) -> None:
        try:
            given = {name: value for name, value in typed.items() if value not in (None, [], ())}
            from_file = read_config(config, model) if config else {}
            run(checked(model, from_file | given, config))
        except InputError as error:
            print(f"error: {error}", file=sys.stderr)
            raise typer.Exit(2) from None

    parameters = [
        inspect.Parameter(
            "config",
            inspect.Parameter.KEYWORD_ONLY,
            default=None,
            annotation=Annotated[
                Path | None, typer.Option(help="TOML or JSON file with options named as below")
            ],
        )
    ]
    for name, field in model.model_fields.items():
        names = [option_name(name)]
        if field.annotation is bool:
            names = [f"{names[0]}/--no-{names[0][2:]}"]
        annotation: Any = Annotated[
            _typed(field),  # type: ignore[valid-type]
            typer.Option(*names, help=_help(field), show_default=False, metavar=_metavar(field)),
        ]
        parameters.append(
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)
        )
    parse.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    parse.__doc__ = run.__doc__
    parse.__annotations__ = {p.name: p.annotation for p in parameters}
    return parse


def main(model: type[Options], run: Callable[[Options], None]) -> None:
    """Run a script that is one command."""
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
    app.command()(command(model, run))
    app()
