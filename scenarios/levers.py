"""What a cluster can pull to draw less: by how much, how soon after it is told, and what says that it does."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil
from typing import NamedTuple

from simulators.inference.catalogue import gpu
from simulators.inference.grounds import power_grounds
from simulators.inference.serving import Serving, parked_states, power_law_of
from simulators.quantities.commands import Awake, BatchCap, ClockLimit, Command, PowerCap
from simulators.quantities.factor import Assumption, Factor

SWITCHING = (
    "arXiv:2502.20075 finds tens to hundreds of ms on GH200 and A100, by device and clock; value and range "
)
DELAYS = {
    "clock": Factor(0.1, 0.01, 0.5, "s", SWITCHING + "are a judgement, in band"),
    "cap": Factor(
        0.2, 0.05, 0.5, "s", "a judgement: a driver's power loop averages before it lowers the clock"
    ),
    "batch": Factor(
        0.1, 0.02, 0.5, "s", "a judgement: a message to the server, which ends its iteration first"
    ),
    "park": Factor(
        0.1, 0.02, 0.5, "s", "a judgement: a message to the router; draining and loading are simulated"
    ),
    "hold": Factor(0.1, 0.02, 0.5, "s", "a judgement: a message to the gate; what runs is finished"),
    "battery": Factor(
        0.2, 0.1, 0.5, "s", "response below 200 ms in makers' sheets of battery controllers; range judged"
    ),
}
"""From the signal to the moment at which a lever acts. A certificate takes the slow end."""

SWEPT = {
    "h200": "arXiv:2605.11999: decoding on H200 lets caps be, a locked clock saves up to 32 % of its energy",
    "h100": "the chip of the H200 of arXiv:2605.11999",
}
"""GPUs on which a sweep of clocks and caps while serving is published, or on whose chip."""

SUPPORTED = ("fitted", "measured")
"""What a power law may rest on if kilowatts are to be certified (`grounds.power_grounds`)."""


class Setting(NamedTuple):
    """What is commanded during an event; None: nothing.

    Attributes
    ----------
    cap, clock
        Of every GPU: share of its limit, share of full clock.
    batch
        Requests that may run on a replica.
    awake
        Share of the replicas that serve.
    hold
        Whether deferrable requests are held.
    """

    cap: float | None = None
    clock: float | None = None
    batch: int | None = None
    awake: float | None = None
    hold: bool = False

    def commands(self, serving: Serving) -> Iterator[tuple[str, Command, Command]]:
        """Lever, what is commanded at the signal, and what undoes it at the end."""
        limit_w = power_law_of(serving).limit_w
        if self.cap is not None:
            yield "cap", PowerCap(self.cap * limit_w), PowerCap(serving.power_cap_w or limit_w)
        if self.clock is not None:
            yield "clock", ClockLimit(self.clock), ClockLimit(serving.clock_limit)
        if self.batch is not None:
            yield "batch", BatchCap(self.batch), BatchCap(serving.batch_cap)
        if self.awake is not None:
            count = max(1, round(self.awake * serving.replicas))
            yield "park", Awake(count, "off"), Awake(serving.replicas, "off")


@dataclass(frozen=True)
class Lever:
    """One lever, or several together.

    Attributes
    ----------
    name
        One of `DELAYS`, or ``joint``.
    settings
        From gentle to deep.
    refused
        Why it is not certified; empty if it is.
    basis
        What says that it does what the simulation says.
    """

    name: str
    settings: tuple[Setting, ...] = ()
    refused: str = ""
    basis: str = ""


SHARES = (0.9, 0.8, 0.7, 0.6, 0.5)
"""Caps and clocks that are tried."""


JOINT = (
    (0.9, None),
    (0.8, None),
    (0.7, None),
    (0.6, None),
    (0.7, 0.75),
    (0.6, 0.75),
    (0.5, 0.75),
    (0.5, 0.5),
)
"""Clock and share of replicas awake that are tried together, while deferrable requests are held."""


def levers(serving: Serving, running: float) -> list[Lever]:
    """The levers of a cluster, each with its settings or the reason why nothing is said of it.

    Parameters
    ----------
    serving
        The replicas.
    running
        Requests that run on a replica without any lever, mean.

    Examples
    --------
    >>> found = levers(Serving(gpu="b200", tp=1, replicas=4), 20.0)
    >>> [(lever.name, bool(lever.refused)) for lever in found]  # doctest: +NORMALIZE_WHITESPACE
    [('clock', True), ('cap', True), ('batch', False), ('park', False), ('hold', False), ('joint', False)]
    """
    device = gpu(serving.gpu)
    grounds = power_grounds(device, serving.power_law, power_law_of(serving))
    law = f"power law {grounds['name']} of the {device.name} is {grounds['basis']}"
    unknown = "" if grounds["basis"] in SUPPORTED else f"{law}: no kilowatt of it is measured"
    unswept = unknown or (
        "" if device.name in SWEPT else f"no sweep of clocks and caps of the {device.name} is known"
    )
    states = parked_states(serving)
    off = states.get("off")
    unparked = unknown or (
        ""
        if off is not None and off.basis == "measured" and serving.replicas > 1
        else "one replica cannot be parked"
        if serving.replicas == 1
        else f"what a parked {device.name} draws is not measured"
    )
    swept = f"{law}; {SWEPT.get(device.name, '')}"
    batches = sorted({max(1, ceil(share * running)) for share in (0.75, 0.5, 0.25)}, reverse=True)
    made = [
        Lever("clock", tuple(Setting(clock=share) for share in SHARES), unswept, swept),
        Lever("cap", tuple(Setting(cap=share) for share in SHARES), unswept, swept),
        Lever("batch", tuple(Setting(batch=size) for size in batches), unknown, law),
        Lever("park", tuple(Setting(awake=share) for share in (0.75, 0.5)), unparked, law),
        Lever("hold", (Setting(hold=True),), unknown, law),
    ]
    return [*made, _joint(serving, made, unknown)]


def _joint(serving: Serving, made: list[Lever], unknown: str) -> Lever:
    """Hold what may wait, slow down what may be slowed, and park where that is known too."""
    known = {lever.name for lever in made if not lever.refused}
    depths = [
        Setting(
            clock=clock if "clock" in known else None,
            awake=awake if "park" in known else None,
            hold=True,
        )
        for clock, awake in JOINT
    ]
    words = ", ".join(sorted(known & {"clock", "park", "hold"}))
    return Lever("joint", tuple(dict.fromkeys(depths)), unknown, f"together: {words}")


def lever_assumptions() -> list[Assumption]:
    """What the levers rest on.

    Examples
    --------
    >>> lever_assumptions()[0].name
    'clock delay'
    """
    return [Assumption(f"{name} delay", factor) for name, factor in DELAYS.items()]
