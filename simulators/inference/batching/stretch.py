"""Many iterations of an unchanging decode batch at once, by closed forms.

Within a cell of the attention table an iteration's duration grows in a straight line with its number, so the time of n
iterations, and how many fit before a given instant, have closed forms. Energy is a smooth function of the number; sums
of it over n iterations are taken by the Gauss rule of the sum itself (nodes are the zeros of the discrete Chebyshev
polynomials; exact for polynomials of degree 9 with five nodes). A stretch is cut short enough for the remainder: no
context grows by more than half, no duration by more than half, and no power crosses the bend of its law by more than
`BEND_SPAN` bends. The nearest pole of what is summed then lies at five half-lengths from the middle (five bends from
the axis, seen from a stretch), so what is neglected is below 1e-9 of the sum (G. Dahlquist, A. Bjoerck, Numerical
Methods in Scientific Computing I, SIAM 2008, section 5.3, for the bound on an ellipse).
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from simulators.inference.batching.cost import stage_cost
from simulators.inference.compiled import compiled
from simulators.inference.power.law import ACTIVE_W, BEND_W, CACHED_J, CONSTANT, ENERGY, MFU, PAIR_J, PowerLaw
from simulators.inference.timing.tables import LOOKUP, StageTables

SHORTEST = 12
"""Iterations from which on a stretch is quicker than one after the other."""
BEND_SPAN = 1.5
"""Bends of the power law that the power may cross in a stretch."""
OUT_OF_BEND = 40.0
"""Bends from the limit at which `below_limit_w` is a straight line."""
WELL_BELOW = 0.999
"""Share of a cap below which no clock is lowered, whatever rounding does."""

Constants = tuple[float, float, float, float, float]


@compiled
def straight_for(tables: StageTables, cell: int, decodes: int, context: int) -> int:
    """For how many iterations, the one at that sum of contexts being the first, attention is a straight line."""
    if tables.mode == LOOKUP:
        mean = context // decodes
        k = (mean + tables.kv_step - 1) // tables.kv_step
        return int(k * tables.kv_step - mean + 1)
    if cell == len(tables.decode_kv) - 2:
        return int(np.iinfo(np.int32).max)
    return int(max(1, math.ceil(tables.decode_kv[cell + 1] - context / decodes)))


@compiled
def lasting_s(first_s: float, growth_s: float, n: int) -> float:
    """Time of `n` iterations of which the first takes `first_s` and each further one `growth_s` more, s."""
    return n * first_s + growth_s * (0.5 * n * (n - 1))


@compiled
def ending_before(first_s: float, growth_s: float, left_s: float, most: int) -> int:
    """How many of at most `most` such iterations end before `left_s` from now."""
    if lasting_s(first_s, growth_s, most) < left_s:
        return most
    # the root of the parabola, in the form that does not cancel
    half = first_s - 0.5 * growth_s
    root = 2.0 * left_s / (half + math.sqrt(max(0.0, half * half + 2.0 * growth_s * left_s)))
    n = min(most, max(0, int(root)))
    while n < most and lasting_s(first_s, growth_s, n + 1) < left_s:
        n += 1
    while n > 0 and lasting_s(first_s, growth_s, n) >= left_s:
        n -= 1
    return n


@compiled
def blocks_on_the_way(
    grow_at: NDArray[np.int64], number: int, first: bool, n: int, first_s: float, growth_s: float
) -> tuple[int, float]:
    """Blocks taken in `n` iterations from `number` on, and those times how long each is held until their end, s.

    `grow_at` has the blocks that iterations take, by their number's remainder; the very `first` has taken its own
    before.
    """
    taken, taken_s = 0, 0.0
    period = len(grow_at)
    lasted_s = lasting_s(first_s, growth_s, n)
    for remainder in range(period):
        blocks = grow_at[remainder]
        if blocks > 0:
            at = (remainder - number) % period
            if first and at == 0:
                at = period
            while at < n:
                taken += blocks
                taken_s += blocks * (lasted_s - lasting_s(first_s, growth_s, at))
                at += period
    return taken, taken_s


@compiled
def rule(n: int) -> tuple[float, float, float, float, float]:
    """Five nodes (0 and two pairs, from the middle) and three weights of the sum over n points at distance 1."""
    n2 = float(n) * float(n)
    b1, b2, b3, b4 = (n2 - 1.0) / 12.0, (n2 - 4.0) / 15.0, 9.0 * (n2 - 9.0) / 140.0, 4.0 * (n2 - 16.0) / 63.0
    total, product = b1 + b2 + b3 + b4, b1 * b3 + b1 * b4 + b2 * b4
    root = math.sqrt(total * total - 4.0 * product)
    far2, near2 = 0.5 * (total + root), product / (0.5 * (total + root))
    second = n * (n2 - 1.0) / 12.0  # sums of the squares and fourth powers of the n points
    fourth = n * (n2 - 1.0) * (3.0 * n2 - 7.0) / 240.0
    far = 0.5 * (fourth - near2 * second) / (far2 * (far2 - near2))
    near = 0.5 * (second - 2.0 * far * far2) / near2
    return math.sqrt(near2), math.sqrt(far2), n - 2.0 * (near + far), near, far


@compiled
def in_bends(law: PowerLaw, joules: float, seconds: float) -> float:
    """How far beyond its limit an `ENERGY` law's power would be, in bends of the law."""
    return (law.idle_w + law.parameters[ACTIVE_W] + joules / seconds - law.limit_w) / law.parameters[BEND_W]


@compiled
def is_smooth(
    law: PowerLaw,
    constants: Constants,
    first: tuple[float, float, float, float],
    last: tuple[float, float, float, float],
    cached: tuple[float, float],
) -> bool:
    """Whether power is smooth from a first to a last iteration, as far as the rule needs it.

    Parameters
    ----------
    law, constants
        The power law; `stage_constants` of the batch.
    first, last
        `stage_cost` of the two: between them MFU and power rise or fall throughout.
    cached
        Tokens of context read by the two.
    """
    if max(first[3], last[3]) > WELL_BELOW * law.cap_w or law.clock < 1.0:
        return False
    if law.kind == CONSTANT:
        return True
    if law.kind == MFU:
        saturation = law.parameters[0]
        return (first[1] < saturation) == (last[1] < saturation)
    if law.kind != ENERGY or min(first[3], last[3]) <= law.idle_w:
        return False
    each_j = law.parameters[PAIR_J] + law.parameters[CACHED_J]
    one = in_bends(law, constants[4] + each_j * cached[0], first[0])
    other = in_bends(law, constants[4] + each_j * cached[1], last[0])
    return abs(one - other) <= BEND_SPAN or max(one, other) < -OUT_OF_BEND or min(one, other) > OUT_OF_BEND


@compiled
def stretch(
    law: PowerLaw,
    constants: Constants,
    rates: tuple[float, float, float, float],
    split: tuple[float, float],
    size: int,
    context: int,
    attention: tuple[float, float],
    limits: tuple[int, float],
) -> tuple[int, float, float, float, float, float]:
    """As many iterations as can be taken at once, from the one of that context on.

    Parameters
    ----------
    law, constants, rates
        The power law; `stage_constants` of the batch, `stage_rates` of the stage.
    split
        Weights (per token, per token pair) by which a batch's energy is split among its requests.
    size, context
        Requests in the batch, and the sum of their contexts in the first iteration, tokens.
    attention
        Of the first iteration, and by how much it grows from one to the next, s.
    limits
        The most iterations; time from now before which they must end, s.

    Returns
    -------
    tuple
        Iterations (0: too few, or no smooth stretch); duration of the first, s; and sums over them, per GPU: energy, J,
        energy over weight, the same times the iteration's number from 0 on, tokens of context read.
    """
    refused = (0, 0.0, 0.0, 0.0, 0.0, 0.0)
    cached = float(context + size)
    first = stage_cost(law, constants, rates, attention[0], cached, cached)
    most = min(limits[0], int(0.5 * cached / size))
    if attention[1] != 0.0:
        most = min(most, int(0.5 * first[0] / abs(attention[1])))
    n = ending_before(first[0], attention[1], limits[1], most) if most >= SHORTEST else 0
    if n < SHORTEST:
        return refused
    last_s, last_cached = attention[0] + (n - 1) * attention[1], cached + (n - 1) * size
    if attention[1] != 0.0 and min(attention[0], last_s) <= 0.0:
        return refused  # continued below the tables, the line would go below 0: there it is level
    last = stage_cost(law, constants, rates, last_s, last_cached, last_cached)
    if not is_smooth(law, constants, first, last, (cached, last_cached)):
        return refused
    near, far, middle_weight, near_weight, far_weight = rule(n)
    middle = 0.5 * (n - 1)
    energy_j, per_weight, stepped = 0.0, 0.0, 0.0
    for node in range(5):
        apart = 0.0 if node == 0 else (near if node < 3 else far)
        counts = middle_weight if node == 0 else (near_weight if node < 3 else far_weight)
        k = middle + (apart if node % 2 else -apart)
        read = cached + k * size
        cost = stage_cost(law, constants, rates, attention[0] + k * attention[1], read, read)
        joules = counts * cost[3] * cost[0]
        each = joules / (split[0] * size + split[1] * read)
        energy_j += joules
        per_weight += each
        stepped += each * k
    return n, first[0], energy_j, per_weight, stepped, n * (cached + middle * size)
