"""The flickermeter against the calibration tables of IEC 61000-4-15."""

import numpy as np
import pytest

from simulators.grid.studies.fast_flicker import LAMPS, PST_ONE, attenuation, long_term, sensation, severities

STEP_S = 0.0005
SETTLE_S = 30.0


def rectangular(per_minute: float, percent: float, seconds: float) -> np.ndarray:
    t = np.arange(round(seconds / STEP_S)) * STEP_S
    return 1.0 + percent / 200.0 * np.where(np.floor(t * per_minute / 60.0 + 1e-9) % 2, 1.0, -1.0)


@pytest.mark.parametrize(
    ("lamp", "per_minute", "percent"), [(lamp, *row) for lamp, rows in PST_ONE.items() for row in rows]
)
def test_rectangular_changes_of_the_standards_table_5_have_a_severity_of_one(lamp, per_minute, percent):
    seconds = 600.0 if per_minute < 39 else 120.0  # those repeat often enough in two minutes
    p_inst, step_s = sensation(rectangular(per_minute, percent, SETTLE_S + seconds), STEP_S, lamp)
    [p_st] = severities(p_inst[round(SETTLE_S / step_s) :], step_s)
    assert p_st == pytest.approx(1.0, abs=0.01)  # the standard asks for 5 %


@pytest.mark.parametrize(
    ("lamp", "hertz", "percent"),
    [  # tables 1a and 1b: sinusoidal changes, peak to peak, that are just seen
        *(("230V-50Hz", 0.5, 2.325), ("230V-50Hz", 8.8, 0.250), ("230V-50Hz", 25.0, 1.037)),
        *(("120V-60Hz", 0.5, 2.453), ("120V-60Hz", 8.8, 0.321), ("120V-60Hz", 25.0, 1.464)),
    ],
)
def test_sinusoidal_changes_of_tables_1_are_just_seen(lamp, hertz, percent):
    t = np.arange(round(60.0 / STEP_S)) * STEP_S
    p_inst, step_s = sensation(1.0 + percent / 200.0 * np.sin(2 * np.pi * hertz * t), STEP_S, lamp)
    assert p_inst[round(SETTLE_S / step_s) :].max() == pytest.approx(
        1.0, abs=0.08
    )  # what the standard allows


def test_severity_is_proportional_to_the_change_and_nothing_flickers_where_nothing_moves():
    p_inst, step_s = sensation(rectangular(110, 0.722 / 2, 100.0), STEP_S)
    assert severities(p_inst[60_000:], step_s)[0] == pytest.approx(0.5, rel=0.02)
    assert severities(sensation(np.full(5000, 0.97), STEP_S)[0], STEP_S) == [0.0]
    # a voltage of 0.97 flickers like one of 1.0: changes are relative to it
    low, _ = sensation(0.97 * rectangular(110, 0.722, 60.0), STEP_S)
    high, _ = sensation(rectangular(110, 0.722, 60.0), STEP_S)
    np.testing.assert_allclose(low, high, rtol=1e-9, atol=1e-15)


def test_coarse_samples_hold_and_periods_are_of_ten_minutes():
    fine = rectangular(110, 0.722, 1300.0)
    p_inst, step_s = sensation(fine[::20], 0.01)
    found = severities(p_inst, step_s)
    assert len(found) == 2  # the rest is no whole period
    assert found[1] == pytest.approx(1.0, abs=0.03)
    assert long_term(found) is None
    assert long_term([1.0] * 12) == pytest.approx(1.0)
    assert attenuation(0.02) == pytest.approx(np.sin(np.pi * 0.176) / (np.pi * 0.176))
    assert set(LAMPS) == set(PST_ONE)
