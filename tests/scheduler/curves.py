"""A made-up replica whose power and latency are straight lines, so that results can be worked out by hand."""

from __future__ import annotations

from typing import Any

import numpy as np

from simulators.quantities.facts import SiteFacts
from simulators.quantities.load_curve import LoadCurve, Mode

RATES = np.linspace(0.0, 10.0, 11)


def mode(clock: float, chunk: int = 4096) -> Mode:
    """1000 W and 100 W per request a second at full clock; a time per token of 10 ms per request a second over it."""
    return Mode(
        clock, chunk, RATES, (1000.0 + 100.0 * RATES) * clock, np.ones(11), 0.1 + 0.0 * RATES,
        0.010 * RATES / clock,
    )  # fmt: skip


def facts(**changes: Any) -> SiteFacts:
    """Four replicas in two servers; a target of 80 ms: 8 requests a second each at full clock, 4 at half."""
    given: dict[str, Any] = {
        "replicas": 4, "gpus": 16, "replicas_per_host": 2, "replica_off_w": 200.0, "wake_s": 60.0, "boot_s": 240.0,
        "host_w": 500.0, "host_busy_w": 0.0, "slo_ttft_s": 1.0, "slo_tpot_s": 0.08, "forecast_step_s": 900.0,
        "defer_window_s": 4 * 3600.0, "serve_s": 900.0, "end_s": 86_400.0, "arrivals_end_s": 86_400.0,
        "curve": LoadCurve((mode(1.0), mode(0.5))),
    }  # fmt: skip
    return SiteFacts(**(given | changes))
