"""What a controller may ask of a site: a small vocabulary of typed commands.

A policy hands out commands; actuators (the gate, the cluster, the battery, the router between sites) carry them out or
say why not. Across mosaik a command is a dictionary with its `kind`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from math import inf
from typing import Any, ClassVar, Literal

import numpy as np

from simulators.errors import InputError

ParkedState = Literal["off", "sleep", "context_idle", "host_off"]
"""What a replica's GPUs are parked in; ``host_off``: off, and so are the servers that hold parked replicas alone."""


@dataclass(frozen=True)
class Command:
    """Base of the commands."""

    kind: ClassVar[str]

    def to_plain(self) -> dict[str, Any]:
        """The command as a dictionary.

        Examples
        --------
        >>> PowerCap(watts=420.0).to_plain()
        {'kind': 'power_cap', 'watts': 420.0}
        """
        return {"kind": self.kind, **{one.name: _plain(getattr(self, one.name)) for one in fields(self)}}


def _plain(value: Any) -> Any:
    """NumPy's numbers, which JSON does not know, as Python's, and its lists for tuples."""
    if isinstance(value, Mapping):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    return value.item() if isinstance(value, np.generic) else value


@dataclass(frozen=True)
class Release(Command):
    """Keep deferrable requests back, or let those held go at a rate (1/s; inf: all at once).

    New ones pass while nothing is kept back, unless they `queue` behind those held: then the rate is that of all that
    are deferrable.

    With `tenants` it concerns theirs alone, and the rate is that of all of them together; other tenants go on as they
    were told. Without, it concerns everybody, whatever single ones were told before.
    """

    kind: ClassVar[str] = "release"
    hold: bool
    rate_per_s: float = inf
    queue: bool = False
    tenants: tuple[int, ...] = ()


@dataclass(frozen=True)
class BatchCap(Command):
    """Requests that may run at once on a replica."""

    kind: ClassVar[str] = "batch_cap"
    requests: int


@dataclass(frozen=True)
class ChunkBudget(Command):
    """Tokens that a batch of a replica may hold, prompts being cut to fit."""

    kind: ClassVar[str] = "chunk_budget"
    tokens: int


@dataclass(frozen=True)
class Awake(Command):
    """How many replicas serve; the others finish what they have and are parked in a state."""

    kind: ClassVar[str] = "awake"
    replicas: int
    state: ParkedState = "off"


@dataclass(frozen=True)
class PowerCap(Command):
    """Power cap of every GPU, W; inf: none."""

    kind: ClassVar[str] = "power_cap"
    watts: float


@dataclass(frozen=True)
class ClockLimit(Command):
    """Highest clock of the GPUs relative to full clock, above 0 to 1."""

    kind: ClassVar[str] = "clock"
    share: float


@dataclass(frozen=True)
class BatteryPower(Command):
    """Power of the battery at its terminals in this step, W; charging is positive. In place of its dispatch rule."""

    kind: ClassVar[str] = "battery"
    watts: float


@dataclass(frozen=True)
class Route(Command):
    """Which share of the requests that originate at this site each site serves; in sum 1."""

    kind: ClassVar[str] = "route"
    weights: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Curtail(Command):
    """Most own generation that may be used, stored or exported in this step, W; inf: all of it."""

    kind: ClassVar[str] = "curtail"
    watts: float


COMMANDS: dict[str, type[Command]] = {
    kind.kind: kind
    for kind in (Release, BatchCap, ChunkBudget, Awake, PowerCap, ClockLimit, BatteryPower, Route, Curtail)
}


def command_from_plain(plain: Mapping[str, Any]) -> Command:
    """A command from its dictionary.

    Raises
    ------
    InputError
        If the kind or a field is unknown, or a field is missing.
    """
    entries = dict(plain)
    kind = entries.pop("kind", None)
    if kind not in COMMANDS:
        raise InputError(f"command {kind!r}: unknown, expected one of {', '.join(COMMANDS)}")
    known = [entry.name for entry in fields(COMMANDS[kind])]
    if unknown := sorted(set(entries) - set(known)):
        raise InputError(f"command {kind}: unknown field {unknown[0]!r}, expected {', '.join(known)}")
    entries = {name: tuple(value) if isinstance(value, list) else value for name, value in entries.items()}
    try:
        return COMMANDS[kind](**entries)
    except TypeError:
        raise InputError(f"command {kind}: a field is missing, expected {', '.join(known)}") from None
