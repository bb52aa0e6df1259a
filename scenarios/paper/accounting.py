"""The published formulas, faults included, beside the right ones."""

from __future__ import annotations

from scenarios.paper.published import EMBODIED_KG, IDLE_W, MAX_W, PUE
from simulators.datacenter.embodied import amortised_kg
from simulators.inference.power.laws import EXPONENT, SATURATION

HOUR_S = 3600.0


def published_power_w(mfu: float) -> float:
    """The published law, W, for whatever number it is given."""
    return float(IDLE_W + (MAX_W - IDLE_W) * min(1.0, (mfu / SATURATION) ** EXPONENT))


def published_energy_kwh(makespan_s: float, gpus: int, mfu_percent: float) -> float:
    """Total energy as published: the law receives MFU in percent where it expects a ratio.

    Every MFU above 0.45 % therefore counts as full load, and the energy is hours * 400 W * GPUs * PUE.
    """
    return published_power_w(mfu_percent) * makespan_s * gpus * PUE / 3.6e6


def energy_kwh(power_w: float, makespan_s: float, gpus: int) -> float:
    """Total energy: mean power of a GPU over the makespan, idle times included, kWh at the meter."""
    return power_w * makespan_s * gpus * PUE / 3.6e6


def published_embodied_kg(gpus: int, span_s: float) -> float:
    """Embodied carbon as published: a whole GPU for every GPU-hour, kgCO2eq."""
    return EMBODIED_KG * gpus * span_s / HOUR_S


def embodied_kg(gpus: int, span_s: float) -> float:
    """Embodied carbon spread over six years of service, kgCO2eq."""
    return amortised_kg(EMBODIED_KG, gpus, span_s)
