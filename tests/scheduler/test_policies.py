"""Policies hold when they should and let go in time; what a user writes makes the right one."""

from dataclasses import fields
from math import inf

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulators.errors import InputError
from simulators.quantities.commands import Release
from simulators.scheduler.observation import NEEDS, Observation
from simulators.scheduler.policies import POLICIES, needs_of, policies, policy
from simulators.scheduler.policies.carbon import CarbonThreshold
from simulators.scheduler.policies.price import PriceThreshold
from simulators.scheduler.policies.solar import SolarFollowing
from simulators.scheduler.policies.voltage import VoltageThreshold
from simulators.scheduler.policy import HOLD, Policy, release


def seen(**values) -> Observation:
    if "ci_forecast_g_per_kwh" in values:
        ahead = np.asarray(values["ci_forecast_g_per_kwh"], dtype=float)
        values |= {"ci_forecast_g_per_kwh": ahead, "ci_g_per_kwh": ahead[0]}
    return Observation(**({"time_s": 0, "step_s": 900} | values))


def decided(rule: Policy, **values) -> Release:
    """The one command that a bundled policy gives."""
    [command] = rule.decide(seen(**values))
    assert isinstance(command, Release)
    return command


def test_none_never_holds():
    assert list(policy("none").decide(seen())) == [Release(hold=False, rate_per_s=inf)]


def test_carbon_holds_until_a_cleaner_hour():
    day = [500.0] * 4 + [200.0] * 4 + [400.0] * 24
    rule = CarbonThreshold(quantile=0.25, window_s=8 * 900)
    assert decided(rule, ci_forecast_g_per_kwh=day).hold
    assert not decided(rule, ci_forecast_g_per_kwh=day[4:]).hold
    assert not decided(rule, ci_forecast_g_per_kwh=day[8:]).hold  # flat: nothing to wait for


def test_carbon_looks_no_further_than_its_window():
    day = [500.0] * 8 + [100.0] * 8
    assert decided(CarbonThreshold(window_s=16 * 900), ci_forecast_g_per_kwh=day).hold
    assert not decided(CarbonThreshold(window_s=4 * 900), ci_forecast_g_per_kwh=day).hold


def test_carbon_spreads_the_release_over_the_clean_spell():
    ahead = [200.0] * 4 + [500.0] * 8
    rule = CarbonThreshold(quantile=0.3, window_s=12 * 900)
    assert decided(rule, ci_forecast_g_per_kwh=ahead, held=72).rate_per_s == 72 / 3600
    assert decided(rule, ci_forecast_g_per_kwh=ahead).rate_per_s == inf
    flood = CarbonThreshold(quantile=0.3, window_s=12 * 900, spread=False)
    assert decided(flood, ci_forecast_g_per_kwh=ahead, held=72).rate_per_s == inf


def test_carbon_empties_the_queue_by_the_end_of_the_spell():
    ahead, held = [200.0] * 4 + [500.0] * 8, 72.0
    rule = CarbonThreshold(threshold_g_per_kwh=300.0, least_spread_s=0.0)
    for step in range(4):
        decision = decided(rule, ci_forecast_g_per_kwh=ahead[step:], held=held)
        held = max(0.0, held - decision.rate_per_s * 900)
    assert held == pytest.approx(0.0, abs=1e-9)


def test_carbon_with_a_fixed_threshold_needs_no_forecast():
    rule = CarbonThreshold(threshold_g_per_kwh=300.0)
    assert decided(rule, ci_g_per_kwh=301.0).hold
    assert not decided(rule, ci_g_per_kwh=300.0).hold


@given(st.lists(st.floats(0, 1000), min_size=1, max_size=60), st.floats(0.01, 1.0), st.integers(0, 500))
def test_carbon_always_releases_in_its_cleanest_step(ahead, quantile, held):
    ahead = [min(ahead), *ahead]
    decision = decided(CarbonThreshold(quantile=quantile), ci_forecast_g_per_kwh=ahead, held=held)
    assert not decision.hold
    assert decision.rate_per_s > 0


def test_solar_follows_generation_without_flapping():
    rule = SolarFollowing(spread_s=0)
    steps = [(0, 500), (400, 500), (500, 500), (450, 500), (390, 500), (450, 500)]
    holds = [decided(rule, generation_w=float(g), load_w=float(p)).hold for g, p in steps]
    assert holds == [True, True, False, False, True, True]


def test_solar_remembers_the_load_that_holding_took_away():
    rule = SolarFollowing(spread_s=0)
    steps = [(500, 400), (300, 500), (300, 100), (450, 100), (500, 100)]
    holds = [decided(rule, generation_w=float(g), load_w=float(p)).hold for g, p in steps]
    assert holds == [False, True, True, True, False]


def test_solar_at_night_without_load_still_holds_and_a_full_battery_releases():
    rule = SolarFollowing(spread_s=600.0)
    assert decided(rule, generation_w=0.0, load_w=0.0).hold
    decision = decided(rule, generation_w=0.0, load_w=10.0, soc=0.96, held=30)
    assert decision == Release(hold=False, rate_per_s=30 / 600)


def test_price_against_a_threshold_and_against_the_past_day():
    fixed = PriceThreshold(threshold_per_kwh=0.3)
    assert decided(fixed, price_per_kwh=0.31).hold
    assert not decided(fixed, price_per_kwh=-0.1).hold
    moving = PriceThreshold(quantile=0.5, window_s=4 * 900)
    prices = [1.0, 2.0, 3.0, 1.5, 1.0, 1.0, 1.0, 1.0, 1.2]
    holds = [decided(moving, time_s=900 * i, price_per_kwh=price).hold for i, price in enumerate(prices)]
    assert holds == [False, True, True, False, False, False, False, False, True]


@given(st.lists(st.floats(-100, 1000), min_size=1, max_size=80), st.floats(0.01, 1.0), st.integers(1, 20))
def test_price_threshold_is_the_quantile_of_its_window(prices, quantile, window):
    rule = PriceThreshold(quantile=quantile, window_s=window * 900)
    for i, price in enumerate(prices):
        threshold = np.quantile(prices[max(0, i - window + 1) : i + 1], quantile)
        if abs(price - threshold) > 1e-9:
            assert decided(rule, time_s=900 * i, price_per_kwh=price).hold == (price > threshold)
        else:
            decided(rule, time_s=900 * i, price_per_kwh=price)


def test_voltage_recovers_before_release():
    rule = VoltageThreshold()
    assert [decided(rule, vm_pu=v).hold for v in (1.0, 0.96, 0.94, 0.96, 0.975)] == [
        False,
        False,
        True,
        True,
        False,
    ]


@pytest.mark.parametrize(
    ("rule", "observation", "attribute"),
    [
        (policy("carbon"), seen(), "CI"),
        (policy("carbon"), seen(ci_g_per_kwh=5.0), "CI_forecast"),
        (policy("solar"), seen(load_w=1.0), "P_gen"),
        (policy("solar"), seen(generation_w=1.0), "P_load"),
        (policy("price"), seen(), "price"),
        (policy("voltage"), seen(), "vm_pu"),
    ],
)
def test_a_missing_connection_is_named(rule: Policy, observation, attribute):
    with pytest.raises(InputError, match=f"needs {attribute}"):
        list(rule.decide(observation))


BAD = [
    (
        "green",
        "'green' is unknown, expected one of none, carbon, solar, .*, mpc, oracle or FILE.py:CLASS",
    ),
    ("solr:spread_s=1", "'solr' is unknown, .*; did you mean solar\\?"),
    (
        "carbon:quantil=0.3",
        "'carbon': unknown option 'quantil', expected one of quantile, window_s.*; did you mean quantile\\?",
    ),
    ("solar:_released=true", "unknown option '_released'"),
    ("none:window_s=5", "'none': unknown option 'window_s', expected one of none at all"),
    ("carbon:quantile", "'carbon': 'quantile' given, expected name=value"),
    ("carbon:quantile=0.0", "a quantile above 0 to 1"),
    ("carbon:window_s=-1", "a positive window"),
    ("carbon:window_s=inf", "a positive window"),
    ("carbon:least_spread_s=-1", "least_spread_s >= 0"),
    ("carbon:most_waiting=-1", "'carbon': expected most_waiting >= 0, not -1"),
    ("price:most_waiting=-1", "'price': expected most_waiting >= 0"),
    ("solar:most_waiting=-1", "'solar': expected most_waiting >= 0"),
    ("voltage:most_waiting=-1", "'voltage': expected most_waiting >= 0"),
    ("carbon:quantile=0.2,quantile=0.3", "'carbon': quantile is given twice"),
    ("my_policy.py", "my_policy.py: no class named, expected FILE.py:CLASS"),
    ("carbon:threshold_g_per_kwh=-1", "a threshold >= 0"),
    ("solar:hold_below=1.5", "hold_below <= release_at"),
    ("solar:release_at=0.0", "release_at above 0"),
    ("price:spread_s=-1", "spread_s >= 0"),
    ("wait:slot_s=0", "'wait': expected a positive slot_s"),
    ("wait:window_s=-1", "'wait': expected a positive window"),
    ("bunch:hold_share=1", "'bunch': expected hold_share 0 to below 1"),
    ("bunch:period_s=0", "'bunch': expected a positive period"),
    ("consolidate:target=1.5", "'consolidate': expected a target above 0 to 1"),
    ("consolidate+clock:least=0", "'consolidate': expected least >= 1"),
    ("watt:budget_w=0", "'watt': expected budget_w above 0"),
    ("clamp:share=0", "'clamp': expected a share above 0 to 1"),
    ("droop:least_below_pu=0.99", "'droop': expected 0 < least_below_pu < full_above_pu"),
    ("droop:full_below_percent=100", "'droop': expected 0 <= full_below_percent < least_above_percent"),
    ("mpc:objective=fame", "'mpc': expected objective carbon or cost, not fame"),
    ("mpc:horizon_s=0", "'mpc': expected a positive horizon"),
    ("oracle:headroom=0", "expected headroom above 0"),
    ("voltage:hold_below_pu=0.99", "hold_below_pu <= release_at_pu"),
    ("carbon:quantile=low", "'carbon': quantile is 'low', expected a number"),
    ("carbon:window_s=true", "'carbon': window_s is True, expected a number"),
    ("carbon:spread=no", "'carbon': spread is 'no', expected true or false"),
    ("price:threshold_per_kwh=cheap", "'price': threshold_per_kwh is 'cheap', expected a number or none"),
]


@pytest.mark.parametrize(("spec", "message"), BAD)
def test_bad_choice_is_named(spec, message):
    with pytest.raises(InputError, match=message) as error:
        policy(spec)
    assert len(str(error.value).splitlines()) == 1


def test_parameters_are_numbers_truth_values_or_none():
    rule = policy("carbon:quantile=0.2,window-s=3600,spread=false,threshold_g_per_kwh=none")
    assert rule == CarbonThreshold(quantile=0.2, window_s=3600.0, spread=False, threshold_g_per_kwh=None)
    assert policy("carbon:") == CarbonThreshold()


def test_carbon_looks_as_far_as_the_forecast_goes_and_spreads_over_a_quarter_of_it():
    day = [200.0] + [500.0] * 15
    rule = CarbonThreshold(threshold_g_per_kwh=300.0)
    assert decided(rule, ci_forecast_g_per_kwh=day, held=72).rate_per_s == 72 / (4 * 900)
    assert decided(rule, ci_forecast_g_per_kwh=day[:4], held=72).rate_per_s == 72 / 900
    late = [500.0, 500.0, 500.0, 200.0]
    assert [decided(CarbonThreshold(window_s=s), ci_forecast_g_per_kwh=late).hold for s in (2700, None)] == [
        False,
        True,
    ]


def test_own_surplus_counts_as_clean():
    dirty = {"ci_g_per_kwh": 500.0, "generation_w": 2.0, "load_w": 1.0}
    assert not decided(CarbonThreshold(threshold_g_per_kwh=300.0), **dirty).hold
    assert decided(CarbonThreshold(threshold_g_per_kwh=300.0, surplus_is_clean=False), **dirty).hold


def test_a_short_clean_spell_is_no_flood():
    rule = CarbonThreshold(threshold_g_per_kwh=300.0, least_spread_s=3600.0)
    assert decided(rule, ci_g_per_kwh=100.0, held=7200).rate_per_s == 2.0


HOLDING = (
    ("carbon", {"ci_forecast_g_per_kwh": [100.0, 500.0]}),
    ("price:threshold_per_kwh=1.0", {"price_per_kwh": 0.1}),
    ("solar", {"generation_w": 2.0, "load_w": 1.0}),
    ("voltage", {"vm_pu": 1.0}),
)


def test_none_holds_nothing_however_much_waits():
    assert list(policy("none").decide(seen(waiting=1e6, slots=1.0))) == [Release(hold=False)]


@pytest.mark.parametrize(("spec", "signals"), HOLDING)
def test_who_holds_releases_nothing_while_too_many_wait_for_a_slot(spec, signals):
    """The limit is one per slot: a site of a thousand such clusters decides as one of them."""
    for copies in (1, 1000):
        of_cluster = {"slots": 256 * copies, "completed": 900 * copies, "running": 8 * copies, "held": copies}
        assert not decided(policy(spec), **signals, waiting=7 * copies, **of_cluster).hold
        assert decided(policy(spec), **signals, waiting=8 * copies, **of_cluster) == HOLD
        extra = f"{spec}{',' if ':' in spec else ':'}most_waiting=0.1"
        assert not decided(policy(extra), **signals, waiting=25 * copies, **of_cluster).hold
        assert decided(policy(extra), **signals, waiting=26 * copies, **of_cluster) == HOLD


@given(st.floats(0, 256), st.floats(0, 900), st.floats(0, 900), st.floats(0, 1e5))
def test_a_release_takes_free_slots_alone(running, arrived, completed, held):
    """However many are held: what the last step completed may come again, and as many more as slots are free."""
    crowd = seen(running=running, arrived=arrived, completed=completed, held=held, slots=256.0)
    command = release(crowd, 0.0, most_waiting=0.03)
    come = arrived + (0.0 if command.hold else 900 * command.rate_per_s)
    assert command == HOLD or running + come - completed <= 1.03 * 256 + 1e-6
    assert release(crowd, 0.0) == Release(hold=False)


def own(folder, needs='frozenset({"carbon", "price"})') -> str:
    file = folder / "mine.py"
    file.write_text(
        f"""
from dataclasses import dataclass
from simulators.quantities.commands import Release

@dataclass
class Mine:
    limit: float
    name: str = "x"
    needs = {needs}

    def decide(self, observation):
        return [Release(hold=observation.ci_g_per_kwh > self.limit)]

class Idle:
    pass

class Silent:
    def decide(self, observation):
        return []
"""
    )
    return f"{file}:Mine:limit=300"


def test_an_own_policy_comes_from_its_file(tmp_path):
    rule = policy(own(tmp_path))
    assert rule.limit == 300
    assert decided(rule, ci_g_per_kwh=301.0).hold
    assert policy(f"{tmp_path}/mine.py:Mine:limit=2,name=slow").name == "slow"


@pytest.mark.parametrize(
    ("rest", "message"),
    [
        ("Mine", "option 'limit' is missing"),
        ("Mine:limt=3", "unknown option 'limt', expected one of limit, name; did you mean limit"),
        ("Mine:limit=much", "limit is 'much', expected a number"),
        ("Mien", "has no class 'Mien'; did you mean Mine"),
        ("Idle", r"has no method decide\(observation\), expected one that returns commands"),
        ("Silent:x=1", "unexpected keyword|takes no arguments"),
    ],
)
def test_a_bad_own_policy_is_one_line_with_its_file(tmp_path, rest, message):
    own(tmp_path)
    with pytest.raises(InputError, match=message) as error:
        policy(f"{tmp_path}/mine.py:{rest}")
    assert f"{tmp_path}/mine.py" in str(error.value)
    assert len(str(error.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("def decide(:\n", "cannot be read as Python, line 1"),
        ("import solver_that_is_not_there\n", "fails on import: ModuleNotFoundError: No module"),
        ("raise ValueError('no\\nluck')\n", "fails on import: ValueError: no$"),
        (
            "class Mine:\n    def __init__(self):\n        1 / 0\n    def decide(self, seen): ...\n",
            "division by zero",
        ),
    ],
)
def test_a_file_that_fails_is_told_in_one_line(tmp_path, text, message):
    (tmp_path / "mine.py").write_text(text)
    for _ in range(2):  # a failed file leaves nothing behind
        with pytest.raises(InputError, match=message) as error:
            policy(f"{tmp_path}/mine.py:Mine")
        assert f"{tmp_path}/mine.py" in str(error.value)
        assert len(str(error.value).splitlines()) == 1


def test_an_own_policy_may_import_what_lies_beside_it(tmp_path):
    own(tmp_path)
    (tmp_path / "limits_of_mine.py").write_text("LIMIT = 7.0\n")
    file = tmp_path / "mine.py"
    text = file.read_text().replace("limit: float", "limit: float = LIMIT")
    file.write_text(f"from limits_of_mine import LIMIT\n{text}")
    assert policy(f"{file}:Mine").limit == 7.0


def test_a_file_that_changed_is_read_again(tmp_path):
    file = tmp_path / "mine.py"
    for limit in (3.0, 4.0):
        file.write_text(f"class Mine:\n    limit = {limit}\n    def decide(self, seen):\n        return []\n")
        assert policy(f"{file}:Mine").limit == limit


def test_what_a_policy_needs_is_known(tmp_path):
    assert needs_of("none") == set()
    assert needs_of("carbon") == {"carbon", "carbon_forecast", "generation", "load", "queue"}
    assert needs_of(own(tmp_path)) == {"carbon", "price"}
    assert needs_of(f"{tmp_path}/mine.py:Silent") == set(NEEDS)
    with pytest.raises(InputError, match="needs 'weather', expected some of carbon, carbon_forecast"):
        needs_of(own(tmp_path, needs='{"carbon", "weather"}'))


def test_every_need_fills_fields_of_an_observation():
    known = {field.name for field in fields(Observation)}
    filled = [name for names in NEEDS.values() for name in names]
    assert set(filled) <= known
    assert len(set(filled)) == len(filled)
    assert known - set(filled) == {"time_s", "step_s", "site", "refused", "facts"}


def test_every_parameter_of_every_policy_is_told():
    told = {known.name: known for known in policies()}
    assert list(told) == list(POLICIES)
    for name, known in told.items():
        assert known.summary.endswith("."), name
        assert {entry.name: entry.default for entry in known.parameters} == {
            field.name: field.default for field in fields(POLICIES[name]) if field.init
        }
        for entry in known.parameters:
            assert len(entry.about) > 10, f"{name}:{entry.name}"
            unit = entry.name.rpartition("_")[2]
            if unit == "s":
                assert ", s" in entry.about, f"{name}:{entry.name}"
            assert "  " not in entry.about
    carbon = {entry.name: entry for entry in told["carbon"].parameters}
    assert carbon["quantile"].about == "Share of the coming window that counts as clean, above 0 to 1."
    voltage = {entry.name: entry.about for entry in told["voltage"].parameters}
    assert voltage["hold_below_pu"] == voltage["release_at_pu"] != ""


@pytest.mark.parametrize(
    ("needs", "expected"), [("'carbon'", {"carbon"}), ("('price',)", {"price"}), ("set()", set())]
)
def test_signals_an_own_policy_needs(tmp_path, needs, expected):
    (tmp_path / "mine.py").write_text(
        f"class Mine:\n    needs = {needs}\n    def decide(self, o): return []\n"
    )
    assert needs_of(f"{tmp_path}/mine.py:Mine") == expected


@pytest.mark.parametrize(
    ("needs", "told"), [("3", "needs is 3"), ("{'carbn'}", "needs 'carbn'"), ("[1]", "needs '1'")]
)
def test_signals_there_are_not_are_named(tmp_path, needs, told):
    (tmp_path / "mine.py").write_text(
        f"class Mine:\n    needs = {needs}\n    def decide(self, o): return []\n"
    )
    with pytest.raises(InputError, match=told):
        needs_of(f"{tmp_path}/mine.py:Mine")
