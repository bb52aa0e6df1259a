"""The compiled loop of one replica: from change of batch to change of batch.

Three things happen: requests arrive, a batch in flight ends, a batch is formed. While the same requests decode
together and nothing can join or leave, only counters move, so such a run of iterations costs the same per iteration
whatever the size of the batch (`decodes.py`). Where the rules allow it, those who join and leave are all that is looked
at (`standing_loop.py`); what is here forms and lands batches member by member.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from simulators.inference.batching.cost import batch_work
from simulators.inference.batching.decodes import run_decodes
from simulators.inference.batching.events import COLLECT, DONE, WALK, next_event_s, pass_time
from simulators.inference.batching.flight import land, launch
from simulators.inference.batching.host import lacks_room
from simulators.inference.batching.intake import next_arrival_s, take_arrivals
from simulators.inference.batching.meter import meter, segment
from simulators.inference.batching.orca import form_orca
from simulators.inference.batching.policies import ORCA, SARATHI, STATIC, VLLM, VLLM_V1
from simulators.inference.batching.ranks import on_busiest_rank
from simulators.inference.batching.sarathi import form_sarathi
from simulators.inference.batching.standing import build
from simulators.inference.batching.standing_loop import stand
from simulators.inference.batching.state import OFF, Limits, State
from simulators.inference.batching.static import form_static
from simulators.inference.batching.vllm import form_vllm
from simulators.inference.batching.vllm_v1 import form_vllm_v1
from simulators.inference.compiled import borrowed, compiled
from simulators.inference.power.law import PowerLaw
from simulators.inference.timing.tables import StageTables


@compiled
def form_batch(state: State, limits: Limits, flight: int) -> None:
    """Let the replica's policy fill `flight`."""
    if limits.policy == VLLM:
        form_vllm(state, limits, flight)
    elif limits.policy == VLLM_V1:
        form_vllm_v1(state, limits, flight)
    elif limits.policy == SARATHI:
        form_sarathi(state, limits, flight)
    elif limits.policy == ORCA:
        form_orca(state, limits, flight)
    elif limits.policy == STATIC:
        form_static(state, limits, flight)


@compiled
def end_batch(
    state: State,
    limits: Limits,
    split: tuple[float, float],
    bins: NDArray[np.float64],
    begins_at: float,
    width_s: float,
) -> None:
    """Meter and land the first batch in flight, which ends now."""
    c = state.counters[0]
    flight = c.flight_head
    for stage in range(limits.stages):
        meter(bins, begins_at, width_s, segment(state, flight, stage))
    land(state, limits, split, flight)
    c.flight_head = (flight + 1) % limits.stages
    c.flights -= 1


@compiled
def decode_ahead(
    state: State,
    limits: Limits,
    tables: StageTables,
    law: PowerLaw,
    split: tuple[float, float],
    gpus: int,
    flight: int,
    context: int,
    bins: NDArray[np.float64],
    begins_at: float,
    width_s: float,
    until: float,
) -> bool:
    """Go through the iterations in which nothing can join or leave the decode batch in `flight`.

    Returns
    -------
    bool
        Whether there were any; its members are then ready for the next formation.
    """
    c = state.counters[0]
    # arrivals matter only if they could be admitted: behind a blocked queue they just wait
    stop_at = until
    if c.queue_size == 0:
        stop_at = min(until, next_arrival_s(state))
    done = run_decodes(
        state, limits, tables, law, split, gpus, flight, context, bins, begins_at, width_s, stop_at
    )
    if done == 0:
        return False
    members = state.flights[flight].members
    for i in range(members):
        state.ready[i] = state.members[flight, i]
    c.ready_size = members
    take_arrivals(state)
    return True


@compiled
def hits_may_change(state: State, limits: Limits, flight: int) -> bool:
    """Whether the first of the queue may be let in while nobody leaves, as what it finds in the prefix cache changes.

    Decodes overwrite blocks that it would have taken over, and may fill some that it asks for.
    """
    c = state.counters[0]
    if limits.cache == OFF or c.queue_size == 0:
        return False
    return bool(c.holding < limits.max_requests and state.flights[flight].members < limits.max_batch)


@compiled
def form_batches(
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
    """Form batches and send them off while the pipeline has room and the policy finds work.

    Returns
    -------
    bool
        False if `log` is nearly full, an unlimited cache, or one's tier in host memory: batches may still have to be
        formed.
    """
    c = state.counters[0]
    while c.flights < limits.stages and c.now >= c.serves_from:
        if c.log_on == 1 and c.logged + limits.stages > len(state.log):
            return False
        if limits.cache != OFF and lacks_room(state, limits):
            return False
        flight = (c.flight_head + c.flights) % limits.stages
        f = state.flights[flight]
        f.members = 0
        f.tokens = 0
        f.fetched = 0
        c.evicted_now = 0
        c.held_back = 0
        form_batch(state, limits, flight)
        if f.members == 0:
            break
        work = batch_work(state, tables, flight)
        alone = limits.stages == 1 and f.prefills == 0 and c.ready_size == 0 and c.evicted_now == 0
        if (
            alone
            and c.held_back == 0
            and not hits_may_change(state, limits, flight)
            and decode_ahead(
                state, limits, tables, law, split, gpus, flight, work[0], bins, begins_at, width_s, until
            )
        ):
            continue
        if tables.prefill_s.shape[1] > len(tables.prefill_kv):  # data-parallel ranks
            work = on_busiest_rank(state, tables, flight, work)
        launch(state, limits, tables, law, split, gpus, flight, work)
    c.forming = 0
    return True


@compiled
def advance(
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
) -> tuple[int, int]:
    """Simulate the replica up to, not including, time `until`; `settle` its standing batch before others look at it.

    Parameters
    ----------
    state, limits, tables, law
        The replica.
    split
        Weights (per token, per token pair) by which a batch's energy is split among its requests.
    gpus
        GPUs per stage.
    bins
        Metered work per interval, columns `PREFILL_J`...; shape (n, 5); added to.
    begins_at, width_s
        Start of the first bin and width of each, s.
    until
        End of this call, s; not after the end of the last bin.

    Returns
    -------
    tuple
        `DONE`, or `COLLECT` when `finished`, `log` or an unlimited cache is nearly full; and the requests completed
        so far.
    """
    state, tables, law, bins = borrowed((state, tables, law, bins))
    c = state.counters[0]
    alike = tables.prefill_s.shape[1] == len(
        tables.prefill_kv
    )  # no ranks, among which prompts are shared out
    while True:
        if alike and (c.stands == 1 or build(state, limits, split)):
            status = stand(state, limits, tables, law, split, gpus, bins, begins_at, width_s, until)
            if status != WALK:
                return status, c.completed
        if c.forming == 0:
            at, next_end = next_event_s(state)
            if at >= until:
                break
            if c.finished + len(state.ready) > len(state.finished):
                return COLLECT, c.completed
            pass_time(state, limits, at)
            take_arrivals(state)
            if next_end == at:
                end_batch(state, limits, split, bins, begins_at, width_s)
            c.forming = 1
        if not form_batches(state, limits, tables, law, split, gpus, bins, begins_at, width_s, until):
            return COLLECT, c.completed
        c.walks = max(0, c.walks - 1)
    pass_time(state, limits, until)
    return DONE, c.completed
