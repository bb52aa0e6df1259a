"""What a study says about the building around the GPUs, and a facility from plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from simulators.datacenter.cooling import ConstantPue, OutdoorCooling, Overhead, PartLoadPue
from simulators.datacenter.facility import Facility
from simulators.datacenter.node import Node
from simulators.errors import InputError
from simulators.options import nearest
from simulators.own_code import made

OVERHEADS: dict[str, type[Any]] = {
    "constant": ConstantPue,
    "part-load": PartLoadPue,
    "outdoor": OutdoorCooling,
}
"""Overhead models by name."""


class FacilityOptions(BaseModel):
    """Servers, cooling and power chain.

    Examples
    --------
    >>> FacilityOptions(pue=1.2).build(gpus=8).nodes
    1
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    node_overhead: bool = Field(
        True, description="count the servers around the GPUs (CPU, memory, network, fans)"
    )
    pue: float = Field(1.2, ge=1, description="power usage effectiveness, facility / IT")

    def build(self, gpus: int) -> Facility:
        """The facility around some GPUs."""
        return facility_from_plain({"gpus": gpus, **self.model_dump()})


def facility_from_plain(plain: Mapping[str, Any]) -> Facility:
    """A facility from plain values.

    Parameters
    ----------
    plain
        ``gpus`` (0: the GPUs alone are IT), what `FacilityOptions` has, and, if the defaults do not fit,
        ``power_chain_efficiency``, ``node`` (fields of `Node`) and ``overhead``: one of `OVERHEADS` by its ``name``,
        with its fields; its PUE is `pue` unless it says another.

    Raises
    ------
    InputError
        If an entry is unknown or out of range.

    Examples
    --------
    >>> facility_from_plain({"gpus": 16, "pue": 1.3, "overhead": {
    ...     "name": "part-load", "rated_it_w": 2e4, "fixed_share": 0.5}}).overhead.pue
    1.3
    """
    rest = dict(plain)
    gpus = rest.pop("gpus", 0)
    if isinstance(gpus, bool) or not isinstance(gpus, int) or gpus < 0:
        raise InputError(f"data centre: gpus is {gpus!r}, expected a whole number >= 0")
    node = made(Node, rest.pop("node", None) or {}, "data centre: node")
    overhead_given = rest.pop("overhead", None)
    efficiency = rest.pop("power_chain_efficiency", None)
    options = _checked(rest)
    overhead: Overhead = ConstantPue(options.pue)
    if overhead_given is not None:
        overhead = _overhead(overhead_given, options.pue)
    if efficiency is None:
        efficiency = max(0.96, 1 / overhead.pue) if isinstance(overhead, ConstantPue) else 0.96
    if not (options.node_overhead and gpus):
        return Facility(overhead=overhead, power_chain_efficiency=efficiency)
    return Facility.for_gpus(gpus, node, overhead=overhead, power_chain_efficiency=efficiency)


def _checked(plain: Mapping[str, Any]) -> FacilityOptions:
    known = [*FacilityOptions.model_fields, "gpus", "node", "overhead", "power_chain_efficiency"]
    if unknown := sorted(set(plain) - set(known)):
        raise InputError(
            f"data centre: unknown entry {unknown[0]!r}, expected some of {', '.join(known)}"
            f"{nearest(unknown[0], known)}"
        )
    try:
        return FacilityOptions.model_validate(plain)
    except ValidationError as error:
        first = error.errors()[0]
        raise InputError(f"data centre: {first['loc'][0]}: {first['msg'].lower()}") from None


def _overhead(plain: Mapping[str, Any], pue: float) -> Overhead:
    rest = dict(plain)
    name = rest.pop("name", None)
    if name not in OVERHEADS:
        raise InputError(f"data centre: overhead {name!r}, expected one of {', '.join(OVERHEADS)}")
    kind = OVERHEADS[name]
    if "pue" in {entry.name for entry in fields(kind)}:
        rest.setdefault("pue", pue)
    overhead: Overhead = made(kind, rest, f"data centre: overhead {name!r}")
    return overhead
