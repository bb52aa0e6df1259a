"""What the connection does not carry is dealt with in the order that is written down."""

from math import inf, nan

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulators.errors import InputError
from simulators.storage.battery import BatteryConfig
from simulators.storage.connection import Connection
from simulators.storage.dispatch import NoDispatch, PeakShaving, Reserve, SelfConsumption
from simulators.storage.exchange import check
from simulators.storage.run import run
from simulators.storage.site import Given, Site

HOUR = 3600
LOSSLESS = BatteryConfig(1000.0, 400.0, 400.0, 1.0, 1.0, soc_initial=0.5)


def stepped(site, *hours):
    """Flows of hours of (load, PV, wind, wish); prices as a fifth."""
    flows = []
    for i, (load_w, pv_w, wind_w, wish_w, *price) in enumerate(hours):
        now = Given(load_w, pv_w, wind_w, 0.0, nan, price[0] if price else nan)
        flows.append(site.advance(i * site.step_s, now, wish_w))
        check(flows[-1], f"hour {i}")
    return flows


def test_surplus_beyond_the_limit_is_curtailed():
    [flows] = stepped(Site(LOSSLESS, None, Connection(export_limit_w=50.0), HOUR), (100.0, 500.0, 0.0, 150.0))
    assert (flows.charge_w, flows.export_w, flows.curtailed_w, flows.import_w) == (150.0, 50.0, 200.0, 0.0)


def test_a_battery_does_not_discharge_into_a_closed_connection():
    site = Site(LOSSLESS, None, Connection(export_limit_w=0.0), HOUR)
    first, second = stepped(site, (100.0, 0.0, 0.0, -300.0), (0.0, 70.0, 0.0, -300.0))
    assert (first.discharge_w, first.export_w) == (100.0, 0.0)
    assert (second.discharge_w, second.charge_w, second.curtailed_w) == (0.0, 0.0, 70.0)


@pytest.mark.parametrize(("first", "expected"), [("wind", (50.0, 200.0)), ("pv", (250.0, 0.0))])
def test_wind_or_pv_is_curtailed_first(first, expected):
    connection = Connection(export_limit_w=50.0, curtail_first=first)
    [flows] = stepped(Site(None, None, connection, HOUR), (200.0, 300.0, 200.0, 0.0))
    assert flows.curtailed_w == 250.0
    assert (flows.pv_curtailed_w, flows.wind_curtailed_w) == expected


def test_above_the_import_limit_the_battery_helps_and_then_load_is_unserved():
    site = Site(LOSSLESS, None, Connection(import_limit_w=300.0), HOUR)
    flows = stepped(site, (200.0, 0, 0, 400.0), (500.0, 0, 0, 0.0), (900.0, 0, 0, 0.0), (500.0, 0, 0, 0.0))
    assert [flow.import_w for flow in flows] == [300.0] * 4
    assert [flow.charge_w - flow.discharge_w for flow in flows] == [100.0, -200.0, -400.0, 0.0]
    assert [flow.unserved_w for flow in flows] == [0.0, 0.0, 200.0, 200.0]


def test_in_an_outage_the_battery_carries_the_site_down_to_its_lowest_charge():
    config = BatteryConfig(1000.0, 400.0, 400.0, 1.0, 1.0, soc_min=0.1, soc_initial=0.5)
    site = Site(config, NoDispatch(), Connection(outages=[(HOUR, 4 * HOUR)]), HOUR)
    flows = stepped(
        site,
        (300.0, 0, 0, 0.0),
        (300.0, 0, 0, 0.0),
        (100.0, 500.0, 0, 0.0),
        (700.0, 0, 0, 0.0),
        (300.0, 0, 0, 0),
    )
    assert [flow.import_w for flow in flows] == [300.0, 0.0, 0.0, 0.0, 300.0]
    assert [flow.discharge_w for flow in flows] == [0.0, 300.0, 0.0, 400.0, 0.0]
    assert flows[2].charge_w == 400.0
    assert [flow.unserved_w for flow in flows] == [0.0, 0.0, 0.0, 300.0, 0.0]
    assert site.soc == pytest.approx(0.2)


def test_a_reserve_is_kept_for_outages_and_filled_again():
    site = Site(LOSSLESS, Reserve(0.5), Connection(outages=[(2 * HOUR, 4 * HOUR)]), HOUR)
    rule = site.rule
    hours = [(300.0, 0, 0), (300.0, 800.0, 0), (300.0, 0, 0), (300.0, 0, 0), (300.0, 0, 0)]
    assert rule.reserve == 0.5
    flows = stepped(site, *((*hour, hour[1] - hour[0]) for hour in hours))
    assert [flow.discharge_w for flow in flows] == [0.0, 0.0, 300.0, 300.0, 0.0]
    assert [flow.charge_w for flow in flows] == [0.0, 400.0, 0.0, 0.0, 200.0]
    assert [flow.import_w for flow in flows] == [300.0, 0.0, 0.0, 0.0, 500.0]


def test_at_a_negative_price_nothing_is_exported_where_that_is_asked_for():
    for no_paid_export, curtailed in ((True, [0.0, 250.0, 0.0]), (False, [0.0, 0.0, 0.0])):
        site = Site(LOSSLESS, None, Connection(no_paid_export=no_paid_export), HOUR)
        flows = stepped(
            site, (100.0, 400.0, 0, 50.0, 0.1), (100.0, 400.0, 0, 50.0, -0.1), (100.0, 0, 0, 0.0, -0.1)
        )
        assert [flow.curtailed_w for flow in flows] == curtailed
        assert flows[2].import_w == 100.0


def test_the_battery_holds_a_ramp_and_then_load_waits_or_generation_is_curtailed():
    connection = Connection(ramp_w_per_s=100.0 / HOUR)
    battery = BatteryConfig(1000.0, 150.0, 150.0, 1.0, 1.0, soc_initial=0.5)
    loads = [100.0, 200.0, 500.0, 500.0, 100.0, 0.0]
    flows = stepped(Site(battery, None, connection, HOUR), *((load_w, 0.0, 0.0, 0.0) for load_w in loads))
    assert [flow.import_w for flow in flows] == pytest.approx([100.0, 200.0, 300.0, 400.0, 250.0, 150.0])
    assert [flow.charge_w - flow.discharge_w for flow in flows] == pytest.approx([0, 0, -150, -100, 150, 150])
    assert [flow.unserved_w for flow in flows] == pytest.approx([0.0, 0.0, 50.0, 0.0, 0.0, 0.0])
    assert [flow.too_fast for flow in flows] == [0.0, 0.0, 0.0, 0.0, 1.0, 0.0]
    pv = [0.0, 400.0, 400.0, 0.0]
    flows = stepped(Site(battery, None, connection, HOUR), *((0.0, pv_w, 0.0, 0.0) for pv_w in pv))
    assert [flow.export_w for flow in flows] == pytest.approx([0.0, 100.0, 200.0, 100.0])
    assert [flow.curtailed_w for flow in flows] == pytest.approx([0.0, 150.0, 50.0, 0.0])
    assert [flow.charge_w - flow.discharge_w for flow in flows] == pytest.approx([0.0, 150.0, 150.0, -100.0])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"import_limit_w": -1.0}, "import limit is -1.0 W, expected a number >= 0"),
        ({"export_limit_w": nan}, "export limit is nan W"),
        ({"ramp_w_per_s": 0.0}, "ramp limit is 0.0 W/s, expected a positive number"),
        ({"curtail_first": "sun"}, "curtail_first is 'sun', expected one of wind, pv"),
        ({"outages": [(5.0, 5.0)]}, "outage from 5.0 to 5.0 s, expected an end after its start"),
    ],
)
def test_bad_connections_are_named(change, message):
    with pytest.raises(InputError, match=message):
        Connection(**change)


watts = st.one_of(st.just(0.0), st.floats(1e-3, 1e6))
batteries = st.one_of(
    st.none(),
    st.builds(
        lambda capacity, hours, low, at, taper, standby, leak: BatteryConfig(
            capacity,
            capacity / hours,
            capacity / hours,
            0.9,
            0.95,
            low,
            1.0,
            low + at * (1 - low),
            leak,
            taper,
            standby * capacity,
        ),
        st.floats(1e2, 1e6),
        st.floats(0.2, 8.0),
        st.floats(0.0, 0.4),
        st.floats(0.0, 1.0),
        st.sampled_from([1.0, 0.7]),
        st.sampled_from([0.0, 0.01]),
        st.sampled_from([0.0, 0.05]),
    ),
)
rules = st.sampled_from([NoDispatch(), SelfConsumption(), PeakShaving(1e4), Reserve(0.6)])
limits = st.one_of(st.just(inf), st.just(0.0), watts)
connections = st.builds(
    Connection,
    limits,
    limits,
    st.one_of(st.just(inf), st.floats(1e-3, 1e3)),
    st.lists(
        st.tuples(st.integers(0, 5000), st.integers(1, 5000)).map(lambda at: (at[0], at[0] + at[1])),
        max_size=2,
    ),
    st.sampled_from(["wind", "pv"]),
    st.booleans(),
)
rows = st.lists(st.tuples(watts, watts, watts, watts, st.floats(-10, 50)), min_size=1, max_size=30)


@settings(deadline=None)  # compiled on the first call
@given(batteries, rules, connections, rows, st.sampled_from([60, 900, 3600]), st.sampled_from([None, 4]))
def test_every_site_keeps_its_balance_and_its_limits(battery, rule, connection, rows, step_s, back):
    site = Site(battery, rule, connection, step_s, back and back * step_s)
    load_w, pv_w, wind_w, other_w, price = np.array(rows).T
    found = run(site, load_w, pv_w, wind_w, other_w, None, price)
    mw, summary = found.columns, found.summary
    assert summary["max_relative_residual"] <= 1e-9
    away = mw["islanded"] > 0
    slack = 1e-12 * 3e6 / 1e6
    assert np.all(mw["import_mw"] <= np.where(away, 0.0, connection.import_limit_w / 1e6) + slack)
    assert np.all(mw["export_mw"] <= np.where(away, 0.0, connection.export_limit_w / 1e6) + slack)
    assert np.all((mw["import_mw"] == 0.0) | (mw["export_mw"] == 0.0))
    assert np.all(mw["unserved_mw"] <= load_w / 1e6 + slack)
    assert np.all(mw["pv_curtailed_mw"] <= pv_w / 1e6 + slack)
    assert np.all(mw["wind_curtailed_mw"] <= wind_w / 1e6 + slack)
    if connection.no_paid_export:
        assert np.all((mw["export_mw"] == 0.0) | (price >= 0))
    if battery is not None:
        assert np.all(mw["soc"] <= 1 + 1e-12)
        assert np.all(mw["soc"] >= -1e-12)
        books_wh = (
            summary["initial_wh"] + summary["charged_wh"] - summary["discharged_wh"] - summary["lost_wh"]
        )
        scale_wh = battery.capacity_wh + summary["charged_wh"] + summary["discharged_wh"]
        assert summary["final_wh"] == pytest.approx(books_wh, abs=1e-12 * scale_wh * len(rows))
