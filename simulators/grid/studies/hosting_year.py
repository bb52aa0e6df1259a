"""How much load buses can take over a year: at every time; firm; or flexible, if some of its energy may be missed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from simulators.errors import InputError
from simulators.grid.background.background import Background
from simulators.grid.background.reading import Steps
from simulators.grid.flow.batch import CHAIN, on_threads, solve_batch
from simulators.grid.flow.model import ITERATIONS
from simulators.grid.flow.room import rooms
from simulators.grid.network import Network
from simulators.grid.studies.bounds import NONE, Cause, bounds_of, causes_of, flow_for_search
from simulators.grid.studies.connection import curtailment

CURTAILED_PERCENT = 3.0
"""Energy of a flexible load that may be left out. By section 11 (2) EnWG German network operators may plan with up to
3 % of a plant's yearly infeed curtailed; that it is as much for a load is an assumption, 0 to 10 % are discussed."""

_BLOCK = 7 * CHAIN

Array = NDArray[np.float64]


@dataclass(frozen=True)
class BusHosting:
    """What one bus can take.

    Attributes
    ----------
    bus
        Its index.
    firm_mw, firm_step, firm_cause
        Constant load that violates nothing at any time; the step that limits it, and what breaks there beyond.
    flexible_mw, curtailed_mwh, curtailed_hours
        Load that draws what is possible in every step, and what it misses of its power: at most the share agreed.
    violated_hours
        Time in which the network violates something whatever is drawn here: nothing may be drawn then.
    least_mw, most_mw, cause
        Loads between which nothing is violated, and what breaks beyond; shape (steps,). NaN in `violated_hours`.
    """

    bus: int
    firm_mw: float
    firm_step: int
    firm_cause: Cause
    flexible_mw: float
    curtailed_mwh: float
    curtailed_hours: float
    violated_hours: float
    least_mw: Array
    most_mw: Array
    cause: NDArray[np.int32]


@dataclass(frozen=True)
class Hosting:
    """What buses of a network can take; `causes` names the places in `BusHosting.cause`."""

    network: Network
    steps: Steps
    tolerance_mw: float
    buses: tuple[BusHosting, ...]
    causes: dict[int, Cause]

    def frame(self) -> pd.DataFrame:
        """One row per bus."""
        return pd.DataFrame(
            [
                {
                    "bus": found.bus,
                    "name": self.network.element_name("bus", found.bus),
                    "firm_mw": found.firm_mw,
                    "firm_limit": self.words(found.firm_cause),
                    "firm_at": pd.Timestamp(self.steps.start)
                    + pd.Timedelta(seconds=found.firm_step * self.steps.step_s),
                    "flexible_mw": found.flexible_mw,
                    "curtailed_mwh": found.curtailed_mwh,
                    "curtailed_hours": found.curtailed_hours,
                    "violated_hours": found.violated_hours,
                }
                for found in self.buses
            ]
        )

    def series(self) -> pd.DataFrame:
        """One row per bus and step: least and largest load, MW, and what limits."""
        time = pd.date_range(self.steps.start, periods=self.steps.steps, freq=f"{self.steps.step_s}s")
        codes = sorted(self.causes)
        places = np.array([codes.index(code) for code in codes])
        names = pd.Index([self.words(self.causes[code]) for code in codes])
        unique = names.unique()
        to_name = unique.get_indexer(names)[places]
        cause = np.concatenate([to_name[np.searchsorted(codes, found.cause)] for found in self.buses])
        return pd.DataFrame(
            {
                "bus": np.repeat([found.bus for found in self.buses], self.steps.steps),
                "time": np.tile(time, len(self.buses)),
                "least_mw": np.concatenate([found.least_mw for found in self.buses]),
                "most_mw": np.concatenate([found.most_mw for found in self.buses]),
                "limit": pd.Categorical.from_codes(cause, unique),
            }
        )

    def words(self, cause: Cause) -> str:
        """A limit for people, e.g. ``Line 5: overload``."""
        element, index, kind = cause
        if element in ("", "network"):
            return kind
        return f"{self.network.element_name(element, index)}: {kind}"


def hosting_year(
    network: Network,
    background: Background,
    steps: Steps,
    buses: Sequence[int],
    curtailed_percent: float = CURTAILED_PERCENT,
    tolerance_mw: float = 0.01,
    search_to_mw: float = 10_000.0,
    reached: Callable[[int], object] = lambda done: None,
) -> Hosting:
    """Loads at each bus, at the network's power factor, that violate nothing in every step of a background.

    Other sites on the network draw nothing. As in `hosting_capacity_mw`, what the network violates without the load
    counts unless the load cures it.

    Parameters
    ----------
    network, background, steps
        What runs, and when.
    buses
        Their indices.
    curtailed_percent
        Of its energy, that a flexible load may miss.
    tolerance_mw, search_to_mw
        Each load found is at most this much less than one that violates something; where to give up.
    reached
        Hears how many buses are done.

    Raises
    ------
    InputError
        A bus without supply; a network that needs single power flows; numbers out of range.
    """
    if not (tolerance_mw > 0.0 and search_to_mw > tolerance_mw and 0.0 <= curtailed_percent < 100.0):
        raise InputError(
            f"tolerance {tolerance_mw} MW, search to {search_to_mw} MW, curtailed {curtailed_percent} %: expected "
            "0 < tolerance < search, and 0 to below 100 %"
        )
    flow, nodes = flow_for_search(network), network.solver.nodes
    assert nodes is not None
    for bus in buses:
        if not network.solver.supplied[bus]:
            raise InputError(f"bus {bus} of network {network.name}: not supplied; expected one that is")
    count = background.steps
    drawn = background.drawn(nodes)
    base = np.concatenate(
        [solve_batch(flow, drawn[first : first + _BLOCK]).v_pu for first in range(0, count, _BLOCK)]
    )
    bounds, causes = bounds_of(network, flow), causes_of(network, flow)
    numbers = (flow.base_mva, flow.tolerance_pu, ITERATIONS)
    per_mw = complex(1.0, float(network.reactive_mvar(1.0)))
    by_node: dict[int, tuple[Array, Array, NDArray[np.int32]]] = {}
    made = []
    for bus in buses:
        node = network.solver.node_of(bus)
        if node not in by_node:
            least, most, cause = np.empty(count), np.empty(count), np.empty(count, np.int32)

            def block(
                first: int,
                node: int = node,
                least: Array = least,
                most: Array = most,
                cause: NDArray[np.int32] = cause,
            ) -> None:
                rows = slice(first, first + _BLOCK)
                rooms(
                    flow.system, flow.terminals, bounds, numbers, drawn[rows], base[rows], node, per_mw,
                    (tolerance_mw, search_to_mw), least[rows], most[rows], cause[rows],
                )  # fmt: skip

            on_threads(block, range(0, count, _BLOCK))
            by_node[node] = least, most, cause
        made.append(_hosting(bus, *by_node[node], causes, steps.step_s / 3600.0, curtailed_percent / 100.0))
        reached(len(made))
    return Hosting(network, steps, tolerance_mw, tuple(made), causes)


def _hosting(
    bus: int,
    least: Array,
    most: Array,
    cause: NDArray[np.int32],
    causes: dict[int, Cause],
    hours: float,
    share: float,
) -> BusHosting:
    """Firm and flexible from the loads of every step."""
    room = np.where(np.isnan(most), 0.0, most)
    at = int(np.argmin(room))
    firm = float(room[at])
    if np.nanmax(least, initial=0.0) > firm:
        firm, at = 0.0, int(np.nanargmax(least))  # what cures one hour is too much for another
    flexible = max(firm, flexible_mw(room, share))
    missed = curtailment(flexible, room, hours)
    return BusHosting(
        bus=bus,
        firm_mw=firm,
        firm_step=at,
        firm_cause=causes.get(int(cause[at]), NONE),
        flexible_mw=flexible,
        curtailed_mwh=missed.mwh,
        curtailed_hours=missed.hours,
        violated_hours=float(np.isnan(most).sum()) * hours,
        least_mw=least,
        most_mw=most,
        cause=cause,
    )


def flexible_mw(room_mw: Array, share: float) -> float:
    """The largest power P of a load that misses at most a share of its energy.

    That is sum max(0, P - room) = share * P * steps, whose left side is convex, and linear between neighbouring values
    of `room_mw`: with the k smallest missed, P = (their sum) / (k - share * steps).

    Examples
    --------
    >>> flexible_mw(np.array([1.0, 3.0, 3.0, 3.0]), 0.1)  # misses 2/3 of 4 * 5/3
    1.6666666666666667
    >>> flexible_mw(np.array([1.0, 3.0]), 0.0)
    1.0
    """
    ordered = np.sort(room_mw)
    allowed = share * len(ordered)
    missed = np.arange(1, len(ordered) + 1)
    with np.errstate(divide="ignore"):
        power = np.where(missed > allowed, np.cumsum(ordered) / np.maximum(missed - allowed, 1e-300), np.inf)
    # the first k whose P does not reach the next value is the one that holds
    fits = np.flatnonzero(power <= np.append(ordered[1:], np.inf))
    return float(min(power[fits[0]], ordered[-1])) if len(fits) else float(ordered[-1])
