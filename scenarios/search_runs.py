"""What a worker does for a search: estimates of many deployments, a run of one on the simulator alone, a full run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from scenarios.search_figures import J_PER_KWH
from scenarios.shipping import opened
from scenarios.simulation import simulate
from simulators.errors import InputError
from simulators.inference.drive import Driver
from simulators.inference.estimate import Estimate, estimate, knows
from simulators.inference.fleet import build
from simulators.inference.metrics import Metrics
from simulators.inference.options import Serving
from simulators.inference.replica import Replica
from simulators.quantities.latencies import LatencyRecord
from simulators.traffic.options import workload_from_plain

WARM_UP_S = 120.0
"""Time before a run's figures begin, s: batches are then as large as the rate makes them."""
MOST_SAMPLED = 20_000
"""Requests whose lengths an estimate is made from."""
BIN_S = 300.0
LEVELS = 6
"""Rates that vary are taken by their means over `BIN_S`, s, in so many groups of equal length."""


class Sample(NamedTuple):
    """Requests of a workload, as an estimate sees them.

    Attributes
    ----------
    prefill_tokens, decode_tokens
        Lengths; shape (n,).
    rate_per_s, gap_cv
        Mean rate, and variation of the gaps at the rate of their moment.
    levels
        Rates that the run goes through, and the share of its time with each.
    """

    prefill_tokens: NDArray[np.int64]
    decode_tokens: NDArray[np.int64]
    rate_per_s: float
    gap_cv: float
    levels: tuple[tuple[float, float], ...]


def sample(workload: Mapping[str, Any], span_s: float, steady: bool) -> Sample:
    """Look at the requests of a workload over a time.

    Parameters
    ----------
    workload
        Options for `workload_from_plain`.
    span_s
        How long, s.
    steady
        Whether they come at one rate.

    Raises
    ------
    InputError
        If there is none.

    Examples
    --------
    >>> found = sample({"rate_per_s": 4.0, "lengths": "fixed:500:100"}, 3600.0, steady=True)
    >>> 3.8 < found.rate_per_s < 4.2, 0.95 < found.gap_cv < 1.05, len(found.levels)
    (True, True, 1)
    """
    return _sample(json.dumps(dict(workload), sort_keys=True), span_s, steady)


@lru_cache(maxsize=2)
def _sample(workload: str, span_s: float, steady: bool) -> Sample:
    block = workload_from_plain(json.loads(workload)).take(span_s)
    if not len(block):
        raise InputError(f"search: no request comes within {span_s:g} s, expected some (--rate, --days)")
    rate = len(block) / span_s
    bins = max(1, round(span_s / BIN_S))
    counts, edges = np.histogram(block.arrived_at, bins=bins, range=(0.0, span_s))
    rates = counts / (edges[1] - edges[0])
    levels: tuple[tuple[float, float], ...] = ((rate, 1.0),)
    if not steady:
        groups = [group for group in np.array_split(np.sort(rates), LEVELS) if len(group)]
        levels = tuple((float(group.mean()), len(group) / bins) for group in groups)
    own = rates[np.minimum((block.arrived_at * bins / span_s).astype(np.int64), bins - 1)]
    gaps = np.diff(block.arrived_at) * own[1:]
    cv = float(gaps.std() / gaps.mean()) if len(gaps) > 1 and gaps.mean() > 0 else 1.0
    every = -(-len(block) // MOST_SAMPLED)
    return Sample(block.prefill_tokens[::every], block.decode_tokens[::every], rate, cv, levels)


class Screened(NamedTuple):
    """What is estimated of a deployment; an error instead if it is impossible, neither if it has to be run."""

    figures: dict[str, float] | None = None
    error: str = ""


def screen(argument: Mapping[str, Any]) -> list[Screened]:
    """Estimate deployments that share their tables, or say why they are impossible."""
    found = sample(argument["workload"], argument["span_s"], argument["steady"])
    fails = opened(argument).site.reliability.any
    built: dict[str, Replica | str] = {}
    rows = []
    for plain in argument["servings"]:
        serving = Serving.model_validate(plain)
        # neither of these changes the tables
        one = {"replicas": 1, "prefill_replicas": min(1, serving.prefill_replicas)}
        alike = serving.model_copy(update=one | {"clock_limit": 1.0, "power_cap_w": None})
        key = alike.model_dump_json()
        try:
            if key not in built:
                built[key] = _replica(alike)
            replica = built[key]
            if isinstance(replica, str):
                rows.append(Screened(error=replica))
                continue
            _limited(replica, serving)
        except InputError as error:
            rows.append(Screened(error=str(error)))
            continue
        if fails or serving.prefill_replicas or not knows(replica):
            rows.append(Screened())
            continue
        rows.append(Screened(_estimated(replica, serving, found, argument)))
    return rows


def _replica(serving: Serving) -> Replica | str:
    """A replica, one that decodes where that is apart; or why a deployment is impossible."""
    try:
        cluster, _ = build([serving])
    except InputError as error:
        return str(error)
    return cluster.replicas[-1]


def _limited(replica: Replica, serving: Serving) -> None:
    """Give a replica the power cap and the clock limit of a configuration."""
    replica.power_cap_w = np.inf if serving.power_cap_w is None else serving.power_cap_w
    replica.clock_limit = serving.clock_limit


def _estimated(
    replica: Replica, serving: Serving, found: Sample, argument: Mapping[str, Any]
) -> dict[str, float]:
    """A deployment's estimate over all rates; its latencies are those at the mean one, below what a rate that varies
    gives."""

    def at(rate_per_s: float) -> Estimate:
        return estimate(
            replica, serving.replicas, rate_per_s, found.prefill_tokens, found.decode_tokens,
            percentile=argument["percentile"], gap_cv=found.gap_cv, in_turn=argument["router"] != "random",
        )  # fmt: skip

    mean = at(found.rate_per_s)
    levels = [
        (mean if rate == found.rate_per_s else at(rate), share) for rate, share in found.levels if rate > 0
    ]
    idle_share = 1.0 - sum(share for _, share in levels)
    idle_w = serving.replicas * replica.gpu_count * replica.law.idle_w
    return {
        "utilisation": mean.utilisation,
        "gpu_w": sum(one.gpu_w * share for one, share in levels) + idle_share * idle_w,
        "busy": sum(one.busy * share for one, share in levels),
        "batch": mean.batch,
        "tokens_per_s": found.rate_per_s * float(found.decode_tokens.mean()) / max(1.0, mean.utilisation),
        "ttft_s": mean.ttft_s,
        "tpot_s": mean.tpot_s,
    }


def run_alone(argument: Mapping[str, Any]) -> dict[str, Any]:
    """Serve the first requests of a study on its cluster alone, without mosaik, and say what that takes."""
    study, span_s = opened(argument), argument["span_s"]
    site, step_s = study.site, study.run.step
    cluster, _ = build(
        [site.simulated], router_name=site.spread, seed=study.run.seed, reliability=site.reliability
    )
    driver = Driver(cluster, workload_from_plain(argument["workload"]))
    metrics = Metrics(site.cluster.slo_ttft, site.cluster.slo_tpot)
    begins_s = argument["warm_up_s"]
    if begins_s:
        driver.advance(begins_s)
    while cluster.now < span_s:
        metrics.add(driver.advance(min(span_s, cluster.now + step_s)))
    summary = metrics.summary(cluster)
    joules = summary["gpu_energy_j"]["total"]
    return _latencies(metrics.record, argument["percentile"]) | {
        "gpu_w": joules / metrics.span_s,
        "busy": summary["busy_mean"],
        "batch": summary["batch_size_mean"],
        "tokens_per_s": summary["output_tokens_per_s"],
        "rejected": summary["requests_rejected"],
        "saturation": (summary["saturation"] or {}).get("label", ""),
        "requests": summary["requests_completed"],
    }


def run_full(argument: Mapping[str, Any]) -> dict[str, Any]:
    """Simulate a study as `wattloop run` does, and say what an output token took by its own accounts."""
    study = opened(argument)
    result = simulate(study)
    figures, served = result.figures, result.figures.served
    tokens, bill = served.decode_tokens, result.figures.cost
    span_s = float(figures.simulated_s)
    per_token: dict[str, float | None] = {}
    if tokens:
        per_token = {
            "gpu_j": served.gpu_energy_j.total / tokens,
            "meter_j": figures.energy_mwh.facility * 1e3 * J_PER_KWH / tokens,
            "gpu_s": study.site.serving.gpus * span_s / tokens,
            "embodied_g": 1e3 * (figures.carbon_kg.embodied or 0.0) / tokens,
            "carbon_g": None if figures.carbon_kg.operational is None else 1e3 * figures.carbon_kg.operational / tokens,
            "energy_cost": None if bill is None else (bill.energy + bill.fees) / tokens,
        }  # fmt: skip
    (record,) = result.latencies.values()
    return _latencies(record, argument["percentile"]) | {
        "per_token": per_token,
        "tokens_per_s": tokens / span_s,
        "batch": served.batch_size_mean,
        "rejected": served.requests_rejected,
        "saturation": served.saturation.label if served.saturation else "",
        "requests": served.requests_completed,
    }


def _latencies(record: LatencyRecord, percentile: float) -> dict[str, float | None]:
    """The asked-for percentiles, s; a run whose answers have one token each has no time per further token."""
    found = {}
    for name in ("ttft_s", "tpot_s"):
        distribution = record.sketch(name)
        found[name] = distribution.quantile(percentile / 100.0) if distribution.count else None
    return found
