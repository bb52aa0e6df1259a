"""What the network sees of a load behind a UPS: nothing while it is on its own supply, then a ramp, and recharging."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from simulators.grid.studies.ride_through import Transfer
from simulators.quantities.factor import Assumption, Factor

Array = NDArray[np.float64]

WALK_IN_S = Factor(
    value=10.0,
    low=5.0,
    high=30.0,
    unit="s",
    source="an estimate: rectifiers of double-conversion UPS take the load from the battery in a ramp of some seconds",
)
GENERATOR_S = Factor(
    value=10.0,
    low=5.0,
    high=60.0,
    unit="s",
    source="NFPA 110, type 10: power within 10 s; others take longer",
)
RECHARGE_SHARE = Factor(
    value=0.1,
    low=0.05,
    high=0.25,
    unit="1",
    source="an estimate: charging power over the rating of the UPS, as data sheets of double-conversion units have it",
)
RECHARGE_EFFICIENCY = Factor(
    value=0.9,
    low=0.8,
    high=0.95,
    unit="1",
    source="an estimate: energy a UPS battery gives over what it took",
)


class Seen(NamedTuple):
    """Mean powers of each second, MW: from the network, from batteries and generators, into batteries."""

    grid_mw: Array
    battery_mw: Array
    generator_mw: Array
    recharge_mw: Array


@dataclass(frozen=True)
class Ups:
    """A UPS with generators behind it.

    Attributes
    ----------
    walk_in_s
        In which the load goes back to the network in a ramp.
    generator_s
        After which generators carry the load, if it is away for longer.
    recharge_share, recharge_efficiency
        Charging power over the rating; energy the battery gave over what it takes to have it again.
    """

    walk_in_s: float = WALK_IN_S.value
    generator_s: float = GENERATOR_S.value
    recharge_share: float = RECHARGE_SHARE.value
    recharge_efficiency: float = RECHARGE_EFFICIENCY.value

    def seen(self, load_mw: Array, rating_mw: float, away: Sequence[Transfer]) -> Seen:
        """What the network sees of a load, second by second.

        Parameters
        ----------
        load_mw
            What it draws; shape (seconds,).
        rating_mw
            Of the UPS.
        away
            When it is on its own supply, in order.

        Examples
        --------
        >>> found = Ups().seen(np.full(120, 4.0), 5.0, [Transfer(10.0, 15.0, False)])
        >>> found.grid_mw[[9, 12, 19, 24, 25]].round(2).tolist()  # gone, half way back, all, then recharging
        [4.0, 0.0, 1.8, 3.8, 4.5]
        >>> given, taken = found.battery_mw.sum(), found.recharge_mw.sum()
        >>> round(float(taken * 0.9 / given), 9)
        1.0
        """
        edges = np.arange(len(load_mw) + 1, dtype=np.float64)
        battery, generator, own = np.zeros((3, len(load_mw)))
        for at, transfer in enumerate(away):
            following = away[at + 1].from_s if at + 1 < len(away) else math.inf
            gone_s = self._own_s(edges, transfer, following)
            started = self._own_s(np.array([transfer.from_s + self.generator_s]), transfer, following)
            long = transfer.until_s - transfer.from_s > self.generator_s
            part = np.round(np.diff(gone_s), 12)  # times in seconds carry the rounding of their sums
            first = np.round(np.diff(np.minimum(gone_s, started)), 12) if long else part
            own += part
            battery += load_mw * first
            generator += load_mw * (part - first)
        recharge = self._recharge(battery, own <= 0.0, rating_mw)
        return Seen(load_mw * np.maximum(1.0 - own, 0.0) + recharge, battery, generator, recharge)

    def _own_s(self, at: Array, transfer: Transfer, following: float) -> Array:
        """Seconds on the own supply up to some times; what the ramp leaves to it counts by its share."""
        at = np.minimum(at, following)
        whole = np.clip(at, transfer.from_s, min(transfer.until_s, 1e12)) - transfer.from_s
        if self.walk_in_s <= 0.0 or math.isinf(transfer.until_s):
            return whole
        x = np.clip((at - transfer.until_s) / self.walk_in_s, 0.0, 1.0)
        return whole + self.walk_in_s * (x - 0.5 * x * x)

    def _recharge(self, battery: Array, charging: NDArray[np.bool_], rating_mw: float) -> Array:
        """What goes back into the batteries, whenever the load is on the network."""
        recharge, missing = np.zeros(len(battery)), 0.0
        most = self.recharge_share * rating_mw
        for second in np.flatnonzero(battery.cumsum() > 0.0).tolist():
            missing += battery[second] / self.recharge_efficiency
            if charging[second]:
                recharge[second] = min(most, missing)
                missing -= recharge[second]
        return recharge


def assumptions() -> list[Assumption]:
    """What a run with a UPS rests on."""
    known = {
        "walk_in_s": WALK_IN_S,
        "generator_s": GENERATOR_S,
        "recharge_share": RECHARGE_SHARE,
        "recharge_efficiency": RECHARGE_EFFICIENCY,
    }
    return [Assumption(name, factor) for name, factor in known.items()]
