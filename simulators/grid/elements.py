"""What single elements of a network do in its last power flow, under the names that OFFIS's mosaik-pandapower-2 gives.

A value is read when somebody asks for it: from the arrays where these have it, else from pandapower's result tables,
for which pandapower then solves the step once more.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from simulators.errors import InputError
from simulators.grid.draws import Given
from simulators.grid.network import Network

Array = NDArray[np.float64]


class Kind(NamedTuple):
    """Elements of one of pandapower's tables.

    Attributes
    ----------
    table
        Its name.
    buses
        Columns of the buses that an element is connected to.
    outputs
        Attribute -> column of the result table.
    inputs
        Attributes that may be connected; several sources add up.
    """

    table: str
    buses: tuple[str, ...]
    outputs: Mapping[str, str]
    inputs: tuple[str, ...] = ()

    @property
    def attributes(self) -> list[str]:
        """All, each once."""
        return list(dict.fromkeys((*self.inputs, *self.outputs)))


_PQ = {"P[MW]": "p_mw", "Q[MVar]": "q_mvar"}
_V = {"Vm[pu]": "vm_pu", "Va[deg]": "va_degree"}
_FLOW = {"I[kA]": "i_ka", "loading[%]": "loading_percent"}

KINDS: dict[str, Kind] = {
    "Bus": Kind(
        "bus",
        (),
        {**_PQ, **_V, "vm_pu[1]": "vm_pu", "va[deg]": "va_degree"},
        ("P[MW]", "Q[MVar]", "P_load[MW]", "Q_load[MVar]", "P_gen[MW]", "Q_gen[MVar]"),
    ),
    "Line": Kind("line", ("from_bus", "to_bus"), _FLOW),
    "Trafo": Kind("trafo", ("hv_bus", "lv_bus"), {"loading[%]": "loading_percent", "tap_pos[1]": "tap_pos"}),
    "Trafo3W": Kind("trafo3w", ("hv_bus", "mv_bus", "lv_bus"), {"loading[%]": "loading_percent"}),
    "Load": Kind("load", ("bus",), _PQ, tuple(_PQ)),
    "StaticGen": Kind("sgen", ("bus",), _PQ, tuple(_PQ)),
    "Storage": Kind("storage", ("bus",), _PQ, tuple(_PQ)),
    "Gen": Kind("gen", ("bus",), {**_PQ, **_V}, ("P[MW]",)),
    "ExternalGrid": Kind("ext_grid", ("bus",), _PQ),
    "Switch": Kind("switch", ("bus",), {"closed[1]": "closed"}, ("closed[1]",)),
}
"""Model -> elements. Loads and storage count consumption positive, generators and external grids what they feed in, a
bus what is drawn at it in all."""

_OTHERS = (
    *(
        "asymmetric_load",
        "asymmetric_sgen",
        "motor",
        "shunt",
        "ward",
        "xward",
        "dcline",
        "svc",
        "ssc",
        "vsc",
        "tcsc",
    ),
)
"""Tables of what draws at a bus besides those that `Draws` holds; the balance of a bus is then pandapower's."""

_RATED = ("max_i_ka", "df", "parallel")


class Elements:
    """The elements of a network by model and index.

    Parameters
    ----------
    network
        Before any site is attached: what sites put on it are no elements.

    Examples
    --------
    >>> elements = Elements(Network("cigre_mv"))
    >>> elements.count, elements.related("Line", 0)
    (59, [1, 2])
    >>> result = elements.network.step([])
    >>> round(elements.value("Load", 0, "P[MW]"), 3), round(elements.value("Bus", 1, "Vm[pu]"), 3)
    (14.994, 0.992)
    """

    def __init__(self, network: Network) -> None:
        self.network = network
        net = network.net
        self.rows: dict[str, dict[int, int]] = {
            model: {int(index): row for row, index in enumerate(net[kind.table].index)}
            for model, kind in KINDS.items()
        }
        self._rated = (net.line[list(_RATED)].prod(axis=1, skipna=False) / 100.0).to_numpy(np.float64)
        self._by_tables = any(len(net[name]) for name in _OTHERS)
        self._solved: Any = None
        self._buses: tuple[Any, Array] | None = None
        self._fed: tuple[Any, dict[str, dict[str, Array]]] | None = None

    @property
    def count(self) -> int:
        """How many elements there are."""
        return sum(len(rows) for rows in self.rows.values())

    def related(self, model: str, index: int) -> list[int]:
        """Indices of the buses that an element is connected to."""
        kind = KINDS[model]
        row = self.network.net[kind.table].loc[index]
        return [int(row[column]) for column in kind.buses]

    def told(self, connected: Mapping[tuple[str, int], Mapping[str, float]]) -> Given:
        """Powers of single elements from what is connected to them."""
        given: dict[str, dict[int, tuple[float | None, float | None]]] = {}
        for (model, index), values in connected.items():
            for attribute, value in values.items():
                if not math.isfinite(value):
                    raise InputError(f"{model} {index}: {attribute} is {value}, expected a finite number")
            row = self.rows[model][index]
            given.setdefault(KINDS[model].table, {})[row] = (values.get("P[MW]"), values.get("Q[MVar]"))
        return given

    def value(self, model: str, index: int, attribute: str) -> float:
        """One attribute in the last power flow; NaN without a solution and, but for powers, without supply."""
        network, row = self.network, self.rows[model][index]
        column = KINDS[model].outputs[attribute]
        if model == "Switch":
            return float(network.net.switch.closed.iat[row])
        if column == "tap_pos":
            return self._tap(row)
        result = network.last_result
        if result is None or not result.converged:
            return math.nan
        if model in ("Bus", "Gen") and column in ("vm_pu", "va_degree"):
            bus = index if model == "Bus" else int(network.net.gen.bus.iat[row])
            return float(getattr(result, column)[network.solver.place_of(bus)])
        if column == "loading_percent":
            if model == "Line":
                return float(result.line_loading_percent[row])
            return float(
                result.trafo_loading_percent[row + (len(network.net.trafo) if model == "Trafo3W" else 0)]
            )
        return self._power(model, row, column)

    def _power(self, model: str, row: int, column: str) -> float:
        """Powers and currents."""
        solver, table = self.network.solver, KINDS[model].table
        if solver.flow is None or solver.nodes is None or solver.solution is None:
            return self._of_tables(table, row, column)
        powers = self.network.last_powers
        if table in ("load", "sgen", "storage"):
            return float(getattr(powers[table], column)[row]) if solver.nodes.node[table][row] >= 0 else 0.0
        if table == "line":
            value = float(self.network.last_result.line_loading_percent[row]) * self._rated[row]  # type: ignore[union-attr]
        elif table == "bus":
            value = math.nan if self._by_tables else float(getattr(self._balance()[row], _PART[column]))
        else:
            value = float(self._sources()[f"res_{table}"][column][row])
        return self._of_tables(table, row, column) if math.isnan(value) else value

    def _tap(self, row: int) -> float:
        taps = self.network.taps
        if taps is not None and row in (at := taps.rows.tolist()):
            return float(taps.position[at.index(row)])
        value = self.network.net.trafo.tap_pos.iat[row]
        return float(value) if value == value and value is not None else math.nan

    def _sources(self) -> dict[str, dict[str, Array]]:
        """Powers of external grids and generators."""
        solver = self.network.solver
        if self._fed is None or self._fed[0] is not solver.solution:
            assert solver.flow is not None
            assert solver.solution is not None
            found = solver.reader.of_sources(solver.flow, solver.solution, self.network.last_powers)
            self._fed = (solver.solution, found)
        return self._fed[1]

    def _balance(self) -> Any:
        """What is drawn at each bus, MVA."""
        network, solver = self.network, self.network.solver
        if self._buses is None or self._buses[0] is not solver.solution:
            drawn = np.zeros(len(network.buses), np.complex128)
            place = {int(bus): at for at, bus in enumerate(network.buses)}
            assert solver.nodes is not None
            for table, sign in (("load", 1.0), ("sgen", -1.0), ("storage", 1.0)):
                power, used = network.last_powers[table], solver.nodes.node[table] >= 0
                at = [place[bus] for bus in network.net[table].bus.iloc[: len(used)][used].tolist()]
                np.add.at(drawn, at, sign * (power.p_mw[used] + 1j * power.q_mvar[used]))
            for table in ("ext_grid", "gen"):
                fed = self._sources()[f"res_{table}"]
                at = [place[bus] for bus in network.net[table].bus.tolist()]
                used = network.net[table].in_service.to_numpy(bool)
                np.subtract.at(drawn, at, np.where(used, fed["p_mw"] + 1j * fed["q_mvar"], 0.0))
            result = network.last_result
            assert result is not None
            for number, site in enumerate(network.sites):
                drawn[place[site.bus]] += complex(result.site_p_mw[number], result.site_q_mvar[number])
            self._buses = (solver.solution, drawn)  # type: ignore[assignment]
        return self._buses[1]  # type: ignore[index]

    def _of_tables(self, table: str, row: int, column: str) -> float:
        """From pandapower's result tables of the same step."""
        network = self.network
        if network.solver.solution is not None and self._solved is not network.solver.solution:
            if not network.solver.again_on_tables(*network.last_drawn):
                return math.nan
            self._solved = network.solver.solution
        return float(network.net[f"res_{table}"][column].iat[row])


_PART = {"p_mw": "real", "q_mvar": "imag"}
