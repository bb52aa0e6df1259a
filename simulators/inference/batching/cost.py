"""Time, work and power of one iteration, read from the tables."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from simulators.inference.batching.state import State
from simulators.inference.compiled import compiled, inlined
from simulators.inference.power.cap import capped, compute_share
from simulators.inference.power.law import (
    ACTIVE_W,
    CACHED_J,
    ENERGY,
    PAIR_J,
    SEQUENCE_J,
    PowerLaw,
    busy_power_w,
)
from simulators.inference.timing.tables import LOOKUP, MIXED, StageTables


@compiled
def _at(curve: NDArray[np.float64], n: int) -> float:
    """`curve[n]`, continued in a straight line beyond its end."""
    last = len(curve) - 1
    if n <= last:
        return float(curve[n])
    return float(curve[last] + (n - last) * (curve[last] - curve[last - 1]))


@compiled
def _cell(grid: NDArray[np.float64], x: float) -> int:
    """Index of the interval of an ascending grid that holds `x`; the outer ones reach to infinity."""
    low, high = 0, len(grid) - 2
    while low < high:
        middle = (low + high + 1) // 2
        if grid[middle] <= x:
            low = middle
        else:
            high = middle - 1
    return low


@compiled
def _bilinear(table: NDArray[np.float64], i: int, u: float, grid: NDArray[np.float64], y: float) -> float:
    """Between rows `i` and `i + 1` (fraction `u`) and columns of `grid` around `y`; linear beyond the ends."""
    k = _cell(grid, y)
    v = (y - grid[k]) / (grid[k + 1] - grid[k])
    low = table[i, k] + v * (table[i, k + 1] - table[i, k])
    high = table[i + 1, k] + v * (table[i + 1, k + 1] - table[i + 1, k])
    return float(max(0.0, low + u * (high - low)))


@compiled
def decode_attention_s(tables: StageTables, decodes: int, context: int) -> float:
    """Decode attention of `decodes` requests whose contexts sum to `context` tokens, s."""
    if decodes == 0:
        return 0.0
    rows = len(tables.decode_s) - 1
    if tables.mode == LOOKUP:
        step = tables.kv_step
        k = (context // decodes + step - 1) // step
        seconds = _at(tables.decode_s[min(decodes, rows)], k)
        return seconds * tables.shared_factor if decodes > 1 else seconds
    i = min(decodes, rows - 1)
    return _bilinear(tables.decode_s, i, float(decodes - i), tables.decode_kv, context / decodes)


@compiled
def mixed_attention_s(tables: StageTables, decodes: int, context: int, chunk: int) -> float:
    """The same beside a prompt chunk of `chunk` tokens, the longest of the batch (`tables.with_prompts`), s."""
    rows, columns = len(tables.decode_s) - 1, len(tables.decode_kv)
    i = min(decodes, rows - 1)
    beside = tables.decode_s[:, columns : 2 * columns]
    seconds = _bilinear(beside, i, float(decodes - i), tables.decode_kv, context / decodes)
    return seconds + float(chunk * tables.decode_s[min(decodes, rows), 2 * columns])


@compiled
def cell_of(grid: NDArray[np.float64], mean: float, cell: int) -> int:
    """The cell of an ascending grid that a mean context lies in, given one before or at it (-1: none is known)."""
    if cell < 0:
        return _cell(grid, mean)
    while cell < len(grid) - 2 and grid[cell + 1] <= mean:
        cell += 1
    return cell


@compiled
def on_line(tables: StageTables, decodes: int, context: int, cell: int) -> tuple[float, float]:
    """Decode attention of `decodes` requests whose contexts sum to `context`, s, and its growth by mean context, s.

    `cell` is that of the mean context in `tables.decode_kv`; in `LOOKUP` mode, which rounds contexts up, nothing asks.
    """
    rows = len(tables.decode_s) - 1
    if tables.mode == LOOKUP:
        k = (context // decodes + tables.kv_step - 1) // tables.kv_step
        seconds = _at(tables.decode_s[min(decodes, rows)], k)
        return seconds * tables.shared_factor if decodes > 1 else seconds, 0.0
    i = min(decodes, rows - 1)
    beyond = decodes - i
    low = tables.decode_s[i, cell] + beyond * (tables.decode_s[i + 1, cell] - tables.decode_s[i, cell])
    high = tables.decode_s[i, cell + 1]
    high += beyond * (tables.decode_s[i + 1, cell + 1] - high)
    start = tables.decode_kv[cell]
    growth = (high - low) / (tables.decode_kv[cell + 1] - start)
    return max(0.0, low + (context / decodes - start) * growth), growth


@compiled
def prefill_attention_s(
    tables: StageTables, prompts: int, squares: float, context: int, each_s: float
) -> float:
    """Prefill attention of a batch, s.

    Parameters
    ----------
    prompts
        Prompts with a chunk in the batch.
    squares
        `LOOKUP`: sum of the squared chunk lengths.
    context
        `LOOKUP`: sum of the cached lengths before the chunks, each rounded up to the tables' step.
    each_s
        `INTERPOLATE`: sum of `prompt_attention_s` over the chunks.
    """
    if prompts == 0:
        return 0.0
    if tables.mode == LOOKUP:
        chunk = round(np.sqrt(squares))
        k = context // tables.kv_step
        rows = len(tables.prefill_s) - 1
        seconds = _at(tables.prefill_s[min(chunk, rows)], k)
        if chunk > rows:  # attention grows with the square of the chunk
            seconds *= (chunk / rows) ** 2
        return seconds * tables.shared_factor if prompts > 1 else seconds
    return tables.prefill_floor_s + each_s


@compiled
def prompt_attention_s(tables: StageTables, chunk: int, cached: int) -> float:
    """`INTERPOLATE`: attention of one chunk after `cached` tokens, without the launch cost, s."""
    i = _cell(tables.prefill_chunk, float(chunk))
    u = (chunk - tables.prefill_chunk[i]) / (tables.prefill_chunk[i + 1] - tables.prefill_chunk[i])
    seconds = _bilinear(tables.prefill_s, i, u, tables.prefill_kv, float(cached))
    return max(0.0, seconds - tables.prefill_floor_s)


@inlined
def stage_constants(
    tables: StageTables, law: PowerLaw, last_stage: bool, tokens: int, sequences: int
) -> tuple[float, float, float, float, float]:
    """What a stage's iteration costs whatever the contexts.

    Parameters
    ----------
    tables
        The stage's tables.
    law
        The GPU's power law.
    last_stage
        Whether the stage samples (it does not send on).
    tokens, sequences
        Tokens and requests in the batch.

    Returns
    -------
    tuple
        Seconds, FLOP, bytes, seconds of communication, and (of an `ENERGY` law) the energy above idle and active, J.
    """
    seconds = _at(tables.token_s, tokens)
    seconds += _at(tables.sequence_s, sequences) if last_stage else _at(tables.send_s, tokens)
    joules, comm = 0.0, 0.0
    if law.kind == ENERGY:
        joules = _at(law.curve, tokens)
        if last_stage:
            joules += law.parameters[SEQUENCE_J] * sequences
    if law.cap_w < np.inf or law.clock < 1.0:  # nothing else asks for it
        comm = _at(tables.comm_s, tokens)
    return seconds, tables.flops_per_token * tokens, _at(tables.weight_bytes, tokens), comm, joules


@compiled
def stage_rates(tables: StageTables) -> tuple[float, float, float, float]:
    """What contexts add, FLOP per pair and bytes per cached token, and one over the peaks, s/FLOP and s/B."""
    return tables.flops_per_pair, tables.kv_bytes_per_token, 1.0 / tables.peak_flops, 1.0 / tables.peak_bytes


@compiled
def stage_cost(
    law: PowerLaw,
    constants: tuple[float, float, float, float, float],
    rates: tuple[float, float, float, float],
    attention_s: float,
    pairs: float,
    cached: float,
) -> tuple[float, float, float, float]:
    """Duration (s), MFU, MBU and power (W) of one stage of one iteration, per GPU.

    Parameters
    ----------
    law
        The GPU's power law, the cap and clock limit in force with it.
    constants, rates
        `stage_constants` of the batch, `stage_rates` of the stage.
    attention_s
        Decode and prefill attention together, s.
    pairs
        Sum of q * (q + cached) over the requests.
    cached
        Sum of q + cached over the requests: KV entries read.
    """
    seconds = constants[0] + attention_s
    per_second = 1.0 / seconds
    mfu = (constants[1] + rates[0] * pairs) * rates[2] * per_second
    mbu = (constants[2] + rates[1] * cached) * rates[3] * per_second
    above_idle_w = 0.0
    if law.kind == ENERGY:
        each = law.parameters
        joules = constants[4] + each[PAIR_J] * pairs + each[CACHED_J] * cached
        above_idle_w = each[ACTIVE_W] + joules * per_second
    watts = busy_power_w(law, mfu, mbu, above_idle_w)
    if watts > law.cap_w or law.clock < 1.0:
        bound = compute_share(mfu, mbu, constants[3] * per_second)
        lasted_s, watts = capped(law, law.cap_w, seconds, watts, bound, law.clock)
        stretch = lasted_s / seconds  # the same work at a lower clock
        return lasted_s, mfu / stretch, mbu / stretch, watts
    return seconds, mfu, mbu, watts


@inlined
def batch_work(state: State, tables: StageTables, flight: int) -> tuple[int, int, float, float, int]:
    """What the batch in `flight`, and the standing one beside it, ask of every stage.

    Also counts its prefills and decodes in the flight.

    Returns
    -------
    tuple
        Sum of the decoding contexts (tokens), cached tokens read, pairs, attention seconds, prefill tokens.
    """
    f = state.flights[flight]
    c = state.counters[0]
    context = c.context if c.beside > 0 else 0
    cached = c.beside + context
    pairs = float(cached)
    squares = 0.0
    prompt_context = 0
    each_s = 0.0
    prefill_tokens = 0
    longest = 0
    f.prefills = 0
    f.decodes = c.beside
    for i in range(f.members):
        r = state.requests[state.members[flight, i]]
        q = state.chunks[flight, i]
        cached += q + r.processed
        pairs += float(q) * float(q + r.processed)
        if r.prefilled == 1:
            f.decodes += 1
            context += r.processed
        else:
            f.prefills += 1
            prefill_tokens += q
            longest = max(longest, q)
            if tables.mode == LOOKUP:
                squares += float(q) * float(q)
                step = tables.kv_step
                prompt_context += (r.processed + step - 1) // step * step
            else:
                each_s += prompt_attention_s(tables, q, r.processed)
    if tables.mode == MIXED and f.decodes > 0 and f.prefills > 0:
        attention_s = mixed_attention_s(tables, f.decodes, context, longest)
    else:
        attention_s = decode_attention_s(tables, f.decodes, context)
    attention_s += prefill_attention_s(tables, f.prefills, squares, prompt_context, each_s)
    return context, cached, pairs, attention_s, prefill_tokens
