"""Embodied carbon is spread over service life, not charged by the hour."""

import pytest

from simulators.datacenter.embodied import SERVICE_LIFE_S, amortised_kg, device, site_embodied_kg
from simulators.errors import InputError


def test_whole_life_charges_the_whole_device():
    assert amortised_kg(150.0, 8, SERVICE_LIFE_S) == pytest.approx(1200.0)


def test_a_day_of_an_a100():
    assert site_embodied_kg("A100", 1, 0, 86400.0) == pytest.approx(150.0 / (6 * 365.25))


def test_site_counts_gpus_and_servers():
    year_s = SERVICE_LIFE_S / 6
    assert site_embodied_kg("h100", 16, 2, year_s) == pytest.approx((16 * 164.0 + 2 * 2500.0) / 6)
    assert site_embodied_kg(200.0, 1, 0, year_s) == pytest.approx(200.0 / 6)


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
