"""What a study may say of the battery and the connection."""

from __future__ import annotations

import json

import pytest
from pydantic import ValidationError

from simulators.errors import InputError
from simulators.storage.battery import BatteryConfig
from simulators.storage.options import ConnectionOptions, StorageOptions


def test_the_battery_of_a_study_is_one_the_model_takes():
    plain = StorageOptions(battery_kwh=10.0, battery_hours=4.0, soc_start=0.6, soc_min=0.2).battery()
    assert json.loads(json.dumps(plain)) == plain
    config = BatteryConfig(**plain)
    assert (config.capacity_wh, config.charge_limit_w, config.discharge_limit_w) == (10e3, 2.5e3, 2.5e3)
    assert (config.soc_min, config.soc_initial) == (0.2, 0.6)


def test_both_go_to_json_and_back():
    for options in (StorageOptions(battery_kwh=5.0, dispatch="none"), ConnectionOptions(bus=3)):
        assert type(options).model_validate_json(options.model_dump_json()) == options
    assert ConnectionOptions(bus=3).bus == "3"


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"battery_kwh": 0}, "expected a number above 0; leave it out with --without battery"),
        ({"battery_kwh": float("nan")}, "expected a number above 0"),
        ({"dispatch": "peak-shavin"}, "did you mean peak-shaving"),
        ({"dispatch": "peak-shaving"}, "option 'import_limit_w' is missing"),
        ({"soc_min": 1.0}, "less than 1"),
        ({"battery": 5.0}, "Extra inputs"),
    ],
)
def test_wrong_entries_are_refused(wrong, said):
    with pytest.raises(ValidationError, match=said):
        StorageOptions(**wrong)


def test_a_battery_never_starts_below_its_lowest_charge():
    with pytest.raises(InputError, match=r"--soc-start: 0.1 given, expected at least --soc-min 0.2"):
        StorageOptions(soc_start=0.1, soc_min=0.2).battery()


def test_an_own_rule_is_a_file_that_was_read(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text("class Mine:\n    def power_w(self, situation): return 0.0\n")
    assert StorageOptions(dispatch=f"{file}:Mine").files() == [("battery rule", file)]
    assert StorageOptions().files() == []
