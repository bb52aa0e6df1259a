"""What a study says about the building around the GPUs, and the constants that stand in for what it does not say."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from simulators.datacenter import factors
from simulators.datacenter.cooling import chiller_cop
from simulators.leaves import option_name
from simulators.quantities.factor import Assumption, Factor

PueModel = Literal["constant", "load", "outdoor", "outdoor-load"]


def _default(factor: Factor, digits: int = 4) -> str:
    return f"[default: {factor.value:.{digits}g}, {factor.low:.{digits}g} to {factor.high:.{digits}g}]"


class FacilityOptions(BaseModel):
    """Servers, power chain, cooling, water. What is None has the default of `factors`, with its range.

    Examples
    --------
    >>> options = FacilityOptions(pue_model="outdoor", cooling="wet", server_cooling="liquid")
    >>> options.factors()["supply_temperature"].value
    32.0
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    node_overhead: bool = Field(
        True, description="count the servers around the GPUs (CPU, memory, network, fans)"
    )
    gpus_per_node: int | None = Field(None, ge=1, le=1024, description="GPUs in one server  [default: 8]")
    host_idle_w: float | None = Field(
        None,
        ge=0,
        le=10**6,
        description=f"CPUs, memory, network, disks of an idle server, W  {_default(factors.HOST_IDLE_W)}",
    )
    host_full_w: float | None = Field(
        None, ge=0, le=10**6, description=f"... of a busy one, W  {_default(factors.HOST_FULL_W)}"
    )
    server_cooling: Literal["fans", "liquid"] | None = Field(
        None, description="what cools the servers inside: fans or liquid  [default: fans]"
    )
    fan_share: float | None = Field(
        None,
        ge=0,
        lt=1,
        description=f"fans' share of a server's power  {_default(factors.FAN_SHARE['fans'])}, liquid: 0.03",
    )
    psu_efficiency: float | None = Field(
        None, gt=0, le=1, description=f"servers' power supplies  {_default(factors.PSU_EFFICIENCY)}"
    )
    power_chain_efficiency: float | None = Field(
        None,
        gt=0,
        le=1,
        description=f"meter to servers, at any load  {_default(factors.POWER_CHAIN_EFFICIENCY)}",
    )
    ups: Literal["double-conversion", "eco"] | None = Field(
        None,
        description="losses of the UPS over its load: double-conversion or eco  [default: --power-chain-efficiency]",
    )
    ups_efficiency: float | None = Field(
        None,
        gt=0,
        le=1,
        description=f"... at half load  {_default(factors.UPS_EFFICIENCY['double-conversion'])}, eco: 0.99",
    )
    ups_capacity: float | None = Field(
        None,
        ge=1,
        le=10,
        description=f"rating of UPS and transformer over the design load  {_default(factors.UPS_CAPACITY)}",
    )
    transformer: Literal["dry", "liquid"] | None = Field(
        None, description="losses of the transformer over its load: dry or liquid  [default: none of its own]"
    )
    design_it_kw: float | None = Field(
        None,
        gt=0,
        le=10**8,
        description="IT power the building is made for, kW  [default: servers with all GPUs at their limit]",
    )
    pue_model: PueModel = Field(
        "constant",
        description="what the PUE hangs on: constant, load, outdoor (temperature) or outdoor-load (both)",
    )
    pue: float | None = Field(
        None,
        ge=1,
        le=10,
        description="power usage effectiveness, facility / IT; of --pue-model load: at the design load  "
        f"{_default(factors.PUE)}",
    )
    pue_fixed_share: float | None = Field(
        None,
        ge=0,
        le=1,
        description=f"share of the cooling power that never falls with the load  {_default(factors.FIXED_SHARE, 2)}",
    )
    cooling: Literal["dry", "wet"] | None = Field(
        None,
        description="where heat goes: to dry coolers (dry bulb) or cooling towers (wet bulb)  [default: dry]",
    )
    supply_temperature: float | None = Field(
        None,
        ge=10,
        le=50,
        description=f"of what is supplied to the servers, degC  {_default(factors.SUPPLY_C['fans'])}, liquid: 32",
    )
    approach: float | None = Field(
        None, ge=0, le=40, description=f"of all heat exchangers, K  {_default(factors.APPROACH_K)}"
    )
    return_rise: float | None = Field(
        None, gt=0, le=60, description=f"warming through the servers, K  {_default(factors.RETURN_RISE_K)}"
    )
    chiller_cop: float | None = Field(
        None,
        gt=0,
        le=30,
        description="chillers' coefficient of performance  [default: by supply temperature, 4.39 at 24 degC]",
    )
    circulation: float | None = Field(
        None,
        ge=0,
        le=1,
        description=f"pumps, fans, lights, W per W of heat  {_default(factors.CIRCULATION)}",
    )
    wue: float | None = Field(
        None,
        ge=0,
        le=100,
        description=f"water evaporated on site, L per kWh of IT  {_default(factors.WUE)}; of outdoor models: dry 0, "
        "wet by weather",
    )
    cycles_of_concentration: float | None = Field(
        None,
        gt=1,
        le=100,
        description=f"of cooling towers: how far water thickens  {_default(factors.CYCLES)}",
    )
    grid_water: float | None = Field(
        None,
        ge=0,
        le=1000,
        description=f"water consumed to make grid power, L/kWh  {_default(factors.GRID_WATER)}",
    )
    heat_reuse_share: float = Field(
        0.0, ge=0, le=1, description="share of the heat of IT that is delivered to others (ERE)"
    )

    @property
    def outdoor(self) -> bool:
        """Whether cooling depends on the weather."""
        return self.pue_model in ("outdoor", "outdoor-load")

    @property
    def wet(self) -> bool:
        """Whether it needs the humidity of the air, too."""
        return self.outdoor and self.cooling == "wet"

    @property
    def staged(self) -> bool:
        """Whether losses follow the load of UPS or transformer."""
        return self.ups is not None or self.transformer is not None

    @property
    def has_design_load(self) -> bool:
        """Whether the IT power the building is made for has an effect."""
        return self.staged or self.pue_model in ("load", "outdoor-load")

    @model_validator(mode="after")
    def _nothing_without_effect(self) -> Self:
        """Refuse what the chosen models do not read: its effect would be looked for in vain."""
        outdoors = "--pue-model outdoor or outdoor-load"
        needs: tuple[tuple[bool, str, tuple[str, ...]], ...] = (
            (
                self.node_overhead,
                "--node-overhead",
                ("gpus_per_node", "host_idle_w", "host_full_w", "fan_share", "psu_efficiency"),
            ),
            (self.node_overhead or self.outdoor, f"--node-overhead or {outdoors}", ("server_cooling",)),
            (not self.staged, "neither --ups nor --transformer", ("power_chain_efficiency",)),
            (self.ups is not None, "--ups", ("ups_efficiency",)),
            (self.staged, "--ups or --transformer", ("ups_capacity",)),
            (self.pue_model != "constant", "--pue-model load, outdoor or outdoor-load", ("ups", "transformer")),
            (self.has_design_load, "--pue-model load or outdoor-load, --ups or --transformer", ("design_it_kw",)),
            (not self.outdoor, "--pue-model constant or load", ("pue",)),
            (
                self.pue_model in ("load", "outdoor-load"),
                "--pue-model load or outdoor-load",
                ("pue_fixed_share",),
            ),
            (
                self.outdoor,
                outdoors,
                ("cooling", "supply_temperature", "approach", "return_rise", "chiller_cop", "circulation"),
            ),
            (
                self.wet and self.wue is None,
                f"{outdoors}, --cooling wet and no --wue",
                ("cycles_of_concentration",),
            ),
        )  # fmt: skip
        for read, where, names in needs:
            for name in names:
                value = getattr(self, name)
                if value is not None and not read:
                    raise ValueError(
                        f"{option_name(name)}: {value} given, but has an effect only with {where}"
                    )
        known = self.factors()
        if "host_idle_w" in known and known["host_idle_w"].value > known["host_full_w"].value:
            raise ValueError(
                f"--host-idle-w: {known['host_idle_w'].value:g} W, expected at most --host-full-w, "
                f"{known['host_full_w'].value:g} W"
            )
        return self

    def factors(self) -> dict[str, Factor]:
        """The constants that its models read, by the names of the options: the study's own, or the defaults."""
        inside = self.server_cooling or "fans"
        found: dict[str, Factor] = {}
        if self.node_overhead:
            found["host_idle_w"] = factors.HOST_IDLE_W
            found["host_full_w"] = factors.HOST_FULL_W
            found["fan_share"] = factors.FAN_SHARE[inside]
            found["psu_efficiency"] = factors.PSU_EFFICIENCY
        if not self.staged:
            found["power_chain_efficiency"] = self._usual_efficiency()
        else:
            found["ups_capacity"] = factors.UPS_CAPACITY
        if self.ups is not None:
            found["ups_efficiency"] = factors.UPS_EFFICIENCY[self.ups]
        if not self.outdoor:
            found["pue"] = factors.PUE
        if self.pue_model in ("load", "outdoor-load"):
            found["pue_fixed_share"] = factors.FIXED_SHARE
        if self.outdoor:
            found["supply_temperature"] = factors.SUPPLY_C[inside]
            found["approach"] = factors.APPROACH_K
            found["return_rise"] = factors.RETURN_RISE_K
            found["chiller_cop"] = _cop(self.supply_temperature or factors.SUPPLY_C[inside].value)
            found["circulation"] = factors.CIRCULATION
        if self.wet and self.wue is None:
            found["cycles_of_concentration"] = factors.CYCLES
        else:
            found["wue"] = factors.WUE_DRY if self.outdoor and not self.wet else factors.WUE
        found["grid_water"] = factors.GRID_WATER
        known = {name: factor.own(getattr(self, name)) for name, factor in found.items()}
        if self.node_overhead:  # the range of one ends where the other stands
            idle, full = known["host_idle_w"], known["host_full_w"]
            if idle.value <= full.value:
                known["host_idle_w"] = replace(idle, high=min(idle.high, max(full.high, idle.value)))
                known["host_full_w"] = replace(full, low=max(full.low, min(idle.low, full.value)))
        return known

    def _usual_efficiency(self) -> Factor:
        """Of the power chain; a low PUE at every moment leaves no room for the usual losses."""
        usual = factors.POWER_CHAIN_EFFICIENCY
        least = 1.0 / self.pue if self.pue and self.pue_model == "constant" else 0.0
        return replace(usual, value=max(usual.value, least), high=max(usual.high, least))

    def assumptions(self) -> list[Assumption]:
        """What a facility rests on: every constant that its models read, with range and source.

        Examples
        --------
        >>> [found.name for found in FacilityOptions(node_overhead=False, pue=1.1).assumptions()]
        ['power_chain_efficiency', 'pue', 'wue', 'grid_water']
        """
        found = [Assumption(name, factor) for name, factor in self.factors().items()]
        if self.transformer is not None:
            found += [
                Assumption("transformer_no_load", factors.TRANSFORMER_NO_LOAD[self.transformer]),
                Assumption("transformer_load", factors.TRANSFORMER_LOAD[self.transformer]),
            ]
        return found


def _cop(supply_c: float) -> Factor:
    value = chiller_cop(supply_c)
    low, high = factors.CHILLER_COP
    return Factor(value, min(low, value), max(high, value), "1", factors.COP_SOURCE)
