"""Kernel tables: iterations by the roofline beside the same iterations of measured kernels."""

from __future__ import annotations

import numpy as np

from simulators.errors import InputError
from tests.benchmarks.roofline_fit import CASES, measured, predicted
from tests.benchmarks.truth.row import Row, row


def rows() -> list[Row]:
    """One line over all models and GPUs that the roofline's factors were fitted to, and one per GPU."""
    found: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {}
    for case in CASES:
        try:
            found.setdefault(case[1], []).append((predicted(*case), measured(*case)))
        except InputError:
            continue  # not in the tables installed here
    lines = []
    for name, pairs in found.items():
        ours, theirs = (np.concatenate(part) for part in zip(*pairs, strict=True))
        lines.append(
            row("aiconfigurator kernels", "iteration time by the roofline [s]", name, ours, theirs,
                note="the factors were fitted to these, one set for all GPUs")
        )  # fmt: skip
    return lines
