"""mosaik adapter: a battery, its dispatch rule and the site's exchange with the grid."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from math import inf, isfinite, isnan, nan
from typing import Any, ClassVar

from simulators.adapter import Adapter, Given
from simulators.errors import InputError
from simulators.own_code import made
from simulators.quantities.commands import BatteryPower, Curtail, command_from_plain
from simulators.storage.battery import Battery, BatteryConfig
from simulators.storage.dispatch import Dispatch, Situation, dispatch
from simulators.storage.exchange import Exchange, check, exchange


@dataclass
class _Site:
    battery: Battery | None
    dispatch: Dispatch
    export_limit_w: float
    initial_wh: float
    return_by_s: int | None = None
    max_residual: float = 0.0
    outputs: dict[str, Any] = field(default_factory=dict)
    refused: list[dict[str, str]] = field(default_factory=list)


class Storage(Adapter[_Site]):
    """A site's battery and grid connection.

    ``Battery(battery={"capacity_wh": 1e4, ...}, dispatch="self-consumption", export_limit_w=5e3)``: fields of
    `BatteryConfig` or None for a site without one; a rule by name, as a table or as a class in a file (`dispatch`).
    What is connected to ``P_load[MW]`` and ``P_gen[MW]`` is summed; the balance is checked in every step. ``commands``
    may set the battery's power in place of the rule, and curtail generation; what cannot be done is in ``refused``.
    ``return_by_s``: when the battery must hold again what it held at the start, s from there; it then charges in time,
    and gives what load and grid connection take.
    """

    TAKES: ClassVar[tuple[str, ...]] = ("battery", "curtail")
    MODELS = {
        "Battery": {
            "public": True,
            "params": ["battery", "dispatch", "export_limit_w", "return_by_s"],
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
        return_by_s: int | None = None,
    ) -> _Site:
        if not export_limit_w >= 0:
            raise InputError(f"storage: export limit is {export_limit_w} W, expected a number >= 0")
        store = None if battery is None else Battery(made(BatteryConfig, battery, "battery"))
        initial_wh = store.energy_wh if store else 0.0
        if return_by_s is not None and (return_by_s <= 0 or return_by_s % self.step_size):
            raise InputError(
                f"storage: return_by_s is {return_by_s}, expected whole steps of {self.step_size} s"
            )
        return _Site(store, dispatch_rule(dispatch), float(export_limit_w), initial_wh, return_by_s)

    def advance(self, eid: str, entity: _Site, given: Given) -> None:
        entity.refused = []
        commands = self._commands(entity, given)
        generation_w = 1e6 * given.total("P_gen[MW]")
        spilled_w = self._spilled_w(entity, commands.get("curtail"), generation_w)
        battery = entity.battery
        soc = battery.soc if battery else 0.0
        situation = Situation(
            1e6 * given.total("P_load[MW]"),
            generation_w - spilled_w,
            float(given.only("CI[gCO2eq/kWh]", nan)),
            float(given.only("price[1/kWh]", nan)),
            soc if battery else nan,
            self.now,
            self.step_size,
        )
        power_w = self._battery_w(entity, situation, commands.get("battery"))
        flows = exchange(situation.load_w, situation.generation_w, power_w, entity.export_limit_w)
        if spilled_w:
            flows = replace(flows, generation_w=generation_w, curtailed_w=flows.curtailed_w + spilled_w)
        interval = f"{eid}, {self.now} to {self.now + self.step_size} s"
        entity.max_residual = max(entity.max_residual, check(flows, interval))
        entity.outputs = _outputs(flows, battery, soc) | {"refused": entity.refused}

    def _commands(self, entity: _Site, given: Given) -> dict[str, float]:
        """Watts by the kind of command; of several of one kind the last counts."""
        found: dict[str, float] = {}
        for plain in given.joined("commands"):
            kind = plain["kind"]
            if kind not in self.TAKES:
                continue
            try:
                command = command_from_plain(plain)
                assert isinstance(command, BatteryPower | Curtail)
                watts = float(command.watts)
            except (TypeError, ValueError) as error:
                _refuse(entity, kind, str(error))
                continue
            if kind in found:
                _refuse(entity, kind, f"{found[kind]:g} W, but another command follows in the same step")
            found[kind] = watts
        return found

    def _spilled_w(self, entity: _Site, most_w: float | None, generation_w: float) -> float:
        """Generation that a command leaves unused, W."""
        if most_w is None:
            return 0.0
        if not most_w >= 0:
            _refuse(entity, "curtail", f"{most_w} W of generation, expected a number >= 0")
            return 0.0
        return max(0.0, generation_w - most_w)

    def _battery_w(self, entity: _Site, situation: Situation, asked_w: float | None) -> float:
        """Terminal power of the battery, W: as commanded, else by the rule, within what is possible."""
        battery = entity.battery
        if battery is None:
            if asked_w is not None:
                _refuse(entity, "battery", "the site has no battery")
            return 0.0
        low_w, high_w = self._range_w(entity, battery, situation)
        wished_w = entity.dispatch.power_w(situation)
        if asked_w is not None:
            if isfinite(asked_w) and low_w <= asked_w <= high_w:
                wished_w = asked_w
            else:
                _refuse(entity, "battery", f"{asked_w:g} W asked for, {low_w:g} to {high_w:g} W possible")
        if isnan(wished_w):  # inf: all that is possible
            raise InputError(f"dispatch: the rule asks for {wished_w} W at {self.now} s, expected a number")
        power_w = min(max(wished_w, low_w), high_w)
        battery.step(power_w, self.step_size)
        return power_w

    def _range_w(self, entity: _Site, battery: Battery, situation: Situation) -> tuple[float, float]:
        """Lowest and highest power at the terminals, W, that what is possible and the return leave."""
        left_s = None if entity.return_by_s is None else entity.return_by_s - self.now - self.step_size
        if left_s is None or left_s < 0:
            return battery.feasible_range(self.step_size)
        low_w, high_w = battery.returning_range(entity.initial_wh, self.step_size, left_s)
        # what neither load nor grid takes stays in the battery
        taken_w = max(0.0, situation.load_w - situation.generation_w) + entity.export_limit_w
        return low_w, max(high_w, min(0.0, -taken_w))

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
            "settled_wh": battery.settled_wh(entity.initial_wh) if battery else 0.0,
        }


def _refuse(entity: _Site, kind: str, reason: str) -> None:
    entity.refused.append({"kind": kind, "reason": reason})


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
