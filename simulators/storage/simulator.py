"""mosaik adapter: a battery, its dispatch rule and the site's exchange with the grid."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite, isnan, nan
from typing import Any, ClassVar

import numpy as np

from simulators.adapter import Adapter, Array, GivenSeries
from simulators.adapter import Given as Connected
from simulators.errors import InputError
from simulators.own_code import made
from simulators.quantities.commands import BatteryPower, Curtail, command_from_plain
from simulators.quantities.schema import TIMESERIES
from simulators.storage.ageing import NO_AGEING, lfp
from simulators.storage.battery import BatteryConfig
from simulators.storage.connection import FIXED, Connection
from simulators.storage.dispatch import Rule, dispatch
from simulators.storage.exchange import Exchange, check, interval
from simulators.storage.run import run
from simulators.storage.site import Given, Site

COLUMN_OF = {column.attribute: column.name for column in TIMESERIES if column.part == "storage"}
"""Attributes that `storage.run` gives, too, by its name for them."""


@dataclass
class _Site:
    site: Site
    max_residual: float = 0.0
    outputs: dict[str, Any] = field(default_factory=dict)
    refused: list[dict[str, str]] = field(default_factory=list)


class Storage(Adapter[_Site]):
    """A site's battery and grid connection.

    ``Battery(battery={"capacity_wh": 1e4, ...}, dispatch="self-consumption", connection={"export_limit_w": 5e3})``:
    fields of `BatteryConfig` or None for a site without one; a rule by name, as a table or as a class in a file
    (`dispatch`); fields of `Connection`. What is connected to ``P_load[MW]`` is summed, and so are ``P_pv[MW]``,
    ``P_wind[MW]`` and ``P_gen[MW]`` (generation of any other kind); the balance is checked in every step. ``commands``
    may set the battery's power in place of the rule, and curtail generation; what cannot be done is in ``refused``.
    ``return_by_s``: when the battery must hold again what it held at the start, s from there; it then charges in time,
    and gives what load and grid connection take. ``ahead``: for a rule that plans, series of the whole run
    (`Planner`). ``ageing_at_c``: temperature of the cells, degC, if they age.
    """

    TAKES: ClassVar[tuple[str, ...]] = ("battery", "curtail")
    MODELS = {
        "Battery": {
            "public": True,
            "params": ["battery", "dispatch", "connection", "return_by_s", "ahead", "ageing_at_c"],
            "attrs": [
                *(
                    "P_load[MW]",
                    "P_gen[MW]",
                    "P_pv[MW]",
                    "P_wind[MW]",
                    "CI[gCO2eq/kWh]",
                    "price[1/kWh]",
                    "commands",
                ),
                *("P_charge[MW]", "P_discharge[MW]", "P_import[MW]", "P_export[MW]", "P_exchange[MW]"),
                *(
                    "P_curtailed[MW]",
                    "P_pv_curtailed[MW]",
                    "P_wind_curtailed[MW]",
                    "P_unserved[MW]",
                    "islanded[1]",
                    "P_available[MW]",
                ),
                *("SoC[1]", "SoC_end[1]", "E[MWh]", "refused"),
            ],
        }
    }

    def make(
        self,
        eid: str,
        model: str,
        battery: Mapping[str, Any] | None = None,
        dispatch: str | Mapping[str, Any] = "self-consumption",
        connection: Mapping[str, Any] | None = None,
        return_by_s: int | None = None,
        ahead: Mapping[str, Any] | None = None,
        ageing_at_c: float | None = None,
    ) -> _Site:
        store = None if battery is None else made(BatteryConfig, battery, "battery")
        grid = made(Connection, connection or {}, "connection")
        law = NO_AGEING if ageing_at_c is None else lfp(ageing_at_c)
        return _Site(Site(store, dispatch_rule(dispatch), grid, self.step_size, return_by_s, ahead, law))

    def advance(self, eid: str, entity: _Site, given: Connected) -> None:
        entity.refused = []
        commands = self._commands(entity, given)
        now = Given(
            load_w=1e6 * given.total("P_load[MW]"),
            pv_w=1e6 * given.total("P_pv[MW]"),
            wind_w=1e6 * given.total("P_wind[MW]"),
            other_w=1e6 * given.total("P_gen[MW]"),
            ci_g_per_kwh=float(given.only("CI[gCO2eq/kWh]", nan)),
            price_per_kwh=float(given.only("price[1/kWh]", nan)),
        )
        now = now._replace(spilled_w=self._spilled_w(entity, commands.get("curtail"), now.generation_w))
        soc = entity.site.soc
        mode, wished_w = self._wished(entity, now, commands.get("battery"))
        flows = entity.site.advance(self.now, now, wished_w, mode)
        residual = check(flows, interval(eid, self.now, self.step_size))
        entity.max_residual = max(entity.max_residual, residual)
        entity.outputs = _outputs(flows, entity.site, soc) | {"refused": entity.refused}

    def over_run(
        self, eid: str, given: GivenSeries, attributes: Sequence[str], steps: int
    ) -> dict[str, Array]:
        if given.attributes.get("commands") or not set(attributes) <= set(COLUMN_OF):
            return super().over_run(eid, given, attributes, steps)
        entity, nothing = self.entities[eid], np.zeros(steps)
        found = run(
            entity.site,
            1e6 * given.total("P_load[MW]", nothing),
            1e6 * given.total("P_pv[MW]", nothing),
            1e6 * given.total("P_wind[MW]", nothing),
            1e6 * given.total("P_gen[MW]", nothing),
            given.only("CI[gCO2eq/kWh]", None),
            given.only("price[1/kWh]", None),
            eid,
        )
        entity.max_residual = found.summary["max_relative_residual"]
        return {attribute: found.columns[COLUMN_OF[attribute]] for attribute in attributes}

    def _commands(self, entity: _Site, given: Connected) -> dict[str, float]:
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

    def _wished(self, entity: _Site, given: Given, asked_w: float | None) -> tuple[int, float]:
        """What is wished of the battery, a mode and a power, W: as commanded, else by the rule."""
        site = entity.site
        if site.battery is None:
            if asked_w is not None:
                _refuse(entity, "battery", "the site has no battery")
            return FIXED, 0.0
        mode, wished_w = site.wants(self.now, given)
        if isnan(wished_w):  # inf: all that is possible
            raise InputError(f"dispatch: the rule asks for {wished_w} W at {self.now} s, expected a number")
        if asked_w is not None:
            low_w, high_w = site.range_w()
            if isfinite(asked_w) and low_w <= asked_w <= high_w:
                return FIXED, asked_w
            _refuse(entity, "battery", f"{asked_w:g} W asked for, {low_w:g} to {high_w:g} W possible")
        return mode, wished_w

    def outputs(self, eid: str, entity: _Site, attributes: list[str]) -> dict[str, Any]:
        return {attribute: entity.outputs[attribute] for attribute in attributes}

    def summarise(self, eid: str, entity: _Site) -> dict[str, Any]:
        return entity.site.summary(entity.max_residual)


def _refuse(entity: _Site, kind: str, reason: str) -> None:
    entity.refused.append({"kind": kind, "reason": reason})


def dispatch_rule(rule: str | Mapping[str, Any]) -> Rule:
    """A rule from its name, ``name:option=value``, ``file.py:Class``, or a table with its ``name`` and options."""
    if isinstance(rule, Mapping):
        options = dict(rule)
        return dispatch(str(options.pop("name", "")), **options)
    return dispatch(rule)


def _outputs(flows: Exchange, site: Site, soc: float) -> dict[str, Any]:
    return {
        "P_load[MW]": flows.load_w / 1e6,
        "P_gen[MW]": flows.generation_w / 1e6,
        "P_charge[MW]": flows.charge_w / 1e6,
        "P_discharge[MW]": flows.discharge_w / 1e6,
        "P_import[MW]": flows.import_w / 1e6,
        "P_export[MW]": flows.export_w / 1e6,
        "P_exchange[MW]": (flows.import_w - flows.export_w) / 1e6,
        "P_curtailed[MW]": flows.curtailed_w / 1e6,
        "P_pv_curtailed[MW]": flows.pv_curtailed_w / 1e6,
        "P_wind_curtailed[MW]": flows.wind_curtailed_w / 1e6,
        "P_unserved[MW]": flows.unserved_w / 1e6,
        "islanded[1]": float(site.islanded),
        "P_available[MW]": site.available_w(flows) / 1e6,
        "SoC[1]": soc,
        "SoC_end[1]": site.soc,
        "E[MWh]": site.store.energy_wh / 1e6,
    }
