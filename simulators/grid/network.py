"""A pandapower network with sites on it: one power flow per step, and what it says about limits.

Within a run only the power of loads, storage and static generators changes, so a step is Newton's method on arrays
(`simulators.grid.flow`) from the last voltages. Where arrays do not hold all of the network, where a generator reaches
a limit that it is held at, and where there is no solution from there, the step is pandapower's
(`simulators.grid.tables_solver`).
"""

from __future__ import annotations

import math
import re
from copy import copy as shallow_copy
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandapower
from numpy.typing import ArrayLike, NDArray

from simulators.errors import InputError
from simulators.grid.damage import refuse_damage
from simulators.grid.defaults import DEFAULT_POWER_FACTOR
from simulators.grid.draws import Draws, Powers
from simulators.grid.limits import Limits, Violation, VoltageLimits
from simulators.grid.result import Result
from simulators.grid.solver import Solver
from simulators.grid.sources import load_network
from simulators.grid.tables_solver import Drawn

__all__ = ["Network", "Result", "Site", "load_network"]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Site:
    """What `Network.attach` put on a bus: a load for consumption and a static generator for export."""

    name: str
    bus: int
    load: int
    sgen: int


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
        self.solver = Solver(net, self.name, self.limits, enforce_q_lims, arrays)
        self.draws: Draws = self.solver.draws
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
        return twin

    def on_tables(self) -> Network:
        """A copy whose every step is pandapower's."""
        twin = self.copy()
        twin.solver.flow = None
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

    def attach(self, bus: int | str, name: str) -> Site:
        """Put a site on a bus; until the first `step` it draws nothing.

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
        site = Site(name, index, int(load), int(sgen))
        self.sites.append(site)
        self.solver.forget()
        self._last = None
        return site

    def reactive_mvar(self, p_mw: ArrayLike) -> Array:
        """Reactive power, MVar, of a site that draws `p_mw`; none while it exports (inverters at unity)."""
        return np.asarray(np.maximum(p_mw, 0.0) * self._tan_phi, dtype=np.float64)

    def step(
        self,
        p_mw: ArrayLike,
        q_mvar: ArrayLike | None = None,
        load_scaling: float | None = None,
        gen_scaling: float | None = None,
        powers: Powers | None = None,
    ) -> Result:
        """Solve the power flow.

        The solver is skipped only where every input equals the last step's exactly.

        Parameters
        ----------
        p_mw
            What each site draws, MW, in the order of `sites`; negative: it exports. A number for one site.
        q_mvar
            Reactive power each site draws, MVar; default: `reactive_mvar`.
        load_scaling, gen_scaling
            Replaces pandapower's ``scaling`` of the network's own loads and static generators: 1 is full
            power as tabled. Default: as in the file. Of `powers`, where these are given, they are factors.
        powers
            Of the network's own elements in this step (`simulators.grid.background`). Default: as in the file.

        Raises
        ------
        InputError
            If a number is not finite or their count is not that of the sites.
        """
        p = np.atleast_1d(np.asarray(p_mw, dtype=np.float64))
        q = self.reactive_mvar(p) if q_mvar is None else np.atleast_1d(np.asarray(q_mvar, dtype=np.float64))
        if p.shape != (len(self.sites),) or q.shape != p.shape:
            raise InputError(f"network {self.name}: {p.size} P and {q.size} Q for {len(self.sites)} sites")
        scalings = (load_scaling, gen_scaling)
        if not (np.isfinite(p).all() and np.isfinite(q).all()) or any(
            s is not None and not (math.isfinite(s) and s >= 0.0) for s in scalings
        ):
            raise InputError(
                f"network {self.name}: P {p} MW, Q {q} MVar, scaling of loads and generators {scalings}; "
                "expected finite numbers, and a scaling of at least 0"
            )
        key = (*p.tolist(), *q.tolist(), *scalings)
        if powers is None and self._last is not None and self._last[0] == key:
            return self._last[1]
        drawn = [
            Drawn(site.load, site.sgen, *power)
            for site, power in zip(self.sites, zip(p.tolist(), q.tolist(), strict=True), strict=True)
        ]
        own = self.draws.scaled(load_scaling, gen_scaling, powers)
        result = self.solver.step(own, drawn, [site.bus for site in self.sites], p, q)
        self._last = (key, result) if powers is None else None
        return result
