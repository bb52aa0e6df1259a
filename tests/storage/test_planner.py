"""Plans are the best there are, and a horizon carries them out."""

from math import inf

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulators.errors import InputError
from simulators.storage.battery import BatteryConfig
from simulators.storage.connection import COVER, FIXED, FOLLOW, STORE, Connection
from simulators.storage.dispatch import Horizon, SelfConsumption, dispatch
from simulators.storage.outlook import outlook
from simulators.storage.planner import Plan, Terms, optimum
from simulators.storage.run import run
from simulators.storage.simulator import Storage
from simulators.storage.site import Site

HOUR = 3600
BATTERY = BatteryConfig(4000.0, 1000.0, 1000.0, 0.9, 0.9, soc_min=0.1, soc_initial=0.5)


def days(count, step_s=HOUR, seed=0):
    """Load, PV, carbon intensity and price of some days."""
    rng = np.random.default_rng(seed)
    hour = np.arange(count * 86400 // step_s) * step_s / 3600
    load_w = 800.0 + 300.0 * rng.random(len(hour))
    pv_w = 2000.0 * np.maximum(0.0, np.sin((hour - 6) / 12 * np.pi)) * rng.random(len(hour))
    ci = 300.0 + 150.0 * np.cos((hour - 20) / 12 * np.pi) + 30.0 * rng.random(len(hour))
    price = 0.2 + 0.15 * np.cos((hour - 19) / 12 * np.pi)
    return load_w, pv_w, ci, price


def cost(site, series, signal):
    load_w, pv_w, ci, price = series
    found = run(site, load_w, pv_w, None, None, ci, price)
    assert found.summary["final_wh"] == pytest.approx(found.summary["initial_wh"], abs=1e-6)
    return float(found.columns["import_mw"] @ signal), found


@pytest.mark.parametrize("objective", ["carbon", "price", "carbon+price"])
@pytest.mark.parametrize("limit_w", [inf, 1300.0])
def test_a_perfect_day_ahead_is_nearly_as_good_as_all_that_is_to_come(objective, limit_w):
    series = days(10)
    signal = {"carbon": series[2], "price": series[3], "carbon+price": 0.1 * series[2] / 1e3 + series[3]}[
        objective
    ]
    connection, steps = Connection(import_limit_w=limit_w), len(signal)

    plain, _ = cost(Site(BATTERY, SelfConsumption(), None, HOUR, steps * HOUR), series, signal)
    ours, found = cost(Site(BATTERY, Horizon(objective), connection, HOUR, steps * HOUR), series, signal)
    start_wh = BATTERY.store().energy_wh
    seen = outlook(series[0] - series[1], signal, np.zeros(steps), 1.0, connection.limits(HOUR))
    plan = optimum(BATTERY.spec(HOUR), seen, Terms(start_wh, 400.0, 1.0, start_wh))
    best = float(plan.import_w @ signal) / 1e6
    assert best <= ours * (1 + 1e-9)
    assert plain - ours >= 0.97 * (plain - best)
    assert plain > best * 1.02
    assert found.columns["import_mw"].max() <= limit_w / 1e6 * (1 + 1e-9)
    assert found.columns["unserved_mw"].max() == 0.0


@given(st.integers(0, 10**6), st.floats(1.0, 3.0), st.sampled_from([inf, 1200.0]))
@settings(deadline=None, max_examples=25)
def test_a_larger_battery_never_makes_the_optimum_dearer(seed, factor, limit_w):
    load_w, pv_w, ci, _ = days(2, seed=seed)
    limits = Connection(import_limit_w=limit_w).limits(HOUR)
    seen = outlook(load_w - pv_w, ci, np.zeros(len(ci)), 1.0, limits)

    def least(times):
        config = BatteryConfig(2000.0 * times, 500.0 * times, 500.0 * times, 0.9, 0.9)
        plan = optimum(config.spec(HOUR), seen, Terms(1000.0, 0.0, 1.0, 1000.0))
        return float(plan.import_w @ ci) + 1e3 * float(ci.max()) * float(plan.unserved_w.sum())

    small = least(1.0)
    assert least(factor) <= small + 1e-4 * small  # `planner.DELAY` is worth as much


def test_an_interval_is_not_its_mean():
    """A surplus of one step does not cover the next without the battery, and a peak needs its discharge."""
    limits = Connection(import_limit_w=1000.0).limits(1800)
    empty = BatteryConfig(4000.0, 1000.0, 1000.0, 0.9, 0.9, soc_initial=0.0).spec(1800)
    net_w = np.array([1500.0, -1500.0, 0.0, 0.0])
    seen = outlook(net_w, np.ones(4), np.zeros(4), 0.5, limits, np.array([0, 2]))
    assert (seen.deficit_w[0], seen.surplus_w[0], seen.peak_w[0], seen.room_w[0]) == (
        750.0,
        750.0,
        250.0,
        500.0,
    )
    full = optimum(empty, seen, Terms(1000.0, 0.0))
    assert full.discharge_w[0] >= 250.0 - 1e-6
    assert full.unserved_w[0] == pytest.approx(0.0, abs=1e-9)
    without = optimum(empty._replace(discharge_w=0.0), seen, Terms(0.0, 0.0))
    assert without.import_w[0] == pytest.approx(500.0)
    assert without.unserved_w[0] == pytest.approx(250.0)


@pytest.mark.parametrize(("worth", "sold"), [(0.05, 100.0), (0.2, 100.0), (0.9, 900.0)])
def test_exports_are_worth_what_they_earn(worth, sold):
    """A store is sold where that pays, never while it charges, whatever exports earn against imports."""
    full = BatteryConfig(4000.0, 1000.0, 1000.0, 1.0, 1.0).spec(HOUR)
    cost, paid = np.array([0.1, 0.3]), np.array([worth, 0.0])
    seen = outlook(
        np.array([-500.0, 1000.0]), cost, paid, 1.0, Connection(export_limit_w=1400.0).limits(HOUR)
    )
    plan = optimum(full, seen, Terms(1100.0, 0.0))
    assert plan.discharge_w[0] == pytest.approx(sold, abs=1e-6)
    assert plan.surplus_w[0] == pytest.approx(500.0 + sold - plan.charge_w[0], abs=1e-6)
    assert min(plan.charge_w[0], plan.discharge_w[0]) == 0.0
    assert plan.import_w[1] == pytest.approx(sold - 100.0, abs=1e-6)


def test_where_days_are_not_alike_persistence_does_no_harm():
    """Of noise nothing follows for the next day: the plan falls back to what needs no signal."""
    load_w, pv_w, _, _ = days(14)
    ci = np.random.default_rng(5).uniform(100.0, 500.0, len(load_w))
    told, plain = (
        cost(Site(BATTERY, rule, None, HOUR, len(ci) * HOUR), (load_w, pv_w, ci, ci), ci)[0]
        for rule in (Horizon("carbon", forecast="persistence"), SelfConsumption())
    )
    assert told < 1.01 * plain


def test_a_plan_keeps_to_battery_and_connection():
    load_w, pv_w, ci, _ = days(3)
    config = BatteryConfig(4000.0, 1000.0, 800.0, 0.9, 0.8, 0.1, 0.9, 0.5, 0.05, 0.7, 20.0)
    spec, limits = config.spec(HOUR), Connection(import_limit_w=1400.0, export_limit_w=300.0).limits(HOUR)
    seen = outlook(load_w - pv_w, ci, np.zeros(72), 1.0, limits)
    plan = optimum(spec, seen, Terms(2000.0, 400.0, spec.kept))
    balance_w = load_w - pv_w + plan.charge_w - plan.discharge_w
    np.testing.assert_allclose(plan.import_w + plan.unserved_w - plan.surplus_w, balance_w, atol=1e-6)
    assert np.all(plan.import_w <= 1400.0 + 1e-6)
    assert np.all(plan.energy_wh <= 3600.0 + 1e-6)
    assert np.all(plan.energy_wh >= 400.0 - 1e-6)
    assert np.all(plan.discharge_w <= 800.0 + 1e-6)
    assert np.all(plan.charge_w <= (4000.0 - plan.energy_wh) / 1200.0 * 1000.0 + 1e-6)
    before = np.concatenate([[2000.0], plan.energy_wh[:-1]])
    after = spec.kept * before + 0.9 * plan.charge_w - plan.discharge_w / 0.8
    np.testing.assert_allclose(plan.energy_wh, after, atol=1e-6)
    assert np.all(np.minimum(plan.charge_w, plan.discharge_w) <= 1e-6)


def test_at_negative_prices_nothing_is_burnt():
    """Importing only to export, or charging only to discharge, would pay in a linear programme."""
    price = np.array([0.1, -0.2, -0.2, 0.3])
    net_w = 500.0 - np.array([0.0, 900.0, 0.0, 0.0])
    limits = Connection(export_limit_w=1000.0).limits(HOUR)
    seen = outlook(net_w, price, np.zeros(4), 1.0, limits)
    plan = optimum(BATTERY.spec(HOUR), seen, Terms(2000.0, 400.0))
    assert np.all(np.minimum(plan.charge_w, plan.discharge_w) <= 1e-6)
    assert np.all(np.minimum(plan.import_w, plan.surplus_w) <= 1e-6)
    assert plan.charge_w[2] > 0.0


@pytest.mark.parametrize(
    ("flows", "mode"),
    [
        ((0.0, 500.0, 0.0, 0.0), FOLLOW),
        ((0.0, 500.0, 100.0, 0.0), COVER),
        ((0.0, 0.0, 100.0, 0.0), COVER),
        ((500.0, 0.0, 900.0, 0.0), COVER),
        ((500.0, 0.0, 0.0, 100.0), STORE),
        ((0.0, 500.0, 0.0, 100.0), STORE),
        ((500.0, 0.0, 100.0, 100.0), FIXED),
    ],
)
def test_what_a_plan_means_for_the_minutes_of_its_interval(flows, mode):
    found, power_w = Plan(*(np.array([value]) for value in (*flows, 0.0, 0.0))).order(0, 1000.0)
    assert (found, power_w) == (mode, flows[0] - flows[1])


def test_it_plans_once_per_interval_and_the_adapter_plans_the_same():
    """Told the same, loop and adapter are equal to the last bit: load unknown beforehand, and all persistence."""
    step_s, mw = 900, [values / 1e6 for values in days(2, 900)[:2]]
    _, _, ci, price = days(2, 900)
    for forecast, with_load in (("perfect", False), ("persistence", False), ("perfect", True)):
        rule = {"name": "horizon", "objective": "price", "hours": 12, "forecast": forecast}
        ahead = {"generation_w": (1e6 * mw[1]).tolist(), "price_per_kwh": price.tolist()}
        if with_load:
            ahead["load_w"] = (1e6 * mw[0]).tolist()
        storage = Storage()
        storage.init("Storage", step_size=step_s)
        storage.create(1, "Battery", name="here", battery=vars(BATTERY), dispatch=rule, ahead=ahead)
        column = []
        for i, row in enumerate(zip(*mw, ci, price, strict=True)):
            names = ("P_load[MW]", "P_pv[MW]", "CI[gCO2eq/kWh]", "price[1/kWh]")
            inputs = {name: {"a": float(value)} for name, value in zip(names, row, strict=True)}
            storage.step(i * step_s, {"here": inputs}, 10**9)
            column.append(storage.entities["here"].outputs["P_import[MW]"])
        options = {name: value for name, value in rule.items() if name != "name"}
        site = Site(BATTERY, Horizon(**options), step_s=step_s, ahead=ahead)
        found = run(site, 1e6 * mw[0], 1e6 * mw[1], None, None, ci, price)
        assert found.columns["import_mw"].tobytes() == np.array(column).tobytes()
        assert found.summary == storage.summary("here")


def test_in_steps_of_a_minute_it_saves_as_well():
    """Within an interval the battery follows the site where the plan neither imports nor gives anything away."""
    signal = days(4, 60)[2]
    smooth = [np.repeat(values.reshape(-1, 15).mean(axis=1), 15) for values in days(4, 60)]
    costs = {}
    for name, rule in (("plain", SelfConsumption()), ("planned", Horizon("carbon"))):
        site = Site(BATTERY, rule, step_s=60, return_by_s=4 * 86400)
        costs[name], _ = cost(site, (days(4, 60)[0], *smooth[1:]), signal)
    assert costs["planned"] < 0.98 * costs["plain"]


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("horizon:objective=cost", "objective is 'cost', expected one of carbon, price, carbon.price"),
        ("horizon:forecast=perfekt", "forecast is 'perfekt'.*did you mean perfect"),
        ("horizon:hours=0", "hours is 0, expected a positive number"),
        ("horizon:interval_min=-1", "interval_min is -1, expected a positive number"),
        ("horizon:per_kg=-1", "per_kg is -1"),
        ("horizon:reserve=2", "reserve is 2, expected 0 to 1"),
    ],
)
def test_bad_options_are_named(spec, message):
    with pytest.raises(InputError, match=message):
        dispatch(spec)


def test_what_a_plan_needs_and_lacks_is_named():
    series = np.ones(8)
    with pytest.raises(InputError, match="objective price needs price_per_kwh, which is not given"):
        run(Site(BATTERY, Horizon("price")), series)
    with pytest.raises(InputError, match="is told of no series"):
        Site(BATTERY, Horizon("carbon")).plan(0)
    site = Site(BATTERY, Horizon("carbon"), step_s=HOUR, ahead={"ci_g_per_kwh": series})
    with pytest.raises(InputError, match="is told of 8 steps, the run goes on at step 8"):
        run(site, np.ones(9), None, None, None, np.ones(9))
