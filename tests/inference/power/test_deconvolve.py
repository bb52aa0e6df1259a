"""Power from readings that average over a second: edges and plateaus of a square wave come back."""

from __future__ import annotations

import numpy as np
import pytest

from simulators.inference.power.deconvolve import deconvolved

from .server_logs import Wave

WAVE = Wave([5.03, 7.43, 10.01, 10.61, 15.0, 22.2], [115, 480, 115, 650, 115, 300, 115])
"""Plateaus of 2.4 to 7.2 s, and a burst of 0.6 s."""
RNG = np.random.default_rng(1)
SAMPLED = {
    "10 Hz": np.arange(0.0, 30.0, 0.1),
    "4 Hz": np.arange(0.0, 30.0, 0.25),
    "irregularly": np.sort(RNG.uniform(0.0, 30.0, 200)),
}


@pytest.mark.parametrize("noise_w", [0.0, 2.0])
@pytest.mark.parametrize("name", SAMPLED)
def test_edges_within_a_cell_and_plateaus_within_one_per_cent(name: str, noise_w: float):
    """Edges to 0.1 s, plateaus of 2 s and more to 1 % or 3 W; the readings themselves are 90 W off on average."""
    at_s = SAMPLED[name]
    readings = WAVE.averaged(at_s) + noise_w * np.random.default_rng(7).standard_normal(len(at_s))
    edges, power = deconvolved(at_s, readings)
    for k, edge in enumerate(WAVE.edges):
        before, after = WAVE.levels[k], WAVE.levels[k + 1]
        crossed = np.flatnonzero(np.diff(np.sign((power - (before + after) / 2) * (after - before))) > 0)
        assert np.abs(edges[1:][crossed] - edge).min() <= 0.1, (name, edge)
    for begin, end, level in zip(WAVE.edges[:-1], WAVE.edges[1:], WAVE.levels[1:-1], strict=True):
        if end - begin > 1:
            inside = (edges[:-1] > begin + 0.15) & (edges[1:] < end - 0.15)
            assert power[inside].mean() == pytest.approx(level, rel=0.01, abs=3.0)
    truth = np.diff(WAVE.joules(edges)) / np.diff(edges)
    raw = np.interp((edges[1:] + edges[:-1]) / 2, at_s, readings)
    assert np.sqrt(np.mean((power - truth) ** 2)) < 0.25 * np.sqrt(np.mean((raw - truth) ** 2))


def test_energy_is_kept_and_nothing_is_negative():
    wave = Wave([4.0, 4.5, 9.0], [0.0, 700.0, 0.0, 350.0])
    at_s = np.arange(0.0, 14.0, 0.1)
    edges, power = deconvolved(at_s, wave.averaged(at_s))
    assert power.min() >= 0
    assert (power * np.diff(edges)).sum() == pytest.approx(np.diff(wave.joules(edges[[0, -1]]))[0], rel=0.01)


def test_one_reading_and_slow_readings_are_taken_as_they_are():
    edges, power = deconvolved(np.array([3.0]), np.array([200.0]))
    assert power == pytest.approx(np.full(len(edges) - 1, 200.0))
    at_s = np.arange(0.0, 60.0, 5.0)
    edges, power = deconvolved(at_s, np.where(at_s < 30, 100.0, 400.0))
    assert power[edges[:-1] < 24].mean() == pytest.approx(100.0, abs=3.0)
    assert power[edges[:-1] > 31].mean() == pytest.approx(400.0, abs=3.0)


def test_an_hour_at_ten_readings_a_second_takes_seconds():
    at_s = np.arange(0.0, 3600.0, 0.1)
    edges, power = deconvolved(at_s, np.where(at_s % 600 < 300, 120.0, 500.0))
    assert len(power) == len(edges) - 1 == 36_009
