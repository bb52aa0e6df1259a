"""A pandapower network with sites on it: one power flow per step, and what it says about limits.

The power flow is pandapower's Newton-Raphson. Within a run only the power of loads and static generators
changes, so a step starts from the last voltages and reuses the admittance matrix, which saves most of the
time. When that fails, the kept state is worthless (every later step would fail from it): it is dropped, and
the step is solved again from nothing.
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
from pandapower.powerflow import LoadflowNotConverged

from simulators.errors import InputError
from simulators.grid.damage import refuse_damage
from simulators.grid.defaults import DEFAULT_POWER_FACTOR
from simulators.grid.limits import Limits, Violation, VoltageLimits
from simulators.grid.readout import Reader
from simulators.grid.result import Result, unsolved
from simulators.grid.sources import load_network

__all__ = ["Network", "Result", "Site", "load_network"]

_RECYCLE = {"bus_pq": True, "gen": False, "trafo": False}
_RETRY_ITERATIONS = 50
_UNSOLVED = (LoadflowNotConverged, FloatingPointError)

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
        what they exceed is a violation. Steps then start from nothing, several times slower.

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
        self.limits = Limits(net, voltage_limits)
        self.sites: list[Site] = []
        self._own_scaling = {
            e: net[e].scaling.to_numpy(dtype=np.float64, copy=True) for e in ("load", "sgen")
        }
        self._enforce_q_lims = enforce_q_lims
        self._warm = False
        self._last: tuple[tuple[Any, ...], Result] | None = None
        slack = [*net.ext_grid.bus[net.ext_grid.in_service], *net.gen.query("in_service and slack").bus]
        if not net.bus.in_service[slack].any():
            raise InputError(f"network {self.name}: no external grid in service, so nothing balances it")
        if not self._solve_first():
            raise InputError(f"network {self.name}: its power flow has no solution even without a site")
        self._supplied = dict(zip(net.bus.index, net.res_bus.vm_pu.notna(), strict=True))
        self._reader = Reader(net, self.limits)

    def bus_index(self, bus: int | str) -> int:
        """Index of a bus given by index (a number, also as text) or by name.

        Raises
        ------
        InputError
            If there is no such bus, or several of that name.
        """
        text = str(bus).strip()
        if re.fullmatch(r"-?\d+", text):
            found = [int(text)] if int(text) in self._supplied else []
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
        twin.net, twin.sites = deepcopy(self.net), list(self.sites)
        twin._warm, twin._last = False, None
        for element, scaling in self._own_scaling.items():
            twin.net[element]["scaling"] = np.concatenate([scaling, np.ones(len(self.sites))])
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
        if not self._supplied[index]:
            raise InputError(f"bus {bus!r} of network {self.name}: not connected to an external grid")
        if any(site.name == name for site in self.sites):
            raise InputError(f"site {name!r}: attached already; expected a new name")
        load = pandapower.create_load(self.net, index, p_mw=0.0, q_mvar=0.0, name=name)
        sgen = pandapower.create_sgen(self.net, index, p_mw=0.0, q_mvar=0.0, name=name)
        site = Site(name, index, int(load), int(sgen))
        self.sites.append(site)
        self._warm, self._last = False, None
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
            power as tabled. Default: as in the file.

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
        if self._last is not None and self._last[0] == key:
            return self._last[1]
        self._set_power(p, q)
        self._set_scaling("load", load_scaling)
        self._set_scaling("sgen", gen_scaling)
        result = (
            self._reader.read(self.net, p, q)
            if self._solve()
            else unsolved(len(self.buses), len(self.lines), len(self.trafos), p, q)
        )
        self._last = (key, result)
        return result

    def _set_power(self, p: Array, q: Array) -> None:
        load, sgen = self.net.load, self.net.sgen
        for site, site_p, site_q in zip(self.sites, p.tolist(), q.tolist(), strict=True):
            load.at[site.load, "p_mw"] = max(site_p, 0.0)
            load.at[site.load, "q_mvar"] = site_q
            sgen.at[site.sgen, "p_mw"] = max(-site_p, 0.0)

    def _set_scaling(self, element: str, scaling: float | None) -> None:
        own = self._own_scaling[element]
        own = own if scaling is None else np.full_like(own, scaling)
        column = np.concatenate([own, np.ones(len(self.sites))])  # sites come behind the network's own
        if not np.array_equal(column, self.net[element].scaling):
            self.net[element]["scaling"] = column

    def _solve_first(self) -> bool:
        """The power flow of the network as it came; what pandapower does not take at all is wrong with the network."""
        try:
            return self._solve()
        except Exception as error:  # pandapower raises whatever its tables trip over
            words = f"{type(error).__name__}: {error}"
            raise InputError(f"network {self.name}: pandapower cannot solve it ({words})") from error

    def _solve(self) -> bool:
        """Run the power flow from the last voltages, else as pandapower starts, else from a DC solution or flat.

        A DC solution does not exist where a branch has resistance only.
        """
        net = self.net
        if self._warm:
            try:
                pandapower.runpp(net, init="results", recycle=_RECYCLE)
                return True
            except _UNSOLVED:
                self._warm = False
        retry = {"max_iteration": _RETRY_ITERATIONS}
        resistive = not net.line.x_ohm_per_km.all() or not (net.impedance.xft_pu * net.impedance.xtf_pu).all()
        for options in ({}, {"init": "flat" if resistive else "dc", **retry}):
            net["_ppc"] = None
            try:
                pandapower.runpp(net, enforce_q_lims=self._enforce_q_lims, **options)
            except _UNSOLVED:
                continue
            # A file may ask for another algorithm, which keeps nothing; limits change which buses hold a voltage;
            # pandapower takes the generators that stand for DC lines out of its tables after every power flow.
            keeps = net["_options"]["algorithm"] == "nr" and net.dcline.empty
            self._warm = keeps and not self._enforce_q_lims
            return True
        return False
