"""Life-cycle emissions of own supply."""

from __future__ import annotations

import pytest

from simulators.carbon import factors
from simulators.errors import InputError


def test_generation_by_the_published_medians():
    roof, field, wind = (
        factors.of_generation(kind, 1000.0, rated_w)
        for kind, rated_w in (("pv", 20e3), ("pv", 5e6), ("wind", 5e3))
    )
    assert (roof.kg, roof.low_kg, roof.high_kg) == (41.0, 26.0, 60.0)
    assert (field.kg, field.low_kg, field.high_kg) == (48.0, 18.0, 180.0)
    assert (wind.kg, wind.low_kg, wind.high_kg) == (11.0, 7.0, 56.0)
    for supply in (roof, field, wind):
        assert "IPCC AR5" in supply.factor.source


def test_a_factor_of_ones_own_has_no_range():
    own = factors.of_generation("pv", 1000.0, 20e3, own_g=30.0)
    assert own.kg == own.low_kg == own.high_kg == 30.0


def test_a_battery_by_capacity_over_its_life():
    year = factors.of_battery(10.0, factors.YEAR_S)
    assert year.kg == pytest.approx(835.0 / 15)
    assert year.low_kg == pytest.approx(610.0 / 20)
    assert year.high_kg == pytest.approx(1060.0 / 10)
    assert factors.of_battery(10.0, factors.YEAR_S, own_kg=150.0).kg == pytest.approx(100.0)


def test_an_unknown_kind_is_named():
    with pytest.raises(InputError, match="'hydro' is unknown, expected pv or wind"):
        factors.of_generation("hydro", 1.0, 1.0)
