"""Constructors of the power laws."""

from __future__ import annotations

import numpy as np

from simulators.inference.power.law import CONSTANT, MFU, PowerLaw

_NONE = np.zeros(0)


def mfu_law(idle_w: float, max_w: float, saturation: float = 0.45, exponent: float = 0.7) -> PowerLaw:
    """P = idle + (max - idle) * min(1, (MFU / saturation) ** exponent), arXiv 2507.11417."""
    return PowerLaw(MFU, idle_w, max_w, np.array([saturation, exponent]), _NONE, _NONE)


def constant_law(idle_w: float, busy_w: float) -> PowerLaw:
    """`busy_w` while anything runs, `idle_w` otherwise."""
    return PowerLaw(CONSTANT, idle_w, max(idle_w, busy_w), np.array([busy_w]), _NONE, _NONE)
