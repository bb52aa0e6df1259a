"""What the policies do with a standing batch, as long as nobody has to wait or to give way.

Who does is found by looking at the requests one by one, in their order: the functions here then change nothing and
say so. What is admitted beside is found by the policies' own functions.
"""

from __future__ import annotations

from simulators.inference.batching.moves import blocks_for, put
from simulators.inference.batching.policies import SARATHI, VLLM, VLLM_V1
from simulators.inference.batching.sarathi import admit_sarathi
from simulators.inference.batching.standing import blocks_due, enter
from simulators.inference.batching.state import Limits, State
from simulators.inference.batching.vllm import admit_vllm
from simulators.inference.batching.vllm_v1 import admit_vllm_v1
from simulators.inference.compiled import inlined


@inlined
def all_decode(state: State, limits: Limits, most: int) -> bool:
    """Put the standing batch into the flight; with it at most `most` tokens. False if somebody has to wait or give way.

    vLLM and Sarathi want a free block before each decode, whether it takes one or not: with one left after all, they
    had it.
    """
    c = state.counters[0]
    f = state.flights[0]
    if c.standing == 0:
        return True
    blocks = blocks_due(state, limits)
    left = 0 if limits.policy == VLLM_V1 else 1
    if c.standing > most or c.standing > limits.max_batch or c.free_blocks - blocks < left:
        return False
    c.free_blocks -= blocks
    c.beside = c.standing
    f.tokens += c.standing
    return True


@inlined
def next_chunk(state: State, limits: Limits) -> tuple[int, int]:
    """Tokens of the prompt that is cut which the next batch processes, and the KV blocks they take.

    Returns
    -------
    tuple
        0 tokens if it cannot be said without looking at everybody's place.
    """
    c = state.counters[0]
    r = state.requests[c.partial]
    rest = r.target - r.processed
    chunk = min(rest, limits.max_tokens - c.standing)
    if chunk <= 0 or c.standing >= limits.max_batch:
        return 0, 0
    if limits.policy == SARATHI:  # it has all its blocks, and comes after the decodes
        return int(chunk), 0
    if chunk < rest and r.released_at < c.latest:
        return 0, 0
    return int(chunk), int(blocks_for(r.processed + chunk, limits) - r.blocks)


@inlined
def all_go_on(state: State, limits: Limits) -> bool:
    """vLLM v1, Sarathi: all that run are in the batch; False if somebody has to wait or to give way."""
    c = state.counters[0]
    most = limits.max_tokens if limits.policy == VLLM_V1 else limits.max_batch
    if c.partial < 0:
        return all_decode(state, limits, most)
    chunk, blocks = next_chunk(state, limits)
    if chunk == 0 or c.free_blocks - blocks < (blocks_due(state, limits) if c.standing > 0 else 0):
        return False
    if not all_decode(state, limits, most):
        return False
    c.free_blocks -= blocks
    state.requests[c.partial].blocks += blocks
    put(state, c.flight_head, c.partial, chunk)
    c.partial = -1
    return True


@inlined
def form_standing(state: State, limits: Limits) -> bool:
    """Form the next batch: the standing one, if it decodes, and the prompts listed in flight 0 beside it.

    Returns
    -------
    bool
        False if it is to be formed member by member; nothing has changed then.
    """
    c = state.counters[0]
    f = state.flights[0]
    f.members = f.tokens = 0
    c.beside = c.evicted_now = c.held_back = 0
    if limits.policy != VLLM and not all_go_on(state, limits):
        return False
    first = f.members
    if c.queue_size > 0:
        if limits.policy == VLLM:
            admit_vllm(state, limits, c.flight_head)
        elif limits.policy == VLLM_V1:
            admit_vllm_v1(state, limits, c.flight_head)
        else:
            admit_sarathi(state, limits, c.flight_head)
    if limits.policy == VLLM and f.members == 0:
        return all_decode(state, limits, limits.max_batch)
    for i in range(first, f.members):
        enter(state, state.members[0, i])
    return True
