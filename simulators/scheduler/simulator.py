"""mosaik adapter: asks a policy once per step and hands its commands to the actuators of its site."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from math import nan
from numbers import Integral, Real
from typing import Any

import numpy as np
from mosaik_api_v3.types import CreateResult, InputData, Time
from numpy.typing import NDArray

from simulators.adapter import Adapter, Given
from simulators.errors import InputError
from simulators.own_code import fault_line, own_file
from simulators.quantities.commands import Command, Release
from simulators.quantities.facts import SiteFacts
from simulators.quantities.geography import Geography
from simulators.scheduler.dispatch import Dispatcher, dispatcher
from simulators.scheduler.observation import Observation, tenants_seen
from simulators.scheduler.policies import policy as named
from simulators.scheduler.policy import Policy

MOST_TOLD = 20
"""Different refusals that a summary lists."""

KEPT = 1000
"""Different refusals that are counted apart: reasons may hold numbers, and so be ever new."""

_FIELDS: dict[str, tuple[tuple[type[Any], ...], str]] = {
    "bool": ((bool, np.bool_), "True or False"),
    "int": ((Integral,), "a whole number"),
    "float": ((Real,), "a number"),
    "ParkedState": ((str,), "a state's name"),
    "Mapping[str, float]": ((Mapping,), "shares by site"),
    "tuple[int, ...]": ((tuple, list), "numbers in brackets"),
}
"""What the fields of commands may hold, by their type."""


_ATTRIBUTES = [
    *("CI[gCO2eq/kWh]", "CI_forecast[gCO2eq/kWh]", "CI_marginal[gCO2eq/kWh]", "price[1/kWh]"),
    *("P_gen[MW]", "P_load[MW]", "SoC[1]", "vm_pu[1]", "line_loading_max[%]"),
    *("P_import[MW]", "P_export[MW]", "price_forecast[1/kWh]", "P_gen_forecast[MW]"),
    *("arrivals_forecast[1/s]", "deferrable_forecast[1/s]", "vm_min[1]", "vm_max[1]"),
    *("held[1]", "arrived[1]", "deferrable[1]", "completed[1]", "waiting[1]", "running[1]"),
    *("awake[1]", "slots[1]", "waking[1]", "draining[1]", "held_due[1]", "tenants"),
    *("ttft_p99[s]", "tpot_p99[s]", "refused"),
    *("commands", "hold[1]", "refused[1]"),
]
"""What a controller takes and gives."""


@dataclass
class _Together:
    """A dispatcher, and what its seats saw in the present step."""

    spec: str
    dispatcher: Dispatcher
    geography: Geography
    seen: dict[str, Observation] = field(default_factory=dict)


@dataclass
class _Controller:
    spec: str
    site: str
    policy: Policy | None
    facts: SiteFacts = field(default_factory=SiteFacts)
    commands: list[Command] = field(default_factory=list)
    refused: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    refusals: Counter[tuple[str, str]] = field(default_factory=Counter)
    holding: bool = False

    def note(self, refused: tuple[tuple[str, str], ...]) -> None:
        """Count refusals, by reason as long as there are not too many."""
        self.refused = len(refused)
        for kind, reason in refused:
            known = (kind, reason) in self.refusals or len(self.refusals) < KEPT
            self.refusals[kind, reason if known else "other reasons"] += 1


def _array(given: Given, attribute: str) -> NDArray[np.float64]:
    return np.asarray(given.only(attribute, ()), dtype=np.float64)


def _known(value: float | None) -> float:
    return nan if value is None else value


def _check(commands: list[Command], where: str) -> None:
    """Refuse what is no command, or holds what it may not."""
    for command in commands:
        if not isinstance(command, Command):
            raise InputError(f"{where}: returned {command!r}, expected commands such as Release(hold=True)")
        for entry in fields(command):
            kind, expected = _FIELDS[str(entry.type)]
            if not isinstance(value := getattr(command, entry.name), kind):
                raise InputError(f"{where}: {entry.name} of {command!r} is {value!r}, expected {expected}")


class Scheduler(Adapter[_Controller]):
    """Controllers of sites, each alone or all together.

    ``Controller(policy="carbon:quantile=0.2", site="here", facts={"replicas": 2})``; facts are those of `SiteFacts`.
    Powers and
    request counts are summed over what is connected, of voltages the lowest counts, of everything else there may be one
    source. ``commands`` are dictionaries (`simulators.quantities.commands`); what actuators refused comes back through
    ``refused`` and is seen by the policy one step later. A ``Dispatch(policy="greedy", geography={"sites": [...]},
    facts={...})`` (`simulators.scheduler.dispatch`; facts by site) has a seat ``<name>-<site>`` for each, which sees
    and commands what a controller does.

    Examples
    --------
    >>> scheduler = Scheduler()
    >>> created = scheduler.create(1, "Controller", name="ber", policy="voltage", site="ber")
    >>> scheduler.step(0, {"ber": {"vm_pu[1]": {"Grid-0.bus": 0.93}}}, 60)
    60
    >>> scheduler.get_data({"ber": ["commands"]})["ber"]["commands"]
    [{'kind': 'release', 'hold': True, 'rate_per_s': 0.0, 'queue': False, 'tenants': []}]
    """

    MODELS = {
        "Controller": {
            "public": True,
            "params": ["policy", "site", "facts"],
            "attrs": _ATTRIBUTES,
        },
        "Dispatch": {"public": True, "params": ["policy", "geography", "facts"], "attrs": []},
        "Seat": {"public": False, "params": [], "attrs": _ATTRIBUTES},
    }

    def __init__(self) -> None:
        super().__init__()
        self._together: dict[str, _Together] = {}
        self._seats: dict[str, dict[str, _Controller]] = {}

    def make(
        self,
        eid: str,
        model: str,
        policy: str = "none",
        site: str = "",
        facts: Mapping[str, Any] | None = None,
        geography: Mapping[str, Any] | None = None,
    ) -> _Controller:
        if model == "Controller":
            return _Controller(policy, site, named(policy), SiteFacts.from_plain(facts or {}))
        made = Geography.from_plain(**geography or {"sites": ()})
        self._together[eid] = _Together(policy, dispatcher(policy), made)
        self._seats[eid] = {
            f"{eid}-{name}": _Controller(
                policy, name, None, SiteFacts.from_plain((facts or {}).get(name, {}))
            )
            for name in made.sites
        }
        return _Controller(policy, "", None)

    def children(self, eid: str) -> dict[str, list[CreateResult]]:
        """A dispatcher's seats, one per site."""
        if eid not in self._seats:
            return {}
        self.entities.update(self._seats[eid])
        return {"children": [{"eid": name, "type": "Seat"} for name in self._seats[eid]]}

    def step(self, time: Time, inputs: InputData, max_advance: Time) -> Time:
        """Have every controller decide for [time, time + step size), then every dispatcher for all its sites."""
        following = super().step(time, inputs, max_advance)
        for eid, together in self._together.items():
            seats = self._seats[eid].values()
            decided = self._decided_together(together)
            for seat in seats:
                self._take(seat, decided.get(seat.site, []))
        return following

    def _decided_together(self, together: _Together) -> dict[str, list[Command]]:
        """Commands by site; a user's own dispatcher that fails is an input error, a bundled one a bug."""
        seen, geography = dict(together.seen), together.geography
        if own_file(together.spec) is None:
            decided = together.dispatcher.decide(seen, geography)
            return {site: list(commands) for site, commands in decided.items()}
        where = f"dispatch {together.spec} at {self.now} s"
        try:
            found = together.dispatcher.decide(seen, geography) or {}
            told = {site: list(commands or ()) for site, commands in found.items()}
        except (Exception, SystemExit) as error:
            raise InputError(f"{where}: {fault_line(error)}") from error
        if unknown := sorted(set(told) - set(seen)):
            raise InputError(f"{where}: commands for {unknown[0]!r}, expected some of {', '.join(seen)}")
        for commands in told.values():
            _check(commands, where)
        return told

    def advance(self, eid: str, entity: _Controller, given: Given) -> None:
        if eid in self._together:
            return
        observation = self._observe(entity, given)
        entity.note(observation.refused)
        if entity.policy is None:  # a seat: its dispatcher decides once all have seen
            owner = next(name for name, seats in self._seats.items() if eid in seats)
            self._together[owner].seen[entity.site] = observation
            return
        self._take(entity, self._decide(entity.policy, entity.spec, observation))

    @staticmethod
    def _take(entity: _Controller, commands: list[Command]) -> None:
        entity.commands = commands
        for command in entity.commands:
            entity.counts[command.kind] += 1
        if holds := [bool(command.hold) for command in commands if isinstance(command, Release)]:
            entity.holding = any(holds)

    def _observe(self, entity: _Controller, given: Given) -> Observation:
        voltages = given.values("vm_pu[1]")
        average = given.only("CI[gCO2eq/kWh]")
        marginal = given.only("CI_marginal[gCO2eq/kWh]")
        return Observation(
            time_s=self.now,
            step_s=self.step_size,
            site=entity.site,
            ci_g_per_kwh=marginal if np.isnan(average) else average,
            ci_forecast_g_per_kwh=_array(given, "CI_forecast[gCO2eq/kWh]"),
            marginal_ci_g_per_kwh=marginal,
            generation_w=1e6 * given.total("P_gen[MW]", nan),
            load_w=1e6 * given.total("P_load[MW]", nan),
            soc=given.only("SoC[1]"),
            import_w=1e6 * given.total("P_import[MW]", nan),
            export_w=1e6 * given.total("P_export[MW]", nan),
            held=given.total("held[1]"),
            deferrable=given.total("deferrable[1]"),
            waking=given.total("waking[1]"),
            draining=given.total("draining[1]"),
            held_due=_array(given, "held_due[1]"),
            tenants=tenants_seen([table for table in given.values("tenants") if table]),
            ttft_p99_s=_known(given.only("ttft_p99[s]")),
            tpot_p99_s=_known(given.only("tpot_p99[s]")),
            price_forecast_per_kwh=_array(given, "price_forecast[1/kWh]"),
            generation_forecast_w=1e6 * _array(given, "P_gen_forecast[MW]"),
            arrivals_forecast_per_s=_array(given, "arrivals_forecast[1/s]"),
            deferrable_forecast_per_s=_array(given, "deferrable_forecast[1/s]"),
            vm_min_pu=given.only("vm_min[1]"),
            vm_max_pu=given.only("vm_max[1]"),
            waiting=given.total("waiting[1]"),
            running=given.total("running[1]"),
            arrived=given.total("arrived[1]"),
            completed=given.total("completed[1]"),
            awake=given.total("awake[1]", nan),
            slots=given.total("slots[1]", nan),
            price_per_kwh=given.only("price[1/kWh]"),
            vm_pu=min(voltages) if voltages else nan,
            line_loading_percent=given.only("line_loading_max[%]"),
            refused=tuple((entry["kind"], entry["reason"]) for entry in given.joined("refused")),
            facts=entity.facts,
        )

    @staticmethod
    def _decide(policy: Policy, spec: str, observation: Observation) -> list[Command]:
        """What the policy commands; a user's own policy that fails is an input error, a bundled one a bug."""
        if own_file(spec) is None:
            return list(policy.decide(observation))
        where = f"policy {spec} at {observation.time_s} s"
        try:
            found = policy.decide(observation)
            commands = [] if found is None else list(found)
        except (Exception, SystemExit) as error:
            raise InputError(f"{where}: {fault_line(error)}") from error
        _check(commands, where)
        return commands

    def outputs(self, eid: str, entity: _Controller, attributes: list[str]) -> dict[str, Any]:
        return {
            "commands": [command.to_plain() for command in entity.commands],
            "hold[1]": int(entity.holding),
            "refused[1]": entity.refused,
        }

    def summarise(self, eid: str, entity: _Controller) -> dict[str, Any]:
        return {
            "policy": entity.spec,
            "commands": dict(sorted(entity.counts.items())),
            "refused": [
                {"kind": kind, "reason": reason, "count": count}
                for (kind, reason), count in entity.refusals.most_common(MOST_TOLD)
            ],
        }
