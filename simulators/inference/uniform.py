"""Tables of numbers in the one form that a compiled loop takes."""

from __future__ import annotations

from typing import Any, TypeVar, get_type_hints

import numpy as np

from simulators.inference.power.law import PowerLaw
from simulators.inference.timing.tables import StageTables

Tables = TypeVar("Tables", StageTables, PowerLaw)


def uniform(tables: Tables) -> Tables:
    """The same tuple with plain ints, floats and contiguous arrays, so that one compiled loop fits all.

    Arrays that are so already are shared: thousands of equal replicas have one set of tables.
    """
    hints = get_type_hints(type(tables))

    def plain(hint: Any, value: Any) -> Any:
        if hint in (int, float):
            return hint(value)
        if isinstance(value, tuple):
            return tuple(float(number) for number in value)
        return np.require(value, np.float64, ["C", "A", "W"])

    fields: dict[str, Any] = {name: plain(hints[name], value) for name, value in tables._asdict().items()}
    return tables._replace(**fields)
