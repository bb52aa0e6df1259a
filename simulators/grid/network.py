"""A pandapower network with sites on it: one power flow per step, and what it says about limits.

Within a run only the power of loads, storage and static generators changes, so a step is Newton's method on arrays
(`simulators.grid.flow`) from the last voltages. Where arrays do not hold all of the network, where a generator reaches
a limit that it is held at, and where there is no solution from there, the step is pandapower's
(`simulators.grid.tables_solver`).
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from copy import copy as shallow_copy
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandapower
from numpy.typing import ArrayLike, NDArray

from simulators.errors import InputError
from simulators.grid.damage import refuse_damage
from simulators.grid.defaults import DEFAULT_POWER_FACTOR
from simulators.grid.draws import Draws, Given, Powers
from simulators.grid.limits import Limits, Violation, VoltageLimits
from simulators.grid.reactive import Characteristic
from simulators.grid.result import Result
from simulators.grid.sites import Site, SitesFlow
from simulators.grid.solver import Solver
from simulators.grid.sources import load_network
from simulators.grid.tables_solver import Drawn
from simulators.grid.taps import TapChangers

__all__ = ["Network", "Result", "Site", "load_network"]

Array = NDArray[np.float64]


class Network:
    """A network and the sites attached to it.

    Parameters
    ----------
    source
        A ``pandapowerNet``, which is copied, or what `load_network` takes.
    name
        What to call it; default: the name or file it came from.
    voltage_limits
        See `simulators.grid.limits.Limits`.
    power_factor
        Used by `reactive_mvar`; lagging in (0, 1], leading in [-1, 0).
    enforce_q_lims
        Hold generators at their reactive limits, where their voltage then gives; else they hold their voltage, and
        what they exceed is a violation.
    arrays
        Whether steps may be solved on arrays; else each is pandapower's, and ``net`` holds its result tables.
    tap_control
        Voltage, p.u., that tap changers hold (`simulators.grid.taps`), or ``own``: what the network brings. Default:
        taps stay.

    Raises
    ------
    InputError
        If the network cannot be loaded, has no slack, or does not converge as it is.

    Examples
    --------
    >>> network = Network("cigre_mv")
    >>> site = network.attach(9, "site")
    >>> result = network.step(1.0)  # it draws 1 MW
    >>> result.converged, round(result.vm_min, 2)
    (True, 0.9)
    """

    def __init__(
        self,
        source: Any,
        name: str = "",
        voltage_limits: VoltageLimits = "network",
        power_factor: float = DEFAULT_POWER_FACTOR,
        enforce_q_lims: bool = False,
        arrays: bool = True,
        tap_control: float | str | None = None,
    ) -> None:
        if isinstance(source, str | Path):
            self.net = load_network(source)
            self.name = name or (source if isinstance(source, str) else source.stem)
        else:
            self.net = deepcopy(source)
            self.name = name or str(source.name or "network")
            refuse_damage(self.net, f"network {self.name}")
        if not 0.0 < abs(power_factor) <= 1.0:
            raise InputError(f"power factor {power_factor}: expected -1 to 1 and not 0 (negative: leading)")
        self._tan_phi = math.copysign(math.tan(math.acos(abs(power_factor))), power_factor)
        net = self.net
        self.buses: NDArray[np.int64] = net.bus.index.to_numpy()
        self.lines: tuple[int, ...] = tuple(net.line.index)
        self.trafos: tuple[tuple[Literal["trafo", "trafo3w"], int], ...] = (
            *(("trafo", index) for index in net.trafo.index),
            *(("trafo3w", index) for index in net.trafo3w.index),
        )
        self.voltage_limits: VoltageLimits = voltage_limits
        self.limits = Limits(net, voltage_limits)
        self.sites: list[Site] = []
        slack = [*net.ext_grid.bus[net.ext_grid.in_service], *net.gen.query("in_service and slack").bus]
        if not net.bus.in_service[slack].any():
            raise InputError(f"network {self.name}: no external grid in service, so nothing balances it")
        self.taps = None if tap_control is None else TapChangers(net, tap_control)
        self._options = (enforce_q_lims, arrays)
        self.solver = Solver(net, self.name, self.limits, enforce_q_lims, arrays, self.taps)
        self.draws: Draws = self.solver.draws
        self._switched: dict[tuple[bool, ...], Solver] = {}
        self.last_drawn: tuple[Powers, list[Drawn]] = (self.draws.own, [])
        self.last_result: Result | None = None
        self._last: tuple[tuple[Any, ...], Result] | None = None

    def bus_index(self, bus: int | str) -> int:
        """Index of a bus given by index (a number, also as text) or by name.

        Raises
        ------
        InputError
            If there is no such bus, or several of that name.
        """
        text = str(bus).strip()
        if re.fullmatch(r"-?\d+", text):
            found = [int(text)] if int(text) in self.solver.supplied else []
        else:
            found = self.net.bus.index[self.net.bus["name"] == text].tolist()
        if len(found) == 1:
            return int(found[0])
        if found:
            raise InputError(f"bus {text!r}: {len(found)} buses of {self.name} are called so; give the index")
        raise InputError(
            f"bus {text!r}: not in network {self.name}; expected a bus name or one of its {len(self.buses)} "
            f"indices between {self.buses.min()} and {self.buses.max()}"
        )

    def copy(self) -> Network:
        """An independent network with the same sites, as if not yet stepped."""
        twin = shallow_copy(self)
        twin.net, twin.sites, twin._last = deepcopy(self.net), list(self.sites), None
        twin.solver = self.solver.copy(twin.net)
        twin.taps, twin._switched, twin.last_result = twin.solver.taps, {}, None
        return twin

    def on_tables(self) -> Network:
        """A copy whose every step is pandapower's."""
        twin = self.copy()
        twin.solver.forget_arrays()
        twin._options = (self._options[0], False)
        return twin

    def element_name(self, element: str, index: int) -> str:
        """The element's name in the file, or ``<element> <index>``."""
        name = self.net[element].at[index, "name"]
        return name if isinstance(name, str) and name else f"{element} {index}"

    def violation_name(self, violation: Violation) -> str:
        """Name of the element that breaks the limit."""
        if violation.element == "network":
            return self.name
        return self.element_name(violation.element, violation.index)

    def describe(self, violation: Violation) -> str:
        """One line for a person, e.g. ``Line 5: overload 104.2 % (limit 100)``."""
        return f"{self.violation_name(violation)}: {violation.describe()}"

    @property
    def last_powers(self) -> Powers:
        """What its own elements did in the last power flow."""
        return self.last_drawn[0]

    @property
    def feeds_back(self) -> bool:
        """Whether a step depends on the one before, or reactive power on the step, so that steps go one by one."""
        return self.taps is not None or any(site.reactive is not None for site in self.sites)

    def attach(self, bus: int | str, name: str, reactive: Characteristic | None = None) -> Site:
        """Put a site on a bus; until the first `step` it draws nothing.

        `reactive` says what reactive power it draws where `step` is not told; default: by the power factor.

        Raises
        ------
        InputError
            If the bus is unknown, out of service or not supplied, or a site has this name already.
        """
        index = self.bus_index(bus)
        if not self.net.bus.at[index, "in_service"]:
            raise InputError(f"bus {bus!r} of network {self.name}: out of service; choose a bus in service")
        if not self.solver.supplied[index]:
            raise InputError(f"bus {bus!r} of network {self.name}: not connected to an external grid")
        if any(site.name == name for site in self.sites):
            raise InputError(f"site {name!r}: attached already; expected a new name")
        load = pandapower.create_load(self.net, index, p_mw=0.0, q_mvar=0.0, name=name)
        sgen = pandapower.create_sgen(self.net, index, p_mw=0.0, q_mvar=0.0, name=name)
        site = Site(name, index, int(load), int(sgen), reactive)
        self.sites.append(site)
        self.solver.forget()
        for other in self._switched.values():
            other.forget()
        self._last = None
        return site

    def switch(self, closed: Mapping[int, bool]) -> None:
        """Open or close switches; buses that lose their supply are dark from the next `step` on.

        Raises
        ------
        InputError
            If there is no such switch, or no solution with the switches so.
        """
        table = self.net.switch
        for index in closed:
            if index not in table.index:
                raise InputError(f"network {self.name}: no switch {index}")
        states = table.closed.to_numpy(dtype=bool)
        self._switched.setdefault(tuple(states.tolist()), self.solver)
        asked = [closed.get(int(index), state) for index, state in zip(table.index, states, strict=True)]
        wanted = np.array(asked, dtype=bool)
        if (wanted == states).all():
            return
        table["closed"] = wanted
        key = tuple(wanted.tolist())
        if key not in self._switched:
            self._switched[key] = Solver(
                self.net, self.name, self.limits, *self._options, taps=self.taps, draws=self.draws
            )
        self.solver, self._last = self._switched[key], None
        self.solver.forget()

    def reactive_mvar(self, p_mw: ArrayLike) -> Array:
        """Reactive power, MVar, of a site that draws `p_mw`; none while it exports (inverters at unity)."""
        return np.asarray(np.maximum(p_mw, 0.0) * self._tan_phi, dtype=np.float64)

    def step(
        self,
        p_mw: ArrayLike,
        q_mvar: ArrayLike | Sequence[float | None] | None = None,
        load_scaling: float | None = None,
        gen_scaling: float | None = None,
        powers: Powers | None = None,
        given: Given | None = None,
    ) -> Result:
        """Solve the power flow; tap changers, if they are controlled, move until they are content.

        The solver is skipped only where every input equals the last step's exactly.

        Parameters
        ----------
        p_mw
            What each site draws, MW, in the order of `sites`; negative: it exports. A number for one site.
        q_mvar
            Reactive power each site draws, MVar; None: by its characteristic, else by `reactive_mvar`.
        load_scaling, gen_scaling
            Replaces pandapower's ``scaling`` of the network's own loads and static generators: 1 is full
            power as tabled. Default: as in the file. Of `powers`, where these are given, they are factors.
        powers
            Of the network's own elements in this step (`simulators.grid.background`). Default: as in the file.
        given
            Powers of single elements, whatever the rest says.

        Raises
        ------
        InputError
            If a number is not finite or their count is not that of the sites.
        """
        p = np.atleast_1d(np.asarray(p_mw, dtype=np.float64))
        asked = (
            [None] * p.size if q_mvar is None else np.atleast_1d(np.asarray(q_mvar, dtype=object)).tolist()
        )
        if p.shape != (len(self.sites),) or len(asked) != p.size:
            raise InputError(
                f"network {self.name}: {p.size} P and {len(asked)} Q for {len(self.sites)} sites"
            )
        q = np.array(
            [by if one is None else one for one, by in zip(asked, self.reactive_mvar(p), strict=True)]
        )
        scalings = (load_scaling, gen_scaling)
        if not (np.isfinite(p).all() and np.isfinite(q.astype(np.float64)).all()) or any(
            s is not None and not (math.isfinite(s) and s >= 0.0) for s in scalings
        ):
            raise InputError(
                f"network {self.name}: P {p} MW, Q {q} MVar, scaling of loads and generators {scalings}; "
                "expected finite numbers, and a scaling of at least 0"
            )
        key = (*p.tolist(), *asked, *scalings)
        kept = powers is None and not given
        if kept and self._last is not None and self._last[0] == key:
            return self._last[1]
        own = self.draws.scaled(load_scaling, gen_scaling, powers)
        own = own if not given else self.draws.given(own, given)
        ruled = [n for n, one in enumerate(asked) if one is None and self.sites[n].reactive is not None]
        result = self._flow(own, p, q.astype(np.float64), ruled)
        self._last = (key, result) if kept else None
        self.last_result = result
        return result

    def _flow(self, own: Powers, p_mw: Array, q_mvar: Array, ruled: Sequence[int]) -> Result:
        """One power flow; tap changers move until they are content."""

        def solved() -> Result:
            flow = SitesFlow(self.solver, self.sites, own, p_mw, q_mvar, ruled)
            result = flow.solve()
            self.last_drawn = own, flow.drawn
            return result

        result = solved()
        if self.taps is None:
            return result
        been = {tuple(self.taps.position.tolist())}
        while self.solver.retap(result):
            result = solved()
            now = tuple(self.taps.position.tolist())
            if now in been:  # a step is wider than the band: it would go on
                break
            been.add(now)
        return replace(result, tap_pos=self.taps.position)
