"""The storage adapter in a world: the balance, commands and what it refuses, rules of every kind."""

import pytest

from simulators.generation.per_unit import per_unit_power_w
from simulators.generation.simulator import Generation
from simulators.storage.simulator import Storage

from .worlds import LOSSLESS, TinyWorld


def test_storage_balances_load_and_generation():
    battery = LOSSLESS | {
        "capacity_wh": 1e6, "max_charge_w": 0.5e6, "max_discharge_w": 0.5e6, "soc_initial": 0.0
    }  # fmt: skip
    with TinyWorld() as tiny:
        storage = tiny.start(Storage, "Storage")
        site = storage.Battery(battery=battery, export_limit_w=0.2e6)
        generation = tiny.start(Generation, "Generation")
        shares = per_unit_power_w([1.0, 1.0, 0.0, 0.0], 2e6)
        tiny.world.connect(generation.PerUnit(power_w=shares.tolist()), site, ("P[MW]", "P_gen[MW]"))
        for load_mw in (0.5, 0.3):
            tiny.world.connect(tiny.source(lambda i, p=load_mw: p), site, ("value", "P_load[MW]"))
        tiny.record(
            site,
            *("P_load[MW]", "P_gen[MW]", "P_charge[MW]", "P_discharge[MW]", "P_import[MW]", "P_export[MW]"),
            *("P_curtailed[MW]", "SoC[1]", "SoC_end[1]", "E[MWh]"),
        )
        result = tiny.series(4)
        said = storage.summary("Battery-0")
    expected = {
        "P_load[MW]": [0.8] * 4,
        "P_gen[MW]": [2.0, 2.0, 0.0, 0.0],
        "P_charge[MW]": [0.5, 0.5, 0.0, 0.0],
        "P_discharge[MW]": [0.0, 0.0, 0.5, 0.5],
        "P_import[MW]": [0.0, 0.0, 0.3, 0.3],
        "P_export[MW]": [0.2, 0.2, 0.0, 0.0],
        "P_curtailed[MW]": [0.5, 0.5, 0.0, 0.0],
        "SoC[1]": [0.0, 0.125, 0.25, 0.125],
        "SoC_end[1]": [0.125, 0.25, 0.125, 0.0],
        "E[MWh]": [0.125, 0.25, 0.125, 0.0],
    }
    for name, values in expected.items():
        assert result[name] == pytest.approx(values, abs=1e-12), name
    assert said["max_relative_residual"] <= 1e-9
    assert (said["initial_wh"], said["charged_wh"], said["discharged_wh"]) == (0.0, 0.25e6, 0.25e6)


def test_site_without_a_battery_imports():
    with TinyWorld() as tiny:
        site = tiny.start(Storage, "Storage").Battery()
        tiny.world.connect(tiny.source(lambda i: 0.7), site, ("value", "P_load[MW]"))
        tiny.record(site, "P_import[MW]", "SoC_end[1]")
        assert tiny.series(2) == {"P_import[MW]": [0.7, 0.7], "SoC_end[1]": [0.0, 0.0]}


def test_commands_set_the_battery_and_curtail_and_impossible_ones_are_refused():
    told = [
        [
            {"kind": "battery", "watts": 1e5},
            {"kind": "curtail", "watts": 2e5},
            {"kind": "clock", "share": 0.5},
        ],
        [{"kind": "battery", "watts": 9e9}, {"kind": "curtail", "watts": -1.0}],
        [{"kind": "battery", "watts": 1e5}, {"kind": "battery", "watts": -1e5}, {"kind": "curtail"}],
        [],
    ]
    battery = LOSSLESS | {"capacity_wh": 1e6, "soc_initial": 0.5}
    with TinyWorld() as tiny:
        site = tiny.start(Storage, "Storage").Battery(battery=battery, dispatch="none")
        tiny.world.connect(tiny.source(lambda i: 0.4), site, ("value", "P_load[MW]"))
        tiny.world.connect(tiny.source(lambda i: 0.3), site, ("value", "P_gen[MW]"))
        tiny.world.connect(tiny.source(lambda i: told[i]), site, ("value", "commands"))
        tiny.record(
            site,
            *("P_charge[MW]", "P_discharge[MW]", "P_curtailed[MW]", "P_gen[MW]", "P_import[MW]", "refused"),
        )
        result = tiny.series(4)
    assert result["P_charge[MW]"] == pytest.approx([0.1, 0.0, 0.0, 0.0])
    assert result["P_discharge[MW]"] == pytest.approx([0.0, 0.0, 0.1, 0.0])
    assert result["P_curtailed[MW]"] == pytest.approx([0.1, 0.0, 0.0, 0.0])
    assert result["P_gen[MW]"] == pytest.approx([0.3] * 4)
    assert result["P_import[MW]"] == pytest.approx([0.3, 0.1, 0.0, 0.1])
    assert [[entry["kind"] for entry in step] for step in result["refused"]] == [
        [], ["curtail", "battery"], ["battery", "curtail"], []
    ]  # fmt: skip
    assert "W asked for, -1e+06 to 1e+06 W possible" in result["refused"][1][1]["reason"]
    assert "a field is missing" in result["refused"][2][1]["reason"]


def test_a_site_without_a_battery_refuses_its_power():
    with TinyWorld() as tiny:
        site = tiny.start(Storage, "Storage").Battery()
        command = [{"kind": "battery", "watts": 1.0}]
        tiny.world.connect(tiny.source(lambda i: command), site, ("value", "commands"))
        tiny.record(site, "refused")
        assert tiny.series(1)["refused"] == [[{"kind": "battery", "reason": "the site has no battery"}]]


@pytest.mark.parametrize(
    "rule", ["peak-shaving:import_limit_w=3e5", {"name": "peak-shaving", "import_limit_w": 3e5}, "own"]
)
def test_battery_rules_by_name_table_and_file(tmp_path, rule):
    if rule == "own":
        file = tmp_path / "mine.py"
        file.write_text(
            "class Mine:\n"
            "    def __init__(self, limit_w): self.limit_w = limit_w\n"
            "    def power_w(self, situation):\n"
            "        assert 0 <= situation.soc <= 1 and situation.step_s == 900\n"
            "        return self.limit_w - situation.load_w\n"
        )
        rule = f"{file}:Mine:limit_w=3e5"
    with TinyWorld() as tiny:
        battery = LOSSLESS | {"capacity_wh": 1e6}
        site = tiny.start(Storage, "Storage").Battery(battery=battery, dispatch=rule)
        tiny.world.connect(tiny.source(lambda i: [0.4, 0.2][i]), site, ("value", "P_load[MW]"))
        tiny.record(site, "P_discharge[MW]", "P_charge[MW]")
        result = tiny.series(2)
    assert result["P_discharge[MW]"] == pytest.approx([0.1, 0.0])
    assert result["P_charge[MW]"] == pytest.approx([0.0, 0.1])


def test_two_batteries_of_one_description_share_nothing():
    with TinyWorld() as tiny:
        storage = tiny.start(Storage, "Storage")
        sites = storage.Battery.create(2, battery=LOSSLESS | {"capacity_wh": 1e6})
        tiny.world.connect(tiny.source(lambda i: 0.4), sites[0], ("value", "P_load[MW]"))
        tiny.record(sites[0], "SoC_end[1]")
        assert tiny.series(1)["SoC_end[1]"] == pytest.approx([0.4])
        assert storage.summary("Battery-1")["discharged_wh"] == 0.0
