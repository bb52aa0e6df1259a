"""What is read off power with a lever and without, in closed form; what products ask."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulators.grid.studies.connection import curtailment, steepest_mw_per_min
from simulators.grid.studies.flexibility import J_PER_KWH, delivery, windows
from simulators.grid.studies.products import PRODUCTS, TRIALS


def test_a_step_with_a_delay_and_a_rebound():
    """300 W less from 2 s after the signal to the end, 50 W more for 20 s after it."""
    without = np.full(1000, 1000.0)
    lever = without.copy()
    lever[120:400] -= 300.0
    lever[400:600] += 50.0
    found = delivery(without, lever, 0.1, 10.0, 40.0, 1.0, (2.0, 25.0))
    assert found.kw == pytest.approx(0.3)
    assert found.response_s == pytest.approx(2.0)
    assert found.shed_kwh == pytest.approx(300.0 * 28.0 / J_PER_KWH)
    assert found.rebound_kwh == pytest.approx(50.0 * 20.0 / J_PER_KWH)
    assert found.rebound_kw == pytest.approx(0.05)
    late = delivery(without, lever, 0.1, 10.0, 40.0, 1.0, (0.7, 25.0))
    assert late.kw == 0.0
    long = delivery(without, lever, 0.1, 10.0, 40.0, 1.0, (2.0, 40.0))
    assert long.kw == 0.0


@given(st.lists(st.floats(0, 1e6), min_size=40, max_size=60), st.integers(0, 9))
def test_what_is_not_drawn_is_shed_less_what_comes_back(powers, seed):
    with_w = np.array(powers)
    without_w = np.random.default_rng(seed).uniform(0, 1e6, len(powers))
    found = delivery(without_w, with_w, 2.0, 20.0, 60.0, 4.0, (2.0, 30.0))
    less_kwh = 2.0 * (without_w[10:].sum() - with_w[10:].sum()) / J_PER_KWH
    assert found.shed_kwh - found.rebound_kwh == pytest.approx(less_kwh, rel=1e-9, abs=1e-9)
    assert 0.0 <= found.kw <= max(found.mean_kw, 0.0) + 1e-9


def test_means_are_of_each_window():
    values = np.random.default_rng(1).normal(size=50)
    assert windows(values, 7) == pytest.approx([values[k : k + 7].mean() for k in range(44)])


def test_products_say_how_fast_and_for_how_long_and_who_says_so():
    asked = {product.name: (product.response.value, product.hold.value) for product in PRODUCTS}
    assert asked == {
        "FFR": (0.7, 30.0),
        "FCR": (30.0, 900.0),
        "aFRR": (300.0, 900.0),
        "DR": (900.0, 10_800.0),
    }
    assert all(len(product.response.source) > 20 for product in PRODUCTS)
    assert [(trial.share, trial.response_s) for trial in TRIALS] == [(0.25, 900.0), (0.30, 30.0)]


@given(st.lists(st.floats(0, 100), min_size=1, max_size=50), st.floats(0, 100))
def test_what_is_curtailed_is_what_is_left_out(loads, limit_mw):
    load_mw = np.array(loads)
    found = curtailment(load_mw, limit_mw, 0.25)
    kept_mwh = 0.25 * np.minimum(load_mw, limit_mw).sum()
    assert found.mwh == pytest.approx(0.25 * load_mw.sum() - kept_mwh, rel=1e-9, abs=1e-9)
    assert steepest_mw_per_min(load_mw, 900.0) <= 100.0 / 15.0
