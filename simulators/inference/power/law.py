"""What a GPU draws: one compiled function for every power law.

A law is a kind and a few numbers, so the batch loop can carry it in arrays. `busy_power_w` is called once per
iteration; idle states are constants of the law."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from simulators.inference.compiled import compiled

FloatArray = NDArray[np.float64]

CONSTANT, MFU, ENERGY, TABLE = 0, 1, 2, 3


Parameters = tuple[float, float, float, float, float]
"""Numbers of a law, unused ones 0; a tuple, because the loop reads scalars faster than arrays."""
BEND_W, ACTIVE_W, SEQUENCE_J, PAIR_J, CACHED_J = range(5)
"""What an `ENERGY` law's parameters are, by position."""


class PowerLaw(NamedTuple):
    """A GPU's power in W while an iteration runs.

    It has two arrays and no more: each further one costs the batch loop a tenth of its speed.

    Attributes
    ----------
    kind
        `CONSTANT`, `MFU`, `ENERGY` or `TABLE`.
    idle_w
        Drawn while a model is loaded and no iteration runs, W.
    limit_w
        Never exceeded, W.
    parameters
        Numbers of the law, in the order its constructor in `laws.py` documents; of `ENERGY` the properties below.
    curve_x
        `TABLE` only: ascending utilisation; else empty.
    curve
        `TABLE`: power at those, W. `ENERGY`: `curve[n]` is the energy above idle and `active_w` of an iteration of `n`
        tokens, J, continued in a straight line. Else empty.
    cap_w
        What an operator allows the GPU to draw, W; it lowers its clock to keep it (`cap.py`). inf: no cap.
    clock
        Highest clock an operator allows, relative to full clock, 1.
    """

    kind: int
    idle_w: float
    limit_w: float
    parameters: Parameters
    curve_x: FloatArray
    curve: FloatArray
    cap_w: float = math.inf
    clock: float = 1.0

    @property
    def active_w(self) -> float:
        """`ENERGY`: drawn above idle while kernels run, W; 0 for other laws."""
        return self.parameters[ACTIVE_W] if self.kind == ENERGY else 0.0

    @property
    def tokens_j(self) -> FloatArray:
        """`ENERGY`: its curve, J."""
        return self.curve

    @property
    def sequence_j(self) -> float:
        """`ENERGY`: energy per sequence of an iteration, J."""
        return self.parameters[SEQUENCE_J]

    @property
    def pair_j(self) -> float:
        """`ENERGY`: energy per pair of query and visible token, J."""
        return self.parameters[PAIR_J]

    @property
    def cached_j(self) -> float:
        """`ENERGY`: energy per token of context read, J."""
        return self.parameters[CACHED_J]


@compiled
def _on_curve(law: PowerLaw, utilisation: float) -> float:
    """A user's curve between its points, W. Apart, so that what calls it stays small enough to be inlined."""
    return float(np.interp(utilisation, law.curve_x, law.curve))


@compiled
def below_limit_w(watts: float, limit_w: float, bend_w: float) -> float:
    """A smooth minimum of `watts` and the limit; far from it the correction is exp(-distance / bend)."""
    beyond = (watts - limit_w) / bend_w
    if beyond > 40.0:  # further away it is less than the last digit
        return limit_w
    if beyond > -40.0:
        watts -= bend_w * math.log1p(math.exp(beyond))
    return watts


@compiled
def busy_power_w(law: PowerLaw, mfu: float, mbu: float, above_idle_w: float) -> float:
    """Power while an iteration runs at full clock and without a cap, W.

    Parameters
    ----------
    law
        The GPU's law.
    mfu, mbu
        Achieved FLOP/s and memory traffic over the peaks, 1.
    above_idle_w
        `ENERGY`: the iteration's energy above idle over its duration, W; see `terms`.

    Notes
    -----
    `ENERGY` is bent smoothly below the limit: measured averages come within 1-4 % of it, not onto it. `TABLE` reads the
    user's curve at the busier of compute and memory, as utilisation counters of a GPU do.
    """
    if law.kind == ENERGY:
        watts = max(below_limit_w(law.idle_w + above_idle_w, law.limit_w, law.parameters[BEND_W]), law.idle_w)
    elif law.kind == MFU:
        saturation = law.parameters[0]
        exponent = law.parameters[1]
        watts = law.idle_w + (law.limit_w - law.idle_w) * min(1.0, (mfu / saturation) ** exponent)
    elif law.kind == TABLE:
        watts = _on_curve(law, max(mfu, mbu))
    else:
        watts = law.parameters[0]
    return float(min(watts, law.limit_w))
