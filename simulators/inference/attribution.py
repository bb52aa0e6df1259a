"""Whose energy was it: every joule of the meter handed to a request, or shown as idle.

**Rule.** An iteration that several requests share is split in proportion to a weight (`split.attribution_split`).

``work`` (default)
    The FLOP done for the request in that iteration: linear layers per token, attention per pair of tokens. A long
    prompt bears its quadratic attention, a decode in a long context its reads of the cache. What is read once for all
    (the weights) falls on tokens alike.
``tokens``
    The tokens processed, whatever their context: what is billed by the token.

An iteration's energy is split by the phase of its requests in the same way, so a decode that shares its iterations with
a large prompt bears little of them. Restarted requests bear what they cost again.

**Idle.** What GPUs draw while no iteration runs belongs to nobody: it is a line of its own, and of it the energy that
parking and waking took. `spread_idle` puts it on requests in proportion to the busy energy they caused, which leaves
every ratio between them as it was; the alternative, by time in the system, would charge requests for queueing.

**Prefix cache.** What a hit saves cannot be told from the run with hits alone: other requests run beside it, and
batches fall differently. So the same requests are run twice, without and with the cache, and a request's saving is what
it costs less (`savings`; below zero where it now shares its batches with fewer). With what idle costs less the savings
are the difference of the two meters. What is spent on reading blocks that were found is `cached_j` of a request: of its
prefill energy the part that attention to those tokens bears under the rule (nothing under ``tokens``).

**Transfers.** Where prefill and decode are apart, what moving KV caches from one pool to the other takes is a line of
its own, on no request, and so is what a prefix cache's blocks take on their way to host memory and back; a request's
prefill and decode energy are those of the replicas that did them.

**Failures.** What had gone into requests that a failure made begin anew is a line of its own, ``lost_work_j``
(`failures.py`): nobody's answer came of it. So a request bears what its last attempt took; where prefill and decode
are apart, also the decodes of tokens that it had before, for it goes on from there.

**Speculation.** A request bears the verification of its drafted tokens by the same weight, rejected ones included, and
beside it its drafts: a batch's for decodes evenly, for prompts by their tokens. `draft_j` and `rejected_j` of a request
are what of its energy that is.

**Sum.** Requests finished and unfinished plus lost work plus idle and transfers are the meter, to rounding
(`residual`)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from simulators.inference.batching.state import Records
from simulators.inference.interval import Interval


def phases(intervals: Iterable[Interval]) -> dict[str, float]:
    """The meter by phase, J; ``idle_j`` is without ``transition_j`` here, ``meter_j`` their sum.

    ``lost_work_j`` is within prefill and decode.
    """
    sums = np.zeros(4)
    transition_j = lost_j = 0.0
    for interval in intervals:
        sums += (interval.prefill_j, interval.decode_j, interval.idle_j, interval.transfer_j)
        transition_j += interval.transition_j
        lost_j += interval.lost_work_j
    prefill_j, decode_j, idle_j, transfer_j = sums.tolist()
    return {
        "prefill_j": prefill_j,
        "decode_j": decode_j,
        "idle_j": idle_j - transition_j,
        "transition_j": transition_j,
        "transfer_j": transfer_j,
        "lost_work_j": lost_j,
        "meter_j": prefill_j + decode_j + idle_j + transfer_j,
    }


def request_table(
    finished: Records, unfinished: Records, groups: Mapping[int, str] | None = None
) -> pd.DataFrame:
    """One row per request, in order of arrival.

    Parameters
    ----------
    finished, unfinished
        `REQUEST` records: `Interval.finished` of all intervals, and `Cluster.unfinished` at the end.
    groups
        Name of each replica's group; default: the replica's number.

    Returns
    -------
    DataFrame
        request_id, group, tenant, done, prefill_tokens, decode_tokens (of the request), prefill_j, decode_j, busy_j.
    """
    records = np.concatenate((finished, unfinished))
    records = records[np.argsort(records["request_id"], kind="stable")]
    table = pd.DataFrame({name: records[name] for name in ("request_id", "replica", "tenant")})
    table["group"] = table.pop("replica").map(groups) if groups else table.pop("replica")
    table["done"] = ~np.isnan(records["completed_at"])
    for name in ("prefill_tokens", "decode_tokens", "prefill_j", "decode_j"):
        table[name] = records[name]
    table["busy_j"] = table["prefill_j"] + table["decode_j"]
    return table


def spread_idle(busy_j: NDArray[np.float64], idle_j: float) -> NDArray[np.float64]:
    """Shares of `idle_j` in proportion to busy energy, J; shape of `busy_j`.

    Evenly where nobody has caused any; their sum is `idle_j` to rounding.
    """
    total = busy_j.sum()
    if total > 0:
        return np.asarray(idle_j * (busy_j / total))
    return np.full(len(busy_j), idle_j / len(busy_j)) if len(busy_j) else np.zeros(0)


def bill(table: pd.DataFrame, meter: Mapping[str, float], spread: bool = False) -> pd.DataFrame:
    """What each request cost.

    Parameters
    ----------
    table
        Of `request_table`.
    meter
        Of `phases`.
    spread
        Whether idle and transitions are spread over the requests; else they stay a line beside the table.

    Returns
    -------
    DataFrame
        The table with idle_j, energy_j (busy and spread idle), j_per_input_token (prefill over prompt tokens) and
        j_per_output_token (decode over output tokens; NaN of an unfinished request).
    """
    costs = table.copy()
    idle_j = meter["idle_j"] + meter["transition_j"] if spread else 0.0
    costs["idle_j"] = spread_idle(costs["busy_j"].to_numpy(float), idle_j)
    costs["energy_j"] = costs["busy_j"] + costs["idle_j"]
    costs["j_per_input_token"] = costs["prefill_j"] / costs["prefill_tokens"]
    costs["j_per_output_token"] = (costs["decode_j"] / costs["decode_tokens"]).where(costs["done"])
    return costs


def by(costs: pd.DataFrame, key: str) -> pd.DataFrame:
    """Sums by ``group`` (model and GPU) or ``tenant``: requests, tokens of finished requests, J by phase."""
    done = costs["done"]
    tokens = costs[["prefill_tokens", "decode_tokens"]].where(done, 0)
    rows = pd.concat([costs[[key, "prefill_j", "decode_j", "idle_j", "energy_j"]], tokens], axis=1)
    sums = rows.groupby(key, sort=True).sum()
    sums.insert(0, "requests", costs.groupby(key, sort=True).size())
    return sums


def residual(table: pd.DataFrame, meter: Mapping[str, float]) -> float:
    """Requests plus lost work plus idle and transfers minus the meter, relative to the meter, 1."""
    beside = ("lost_work_j", "idle_j", "transition_j", "transfer_j")
    handed_out_j = float(table["busy_j"].sum()) + sum(meter.get(name, 0.0) for name in beside)
    return (handed_out_j - meter["meter_j"]) / meter["meter_j"] if meter["meter_j"] else handed_out_j


def savings(
    without: pd.DataFrame,
    with_cache: pd.DataFrame,
    meter_without: Mapping[str, float],
    meter_with: Mapping[str, float],
) -> tuple[pd.DataFrame, dict[str, float]]:
    """What each request, and everything together, saves by the prefix cache: two runs of the same requests.

    Parameters
    ----------
    without, with_cache
        Of `request_table`.
    meter_without, meter_with
        Of `phases`.

    Returns
    -------
    DataFrame
        request_id, saved_prefill_j, saved_decode_j, saved_j.
    dict
        Sums of them, ``saved_idle_j`` (idle and transitions; the runs may last differently long),
        ``saved_lost_work_j`` (of failures), ``saved_transfer_j`` (below zero: what host memory took) and
        ``saved_meter_j``, the difference of the meters, which is their sum to rounding.

    Raises
    ------
    ValueError
        If the requests are not the same.
    """
    same = ["request_id", "prefill_tokens", "decode_tokens"]
    if not without[same].reset_index(drop=True).equals(with_cache[same].reset_index(drop=True)):
        raise ValueError("the two runs served different requests")
    saved = pd.DataFrame({"request_id": without["request_id"].to_numpy()})
    for name in ("prefill_j", "decode_j"):
        saved[f"saved_{name}"] = without[name].to_numpy() - with_cache[name].to_numpy()
    saved["saved_j"] = saved["saved_prefill_j"] + saved["saved_decode_j"]
    sums = {name: float(saved[name].sum()) for name in ("saved_prefill_j", "saved_decode_j", "saved_j")}
    idle = [meter["idle_j"] + meter["transition_j"] for meter in (meter_without, meter_with)]
    sums["saved_idle_j"] = idle[0] - idle[1]
    sums["saved_lost_work_j"] = meter_without["lost_work_j"] - meter_with["lost_work_j"]
    sums["saved_transfer_j"] = meter_without["transfer_j"] - meter_with["transfer_j"]
    sums["saved_meter_j"] = meter_without["meter_j"] - meter_with["meter_j"]
    return saved, sums
