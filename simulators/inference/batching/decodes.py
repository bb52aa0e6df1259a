"""Runs of iterations in which the same requests decode: constant cost per iteration, whatever their number."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulators.inference.batching.cost import cell_of, on_line, stage_constants, stage_cost, stage_rates
from simulators.inference.batching.intake import take_arrivals
from simulators.inference.batching.meter import log_iteration, meter
from simulators.inference.batching.moves import blocks_for
from simulators.inference.batching.prefix import fill, take
from simulators.inference.batching.state import BUSY_S, BYTES, DECODE_J, FLOPS, OFF, Limits, State
from simulators.inference.batching.stretch import (
    SHORTEST,
    blocks_on_the_way,
    lasting_s,
    straight_for,
    stretch,
)
from simulators.inference.compiled import compiled
from simulators.inference.power.law import PowerLaw
from simulators.inference.timing.tables import LOOKUP, StageTables


@compiled
def known_ahead(state: State, limits: Limits, flight: int, grow_at: NDArray[np.int64]) -> int:
    """Iterations before the one in which the first request of a decode batch is complete.

    `grow_at` gets the blocks that iterations take, by the remainder of their number; shape (tokens of a block,).
    """
    most = np.iinfo(np.int64).max
    for i in range(state.flights[flight].members):
        r = state.requests[state.members[flight, i]]
        most = min(most, r.prefill_tokens + r.decode_tokens - r.processed - 1)
        if limits.reserve_blocks == 0:
            grow_at[(r.blocks * limits.block_tokens - r.processed + 1) % limits.block_tokens] += 1
    return most


@compiled
def land_all(
    state: State,
    limits: Limits,
    split: tuple[float, float],
    flight: int,
    done: int,
    shares: tuple[float, float],
) -> None:
    """Give every request of a decode batch the tokens and the energy of `done` iterations that end now.

    `shares` are the sums over the iterations of energy over weight, and of it times the iteration's number.
    """
    size = state.flights[flight].members
    for i in range(size):
        r = state.requests[state.members[flight, i]]
        r.decode_j += shares[0] * (split[0] + split[1] * (r.processed + 1)) + split[1] * shares[1]
        r.processed += done
        if limits.reserve_blocks == 0:
            # the blocks of iterations 2..done; the one after takes its own when it is formed
            blocks = max(r.blocks, blocks_for(r.processed - 1, limits))
            if limits.cache == OFF:
                r.blocks = blocks
            else:
                # all are taken before any is asked for, so it does not matter who took which
                slot = state.members[flight, i]
                if blocks > r.blocks:
                    take(state, limits, slot, blocks - r.blocks)
                if (r.processed - done) // limits.block_tokens < (r.processed - 1) // limits.block_tokens:
                    fill(state, limits, slot, r.processed - done, r.processed - 1)


@compiled
def run_decodes(
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
    stop_at: float,
) -> int:
    """Go through the iterations of the decode batch in `flight` that end before `stop_at`, but for its last one.

    Its blocks for the first iteration are taken; in every iteration each request gains one token, so the first
    completion and the iterations in which blocks are needed are known beforehand.

    Returns
    -------
    int
        Iterations done; the batch is then as it would be at the next formation (blocks not yet taken if > 0).
    """
    grow_at = np.zeros(limits.block_tokens, np.int64)
    most = known_ahead(state, limits, flight, grow_at)
    first: Any = np.int64(0)  # a literal would have `decode_on` compiled once more
    batch = state.flights[flight].members, context, first, most
    done, share, share_step = decode_on(
        state, limits, tables, law, split, gpus, batch, grow_at, bins, begins_at, width_s, stop_at
    )
    if done > 0:
        land_all(state, limits, split, flight, done, (share, share_step))
    return done


@compiled
def decode_on(
    state: State,
    limits: Limits,
    tables: StageTables,
    law: PowerLaw,
    split: tuple[float, float],
    gpus: int,
    batch: tuple[int, int, int, int],
    grow_at: NDArray[np.int64],
    bins: NDArray[np.float64],
    begins_at: float,
    width_s: float,
    stop_at: float,
) -> tuple[int, float, float]:
    """Go through iterations of an unchanging decode batch that end before `stop_at`; who gets them is not looked at.

    Parameters
    ----------
    state, limits, tables, law, split, gpus, bins, begins_at, width_s
        See `loop.advance`.
    batch
        Its size, the sum of its contexts (tokens), the number of the next iteration, and the most iterations.
    grow_at
        Blocks that iterations take, by the remainder of their number; the first one has taken its own.
    stop_at
        s.

    Returns
    -------
    tuple
        Iterations done; and sums over them of energy over weight, and of that times the iteration's number from 0 on.
    """
    c = state.counters[0]
    size, context, number, most = batch
    done = 0
    share, share_step = 0.0, 0.0  # sums of energy / weight, and of it times the iteration's number
    energy_j, busy_s, flops_sum, bytes_sum = 0.0, 0.0, 0.0, 0.0
    used, began = 0, c.now
    constants, rates = stage_constants(tables, law, True, size, size), stage_rates(tables)
    cell = -1
    # many at once, where nobody looks at each and blocks suffice whatever happens
    roomy = limits.reserve_blocks > 0 or c.free_blocks > size * (most // limits.block_tokens + 1)
    try_at = 0 if roomy and c.log_on == 0 and len(bins) == 1 else most
    while done < most:
        if tables.mode != LOOKUP:
            cell = cell_of(tables.decode_kv, context / size, cell)
        attention_s, growth_s = on_line(tables, size, context, cell)
        if done >= try_at and most - done >= SHORTEST:
            straight = straight_for(tables, cell, size, context)
            n, first_s, stretch_j, per_weight, stepped, read = stretch(
                law, constants, rates, split, size, context, (attention_s, growth_s),
                (min(straight, most - done), stop_at - c.now),
            )  # fmt: skip
            if n == 0:
                try_at = done + min(straight, SHORTEST)
            else:
                lasted_s = lasting_s(first_s, growth_s, n)
                taken, taken_s = blocks_on_the_way(grow_at, number + done, done == 0, n, first_s, growth_s)
                c.kv_block_s += (limits.total_blocks - c.free_blocks + used) * lasted_s + taken_s
                used += taken
                share += per_weight * gpus
                share_step += (stepped + done * per_weight) * gpus
                energy_j += stretch_j * gpus
                busy_s += lasted_s
                flops_sum += (constants[1] * n + rates[0] * read) * gpus
                bytes_sum += (constants[2] * n + rates[1] * read) * gpus
                c.batches += n
                began = c.now + lasting_s(first_s, growth_s, n - 1)
                c.now += lasted_s
                context += n * size
                done += n
                continue
        if done > 0:
            blocks = grow_at[(number + done) % limits.block_tokens]
            if c.free_blocks - used - blocks < 1:
                break  # somebody may have to be evicted: the policy decides
        else:
            blocks = 0
        cached = context + size
        cost = stage_cost(law, constants, rates, attention_s, float(cached), cached)
        seconds, mfu, mbu, watts = cost
        ends_at = c.now + seconds
        if ends_at >= stop_at or (c.log_on == 1 and c.logged >= len(state.log)):
            break
        used += blocks
        flops_per_s = mfu * tables.peak_flops * gpus
        bytes_per_s = mbu * tables.peak_bytes * gpus
        joules = watts * gpus * seconds
        weight = split[0] * size + split[1] * cached
        per_weight = joules / weight
        share += per_weight
        share_step += per_weight * done
        energy_j += joules
        if len(bins) == 1:
            busy_s += seconds
            flops_sum += flops_per_s * seconds
            bytes_sum += bytes_per_s * seconds
        else:
            meter(bins, begins_at, width_s, (c.now, ends_at, 0.0, watts * gpus, flops_per_s, bytes_per_s))
        if c.log_on == 1:
            take_arrivals(state)  # those who wait behind a blocked queue, for the record
            c.free_blocks -= used
            log_iteration(state, limits, 0, c.now, (size, size, 0, size), cost)
            c.free_blocks += used
        c.kv_block_s += (limits.total_blocks - c.free_blocks + used) * seconds
        c.batches += 1
        began = c.now
        c.now = ends_at
        context += size
        done += 1
    if done == 0:
        return 0, 0.0, 0.0
    if len(bins) == 1:
        bins[0, DECODE_J] += energy_j
        bins[0, BUSY_S] += busy_s
        bins[0, FLOPS] += flops_sum
        bins[0, BYTES] += bytes_sum
    c.formed_at = began
    if limits.cache == OFF:
        c.free_blocks -= used
    c.attributed_j += energy_j
    c.landed_at = c.now
    c.landed = 0
    c.decode_tokens += done * size
    c.batch_sizes += done * size
    state.stage_free_at[0] = c.now
    return done, share, share_step
