"""A representative cluster through one event, with a lever and without: power, requests, joules."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from scenarios.levers import DELAYS, Setting
from simulators.errors import InputError
from simulators.inference.conservation import Conservation
from simulators.inference.load_curve import saturated_per_s
from simulators.inference.serving import Serving, build_cluster
from simulators.quantities.latencies import latencies
from simulators.quantities.requests import RequestBlock
from simulators.traffic.options import workload_from_options

Array = NDArray[np.float64]

STEP_S, WARM_UP_S, DRAIN_S = 60.0, 240.0, 600.0
"""A step of the cluster; what is served before the signal; and after the last arrivals, s."""
RECOVERY = 0.6
"""Held requests are let go evenly over this share of the event's length after it: a judgement, 0.3 to 1."""


@dataclass(frozen=True)
class Event:
    """How long an event lasts and how finely power is seen; s."""

    length_s: float
    width_s: float

    @property
    def recovery_s(self) -> float:
        """In which held requests are let go, whole steps."""
        return STEP_S * float(np.ceil(RECOVERY * self.length_s / STEP_S))

    @property
    def arrivals_s(self) -> float:
        """When the last requests arrive."""
        return WARM_UP_S + self.length_s + self.recovery_s


@dataclass(frozen=True)
class Trace:
    """What one run came to.

    Attributes
    ----------
    power_w
        All GPUs in bins; shape (bins,).
    energy_j
        By the meter of the cluster, of the whole run.
    received, completed, left
        Requests; those not finished at the end.
    output_tokens
        Produced.
    ttft_p99_s, tpot_p99_s
        Of interactive requests that arrived from the signal on.
    running
        Requests on a replica before the signal.
    """

    power_w: Array
    energy_j: float
    received: int
    completed: int
    left: int
    output_tokens: float
    ttft_p99_s: float
    tpot_p99_s: float
    running: float


@dataclass(frozen=True)
class Load:
    """What the cluster is asked for.

    Attributes
    ----------
    share
        Of the rate that it could just serve, 1.
    lengths
        Law of prompt and output lengths.
    deferrable_share, seed
        As in `TrafficOptions`.
    """

    share: float
    lengths: str
    deferrable_share: float
    seed: int


class Flexing:
    """Events of one cluster under one load: each setting is run once.

    Parameters
    ----------
    serving, load
        The cluster and what it is asked for.
    """

    def __init__(self, serving: Serving, load: Load) -> None:
        self.serving, self._load = serving, load
        sample = workload_from_options(rate_per_s=1.0, lengths=load.lengths, seed=load.seed).take(1000.0)
        lengths = (tuple(sample.prefill_tokens.tolist()), tuple(sample.decode_tokens.tolist()))
        self.rate_per_s = load.share * serving.replicas * saturated_per_s(serving, *lengths)
        self.trace = cache(self._trace)

    def _requests(self, event: Event, setting: Setting) -> RequestBlock:
        """Those of a run, in the order in which they are let go."""
        block = workload_from_options(
            rate_per_s=self.rate_per_s,
            lengths=self._load.lengths,
            horizon_s=event.arrivals_s,
            deferrable_share=self._load.deferrable_share,
            defer_window_s=event.arrivals_s,
            seed=self._load.seed,
        ).take(event.arrivals_s)
        if not setting.hold:
            return block
        begins, ends = WARM_UP_S + DELAYS["hold"].high, WARM_UP_S + event.length_s
        held = block.deferrable & (block.arrived_at >= begins) & (block.arrived_at < ends)
        released = block.released_at.copy()
        count = int(held.sum())
        released[held] = ends + event.recovery_s * (np.arange(count) + 0.5) / max(count, 1)
        order = np.argsort(released, kind="stable")
        made = block[order]
        object.__setattr__(made, "released_at", released[order])
        return made

    def _trace(self, setting: Setting, event: Event) -> Trace:
        bins = round(STEP_S / event.width_s)
        cluster, _ = build_cluster(self.serving, bins_per_interval=bins)
        check = Conservation(cluster)
        for lever, at_signal, at_end in setting.commands(self.serving):
            for command, at in (
                (at_signal, WARM_UP_S + DELAYS[lever].high),
                (at_end, WARM_UP_S + event.length_s),
            ):
                if reason := cluster.command(command, at):
                    raise InputError(f"lever {lever}: {reason}")
        block = self._requests(event, setting)
        powers, tokens, energy_j, running = [], 0.0, 0.0, 0.0
        kept: list[tuple[Array, Array]] = []
        edges = np.arange(STEP_S, event.arrivals_s + DRAIN_S + 1.0, STEP_S)
        cuts = np.searchsorted(block.released_at, edges)
        for until, first, last in zip(edges.tolist(), [0, *cuts[:-1].tolist()], cuts.tolist(), strict=True):
            interval = cluster.advance(until, block[first:last])
            check.check(interval)
            powers.append(interval.power_w)
            energy_j += interval.energy_j
            tokens += interval.decode_tokens
            if until == WARM_UP_S:
                running = interval.running / len(cluster.replicas)
            done = interval.finished
            seen = (done["deferrable"] == 0) & (done["arrived_at"] >= WARM_UP_S)
            times = latencies(done[seen])
            kept.append((times["ttft_s"], times["tpot_s"]))
        return Trace(
            np.concatenate(powers), energy_j, cluster.received, cluster.completed, cluster.outstanding, tokens,
            _p99(np.concatenate([ttft for ttft, _ in kept])), _p99(np.concatenate([tpot for _, tpot in kept])), running,
        )  # fmt: skip


def _p99(values: Array) -> float:
    known = values[~np.isnan(values)]
    return float(np.quantile(known, 0.99)) if len(known) else float("nan")
