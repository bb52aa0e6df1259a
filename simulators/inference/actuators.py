"""How a cluster carries out a controller's commands, and why it may not."""

from __future__ import annotations

from typing import Protocol

from simulators.errors import InputError
from simulators.inference.batching.policies import with_batch_cap
from simulators.inference.parking import Parking
from simulators.inference.power.cap import check_cap, check_clock
from simulators.inference.replica import Replica
from simulators.quantities.commands import Awake, BatchCap, ClockLimit, Command, PowerCap

TAKES = (BatchCap.kind, Awake.kind, PowerCap.kind, ClockLimit.kind)
"""Kinds of commands a cluster carries out."""


class Commanded(Protocol):
    """What a command acts on."""

    replicas: list[Replica]
    parking: Parking


def check_command(cluster: Commanded, command: Command) -> str | None:
    """Why a cluster cannot carry out a command; None if it can."""
    try:
        for replica in cluster.replicas:
            if isinstance(command, BatchCap):
                with_batch_cap(replica.limits, command.requests)
            elif isinstance(command, PowerCap):
                check_cap(replica.law, command.watts)
            elif isinstance(command, ClockLimit):
                check_clock(command.share)
            elif isinstance(command, Awake):
                _check_awake(cluster, replica, command)
            else:
                return f"a cluster takes {', '.join(TAKES)}, not {command.kind}"
    except InputError as error:
        return str(error)
    return None


def _check_awake(cluster: Commanded, replica: Replica, command: Awake) -> None:
    count = len(cluster.replicas)
    if not 1 <= command.replicas <= count:
        raise InputError(f"{command.replicas} replicas awake: expected 1 to {count}")
    if command.replicas < count and command.state not in replica.states:
        known = ", ".join(replica.states) or "none is known for this GPU"
        raise InputError(f"state {command.state!r}: expected one of {known}")


def actuate(cluster: Commanded, command: Command, at: float) -> list[int]:
    """Carry out a checked command at a time, s; returns the replicas that are to be woken."""
    if isinstance(command, Awake):
        for number in range(command.replicas, len(cluster.replicas)):
            if number not in cluster.parking.away:
                cluster.parking.order(number, at, cluster.replicas[number].states[command.state])
        cluster.parking.asleep = set(range(command.replicas, len(cluster.replicas)))
        return [number for number in sorted(cluster.parking.away) if number < command.replicas]
    for replica in cluster.replicas:
        if isinstance(command, BatchCap):
            replica.batch_cap = command.requests
        elif isinstance(command, PowerCap):
            replica.power_cap_w = command.watts
        elif isinstance(command, ClockLimit):
            replica.clock_limit = command.share
    return []
