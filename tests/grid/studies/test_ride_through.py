"""Dips against curves, counters, and what the network sees of a load with a supply of its own."""

import math

import numpy as np
import pytest

from simulators.errors import InputError
from simulators.grid.studies.ride_through import CURVES, Dip, Rule, Transfer, read_curve, read_dips, transfers
from simulators.grid.studies.ride_through_ups import Ups, assumptions


def test_the_documented_six_faults_keep_all_away_and_ride_through_none():
    six = read_dips("nerc-2024")
    assert len(six) == 6
    assert six[-1].at_s - six[0].at_s == pytest.approx(
        82.0
    )  # NERC's incident review: 42 to 66 ms, 0.25 to 0.40 p.u.
    assert (min(d.duration_s for d in six), max(d.duration_s for d in six)) == (0.042, 0.066)
    assert (min(d.voltage_pu for d in six), max(d.voltage_pu for d in six)) == (0.25, 0.40)
    counted = transfers(six, read_curve("itic"), Rule())
    assert [one.kept for one in counted] == [False, False, True]
    assert counted[-1].until_s == math.inf
    assert transfers(six, read_curve("ercot_lel"), Rule()) == []
    # without a counter each fault is a short transfer
    assert [one.kept for one in transfers(six, read_curve("itic"), Rule(count=0))] == [False] * 6
    assert [one.kept for one in transfers(six, read_curve("itic"), Rule(within_s=16.0))] == [False] * 6


@pytest.mark.parametrize(
    ("curve", "voltage", "borne"),
    [  # corners of both curves, and just beyond
        *(("itic", 0.0, 0.02), ("itic", 0.6999, 0.02), ("itic", 0.7, 0.5), ("itic", 0.8, 10.0)),
        *(("itic", 0.9, math.inf), ("itic", 1.1, math.inf), ("itic", 1.15, 0.5), ("itic", 1.4, 0.003)),
        *(("itic", 2.5, 0.0), ("ercot_lel", 0.1, 0.15), ("ercot_lel", 0.2, 0.25), ("ercot_lel", 0.79, 0.5)),
        *(("ercot_lel", 0.85, 2.0), ("ercot_lel", 1.2, 2.0), ("ercot_lel", 1.0, math.inf)),
    ],
)
def test_corners_of_the_curves(curve, voltage, borne):
    found = read_curve(curve)
    assert found.borne_s(voltage) == borne
    if 0.0 < borne < math.inf:
        assert found.rides_through(Dip(0.0, borne, voltage))
        assert not found.rides_through(Dip(0.0, borne * 1.001, voltage))


def test_dips_that_overlap_are_one_transfer_and_someone_returns_it():
    curve = read_curve("itic")
    near = [Dip(0.0, 0.1, 0.3), Dip(5.0, 0.1, 0.3)]
    assert transfers(near, curve, Rule(count=3)) == [Transfer(0.0, 15.1, False)]
    third = transfers([*near, Dip(20.0, 0.1, 0.3), Dip(30.0, 0.1, 0.3)], curve, Rule(by_hand_s=600.0))
    assert third == [Transfer(0.0, 15.1, False), Transfer(20.0, 620.0, True)]


def test_curves_and_dips_of_ones_own(tmp_path):
    path = tmp_path / "mine.csv"
    path.write_text("duration_s,voltage_pu\n0.3,0\ninf,0.85\n")
    mine = read_curve(path)
    assert (mine.borne_s(0.5), mine.borne_s(0.86), mine.borne_s(3.0), mine.name) == (
        0.3,
        math.inf,
        math.inf,
        "mine.csv",
    )
    for reader, text, said in (
        (read_curve, "duration,voltage_pu\n1,1\n2,1\n", "no column 'duration_s'"),
        (read_curve, "duration_s,voltage_pu\n1,0.5\n-1,0.7\n", "row 3"),
        (read_curve, "duration_s,voltage_pu\n1,0.5\n2,70\n", "'70' in column 'voltage_pu'"),
        (read_curve, "duration_s,voltage_pu\n1,0.5\n,0.7\n", "row 3"),
        (read_dips, "at_s,duration_s,voltage_pu\n0,0.1,0.5\n1,soon,0.2\n", "'soon'"),
    ):
        path.write_text(text)
        with pytest.raises(InputError, match=said):
            reader(path)
    with pytest.raises(InputError, match="no such ride-through curve, expected itic, ercot_lel or a file"):
        read_curve("cbema")
    assert set(CURVES) == {"itic", "ercot_lel"}


@pytest.mark.parametrize(
    "away",
    [
        [Transfer(10.3, 15.2, False)],
        [Transfer(10.0, 20.05, False), Transfer(26.4, 36.5, False), Transfer(40.0, 700.5, True)],
        [Transfer(10.0, math.inf, True)],
        [],
    ],
)
def test_energy_of_a_load_comes_from_somewhere_and_batteries_are_filled_again(away):
    load = 4.0 + np.random.default_rng(2).normal(0.0, 0.2, 3000)
    ups = Ups()
    seen = ups.seen(load, 5.0, away)
    np.testing.assert_allclose(
        seen.grid_mw - seen.recharge_mw + seen.battery_mw + seen.generator_mw, load, rtol=1e-12
    )
    for part in seen:
        assert (part >= 0.0).all()
    assert seen.recharge_mw.max() <= 0.5 + 1e-12
    if not away:
        np.testing.assert_array_equal(seen.grid_mw, load)
    elif math.isinf(away[-1].until_s):
        assert not seen.grid_mw[11:].any()
    else:
        assert seen.recharge_mw.sum() * ups.recharge_efficiency == pytest.approx(
            seen.battery_mw.sum(), rel=1e-9
        )
        assert seen.battery_mw[:13].sum() == pytest.approx(
            load[10] * (11 - away[0].from_s) + load[11:13].sum(), rel=1e-9
        )
    assert len(assumptions()) == 4
