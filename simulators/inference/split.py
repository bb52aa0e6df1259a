"""How a batch's energy is split among its requests (`attribution.py`), those in flight included."""

from __future__ import annotations

import numpy as np

from simulators.inference.batching.state import Limits, Records, State
from simulators.inference.timing.tables import StageTables


def attribution_split(rule: str, tables: StageTables) -> tuple[float, float]:
    """Weights (per token, per token pair) that split a batch's energy among its requests.

    ``work``: in proportion to the FLOP done for each request, linear layers and attention (default).
    ``tokens``: in proportion to the tokens processed, whatever their context (the alternative).
    """
    if rule == "work":
        return float(tables.flops_per_token), float(tables.flops_per_pair)
    if rule == "tokens":
        return 1.0, 0.0
    raise ValueError(f"attribution rule {rule!r}: expected 'work' or 'tokens'")


def unfinished(state: State, limits: Limits, split: tuple[float, float], now: float) -> Records:
    """The requests of a replica that are not finished, with the energy spent on each so far (`REQUEST` records).

    Parameters
    ----------
    state, limits
        Of the replica, its standing batch settled.
    split
        Of `attribution_split`: the batches in flight are split as they will be when they end.
    now
        Of the batches in flight counts what they took up to this time; -inf: nothing.
    """
    counters, everything = state.counters.view(np.ndarray), state.requests.view(np.ndarray)
    used = np.ones(len(everything), bool)
    used[state.free[: int(counters["free_slots"][0])]] = False
    requests = everything.copy()
    segments, flights = state.segments.view(np.ndarray), state.flights.view(np.ndarray)
    for k in range(int(counters["flights"][0])):
        flight = (int(counters["flight_head"][0]) + k) % limits.stages
        s, f = segments[flight], flights[flight]
        lasted_s = np.maximum(0.0, np.minimum(now, s["ends_at"]) - s["starts_at"])
        joules = ((s["prefill_w"] + s["decode_w"]) * lasted_s).sum()
        members = int(f["members"])
        slots, chunk = state.members[flight, :members], state.chunks[flight, :members]
        r = everything[slots]
        weight = split[0] * chunk + split[1] * chunk * (chunk + r["processed"])
        whole = (f["energy_j"] - f["drafts_j"]) * weight / weight.sum()
        if f["drafts_j"] > 0:
            whole += np.where(r["prefilled"] == 1, f["draft_j"], f["prompt_draft_j"] * chunk)
        share = joules * whole / f["energy_j"] if f["energy_j"] > 0 else 0.0 * weight
        requests["prefill_j"][slots] += np.where(r["prefilled"] == 1, 0.0, share)
        requests["decode_j"][slots] += np.where(r["prefilled"] == 1, share, 0.0)
    live: Records = requests[used]
    return live
