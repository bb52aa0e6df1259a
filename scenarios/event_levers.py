"""Levers that shed load of a cluster, and how they are let go."""

from __future__ import annotations

from math import inf

from simulators.errors import InputError
from simulators.inference.options import Serving
from simulators.quantities.commands import Awake, BatchCap, ClockLimit, Command, PowerCap
from simulators.spelling import plain_number


def shed_lever(text: str) -> Command | None:
    """A lever from the command line; None: no replica serves.

    Raises
    ------
    InputError
        If there is no such lever.

    Examples
    --------
    >>> shed_lever("power-cap-w=400"), shed_lever("awake=0")
    (PowerCap(watts=400.0), None)
    """
    name, equals, value = text.partition("=")
    try:
        match name if equals else "":
            case "awake":
                return Awake(int(value)) if int(value) else None
            case "batch-cap":
                return BatchCap(int(value))
            case "power-cap-w":
                return PowerCap(plain_number(value))
            case "clock":
                return ClockLimit(plain_number(value))
    except ValueError:
        pass
    raise InputError(
        f"--lever: {text!r} given, expected awake=REPLICAS, batch-cap=REQUESTS, power-cap-w=WATTS or clock=SHARE"
    )


def undone(lever: Command, serving: Serving) -> Command:
    """What puts a cluster back to how it was configured."""
    match lever:
        case Awake():
            return Awake(serving.instances)
        case BatchCap():
            return BatchCap(serving.batch_cap)
        case PowerCap():
            return PowerCap(inf if serving.power_cap_w is None else serving.power_cap_w)
    return ClockLimit(serving.clock_limit)
