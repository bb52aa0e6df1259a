"""What a power cap or a lower clock does to an iteration's duration and power.

A GPU that would draw more than its cap lowers the clock of its cores, not of its memory. The work of an iteration stays
the same, so at the relative clock f

    time(f)   = time(1) * (c / f + 1 - c)                      c: share of the time bound by arithmetic
    power(f)  = idle + (power(1) - idle) * V(f)^2 / (c / f + 1 - c)

because the energy of one switching event goes with the square of the voltage V (C V^2, e.g. Weste and Harris, CMOS
VLSI Design, 4th ed., section 5.2) and events per second with the work per second. V falls in a straight line with the
clock down to `VOLTAGE_FLOOR`. c follows from the roofline: arithmetic's share of what is used, comm excluded, which
no clock hurries.

Measured directions. Decoding on H200 draws less than any cap, so a cap leaves it alone (Ma et al. 2026,
arXiv:2605.11999). A six-GPU sweep of a 350 W card (LLM Garage, February 2026, llama.cpp) at 200 W, 57 % of the limit,
keeps 60 % of prefill and 94 % of decode throughput. Decoding hardly slows when the clock falls (Maliakel et al. 2025,
arXiv:2501.08219: 1-6 % at 6 % of it)."""

from __future__ import annotations

import math

from simulators.errors import InputError
from simulators.inference.compiled import compiled
from simulators.inference.power.law import PowerLaw

VOLTAGE_FLOOR = 0.65
"""Core voltage at clock 0 of the straight line, relative to full clock. An assumption within what core voltages of
recent NVIDIA GPUs suggest (about 0.7 to 1.05 V over the usable range); checked against the sweep above, see
`power_accuracy.py`."""
LOWEST_CLOCK = 345.0 / 1980.0
"""Relative clock below which no cap pushes an H100: its idle clock over its boost clock, both read in the parking-tax
measurements (gpu-parking-tax, March 2026)."""
_HALVINGS = 50


def check_cap(law: PowerLaw, cap_w: float) -> float:
    """`cap_w` itself, if a GPU with this law can keep it.

    Raises
    ------
    InputError
        If it is no number or not above the power of an idle GPU.
    """
    if math.isnan(cap_w) or cap_w <= law.idle_w:
        raise InputError(
            f"power cap: {cap_w:g} W is not above the {law.idle_w:g} W an idle GPU draws; "
            f"expected up to {law.limit_w:g} W"
        )
    return cap_w


def check_clock(clock: float) -> float:
    """`clock` itself, if a GPU can run at it.

    Raises
    ------
    InputError
        If it is no relative clock between `LOWEST_CLOCK` and 1.
    """
    if not LOWEST_CLOCK <= clock <= 1.0:
        raise InputError(
            f"clock limit: {clock:g} of full clock given, expected {LOWEST_CLOCK:.3f} (the idle clock) to 1"
        )
    return clock


@compiled
def compute_share(mfu: float, mbu: float, comm: float) -> float:
    """Share of an iteration bound by the core clock, 1."""
    used = mfu + mbu
    if used <= 0.0:
        return 0.0
    return float(max(0.0, 1.0 - comm) * mfu / used)


@compiled
def at_clock(law: PowerLaw, clock: float, dt_s: float, watts: float, bound: float) -> tuple[float, float]:
    """Duration (s) and mean power (W) of an iteration at the relative clock `clock`, 0 < clock <= 1.

    Parameters
    ----------
    law
        The GPU's law.
    dt_s, watts
        Duration (s) and power (W) at full clock; at 1 they come back unchanged, bit for bit.
    bound
        Share of the time bound by the clock: `compute_share`.
    """
    if clock >= 1.0:
        return dt_s, watts
    stretch = bound / clock + 1.0 - bound
    voltage = VOLTAGE_FLOOR + (1.0 - VOLTAGE_FLOOR) * clock
    dynamic = max(watts - law.idle_w, 0.0)
    return dt_s * stretch, min(watts, law.idle_w) + dynamic * voltage * voltage / stretch


@compiled
def capped(
    law: PowerLaw, cap_w: float, dt_s: float, watts: float, bound: float, clock: float = 1.0
) -> tuple[float, float]:
    """Duration (s) and mean power (W) of an iteration under a cap, the clock being at most `clock` (relative).

    Below the cap (and with `cap_w` infinite) they are those without, at full clock bit for bit. Above it the clock
    falls until the power meets the cap; a cap that `LOWEST_CLOCK` cannot meet is overshot, as it is on the device.
    Parameters as in `at_clock`.
    """
    duration, drawn = at_clock(law, clock, dt_s, watts, bound)
    if drawn <= cap_w:
        return duration, drawn
    low, high = LOWEST_CLOCK, clock
    slowest = at_clock(law, low, dt_s, watts, bound)
    if slowest[1] >= cap_w:
        return slowest
    for _ in range(_HALVINGS):
        middle = 0.5 * (low + high)
        if at_clock(law, middle, dt_s, watts, bound)[1] > cap_w:
            high = middle
        else:
            low = middle
    return at_clock(law, low, dt_s, watts, bound)
