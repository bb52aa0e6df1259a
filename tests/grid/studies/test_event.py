"""A network through an event: effects of a hand-made course, voltages of the closed form."""

import numpy as np
import pytest

from simulators.grid.background.background import following
from simulators.grid.network import Network
from simulators.grid.studies.event import effects, run_event
from simulators.grid.studies.event_figure import event_figure
from simulators.grid.studies.ride_through import read_curve, read_dips
from tests.grid.networks import two_buses

R_OHM, KV = 2.0, 20.0


@pytest.fixture(scope="module")
def event():
    network = Network(two_buses(r_ohm=R_OHM, x_ohm=1e-9, max_i_ka=0.3), power_factor=1.0)
    network.attach(1, "site")
    course = np.concatenate([np.full(30, 6.0), np.zeros(20), np.linspace(0.0, 11.0, 12), np.full(38, 6.0)])
    background = following(network.draws.own, np.zeros((100, 0)), [], "")
    return run_event(network, background, course, np.full(100, 6.0), at_s=30)


def test_every_second_has_its_power_flow(event):
    expected = (1.0 + np.sqrt(1.0 - 4.0 * R_OHM * event.p_mw / KV**2)) / 2.0
    np.testing.assert_allclose(event.vm_pu, expected, rtol=0, atol=1e-8)
    np.testing.assert_allclose(event.vm_max_pu, 1.0, atol=1e-9)
    current_ka = event.p_mw / (np.sqrt(3.0) * KV * event.vm_pu)
    np.testing.assert_allclose(event.loading_percent, 100.0 * current_ka / 0.3, atol=1e-5)
    beyond = event.loading_percent > 100.0
    np.testing.assert_array_equal(event.violations > 0, beyond)
    assert beyond.any()
    violation, at = event.worst
    assert (at, violation.kind) == (61, "overload")
    assert len(event.frame()) == 100


def test_effects_are_those_of_the_course(event):
    found = event.effects
    assert (found.drop_mw_per_s, found.rise_mw_per_s) == (6.0, pytest.approx(1.0))
    assert (found.lowest_mw, found.highest_mw) == (0.0, 11.0)
    assert (found.rebound_mw, found.rebound_at_s) == (5.0, 61)
    assert found.recovered_s == 26  # 6 MW again in second 56
    difference = np.sum(event.p_mw - event.undisturbed_mw) / 3600.0
    assert found.later_mwh - found.missed_mwh == pytest.approx(difference, rel=1e-9)
    flat = np.full(10, 3.0)
    calm = effects(flat, flat, 5)
    assert (calm.rebound_mw, calm.rebound_at_s, calm.recovered_s, calm.missed_mwh) == (0.0, None, 0, 0.0)
    gone = effects(np.array([3.0, 3, 0, 0]), np.full(4, 3.0), 2)
    assert gone.recovered_s is None


def test_the_page_is_drawn_with_dips_and_without(event, tmp_path):
    waiting, own = (np.zeros(100), np.zeros(100)), np.zeros(100)
    for name, more in (("plain", ()), ("dips", (read_dips("nerc-2024"), read_curve("itic")))):
        event_figure(event, "Trip", waiting, own, *more).savefig(tmp_path / f"{name}.png")
        assert (tmp_path / f"{name}.png").stat().st_size > 30_000
