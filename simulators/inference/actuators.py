"""How a cluster carries out a controller's commands, and why it may not."""

from __future__ import annotations

from dataclasses import replace
from numbers import Real
from typing import Any, Protocol

from simulators.errors import InputError
from simulators.inference.batching.policies import with_batch_cap, with_chunk_budget
from simulators.inference.parking import Parking
from simulators.inference.power.cap import check_cap, check_clock
from simulators.inference.replica import Replica
from simulators.quantities.commands import (
    Awake,
    BatchCap,
    ChunkBudget,
    ClockLimit,
    Command,
    ParkedState,
    PowerCap,
)

TAKES = (BatchCap.kind, ChunkBudget.kind, Awake.kind, PowerCap.kind, ClockLimit.kind)
"""Kinds of commands a cluster carries out."""


class Commanded(Protocol):
    """What a command acts on."""

    replicas: list[Replica]
    parking: Parking


HOST_OFF: ParkedState = "host_off"


def of_gpu(state: ParkedState) -> str:
    """The state of the GPUs in a parked state that may be the host's as well."""
    return "off" if state == HOST_OFF else state


def in_numbers(command: Command) -> Command:
    """The command with whole numbers where it counts, and numbers where it measures.

    A command may come from another language by way of JSON, and the compiled loop trusts the types of its limits.

    Raises
    ------
    InputError
        If something else stands there.

    Examples
    --------
    >>> in_numbers(BatchCap(64.0))
    BatchCap(requests=64)
    """
    if isinstance(command, BatchCap):
        return replace(command, requests=_whole("batch cap", command.requests))
    if isinstance(command, ChunkBudget):
        return replace(command, tokens=_whole("chunk budget", command.tokens))
    if isinstance(command, Awake):
        return replace(command, replicas=_whole("replicas awake", command.replicas))
    if isinstance(command, PowerCap):
        return replace(command, watts=_number("power cap", command.watts))
    if isinstance(command, ClockLimit):
        return replace(command, share=_number("clock limit", command.share))
    return command


def _number(what: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, Real):
        raise InputError(f"{what}: {value!r} given, expected a number")
    return float(value)


def _whole(what: str, value: Any) -> int:
    if not _number(what, value).is_integer():
        raise InputError(f"{what}: {value!r} given, expected a whole number")
    return int(value)


def check_command(cluster: Commanded, command: Command) -> str | None:
    """Why a cluster cannot carry out a command; None if it can."""
    try:
        for replica in cluster.replicas:
            if isinstance(command, BatchCap):
                with_batch_cap(replica.limits, command.requests)
            elif isinstance(command, ChunkBudget):
                with_chunk_budget(replica.limits, command.tokens, replica.most_tokens)
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
    if command.replicas < count and of_gpu(command.state) not in replica.states:
        known = ", ".join(replica.states) or "none is known for this GPU"
        raise InputError(f"state {command.state!r}: expected one of {known}")


def actuate(cluster: Commanded, command: Command, at: float) -> list[int]:
    """Carry out a checked command at a time, s; returns the replicas that are to be woken."""
    if isinstance(command, Awake):
        parking, host_off = cluster.parking, command.state == HOST_OFF
        serving = parking.to_serve(command.replicas)
        parking.asleep = set(range(len(cluster.replicas))) - serving
        for number in sorted(parking.asleep):
            if number not in parking.away:
                parking.order(number, at, cluster.replicas[number].states[of_gpu(command.state)])
            if number not in parking.down:
                parking.hosts.want(number, host_off, at)
        return sorted((parking.away & serving) - parking.down)
    for replica in cluster.replicas:
        if isinstance(command, BatchCap):
            replica.batch_cap = command.requests
        elif isinstance(command, ChunkBudget):
            replica.chunk_budget = command.tokens
        elif isinstance(command, PowerCap):
            replica.power_cap_w = command.watts
        elif isinstance(command, ClockLimit):
            replica.clock_limit = command.share
    return []
