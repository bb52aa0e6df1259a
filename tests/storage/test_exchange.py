"""The site's balance closes, and says so when it does not."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulators.storage.battery import Battery, BatteryConfig
from simulators.storage.dispatch import (
    CarbonAware,
    NoDispatch,
    PeakShaving,
    PriceAware,
    SelfConsumption,
    Situation,
)
from simulators.storage.exchange import ConservationError, check, exchange

watts = st.one_of(st.just(0.0), st.floats(1e-3, 1e9))
RULES = [
    SelfConsumption(),
    PeakShaving(1e5),
    NoDispatch(),
    CarbonAware(200.0, 400.0),
    PriceAware(10.0, 30.0, 1e5),
]


@given(
    st.sampled_from(RULES),
    st.lists(st.tuples(watts, watts, st.floats(0, 600), st.floats(-10, 50)), max_size=30),
    st.one_of(st.just(float("inf")), watts),
)
def test_every_rule_keeps_the_balance(rule, hours, limit_w):
    battery = Battery(BatteryConfig(1e6, soc_min=0.1, soc_max=0.9))
    for load_w, generation_w, ci, price in hours:
        low_w, high_w = battery.feasible_range(3600)
        power_w = min(max(rule.power_w(Situation(load_w, generation_w, ci, price)), low_w), high_w)
        battery.step(power_w, 3600)
        flows = exchange(load_w, generation_w, power_w, limit_w)
        assert check(flows, "hour") <= 1e-9
        assert flows.export_w <= limit_w
        assert flows.import_w == 0.0 or flows.export_w == 0.0
        assert flows.charge_w == 0.0 or flows.discharge_w == 0.0
        assert 0.1 - 1e-12 <= battery.soc <= 0.9 + 1e-12


def test_surplus_beyond_the_limit_is_curtailed():
    flows = exchange(100.0, 500.0, 150.0, export_limit_w=50.0)
    assert (flows.charge_w, flows.export_w, flows.curtailed_w, flows.import_w) == (150.0, 50.0, 200.0, 0.0)


def test_deficit_is_imported():
    flows = exchange(500.0, 100.0, -150.0)
    assert (flows.discharge_w, flows.import_w, flows.export_w) == (150.0, 250.0, 0.0)


def test_nothing_flows():
    assert check(exchange(0.0, 0.0, 0.0), "night") == 0.0


def test_a_broken_balance_names_the_interval():
    flows = exchange(500.0, 100.0, -150.0)
    with pytest.raises(ConservationError, match="minute 7: energy balance is off by 2e-06"):
        check(replace(flows, import_w=250.001), "minute 7")
    with pytest.raises(ConservationError, match="minute 7: load_w is nan"):
        check(replace(flows, load_w=float("nan")), "minute 7")
    with pytest.raises(ConservationError, match="at once"):
        check(replace(flows, charge_w=1.0, import_w=251.0), "minute 7")
    with pytest.raises(ConservationError, match="curtailed"):
        check(exchange(0.0, 10.0, -50.0, export_limit_w=0.0), "minute 7")
