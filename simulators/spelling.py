"""How numbers are written in options and files: what only Python takes for one is refused."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, get_args, get_origin

from pydantic import BaseModel

from simulators.errors import InputError
from simulators.leaves import is_number, kinds

ODD_NUMBER = re.compile(r"_|[^\x00-\x7f]")
"""What Python takes in a number and nobody else writes there."""


def plain_number(text: str) -> float:
    """A number as people write it, in a text that holds several.

    Raises
    ------
    ValueError
        If it is none, or one that only Python reads, such as ``1_000``.

    Examples
    --------
    >>> plain_number(" 12.5")
    12.5
    """
    if ODD_NUMBER.search(text):
        raise ValueError(f"{text!r} is no number")
    return float(text)


def check_numbers(model: type[BaseModel], entries: Mapping[str, Any], where: str) -> None:
    """Refuse true, and text such as ``1_0``, where a model has numbers: pydantic takes them for some.

    Raises
    ------
    InputError
        `where` opens the message.

    Examples
    --------
    >>> class Kettle(BaseModel):
    ...     cups: int
    >>> check_numbers(Kettle, {"cups": True}, "kettle.toml")
    Traceback (most recent call last):
        ...
    simulators.errors.InputError: kettle.toml: cups is True, expected a number
    """
    for name, value in entries.items():
        field = model.model_fields.get(name)
        if field is None:
            continue
        of_numbers = is_number(field)
        for item in (
            value.values() if isinstance(value, Mapping) and get_origin(kinds(field)[0]) is dict else (value,)
        ):
            odd = isinstance(item, bool) or (isinstance(item, str) and ODD_NUMBER.search(item))
            if odd and (of_numbers or (item is not value and Any not in get_args(kinds(field)[0]))):
                raise InputError(f"{where}: {name} is {str(item)[:40]}, expected a number")
