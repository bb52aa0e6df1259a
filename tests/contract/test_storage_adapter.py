"""The storage adapter in a world: the balance, commands and what it refuses, rules of every kind."""

import pytest

from simulators.generation.per_unit import per_unit_power_w
from simulators.generation.simulator import Generation
from simulators.quantities.commands import BatteryPower, Curtail, PowerCap
from simulators.storage.simulator import Storage

from .worlds import LOSSLESS, SMALL, TinyWorld


def test_storage_balances_load_and_generation():
    with TinyWorld() as tiny:
        storage = tiny.start(Storage, "Storage")
        site = storage.Battery(battery=SMALL, connection={"export_limit_w": 0.2e6})
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
    assert said.pop("max_relative_residual") <= 1e-9
    assert (said["initial_wh"], said["charged_wh"], said["discharged_wh"]) == (0.0, 0.25e6, 0.25e6)
    assert said == pytest.approx(
        {
            "initial_wh": 0.0,
            "final_wh": 0.0,
            "charged_wh": 2.5e5,
            "discharged_wh": 2.5e5,
            "lost_wh": 0.0,
            "settled_wh": 0.0,
            "faded_wh": 0.0,
            "cycles": 0.25,
            "capacity_lost": 0.0,
            "resistance_gained": 0.0,
            "too_fast_s": 0,
        },
        abs=1e-6,
    )


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


def stored(commands, generation_w=0.8e6, battery=SMALL, load_mw=0.4, export_limit_w=1e9):
    """What a site does while told so; commands by step."""
    outputs = (
        "P_charge[MW]",
        "P_discharge[MW]",
        "P_import[MW]",
        "P_export[MW]",
        "P_curtailed[MW]",
        "refused",
    )
    with TinyWorld() as tiny:
        site = tiny.start(Storage, "Storage").Battery(
            battery=battery, connection={"export_limit_w": export_limit_w}
        )
        pv = tiny.start(Generation, "Generation").PV(power_w=[generation_w] * len(commands))
        tiny.world.connect(pv, site, ("P[MW]", "P_gen[MW]"))
        tiny.world.connect(tiny.source(lambda i: load_mw), site, ("value", "P_load[MW]"))
        plain = [[command.to_plain() for command in step] for step in commands]
        tiny.world.connect(tiny.source(lambda i: plain[i]), site, ("value", "commands"))
        tiny.record(site, *outputs)
        return tiny.series(len(commands))


def test_commands_go_before_the_batterys_rule():
    rows = stored([[], [BatteryPower(0.3e6)], [BatteryPower(0.0), PowerCap(1.0)], [BatteryPower(-0.1e6)], []])
    assert rows["P_charge[MW]"] == pytest.approx([0.4, 0.3, 0.0, 0.0, 0.4])
    assert rows["P_discharge[MW]"] == pytest.approx([0.0, 0.0, 0.0, 0.1, 0.0])
    assert rows["P_export[MW]"] == pytest.approx([0.0, 0.1, 0.4, 0.5, 0.0])
    assert rows["refused"] == [[]] * 5  # what is for others is theirs to refuse


def test_what_the_battery_cannot_do_is_refused_and_its_rule_goes_on():
    rows = stored([[BatteryPower(0.6e6)], [BatteryPower(-0.45e6)], [BatteryPower(float("nan"))]])
    assert rows["P_charge[MW]"] == pytest.approx([0.4] * 3)
    assert [[entry["kind"] for entry in step] for step in rows["refused"]] == [["battery"]] * 3
    reasons = [step[0]["reason"] for step in rows["refused"]]
    assert reasons[:2] == [
        "600000 W asked for, 0 to 500000 W possible",
        "-450000 W asked for, -400000 to 500000 W possible",
    ]
    assert reasons[2].startswith("nan W asked for")
    [refusal] = stored([[BatteryPower(1.0)]], battery=None)["refused"][0]
    assert refusal == {"kind": "battery", "reason": "the site has no battery"}


def test_generation_is_curtailed_as_commanded():
    inf = float("inf")
    rows = stored(
        [[Curtail(0.5e6)], [Curtail(0.0)], [Curtail(inf)], [Curtail(-1.0)], [Curtail(2e6)]], battery=None
    )
    assert rows["P_curtailed[MW]"] == pytest.approx([0.3, 0.8, 0.0, 0.0, 0.0])
    assert rows["P_export[MW]"] == pytest.approx([0.1, 0.0, 0.4, 0.4, 0.4])
    assert rows["P_import[MW]"] == pytest.approx([0.0, 0.4, 0.0, 0.0, 0.0])
    assert [len(step) for step in rows["refused"]] == [0, 0, 0, 1, 0]
    assert rows["refused"][3][0]["reason"] == "-1.0 W of generation, expected a number >= 0"
    rows = stored([[Curtail(0.6e6)], [Curtail(0.5e6), BatteryPower(0.0)]], export_limit_w=0.05e6)
    assert rows["P_charge[MW]"] == pytest.approx([0.2, 0.0])  # the rule sees what is left
    assert rows["P_curtailed[MW]"] == pytest.approx([0.2, 0.35])  # as commanded, and beyond the limit
