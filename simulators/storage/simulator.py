"""mosaik adapter: a battery, its dispatch rule and the site's exchange with the grid."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import inf, isfinite, isnan, nan
from numbers import Real
from typing import Any, ClassVar

from simulators.adapter import Adapter, Given
from simulators.errors import InputError
from simulators.own_code import made, own_file
from simulators.storage.battery import Battery, BatteryConfig
from simulators.storage.dispatch import Dispatch, Situation, dispatch
from simulators.storage.exchange import Exchange, check, exchange


@dataclass
class _Site:
    battery: Battery | None
    dispatch: Dispatch
    own_rule: str | None
    export_limit_w: float
    initial_wh: float
    max_residual: float = 0.0
    outputs: dict[str, Any] = field(default_factory=dict)
    refused: list[dict[str, str]] = field(default_factory=list)


class Storage(Adapter[_Site]):
    """A site's battery and grid connection.

    ``Battery(battery={"capacity_wh": 1e4, ...}, dispatch="self-consumption", export_limit_w=5e3)``: fields of
    `BatteryConfig` or None for a site without one; a rule by name, as a table or as a class in a file (`dispatch`).
    What is connected to ``P_load[MW]`` and ``P_gen[MW]`` is summed; the balance is checked in every step. ``commands``
    may set the battery's power in place of the rule, and curtail generation; what cannot be done is in ``refused``.
    """

    TAKES: ClassVar[tuple[str, ...]] = ("battery", "curtail")
    MODELS = {
        "Battery": {
            "public": True,
            "params": ["battery", "dispatch", "export_limit_w"],
            "attrs": [
                *("P_load[MW]", "P_gen[MW]", "CI[gCO2eq/kWh]", "price[1/kWh]", "commands"),
                *("P_charge[MW]", "P_discharge[MW]", "P_import[MW]", "P_export[MW]", "P_exchange[MW]"),
                *("P_curtailed[MW]", "SoC[1]", "SoC_end[1]", "E[MWh]", "refused"),
            ],
        }
    }

    def make(
        self,
        eid: str,
        model: str,
        battery: Mapping[str, Any] | None = None,
        dispatch: str | Mapping[str, Any] = "self-consumption",
        export_limit_w: float = inf,
    ) -> _Site:
        if not export_limit_w >= 0:
            raise InputError(f"storage: export limit is {export_limit_w} W, expected a number >= 0")
        store = None if battery is None else Battery(made(BatteryConfig, battery, "battery"))
        own = own_rule(dispatch)
        rule = dispatch_rule(dispatch)
        return _Site(store, rule, own, float(export_limit_w), store.energy_wh if store else 0.0)

    def advance(self, eid: str, entity: _Site, given: Given) -> None:
        situation = Situation(
            1e6 * given.total("P_load[MW]"),
            1e6 * given.total("P_gen[MW]"),
            float(given.only("CI[gCO2eq/kWh]", nan)),
            float(given.only("price[1/kWh]", nan)),
        )
        commands = {c["kind"]: c for c in given.joined("commands") if c["kind"] in self.TAKES}
        entity.refused = []
        spilled_w = self._spilled_w(entity, commands.get("curtail"), situation.generation_w)
        usable = Situation(
            situation.load_w,
            situation.generation_w - spilled_w,
            situation.ci_g_per_kwh,
            situation.price_per_kwh,
        )
        battery = entity.battery
        soc = battery.soc if battery else 0.0
        power_w = self._battery_w(entity, usable, commands.get("battery"))
        flows = exchange(usable.load_w, usable.generation_w, power_w, entity.export_limit_w)
        if spilled_w:
            flows = Exchange(
                **vars(flows)
                | {"generation_w": situation.generation_w, "curtailed_w": flows.curtailed_w + spilled_w}
            )
        interval = f"{eid}, {self.now} to {self.now + self.step_size} s"
        entity.max_residual = max(entity.max_residual, check(flows, interval))
        entity.outputs = _outputs(flows, battery, soc) | {"refused": entity.refused}

    def _spilled_w(self, entity: _Site, command: Mapping[str, Any] | None, generation_w: float) -> float:
        """Generation that a command leaves unused, W."""
        if command is None:
            return 0.0
        most_w = command["watts"]
        if not most_w >= 0:
            reason = f"{most_w} W of generation, expected a number >= 0"
            entity.refused.append({"kind": "curtail", "reason": reason})
            return 0.0
        return max(0.0, generation_w - float(most_w))

    def _battery_w(self, entity: _Site, situation: Situation, command: Mapping[str, Any] | None) -> float:
        """Terminal power of the battery, W: as commanded, else by the rule, within what is possible."""
        battery = entity.battery
        if battery is None:
            if command is not None:
                entity.refused.append({"kind": "battery", "reason": "the site has no battery"})
            return 0.0
        low_w, high_w = battery.feasible_range(self.step_size)
        wished_w = self._wished_w(entity, situation)
        if command is not None:
            asked_w = float(command["watts"])
            if isfinite(asked_w) and low_w <= asked_w <= high_w:
                wished_w = asked_w
            else:
                reason = f"{asked_w:g} W asked for, {low_w:g} to {high_w:g} W possible"
                entity.refused.append({"kind": "battery", "reason": reason})
        if isnan(wished_w):  # inf: all that is possible
            raise InputError(f"dispatch: the rule asks for {wished_w} W at {self.now} s, expected a number")
        power_w = min(max(wished_w, low_w), high_w)
        battery.step(power_w, self.step_size)
        return power_w

    def _wished_w(self, entity: _Site, situation: Situation) -> float:
        """What the rule asks for, W; a user's own rule that fails is an input error, a bundled one a bug."""
        if entity.own_rule is None:
            return entity.dispatch.power_w(situation)
        where = f"battery rule {entity.own_rule} at {self.now} s"
        try:
            wished_w: Any = entity.dispatch.power_w(situation)
        except Exception as error:
            raise InputError(f"{where}: {type(error).__name__}: {error}") from error
        if not isinstance(wished_w, Real) or isnan(wished_w):
            raise InputError(f"{where}: asks for {wished_w!r}, expected a number of W")
        return float(wished_w)

    def outputs(self, eid: str, entity: _Site, attributes: list[str]) -> dict[str, Any]:
        return {attribute: entity.outputs[attribute] for attribute in attributes}

    def summarise(self, eid: str, entity: _Site) -> dict[str, Any]:
        battery = entity.battery
        return {
            "max_relative_residual": entity.max_residual,
            "initial_wh": entity.initial_wh,
            "final_wh": battery.energy_wh if battery else 0.0,
            "charged_wh": battery.charged_wh if battery else 0.0,
            "discharged_wh": battery.discharged_wh if battery else 0.0,
            "lost_wh": battery.lost_wh if battery else 0.0,
        }


def own_rule(rule: str | Mapping[str, Any]) -> str | None:
    """The name of a rule if it is a user's own."""
    name = str(rule.get("name", "")) if isinstance(rule, Mapping) else rule
    return name if own_file(name) else None


def dispatch_rule(rule: str | Mapping[str, Any]) -> Dispatch:
    """A rule from its name, ``name:option=value``, ``file.py:Class``, or a table with its ``name`` and options."""
    if isinstance(rule, Mapping):
        options = dict(rule)
        return dispatch(str(options.pop("name", "")), **options)
    return dispatch(rule)


def _outputs(flows: Exchange, battery: Battery | None, soc: float) -> dict[str, Any]:
    return {
        "P_load[MW]": flows.load_w / 1e6,
        "P_gen[MW]": flows.generation_w / 1e6,
        "P_charge[MW]": flows.charge_w / 1e6,
        "P_discharge[MW]": flows.discharge_w / 1e6,
        "P_import[MW]": flows.import_w / 1e6,
        "P_export[MW]": flows.export_w / 1e6,
        "P_exchange[MW]": (flows.import_w - flows.export_w) / 1e6,
        "P_curtailed[MW]": flows.curtailed_w / 1e6,
        "SoC[1]": soc,
        "SoC_end[1]": battery.soc if battery else 0.0,
        "E[MWh]": battery.energy_wh / 1e6 if battery else 0.0,
    }
