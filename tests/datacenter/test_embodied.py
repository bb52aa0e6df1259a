"""Embodied carbon is spread over service life, not charged by the hour."""

import pytest

from simulators.datacenter.embodied import (
    BUILDING,
    SERVICE_LIFE_S,
    amortised_kg,
    device,
    gpu_factor,
    site_parts,
)
from simulators.errors import InputError


def test_whole_life_charges_the_whole_device():
    assert amortised_kg(150.0, 8, SERVICE_LIFE_S) == pytest.approx(1200.0)


def test_a_day_of_an_a100():
    parts = site_parts(gpu_factor(150.0, "sheet"), 1, 0, 86400.0)
    assert list(parts) == ["gpu"]
    assert parts["gpu"].kg == pytest.approx(150.0 / (6 * 365.25))


def test_site_counts_gpus_and_servers():
    parts = site_parts(gpu_factor(164.0, "sheet"), 16, 2, SERVICE_LIFE_S / 6)
    assert sum(part.kg for part in parts.values()) == pytest.approx((16 * 164.0 + 2 * 2500.0) / 6)
    assert parts["gpu"].high_kg == pytest.approx(16 * 164.0 * 1.3 / 4)  # dear to make, and soon replaced
    assert parts["gpu"].low_kg == pytest.approx(16 * 164.0 * 0.7 / 8)


def test_a_building_counts_by_its_capacity_over_its_own_life():
    year_s = SERVICE_LIFE_S / 6
    assert "building" not in site_parts(None, 8, 1, year_s)
    building = site_parts(None, 8, 1, year_s, building_kw=50e3)["building"]
    assert building.kg == pytest.approx(9e6 / 20)
    assert (BUILDING.low, BUILDING.high) == (90.0, 360.0)


def test_a_value_of_ones_own_has_no_range():
    own = gpu_factor(164.0, "sheet", own_kg=200.0)
    assert (own.low, own.value, own.high, own.source) == (200.0, 200.0, 200.0, "the study's own")


def test_every_device_has_a_source():
    assert device("B200").embodied_kg == pytest.approx(2274 / 8)
    assert "1312" in device("h100").source


def test_bad_input_is_named():
    with pytest.raises(InputError, match="'tpu' is unknown, expected one of a100"):
        device("tpu")
    with pytest.raises(InputError, match="service life is 0"):
        amortised_kg(1.0, 1, 1.0, 0.0)
    with pytest.raises(InputError, match="numbers >= 0"):
        amortised_kg(1.0, 1, -1.0)
