"""A facility from plain values: what a study says, how many GPUs there are, and the weather of every step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil
from typing import Any

from pydantic import ValidationError

from simulators.datacenter.cooling import ConstantPue, Cooling, OutdoorCooling, PartLoadCooling
from simulators.datacenter.facility import Facility
from simulators.datacenter.node import Node
from simulators.datacenter.options import FacilityOptions
from simulators.datacenter.power_chain import ConstantEfficiency, PowerChain, Stage, Stages
from simulators.datacenter.water import ConstantWue, TowerWater, Water
from simulators.errors import InputError, nearest

EXTRA = ("gpus", "nameplate_gpu_w", "outdoor_c", "evaporated_kg_per_kwh")
"""What `facility_from_plain` takes beside the fields of `FacilityOptions`."""


def facility_from_plain(plain: Mapping[str, Any]) -> Facility:
    """A facility from plain values.

    Parameters
    ----------
    plain
        What `FacilityOptions` has; ``gpus`` (0: the load comes from elsewhere, and GPUs or IT stand alone);
        ``nameplate_gpu_w``, all of them at their limit, W, which makes the design load where ``design_it_kw`` does not
        say it; ``outdoor_c``, one temperature per step, of outdoor models: dry bulb, or wet bulb of ``cooling = wet``,
        degrees Celsius; ``evaporated_kg_per_kwh``, one number per step, of cooling towers.

    Raises
    ------
    InputError
        If an entry is unknown, out of range or missing.

    Examples
    --------
    >>> facility = facility_from_plain({"gpus": 16, "nameplate_gpu_w": 11200.0, "pue_model": "load", "pue": 1.3})
    >>> facility.nodes, round(facility.power(2000.0, 0.1).pue, 2)
    (2, 1.64)
    """
    rest = dict(plain)
    gpus = rest.pop("gpus", 0)
    if isinstance(gpus, bool) or not isinstance(gpus, int) or gpus < 0:
        raise InputError(f"data centre: gpus is {gpus!r}, expected a whole number >= 0")
    given = {name: rest.pop(name, None) for name in EXTRA[1:]}
    options = _checked(rest)
    node = _node(options) if options.node_overhead and gpus else None
    nodes = ceil(gpus / node.gpus) if node else 0
    rated_it_w = _rated_it_w(options, node, nodes, given["nameplate_gpu_w"])
    chain = _power_chain(options, rated_it_w)
    return Facility(
        node,
        nodes,
        _cooling(options, chain, rated_it_w, given["outdoor_c"]),
        chain,
        _water(options, given["evaporated_kg_per_kwh"]),
    )


def _checked(plain: Mapping[str, Any]) -> FacilityOptions:
    known = [*FacilityOptions.model_fields, *EXTRA]
    if unknown := sorted(set(plain) - set(known)):
        raise InputError(
            f"data centre: unknown entry {unknown[0]!r}, expected some of {', '.join(known)}"
            f"{nearest(unknown[0], known)}"
        )
    try:
        return FacilityOptions.model_validate(plain)
    except ValidationError as error:
        first = error.errors()[0]
        reason = first["msg"].removeprefix("Value error, ")
        where = f"{first['loc'][0]}: {reason[:1].lower()}{reason[1:]}" if first["loc"] else reason
        raise InputError(f"data centre: {where}") from None


def _node(options: FacilityOptions) -> Node:
    known = options.factors()
    names = ("host_idle_w", "host_full_w", "fan_share", "psu_efficiency")
    return Node(options.gpus_per_node or Node.gpus, *(known[name].value for name in names))


def _rated_it_w(options: FacilityOptions, node: Node | None, nodes: int, gpu_w: float | None) -> float:
    """IT power the building is made for, W; 0 where it has no effect."""
    if not options.has_design_load:
        return 0.0
    if options.design_it_kw is not None:
        return options.design_it_kw * 1e3
    if gpu_w is None:
        raise InputError("data centre: no design load, expected design_it_kw (--design-it-kw)")
    return node.plug_w(gpu_w, nodes, 1.0) if node else gpu_w


def _power_chain(options: FacilityOptions, rated_it_w: float) -> PowerChain:
    known = options.factors()
    if not options.staged:
        return ConstantEfficiency(known["power_chain_efficiency"].value)
    rating_w = rated_it_w * known["ups_capacity"].value
    stages = []
    if options.ups is not None:
        stages.append(Stage.ups(rating_w, known["ups_efficiency"].value))
    if options.transformer is not None:
        stages.append(Stage.transformer(rating_w, options.transformer))
    return Stages(tuple(stages))


def _cooling(
    options: FacilityOptions, chain: PowerChain, rated_it_w: float, outdoor_c: Sequence[float] | None
) -> Cooling:
    known = {name: factor.value for name, factor in options.factors().items()}
    if options.pue_model == "constant":
        return ConstantPue(known["pue"])
    losses_w = chain.losses_w(rated_it_w)
    if options.pue_model == "load":
        return PartLoadCooling.at_pue(known["pue"], rated_it_w, losses_w, known["pue_fixed_share"])
    if outdoor_c is None:
        raise InputError(
            f"data centre: no outdoor_c, expected an outdoor temperature of every step for {options.pue_model}"
        )
    fixed_share = known.get("pue_fixed_share", 0.0)
    return OutdoorCooling(
        outdoor_c,  # type: ignore[arg-type]  # it makes an array of it
        known["supply_temperature"],
        known["approach"],
        known["return_rise"],
        known["circulation"],
        known["chiller_cop"],
        fixed_heat_w=fixed_share * (rated_it_w + losses_w),
        fixed_share=fixed_share,
    )


def _water(options: FacilityOptions, evaporated: Sequence[float] | None) -> Water:
    known = options.factors()
    if "cycles_of_concentration" not in known:
        return ConstantWue(known["wue"].value)
    if evaporated is None:
        raise InputError(
            "data centre: no evaporated_kg_per_kwh, expected the evaporation of every step, or wue"
        )
    return TowerWater(evaporated, known["cycles_of_concentration"].value)  # type: ignore[arg-type]
