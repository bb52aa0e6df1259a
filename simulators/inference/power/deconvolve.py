"""What a GPU drew, from readings that are averages of the second before.

NVML's `power.draw` (and DCGM's field 155) is a trailing mean over 1 s on Ampere and newer, except on GA100: an edge of
the load arrives as a ramp of one second, and a short burst is flattened. The readings are unfolded: power is sought
that is constant within cells of a tenth of the average, gives the readings when averaged, is nowhere negative, and
changes as little as it may in total (total variation), which picks flat stretches with steep edges among the answers
that fit.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solveh_banded

FloatArray = NDArray[np.float64]

WINDOW_S = 1.0
CELLS_PER_WINDOW = 10
NOISE_W = 2.0
"""How far a reading may be off, W: rounding of 1 W on some boards, and load that flickers within a cell."""
STIFFNESS = 3.0
"""Weight of the total variation, in units of 1 / `NOISE_W`. A plateau of n readings is pulled towards its neighbours by
about `STIFFNESS` x `NOISE_W` / n."""
ROUNDS = 40
_SMALLEST_STEP_W = 0.5
_KEEP_OUT = 1e3


def deconvolved(
    at_s: FloatArray, watts: FloatArray, window_s: float = WINDOW_S
) -> tuple[FloatArray, FloatArray]:
    """Power in cells of time from readings that average the `window_s` before them.

    Parameters
    ----------
    at_s
        When each reading was taken, ascending, s; the steps may differ.
    watts
        The readings, W.
    window_s
        What a reading averages over, s.

    Returns
    -------
    edges_s, power_w
        Cells and the power within each; one more edge than cells. They begin one window before the first reading.

    Examples
    --------
    >>> edges, power = deconvolved(np.arange(0.0, 3.0, 0.1), np.full(30, 120.0))
    >>> len(edges) - len(power), power.round().min(), power.round().max()
    (1, np.float64(120.0), np.float64(120.0))
    """
    cell_s = window_s / CELLS_PER_WINDOW
    cells = max(1, int(np.ceil((at_s[-1] - at_s[0]) / cell_s - 1e-9)) + CELLS_PER_WINDOW)
    edges = at_s[-1] - cell_s * np.arange(cells, -1, -1)
    normal, right = _normal_equations(at_s, watts, edges, window_s)
    power = np.full(cells, float(watts.mean()))
    for _ in range(ROUNDS):
        banded = normal / NOISE_W**2
        pull = STIFFNESS / NOISE_W / np.hypot(np.diff(power), _SMALLEST_STEP_W)
        banded[-1, :-1] += pull
        banded[-1, 1:] += pull
        banded[-2, 1:] -= pull
        banded[-1] += np.where(power < 0, _KEEP_OUT, 0.0)
        before, power = power, solveh_banded(banded, right / NOISE_W**2)
        if np.abs(power - before).max() < 0.01:
            break
    return edges, np.maximum(power, 0.0)


def _normal_equations(
    at_s: FloatArray, watts: FloatArray, edges: FloatArray, window_s: float
) -> tuple[FloatArray, FloatArray]:
    """A'A in upper banded form and A'y of the averages A over the cells between `edges`."""
    cell_s, cells = edges[1] - edges[0], len(edges) - 1
    width = CELLS_PER_WINDOW + 2  # cells a window can touch
    first = np.clip(np.floor((at_s - window_s - edges[0]) / cell_s + 1e-9).astype(int), 0, None)
    numbers = first[:, None] + np.arange(width)
    begin = edges[0] + cell_s * numbers
    overlap = np.minimum(begin + cell_s, at_s[:, None]) - np.maximum(begin, at_s[:, None] - window_s)
    share = np.where(numbers < cells, np.clip(overlap, 0.0, None), 0.0) / window_s
    numbers = np.minimum(numbers, cells - 1)
    normal = np.zeros((width, cells))
    for i in range(width):
        for j in range(i, width):
            np.add.at(normal[width - 1 - (j - i)], numbers[:, j], share[:, i] * share[:, j])
    right = np.zeros(cells)
    np.add.at(right, numbers.ravel(), (share * watts[:, None]).ravel())
    return normal, right
