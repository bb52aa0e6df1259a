"""The options of a tree of pydantic models: its leaves, each by its own name.

``study.sites.generation.pv_kw`` is the option ``pv_kw``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from types import UnionType
from typing import Any, NamedTuple, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

EACH = "*"
"""Stands in a path for every entry of a list: an option given once holds for all sites of a study."""

BARE = "bare_field"
"""A model that names a field here may be given as that field's value alone, e.g. a file reference as its path."""

HIDDEN = "hidden"
"""Key of a field's `json_schema_extra`: names in the part it holds that are no options here."""

OPTION = "option"
"""Key of a field's `json_schema_extra`: a list of parts that is one repeatable option of this name, not taken apart."""


class Leaf(NamedTuple):
    """One option: where it stands in the tree, its name, its field and its default."""

    path: tuple[str, ...]
    name: str
    field: FieldInfo
    default: Any


def option_name(field: str) -> str:
    """The option of a field, e.g. ``--pv-kw``."""
    return "--" + field.replace("_", "-")


def leaves(model: type[BaseModel], default: BaseModel | None = None, skip: Sequence[str] = ()) -> list[Leaf]:
    """The options of a tree of models.

    Parameters
    ----------
    model
        Its root.
    default
        An instance whose values are the defaults; else those of the fields.
    skip
        Names of parts (or of leaves) that a command does not read.
    """
    return [
        leaf for leaf in _walk(model, default, ()) if leaf.name not in skip and not set(leaf.path) & set(skip)
    ]


def _walk(model: type[BaseModel], default: BaseModel | None, path: tuple[str, ...]) -> Iterator[Leaf]:
    for name, field in model.model_fields.items():
        value = (
            getattr(default, name) if default is not None else field.get_default(call_default_factory=True)
        )
        inner, many = nested(field.annotation)
        if whole := whole_option(field):
            yield Leaf((*path, name), whole, field, value)
        elif inner is None:
            yield Leaf((*path, name), name, field, value)
        elif bare := getattr(inner, BARE, None):
            yield from _bare(inner, bare, Leaf((*path, name), name, field, value))
        elif many:
            yield from _walk(inner, value[0] if value else None, (*path, name, EACH))
        else:
            yield from _walk(inner, value if isinstance(value, BaseModel) else None, (*path, name))


def whole_option(field: FieldInfo) -> str:
    """The option of a list of parts that is not taken apart; empty if it is."""
    extra = field.json_schema_extra
    return str(extra.get(OPTION, "")) if isinstance(extra, dict) else ""


def _bare(model: type[BaseModel], bare: str, whole: Leaf) -> Iterator[Leaf]:
    """A part that may be given as one value: an option of its name, and one more for each of its other fields."""
    value = getattr(whole.default, bare, None)
    yield Leaf((*whole.path, bare), whole.name, whole.field, value)
    extra = whole.field.json_schema_extra
    hidden: Any = extra.get(HIDDEN, ()) if isinstance(extra, dict) else ()
    for name, field in model.model_fields.items():
        if name != bare and field.description and name not in hidden:
            yield Leaf((*whole.path, name), f"{whole.name}_{name}", field, getattr(whole.default, name, None))


def nested(annotation: Any) -> tuple[type[BaseModel] | None, bool]:
    """The model a field holds (alone, or None, or a tuple of them), and whether it holds several."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation, False
    origin = get_origin(annotation)
    parts = [part for part in get_args(annotation) if part not in (type(None), Ellipsis)]
    if origin in (tuple, list, Union, UnionType) and len(parts) == 1:
        inner, _ = nested(parts[0])
        return inner, inner is not None and origin in (tuple, list)
    return None, False


def kinds(field: FieldInfo) -> list[Any]:
    """The types a field may have, None apart."""
    if get_origin(field.annotation) in (Union, UnionType):
        return [kind for kind in get_args(field.annotation) if kind is not type(None)]
    return [field.annotation]


def is_number(field: FieldInfo) -> bool:
    """Whether a field holds a number, and nothing that text or true could be meant for."""
    meant = set(kinds(field))
    return bool(meant & {int, float}) and not meant & {bool, str}
