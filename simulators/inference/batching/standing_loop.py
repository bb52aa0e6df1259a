"""The compiled loop of a replica with a standing batch: the same events and batches, at the cost of what changes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from simulators.inference.batching.cost import batch_work
from simulators.inference.batching.decodes import decode_on
from simulators.inference.batching.events import COLLECT, DONE, WALK, pass_time
from simulators.inference.batching.flight import complete, land_member, launch
from simulators.inference.batching.intake import next_arrival_s, take_arrival, take_arrivals
from simulators.inference.batching.meter import meter, segment
from simulators.inference.batching.moves import blocks_for
from simulators.inference.batching.standing import (
    REBUILT_AFTER,
    WALKS,
    build,
    join,
    last_number,
    settle,
    take_last,
)
from simulators.inference.batching.standing_rules import form_standing
from simulators.inference.batching.state import Limits, State
from simulators.inference.compiled import compiled, inlined
from simulators.inference.power.law import PowerLaw
from simulators.inference.timing.tables import StageTables


@inlined
def end_standing(
    state: State,
    limits: Limits,
    split: tuple[float, float],
    bins: NDArray[np.float64],
    begins_at: float,
    width_s: float,
) -> None:
    """Meter and land the batch in flight, which ends now: in it decode all of the standing batch, or none."""
    c = state.counters[0]
    f = state.flights[0]
    meter(bins, begins_at, width_s, segment(state, c.flight_head, 0))
    per_weight = f.energy_j / f.weight
    c.flights = 0
    c.landed_at = c.now
    c.landed = 0
    c.attributed_j += f.energy_j
    if c.beside > 0:
        c.share += per_weight
        c.share_step += per_weight * c.number
        c.number += 1
        c.context += c.standing
        c.decode_tokens += c.standing
        c.beside = 0
        for i in range(take_last(state, limits, split)):
            complete(state, state.ready[i])
    for i in range(f.members):
        slot = state.members[0, i]
        r = state.requests[slot]
        if land_member(state, limits, split, slot, state.chunks[0, i], per_weight):
            r.blocks = blocks_for(r.processed - 1, limits)
            complete(state, slot)
        elif r.prefilled == 1:
            join(state, limits, split, slot)
        else:
            c.partial = slot


@inlined
def stand_ahead(
    state: State,
    limits: Limits,
    tables: StageTables,
    law: PowerLaw,
    split: tuple[float, float],
    gpus: int,
    bins: NDArray[np.float64],
    begins_at: float,
    width_s: float,
    until: float,
) -> bool:
    """Go through the iterations in which nothing can join or leave the standing batch; whether there were any."""
    c = state.counters[0]
    # arrivals matter only if they could be admitted: behind a blocked queue they just wait
    stop_at = min(until, next_arrival_s(state)) if c.queue_size == 0 else until
    batch = c.standing, c.context, c.number, last_number(state) - c.number - 1
    grow_at = state.spare[len(state.ready) : len(state.ready) + limits.block_tokens]
    done, share, share_step = decode_on(
        state, limits, tables, law, split, gpus, batch, grow_at, bins, begins_at, width_s, stop_at
    )
    if done == 0:
        return False
    c.share += share
    c.share_step += c.number * share + share_step
    c.number += done
    c.context += done * c.standing
    c.beside = 0
    take_arrivals(state)
    return True


@inlined
def send_standing(
    state: State,
    limits: Limits,
    tables: StageTables,
    law: PowerLaw,
    split: tuple[float, float],
    gpus: int,
    bins: NDArray[np.float64],
    begins_at: float,
    width_s: float,
    until: float,
) -> bool:
    """Form batches until one is in flight or there is none; False if one is to be formed member by member."""
    c = state.counters[0]
    f = state.flights[0]
    while True:
        if c.number > REBUILT_AFTER:
            settle(state, limits, split)
            build(state, limits, split)
        if not form_standing(state, limits):
            return False
        if f.members + c.beside == 0:
            return True
        alone = f.members == 0 and c.held_back == 0
        if alone and stand_ahead(state, limits, tables, law, split, gpus, bins, begins_at, width_s, until):
            continue
        work = batch_work(state, tables, c.flight_head)
        launch(state, limits, tables, law, split, gpus, c.flight_head, work)
        return True


@compiled
def stand(
    state: State,
    limits: Limits,
    tables: StageTables,
    law: PowerLaw,
    split: tuple[float, float],
    gpus: int,
    bins: NDArray[np.float64],
    begins_at: float,
    width_s: float,
    until: float,
) -> int:
    """Simulate a replica with a standing batch (see `loop.advance`); returns `DONE`, `COLLECT` or `WALK`.

    Unless it is `WALK`, the batch stands on; what is known of its requests is up to date once it is settled.
    """
    c = state.counters[0]
    while True:
        if c.forming == 0:
            # who arrives while a batch is in flight is looked at when it has landed
            at = state.flights[0].ends_at if c.flights > 0 else next_arrival_s(state)
            if c.flights == 0 and c.queue_size > 0 and c.now < c.serves_from:
                at = min(at, c.serves_from)
            if at >= until:
                break
            if c.finished + len(state.ready) > len(state.finished):
                return COLLECT
            pass_time(state, limits, at)
            take_arrivals(state)
            if c.flights > 0:
                end_standing(state, limits, split, bins, begins_at, width_s)
            c.forming = 1
        may_form = c.flights == 0 and c.now >= c.serves_from
        if may_form and not send_standing(
            state, limits, tables, law, split, gpus, bins, begins_at, width_s, until
        ):
            settle(state, limits, split)
            c.walks = WALKS
            return WALK
        c.forming = 0
    while next_arrival_s(state) < until:
        take_arrival(state)
    pass_time(state, limits, until)
    return DONE
