"""Rules do what their names say."""

import json
from math import isnan

import numpy as np
import pytest

from simulators.errors import InputError
from simulators.storage.dispatch import PeakShaving, Situation, dispatch
from simulators.storage.simulator import Storage


def test_self_consumption_balances_the_site():
    rule = dispatch("self-consumption")
    assert rule.power_w(Situation(300.0, 500.0)) == 200.0
    assert rule.power_w(Situation(500.0, 300.0)) == -200.0
    assert dispatch("none").power_w(Situation(500.0, 300.0)) == 0.0


def test_peak_shaving_keeps_to_its_limit():
    rule = dispatch("peak-shaving", import_limit_w=200.0)
    assert rule.power_w(Situation(500.0, 100.0)) == -200.0
    assert rule.power_w(Situation(150.0, 0.0)) == 50.0
    assert rule.power_w(Situation(0.0, 100.0)) == 300.0


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("magic", {}, "'magic' is unknown, expected one of none, self-consumption, peak-shaving, reserve"),
        ("peak-shave", {}, "'peak-shave' is unknown, .*; did you mean peak-shaving"),
        ("peak-shaving:import_limt_w=5", {}, "unknown option 'import_limt_w'.*; did you mean import_limit_w"),
        ("peak-shaving:2000", {}, "'peak-shaving': '2000' given, expected name=value"),
        ("peak-shaving:import_limit_w=low", {}, "import_limit_w is 'low', expected a number"),
        ("none", {"x": 1}, "unknown option 'x', expected one of none at all"),
        ("peak-shaving", {}, "option 'import_limit_w' is missing"),
        ("peak-shaving", {"import_limit_w": -1.0}, "import_limit_w is -1"),
        ("reserve:share=1.5", {}, "share is 1.5, expected 0 to 1"),
    ],
)
def test_bad_choice_is_named(name, options, message):
    with pytest.raises(InputError, match=message):
        dispatch(name, **options)


def test_options_stand_behind_the_name():
    assert dispatch("peak-shaving:import_limit_w=2000") == PeakShaving(2000)
    assert dispatch("peak-shaving:import_limit_w=2000", import_limit_w=3000.0) == PeakShaving(3000.0)
    assert dispatch("reserve:share=0.3").reserve == 0.3


def own(folder, body="return self.factor * situation.load_w"):
    file = folder / "mine.py"
    file.write_text(
        f"""
from dataclasses import dataclass

@dataclass
class Mine:
    factor: float = -1.0

    def power_w(self, situation):
        {body}

class Idle:
    pass
"""
    )
    return f"{file}:Mine"


def test_an_own_rule_comes_from_its_file(tmp_path):
    assert dispatch(own(tmp_path)).power_w(Situation(300.0, 0.0)) == -300.0
    assert dispatch(f"{own(tmp_path)}:factor=2").power_w(Situation(300.0, 0.0)) == 600.0
    assert dispatch(own(tmp_path), factor=3.0).power_w(Situation(300.0, 0.0)) == 900.0


@pytest.mark.parametrize(
    ("rest", "message"),
    [
        ("Mine:facto=2", "unknown option 'facto', expected one of factor; did you mean factor"),
        ("Mien", "has no class 'Mien'; did you mean Mine"),
        ("Idle", r"has no method power_w\(situation\), expected one that returns W"),
    ],
)
def test_a_bad_own_rule_is_named_with_its_file(tmp_path, rest, message):
    own(tmp_path)
    with pytest.raises(InputError, match=message) as error:
        dispatch(f"{tmp_path}/mine.py:{rest}")
    assert str(error.value).startswith(f"battery rule {tmp_path}/mine.py")


def test_a_missing_file_of_a_rule_is_named():
    with pytest.raises(InputError, match=r"battery rule nowhere\.py: no such file"):
        dispatch("nowhere.py:Mine")


def stepped(dispatch_, loads_w=(2500.0, 1500.0, 2500.0), **given):
    """Outputs of a site without generation, through JSON."""
    adapter = Storage()
    adapter.init("Storage", step_size=900)
    battery = {"capacity_wh": 1e4, "charge_efficiency": 1.0, "discharge_efficiency": 1.0}
    plain = json.loads(json.dumps({"battery": battery, "dispatch": dispatch_}))
    adapter.create(1, "Battery", name="here", **plain)
    rows = []
    for number, load_w in enumerate(loads_w):
        adapter.step(900 * number, {"here": {"P_load[MW]": {"a": load_w / 1e6}} | given}, 10**6)
        asked = {"here": ["P_charge[MW]", "P_discharge[MW]", "P_import[MW]"]}
        rows.append(json.loads(json.dumps(list(adapter.get_data(asked)["here"].values()))))
    return np.array(rows) * 1e6


@pytest.mark.parametrize(
    "rule", ["peak-shaving:import_limit_w=2000", {"name": "peak-shaving", "import_limit_w": 2000}]
)
def test_peak_shaving_in_the_adapter(rule):
    expected = [[0.0, 500.0, 2000.0], [500.0, 0.0, 2000.0], [0.0, 500.0, 2000.0]]
    np.testing.assert_allclose(stepped(rule), expected, rtol=1e-9)


def test_a_rule_may_ask_for_all_that_is_possible(tmp_path):
    rows = stepped(own(tmp_path, "return float('inf')"), (2500.0,))
    np.testing.assert_allclose(rows, [[10000.0, 0.0, 12500.0]], rtol=1e-9)


def test_an_own_rule_in_the_adapter(tmp_path):
    expected = [[0.0, 1250.0, 1250.0], [0.0, 750.0, 750.0]]
    for rule in (f"{own(tmp_path)}:factor=-0.5", {"name": own(tmp_path), "factor": -0.5}):
        np.testing.assert_allclose(stepped(rule, (2500.0, 1500.0)), expected, rtol=1e-9)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("return 1 / 0 if situation.load_w > 2000 else 0.0", "ZeroDivisionError: division by zero"),
        ("return None if situation.load_w > 2000 else 0.0", "asks for None, expected a number of W"),
        ("return float('nan') if situation.load_w > 2000 else 0", "asks for nan, expected a number of W"),
        ("return 'full' if situation.load_w > 2000 else 0", "asks for 'full', expected a number of W"),
    ],
)
def test_an_own_rule_that_fails_is_named_with_the_time(tmp_path, body, message):
    with pytest.raises(InputError, match=message) as error:
        stepped(own(tmp_path, body), (1500.0, 1500.0, 2500.0))
    assert str(error.value).startswith(f"battery rule {tmp_path}/mine.py:Mine at 1800 s: ")


def test_an_own_rule_may_return_numpys_numbers(tmp_path):
    body = "import numpy; return numpy.float32(situation.load_w)"
    assert dispatch(own(tmp_path, body)).power_w(Situation(2.0, 0.0)) == 2.0


def test_what_is_not_known_of_a_situation_is_no_number():
    situation = Situation(1.0, 0.0)
    assert all(isnan(value) for value in (situation.ci_g_per_kwh, situation.price_per_kwh, situation.soc))
