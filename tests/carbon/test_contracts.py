"""Contracts cover the import and no more, in their order; what they leave needs a residual mix."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from simulators.carbon.contracts import Contracts, market_based
from simulators.carbon.matching import carbon_free_ratio
from simulators.carbon.options import AccountingOptions

HOURLY = [4e3, 0.0, 1e3, 5e3]  # 10 kWh


def test_by_hand():
    bought = Contracts(ppa_share=0.4, ppa_g_per_kwh=20, go_kwh=1.0, go_g_per_kwh=5, residual_g_per_kwh=700)
    found = market_based(HOURLY, 3600, bought)
    assert (found.ppa_kwh, found.go_kwh, found.residual_kwh) == pytest.approx((4, 1, 5))
    assert found.kg == pytest.approx((4 * 20 + 1 * 5 + 5 * 700) / 1e3)
    assert found.g_per_kwh == pytest.approx(100 * found.kg)


def test_a_plant_covers_its_own_hours_alone():
    """On paper it delivers 12 kWh; of the import it covers 1 + 0 + 1 + 3."""
    found = market_based(HOURLY, 3600, Contracts(ppa_w=[1e3, 6e3, 2e3, 3e3], residual_g_per_kwh=100))
    assert found.ppa_kwh == pytest.approx(5.0)
    assert found.kg == pytest.approx(0.5)


def test_too_many_certificates_are_of_no_use():
    found = market_based(HOURLY, 3600, Contracts(ppa_kwh=7, go_kwh=50))
    assert (found.ppa_kwh, found.go_kwh, found.residual_kwh, found.kg) == pytest.approx((7, 3, 0, 0))


def test_without_a_residual_mix_the_rest_has_no_figure():
    assert market_based(HOURLY, 3600, Contracts(go_share=0.99)).kg is None
    assert market_based(HOURLY, 3600, Contracts()).kg is None
    assert market_based([0.0, 0.0], 3600, Contracts()).kg == 0.0
    assert market_based(HOURLY, 3600, Contracts(go_share=1.0)).kg == 0.0


@given(
    into=st.lists(st.floats(0, 1e6), min_size=1, max_size=20),
    share=st.floats(0, 1),
    go=st.floats(0, 1e4),
    plant=st.booleans(),
)
def test_parts_add_up_to_the_import(into, share, go, plant):
    ppa = {"ppa_w": np.full(len(into), share * 1e6)} if plant else {"ppa_share": share}
    found = market_based(into, 900, Contracts(**ppa, go_kwh=go, residual_g_per_kwh=300))
    whole = sum(into) * 900 / 3.6e6
    assert min(found.ppa_kwh, found.go_kwh, found.residual_kwh) >= -1e-9
    assert found.import_kwh == pytest.approx(whole, rel=1e-9, abs=1e-9)
    assert 0 <= (found.kg or 0.0) <= whole * 0.3 * (1 + 1e-9)


def test_round_the_clock_with_contract_and_grid():
    load, own = np.full(4, 10.0), np.array([12.0, 5.0, 0.0, 0.0])
    contract = np.array([0.0, 2.0, 4.0, 0.0])
    assert carbon_free_ratio(load, own) == pytest.approx(15 / 40)
    assert carbon_free_ratio(load, own, contract_w=contract) == pytest.approx((10 + 7 + 4) / 40)
    grid = np.array([0.0, 1.0, 0.5, 0.2])
    assert carbon_free_ratio(load, own, grid, contract) == pytest.approx((10 + 10 + 7 + 2) / 40)
    assert carbon_free_ratio(np.zeros(2), np.zeros(2)) == 0.0


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"ppa_share": 0.2, "ppa_kwh": 1.0}, "--ppa-share and --ppa-kwh given, expected one of them"),
        ({"go_share": 0.2, "go_mwh": 1.0}, "--go-share and --go-mwh given"),
        ({"residual_mix_low": 1.0}, "--residual-mix: not given"),
        ({"residual_mix": 5.0, "residual_mix_low": 6.0}, "expected a value within its range"),
    ],
)
def test_options_that_do_not_go_together(said, words):
    with pytest.raises(ValidationError, match=words):
        AccountingOptions(**said)
