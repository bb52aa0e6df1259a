"""What the numbers of a configuration rest on, and how far they can be off: for the report, as plain values."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from simulators.inference.catalogue import Gpu, Model
from simulators.inference.catalogue.layout import Layout
from simulators.inference.power.law import PowerLaw
from simulators.inference.power.prices import LAWS, PHYSICS, prices
from simulators.inference.timing.all_to_all import (
    FORMULA_RANGE,
    MEASURED_RANGE,
    is_measured,
    nodes_of,
    sends_apart,
)
from simulators.inference.timing.collectives import HOP_RANGE_S, HOP_S, hops_s
from simulators.inference.timing.imbalance import TASTE_RANGE, as_measured, busiest, most
from simulators.inference.timing.tables import StageTables

TIME_INTERVAL = {
    "hopper": (0.90, 1.32, "767 servers on H100, the model's maker left out"),
    "measured": (0.80, 1.39, "733 servers on B200, the model's maker left out"),
    "roofline": (
        0.70,
        1.50,
        "judgement: the roofline is up to 40 % off measured kernels, and those off servers",
    ),
    "profile": (0.95, 1.05, "vLLM logs replayed from profiles of the same GPU"),
}
"""Factors on iteration time within which 90 % of unseen servers are expected, by where it comes from: measured over
predicted time per output token, 5 and 95 % quantiles (`tests/benchmarks/silicon_accuracy.py`). Kernels measured on
other GPUs than Hopper get the wider one."""
HOPPER = ("h100", "h100-pcie", "h200")
SMALLEST_BATCH = 8.0
"""Smallest batch any fitted set of prices has seen."""
ELSEWHERE = 0.5
"""Lowest power above idle of other laboratories over what a fitted set says: gpt-oss-120b at InferenceX against
`mlenergy_v3` on H100."""
LAW_BASIS = {
    "mfu": (
        "published",
        "arXiv 2507.11417; a factor of two and more below measured servers at small batches",
    ),
    "constant": ("assumed", "the board's limit while busy"),
    "table": ("own", "a curve of the user's"),
}


def power_grounds(device: Gpu, kind: str, law: PowerLaw) -> dict[str, Any]:
    """What the power law of a GPU rests on.

    Parameters
    ----------
    device, kind, law
        The GPU, the law's name as it was asked for, and the law.

    Returns
    -------
    dict
        `name`, `basis`, `source`; `low`, `high`: factors on power above idle, None where nobody stated any, and
        `interval`, where they are from; `idle_w`, `idle_range_w`, `active_w`, W; `idle_basis`, measured or estimate.
    """
    idle = device.power.get("states", {}).get("loaded_idle", {})
    told: dict[str, Any] = {
        "idle_w": law.idle_w,
        "idle_range_w": list(idle.get("range_w", (law.idle_w, law.idle_w))),
        "idle_basis": idle.get("basis", "") if law.idle_w == idle.get("power_w") else "",
        "active_w": law.active_w,
    }
    name = kind.partition(":")[0]
    if name in LAWS:
        basis, source = LAW_BASIS[name]
        return told | {
            "name": kind, "basis": basis, "source": source, "low": None, "high": None,
            "interval": f"none is known for the law {name}",
        }  # fmt: skip
    found = prices(device, kind)
    low, interval = found.low, found.interval
    if found.basis == "fitted" and low > ELSEWHERE:
        low, interval = ELSEWHERE, f"{interval}; low end: servers of other laboratories"
    return told | {
        "name": found.name, "basis": found.basis, "source": found.source, "low": low, "high": found.high,
        "interval": interval,
    }  # fmt: skip


def time_grounds(device: Gpu, chosen: str, reason: str) -> dict[str, Any]:
    """What the iteration times rest on: `kind`, `why`; `low`, `high`, factors, and `interval`, where they are from."""
    key = "hopper" if chosen == "measured" and device.name in HOPPER else chosen
    low, high, source = TIME_INTERVAL[key]
    return {"kind": chosen, "why": reason, "low": low, "high": high, "interval": source}


COLLECTIVES_RANGE = (0.7, 1.6)
"""Gathering and scattering on servers of ML.ENERGY over the mean of them (`timing/experts.py`)."""


def layout_grounds(
    model: Model,
    device: Gpu,
    layout: Layout,
    chosen: str,
    imbalance: float | None,
    tables: StageTables,
    requests: int,
) -> list[dict[str, Any]]:
    """What shared experts rest on in an iteration of `requests` decodes: how uneven tokens lie, what GPUs exchange.

    Parameters
    ----------
    model, device, layout, chosen
        What runs where, and where iteration times come from.
    imbalance
        The user's; None: the default.
    tables
        Iteration times.
    requests
        That decode.

    Returns
    -------
    list of dict
        Each with `name`, `value`, `low`, `high`, `unit` and `source`; empty for one rank with experts that are not
        spread.
    """
    told: list[dict[str, Any]] = []
    at = np.array([float(requests)])
    if layout.spread:
        value = float(busiest(model, layout.experts, at, imbalance)[0])
        low, high = value, min(value * TASTE_RANGE[1], most(model, layout.experts))
        source = "even routing by chance (hypergeometric); high: traffic that prefers experts"
        if imbalance is not None:
            high, source = value, f"the study's own {imbalance:g} beyond chance"
        elif chosen == "measured":
            low, value = value, float(as_measured(model, layout.experts, at)[0])
            low, high = min(low, value), max(high, value)
            source = "power law the kernels were measured with; low: even routing by chance"
        told.append(
            {
                "name": f"routed tokens of the busiest GPU over the mean, {requests} decodes", "value": value,
                "low": low, "high": high, "unit": "1", "source": source,
            }
        )  # fmt: skip
    seconds = float(tables.comm_s[min(requests, len(tables.comm_s) - 1)])
    if layout.ranks > 1 and seconds > 0:
        (low, high), source = COLLECTIVES_RANGE, "collectives as measured (NCCL)"
        if chosen == "roofline" or sends_apart(layout):
            known = is_measured(device, model, layout.gpus)
            (low, high), source = (
                (MEASURED_RANGE, "all-to-all kernels as measured (DeepEP, NVLink)")
                if known
                else (FORMULA_RANGE, "latency and bandwidth of the link")
            )
        told.append(
            {
                "name": f"exchange between GPUs in an iteration of {requests} decodes", "value": seconds,
                "low": low * seconds, "high": high * seconds, "unit": "s", "source": source,
            }
        )  # fmt: skip
    nodes = nodes_of(device, layout.tp)
    if nodes > 1:
        told.append(
            {
                "name": f"what an all-reduce takes longer over {nodes} nodes", "value": hops_s(nodes),
                "low": hops_s(nodes) * HOP_RANGE_S[0] / HOP_S, "high": hops_s(nodes) * HOP_RANGE_S[1] / HOP_S,
                "unit": "s", "source": "NCCL over InfiniBand: published figures of one, two and four nodes",
            }
        )  # fmt: skip
    return told


class Ground(NamedTuple):
    """What a figure rests on, and whether that only stands in for a measurement."""

    text: str
    stand_in: bool = False


def trust(power: dict[str, Any], time: dict[str, Any], mean_batch: float) -> list[Ground]:
    """What a reader must know before quoting a figure, one sentence each.

    Parameters
    ----------
    power, time
        See `power_grounds`, `time_grounds`.
    mean_batch
        Of the run.

    Examples
    --------
    >>> power = {"name": "mfu", "basis": "published", "source": "a paper"}
    >>> found = trust(power, {"kind": "roofline", "why": "none"}, 3.0)
    >>> [ground.text for ground in found if ground.stand_in]
    ['iteration time: roofline (none)', 'power: published law mfu (a paper)']
    """
    kinds = {"measured": "measured kernels", "profile": "profile of the user's", "roofline": "roofline"}
    told = [Ground(f"iteration time: {kinds[time['kind']]} ({time['why']})", time["kind"] == "roofline")]
    if power["basis"] == "fitted":
        told.append(
            Ground(
                f"power: {power['name']}, fitted to one laboratory's servers ({power['source']}); others' may draw "
                f"less, down to the law {PHYSICS}"
            )
        )
        if mean_batch < SMALLEST_BATCH:
            told.append(
                Ground(
                    f"power: extrapolated, the mean batch is {mean_batch:.1f} and nothing below "
                    f"{SMALLEST_BATCH:.0f} was measured",
                    True,
                )
            )
    elif power["name"] == PHYSICS:
        measured = power["basis"] == "measured"
        whose = "kernels measured on this chip" if measured else "prices estimated from the data sheet"
        told.append(Ground(f"power: {PHYSICS}, {whose}; nothing fitted to serving", not measured))
    else:
        own = power["basis"] == "own"
        told.append(Ground(f"power: {power['basis']} law {power['name']} ({power['source']})", not own))
    if power.get("idle_basis") == "estimate":
        low, high = power["idle_range_w"]
        told.append(
            Ground(
                f"power with a model loaded and nothing running: {power['idle_w']:g} W ({low:g} to {high:g} W), "
                "carried over from a chip like it",
                True,
            )
        )
    return told
