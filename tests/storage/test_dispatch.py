"""Rules do what their names say."""

from math import inf, isnan

import numpy as np
import pytest

from simulators.errors import InputError
from simulators.storage.dispatch import CarbonAware, PriceAware, Situation, dispatch, thresholds


def test_self_consumption_balances_the_site():
    rule = dispatch("self-consumption")
    assert rule.power_w(Situation(300.0, 500.0)) == 200.0
    assert rule.power_w(Situation(500.0, 300.0)) == -200.0
    assert dispatch("none").power_w(Situation(500.0, 300.0)) == 0.0


def test_carbon_aware_charges_clean_and_discharges_dirty():
    rule = CarbonAware(200.0, 400.0, grid_charge_w=1000.0)
    assert rule.power_w(Situation(500.0, 300.0, 150.0)) == 1000.0
    assert rule.power_w(Situation(300.0, 500.0, 150.0)) == 1200.0
    assert rule.power_w(Situation(500.0, 300.0, 300.0)) == 0.0
    assert rule.power_w(Situation(300.0, 500.0, 300.0)) == 200.0
    assert rule.power_w(Situation(500.0, 300.0, 450.0)) == -200.0
    assert CarbonAware(200.0, 400.0).power_w(Situation(1.0, 0.0, 150.0)) == inf


def test_peak_shaving_keeps_to_its_limit():
    rule = dispatch("peak-shaving", import_limit_w=200.0)
    assert rule.power_w(Situation(500.0, 100.0)) == -200.0
    assert rule.power_w(Situation(150.0, 0.0)) == 50.0
    assert rule.power_w(Situation(0.0, 100.0)) == 300.0


def test_price_aware_needs_a_price():
    rule = PriceAware(10.0, 20.0)
    assert rule.power_w(Situation(5.0, 0.0, price_per_kwh=25.0)) == -5.0
    with pytest.raises(InputError, match=r"needs price\[1/kWh\]"):
        rule.power_w(Situation(5.0, 0.0))


def test_thresholds_from_a_series():
    assert thresholds(np.arange(101.0), 0.2, 0.8) == {
        "charge_at_or_below": pytest.approx(20.0),
        "discharge_at_or_above": pytest.approx(80.0),
    }
    with pytest.raises(InputError, match="too flat"):
        thresholds([5.0, 5.0])
    with pytest.raises(InputError, match="charge_quantile"):
        thresholds([5.0, 6.0], 0.7, 0.6)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("magic", {}, "'magic' is unknown, expected one of none, self-consumption, carbon, price"),
        ("none", {"x": 1}, "unknown option 'x', expected one of none at all"),
        ("peak-shaving", {}, "option 'import_limit_w' is missing"),
        ("peak-shaving", {"import_limit_w": -1.0}, "import_limit_w is -1"),
        ("carbon", {}, "option 'charge_at_or_below' is missing"),
        ("carbon", {"charge_at_or_below": 5, "discharge_at_or_above": 4}, "expected less than"),
    ],
)
def test_bad_choice_is_named(name, options, message):
    with pytest.raises(InputError, match=message):
        dispatch(name, **options)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("return None", "returned None, expected a power in W"),
        ("return 'full'", "returned 'full', expected a power in W"),
        ("return 1 / 0", "ZeroDivisionError: division by zero"),
        ("return situation.temperature", "AttributeError: 'Situation' object has no attribute"),
    ],
)
def test_an_own_rule_that_fails_is_named(tmp_path, body, said):
    file = tmp_path / "mine.py"
    file.write_text(f"class Mine:\n    def power_w(self, situation):\n        {body}\n")
    with pytest.raises(InputError, match=said) as caught:
        dispatch(f"{file}:Mine").power_w(Situation(1.0, 0.0))
    assert str(caught.value).startswith(f"battery rule {file}:Mine: ")


def test_an_own_rule_needs_its_method_and_may_return_numpys_numbers(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(
        "import numpy as np\n"
        "class Mine:\n    def power_w(self, situation): return np.float32(situation.load_w)\n"
        "class Other:\n    pass\n"
    )
    assert dispatch(f"{file}:Mine").power_w(Situation(2.0, 0.0)) == 2.0
    with pytest.raises(InputError, match=r"mine.py:Other: has no method power_w\(situation\)"):
        dispatch(f"{file}:Other")


def test_what_is_not_known_of_a_situation_is_no_number():
    situation = Situation(1.0, 0.0)
    assert all(isnan(v) for v in (situation.ci_g_per_kwh, situation.price_per_kwh, situation.soc))
