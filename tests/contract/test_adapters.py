"""Every adapter in a world with OFFIS's own components: names, units, timing, values.

All of them are made from plain values that went through JSON, as they would be in another process.
"""

import json
import re
from pathlib import Path

import mosaik_api_v3
import numpy as np
import pytest
from mosaik.exceptions import ScenarioError
from mosaik.starters import PythonStarter

from simulators.carbon.simulator import Carbon
from simulators.datacenter.facility import Facility
from simulators.datacenter.simulator import DataCenter
from simulators.errors import InputError
from simulators.generation.per_unit import per_unit_power_w
from simulators.generation.simulator import Generation
from simulators.grid.simulator import PowerGrid
from simulators.inference.simulator import Inference
from simulators.profiles.simulator import ProfileReplay
from simulators.quantities.commands import BatteryPower, Curtail, PowerCap
from simulators.scheduler.simulator import Scheduler
from simulators.storage.simulator import Storage
from simulators.traffic.simulator import Traffic

from .worlds import STEP_S, TinyWorld

ADAPTERS = [Carbon, DataCenter, Generation, Inference, PowerGrid, ProfileReplay, Scheduler, Storage, Traffic]
README = Path(__file__).resolve().parents[2] / "simulators" / "README.md"
SMALL = {
    "capacity_wh": 1e6,
    "max_charge_w": 0.5e6,
    "max_discharge_w": 0.5e6,
    "charge_efficiency": 1.0,
    "discharge_efficiency": 1.0,
    "soc_initial": 0.0,
}


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_attributes_are_those_of_the_architecture(adapter):
    """What the architecture's table promises is there, under those names, and nothing else."""
    models = adapter().meta["models"]
    table = {}
    for line in README.read_text(encoding="utf-8").splitlines():
        if match := re.match(r"\| `(\w+)` ([\w, ]+) \| (.*) \|$", line):
            for model in match[2].split(", "):
                table[match[1], model] = set(re.findall(r"`([^`]+)`", match[3])) - set(models)
    room = adapter.__module__.split(".")[1]
    told = {model for of_room, model in table if of_room == room}
    assert told <= set(models)
    assert {model for model, description in models.items() if description["public"]} <= told
    for model in told:
        assert set(models[model]["attrs"]) == table[room, model]


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_every_adapter_tells_a_summary_and_takes_a_name(adapter):
    meta = adapter().meta
    assert json.loads(json.dumps(meta)) == meta
    assert meta["type"] == "time-based"
    assert "summary" in meta["extra_methods"]
    assert all("name" in model["params"] for model in meta["models"].values())


def test_generation_is_replayed_in_mw():
    with TinyWorld() as tiny:
        generation = tiny.start(Generation, "Generation")
        pv = generation.PV(power_w=[0.0, 2.5e6, 1e6])
        tiny.record(pv, "P[MW]")
        assert tiny.series(3) == {"P[MW]": [0.0, 2.5, 1.0]}


def test_generation_ends_with_its_series():
    with TinyWorld() as tiny:
        wind = tiny.start(Generation, "Generation").Wind(power_w=[1e6])
        tiny.record(wind, "P[MW]")
        with pytest.raises(InputError, match="Wind-0: has values for 1 steps, the run goes on at step 1"):
            tiny.series(2)


def test_carbon_hands_out_the_value_and_its_forecast():
    ci = [300.0 + i for i in range(100)]
    with TinyWorld() as tiny:
        carbon = tiny.start(Carbon, "Carbon")
        forecast = {"name": "persistence", "horizon_s": 4 * STEP_S}
        entity = carbon.CarbonIntensity(g_per_kwh=ci, forecast=forecast)
        tiny.record(entity, "CI[gCO2eq/kWh]", "CI_forecast[gCO2eq/kWh]")
        result = tiny.series(98)
    assert result["CI[gCO2eq/kWh]"] == ci[:98]
    assert result["CI_forecast[gCO2eq/kWh]"][97] == [397.0, 302.0, 303.0, 304.0]


def test_carbon_without_forecast_knows_only_now():
    with TinyWorld() as tiny:
        entity = tiny.start(Carbon, "Carbon").CarbonIntensity(g_per_kwh=[400.0])
        tiny.record(entity, "CI_forecast[gCO2eq/kWh]")
        assert tiny.series(1) == {"CI_forecast[gCO2eq/kWh]": [[400.0]]}


def test_carbon_tells_average_and_marginal_intensities_apart():
    with TinyWorld() as tiny:
        carbon = tiny.start(Carbon, "Carbon")
        both = carbon.CarbonIntensity(
            g_per_kwh=[300.0, 310.0], marginal_g_per_kwh=[700.0, 710.0], forecast={"horizon_s": 2 * STEP_S}
        )
        tiny.record(both, "CI[gCO2eq/kWh]", "CI_marginal[gCO2eq/kWh]", "CI_forecast[gCO2eq/kWh]")
        assert tiny.series(2) == {
            "CI[gCO2eq/kWh]": [300.0, 310.0],
            "CI_marginal[gCO2eq/kWh]": [700.0, 710.0],
            "CI_forecast[gCO2eq/kWh]": [[300.0, 310.0], [310.0, 310.0]],
        }
    with TinyWorld() as tiny:
        entity = tiny.start(Carbon, "Carbon").CarbonIntensity(
            marginal_g_per_kwh=[700.0, 710.0], forecast={"name": "perfect", "horizon_s": 2 * STEP_S}
        )
        tiny.record(entity, "CI_marginal[gCO2eq/kWh]", "CI_forecast[gCO2eq/kWh]")
        assert tiny.series(1)["CI_forecast[gCO2eq/kWh]"] == [[700.0, 710.0]]
    with TinyWorld() as tiny:
        entity = tiny.start(Carbon, "Carbon").CarbonIntensity(g_per_kwh=[300.0], name="south")
        tiny.record(entity, "CI_marginal[gCO2eq/kWh]")
        with pytest.raises(InputError, match=r"south: has no CI_marginal\[gCO2eq/kWh\], expected its series"):
            tiny.series(1)


def test_carbon_ends_with_its_series():
    with TinyWorld() as tiny:
        entity = tiny.start(Carbon, "Carbon").CarbonIntensity(g_per_kwh=[400.0])
        tiny.record(entity, "CI[gCO2eq/kWh]")
        with pytest.raises(InputError, match="carbon intensity: has values for 1 steps, the run goes on at"):
            tiny.series(2)


def test_a_price_is_replayed():
    with TinyWorld() as tiny:
        price = tiny.start(ProfileReplay, "Prices").Profile(values=[0.3, -0.1, 0.2])
        tiny.record(price, "price[1/kWh]")
        assert tiny.series(3) == {"price[1/kWh]": [0.3, -0.1, 0.2]}


def test_datacenter_sums_clusters_and_adds_overhead():
    with TinyWorld() as tiny:
        centre = tiny.start(DataCenter, "DataCenter").DataCenter()
        for power_mw in (0.4, 0.6):
            tiny.world.connect(tiny.source(lambda i, p=power_mw: p * i), centre, ("value", "P_gpu[MW]"))
        tiny.record(centre, "P_it[MW]", "P_cooling[MW]", "P_losses[MW]", "P[MW]")
        result = tiny.series(3)
    assert result["P_it[MW]"] == pytest.approx([0.0, 1.0, 2.0])
    assert result["P[MW]"] == pytest.approx([0.0, 1.2, 2.4])
    parts = np.sum([result[name] for name in ("P_it[MW]", "P_cooling[MW]", "P_losses[MW]")], axis=0)
    np.testing.assert_allclose(parts, result["P[MW]"])


def test_datacenter_hosts_follow_utilisation():
    facility = Facility.for_gpus(16, power_chain_efficiency=0.96)
    with TinyWorld() as tiny:
        centre = tiny.start(DataCenter, "DataCenter").DataCenter(facility={"gpus": 16, "pue": 1.2})
        for offset in (0.0, 1.0):  # the mean of what is connected
            tiny.world.connect(
                tiny.source(lambda i, d=offset: min(1.0, max(0.0, i - d))),
                centre,
                ("value", "utilisation[1]"),
            )
        tiny.world.connect(tiny.source(lambda i: 0.01), centre, ("value", "P_gpu[MW]"))
        tiny.record(centre, "P_it[MW]", "P[MW]")
        result = tiny.series(3)
    expected = [facility.power(1e4, busy) for busy in (0.0, 0.5, 1.0)]
    assert result["P_it[MW]"] == pytest.approx([power.it_w / 1e6 for power in expected])
    assert result["P[MW]"] == pytest.approx([power.facility_w / 1e6 for power in expected])
    assert result["P_it[MW]"][1] == pytest.approx(sum(result["P_it[MW]"][::2]) / 2)
    assert result["P_it[MW]"] == sorted(set(result["P_it[MW]"]))


def test_datacenter_stands_for_many_and_counts_gpus_alone_if_told():
    with TinyWorld() as tiny:
        rooms = tiny.start(DataCenter, "DataCenter")
        gpus = {"gpus": 8, "pue": 1.5}
        one = rooms.DataCenter(facility=gpus)
        many = rooms.DataCenter(facility=gpus | {"copies": 3.0})
        alone = rooms.DataCenter(facility=gpus | {"node_overhead": False})
        for centre, power_mw in ((one, 0.004), (many, 0.012), (alone, 0.004)):
            tiny.world.connect(tiny.source(lambda i, p=power_mw: p), centre, ("value", "P_gpu[MW]"))
        outputs = ("P_it[MW]", "P_cooling[MW]", "P_losses[MW]", "P[MW]")
        for centre in (one, many, alone):
            tiny.record(centre, *outputs, prefix=f"{centre.eid} ")
        result = {name: value for name, [value] in tiny.series(1).items()}
    for name in outputs:
        assert result[f"DataCenter-1 {name}"] == pytest.approx(3 * result[f"DataCenter-0 {name}"])
    assert result["DataCenter-2 P_it[MW]"] == pytest.approx(0.004)
    assert result["DataCenter-2 P[MW]"] == pytest.approx(0.006)
    assert result["DataCenter-0 P_it[MW]"] > 0.004


def test_storage_balances_load_and_generation():
    with TinyWorld() as tiny:
        storage = tiny.start(Storage, "Storage")
        site = storage.Battery(battery=SMALL, export_limit_w=0.2e6)
        generation = tiny.start(Generation, "Generation")
        shares = per_unit_power_w([1.0, 1.0, 0.0, 0.0], 2e6).tolist()
        tiny.world.connect(generation.PerUnit(power_w=shares), site, ("P[MW]", "P_gen[MW]"))
        for load_mw in (0.5, 0.3):
            tiny.world.connect(tiny.source(lambda i, p=load_mw: p), site, ("value", "P_load[MW]"))
        tiny.record(
            site,
            *("P_load[MW]", "P_gen[MW]", "P_charge[MW]", "P_discharge[MW]", "P_import[MW]", "P_export[MW]"),
            *("P_curtailed[MW]", "SoC[1]", "SoC_end[1]", "E[MWh]"),
        )
        result = tiny.series(4)
        summary = json.loads(json.dumps(storage.summary(site.eid)))
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
    assert summary.pop("max_relative_residual") <= 1e-9
    assert summary == pytest.approx(
        {"initial_wh": 0.0, "final_wh": 0.0, "charged_wh": 2.5e5, "discharged_wh": 2.5e5, "lost_wh": 0.0},
        abs=1e-6,
    )


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
        site = tiny.start(Storage, "Storage").Battery(battery=battery, export_limit_w=export_limit_w)
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
        "600000 W asked for, -0 to 500000 W possible",
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


def test_site_without_a_battery_imports():
    with TinyWorld() as tiny:
        site = tiny.start(Storage, "Storage").Battery()
        tiny.world.connect(tiny.source(lambda i: 0.7), site, ("value", "P_load[MW]"))
        tiny.record(site, "P_import[MW]", "SoC_end[1]")
        assert tiny.series(2) == {"P_import[MW]": [0.7, 0.7], "SoC_end[1]": [0.0, 0.0]}


def test_scheduler_follows_a_forecast_and_releases_evenly():
    ahead = [[500.0, 200.0, 200.0], [200.0, 200.0, 500.0], [200.0, 500.0, 500.0], [500.0, 500.0, 500.0]]
    with TinyWorld() as tiny:
        controller = tiny.start(Scheduler, "Scheduler").Controller(policy="carbon:threshold_g_per_kwh=300")
        tiny.world.connect(tiny.source(lambda i: ahead[i][0]), controller, ("value", "CI[gCO2eq/kWh]"))
        tiny.world.connect(tiny.source(lambda i: ahead[i]), controller, ("value", "CI_forecast[gCO2eq/kWh]"))
        for held in (100, 80):
            tiny.world.connect(tiny.source(lambda i, n=held: n), controller, ("value", "held[1]"))
        tiny.record(controller, "hold[1]", "commands")
        result = tiny.series(4)
    assert result["hold[1]"] == [1, 0, 0, 1]
    assert [command["kind"] for [command] in result["commands"]] == ["release"] * 4
    rates = [command["rate_per_s"] for [command] in result["commands"]]
    assert rates == pytest.approx([0.0, 0.1, 0.2, 0.0])


def test_scheduler_takes_the_lowest_voltage():
    with TinyWorld() as tiny:
        controller = tiny.start(Scheduler, "Scheduler").Controller(policy="voltage")
        for voltage in (1.0, 0.94):
            tiny.world.connect(tiny.source(lambda i, v=voltage: v), controller, ("value", "vm_pu[1]"))
        tiny.record(controller, "hold[1]")
        assert tiny.series(1) == {"hold[1]": [1]}


def test_scheduler_refuses_two_intensities():
    with TinyWorld() as tiny:
        controller = tiny.start(Scheduler, "Scheduler").Controller(policy="none")
        for _ in range(2):
            tiny.world.connect(tiny.source(lambda i: 1.0), controller, ("value", "CI[gCO2eq/kWh]"))
        tiny.record(controller, "hold[1]")
        with pytest.raises(InputError, match=r"CI\[gCO2eq/kWh\] has 2 sources"):
            tiny.series(1)


class SwitchedLoad(mosaik_api_v3.Simulator):
    """1 MW, or 0.1 MW while requests are held: the smallest load that closes the loop."""

    def __init__(self):
        attrs = ["hold[1]", "P[MW]"]
        model = {"public": True, "params": [], "attrs": attrs}
        super().__init__({"api_version": "3.0", "type": "time-based", "models": {"Load": model}})

    def init(self, sid, time_resolution=1.0, step_size=1):
        self.step_size = step_size
        return self.meta

    def create(self, num, model):
        return [{"eid": "Load", "type": model}]

    def step(self, time, inputs, max_advance):
        self.power_mw = 0.1 if next(iter(inputs["Load"]["hold[1]"].values())) else 1.0
        return time + self.step_size

    def get_data(self, outputs):
        return {"Load": {"P[MW]": self.power_mw}}


def test_closed_loop_with_the_batterys_charge_one_step_late():
    """Battery -> scheduler (shifted) -> load -> battery: the charge decides, the load follows, at once."""
    battery = SMALL | {"max_charge_w": 4e6, "max_discharge_w": 4e6, "soc_initial": 0.75}
    with TinyWorld() as tiny:
        rule = "solar:soc_release=0.71,spread_s=0"
        controller = tiny.start(Scheduler, "Scheduler").Controller(policy=rule)
        load = tiny.start(SwitchedLoad, "Load").Load()
        site = tiny.start(Storage, "Storage").Battery(battery=battery)
        pv = tiny.start(Generation, "Generation").PV(power_w=[0.5e6] * 6)
        world = tiny.world
        world.connect(pv, controller, ("P[MW]", "P_gen[MW]"))
        world.connect(controller, load, "hold[1]")
        world.connect(load, site, ("P[MW]", "P_load[MW]"))
        world.connect(pv, site, ("P[MW]", "P_gen[MW]"))
        world.connect(
            site, controller, ("SoC_end[1]", "SoC[1]"), time_shifted=True, initial_data={"SoC_end[1]": 0.75}
        )
        world.connect(
            load, controller, ("P[MW]", "P_load[MW]"), time_shifted=True, initial_data={"P[MW]": 1.0}
        )
        tiny.record(site, "SoC_end[1]", "P_load[MW]")
        tiny.record(controller, "hold[1]")
        result = tiny.series(6)
    # 1 MW against 0.5 MW of sun empties 0.125 a step; held, 0.1 MW against 0.5 MW fills 0.1. The charge seen is
    # the one a step ago, so that 0.625 at the end of the first step holds the second.
    assert result["hold[1]"] == [0, 1, 0, 1, 1, 0]
    assert result["P_load[MW]"] == [1.0, 0.1, 1.0, 0.1, 0.1, 1.0]
    assert result["SoC_end[1]"] == pytest.approx(
        [0.625, 0.725, 0.6, 0.7 - 1e-3, 0.8 - 1e-3, 0.675 - 1e-3], abs=2e-3
    )


def test_refusals_reach_the_policy_one_step_late(tmp_path):
    """Controller -> storage -> controller (shifted): what was refused in a step is seen in the next."""
    (tmp_path / "mine.py").write_text(
        """
from simulators.quantities.commands import BatteryPower

class Mine:
    needs = frozenset()

    def decide(self, observation):
        if observation.refused:
            return [BatteryPower(0.0)]
        return [BatteryPower(-1e9)]
"""
    )
    with TinyWorld() as tiny:
        controllers = tiny.start(Scheduler, "Scheduler")
        controller = controllers.Controller(policy=f"{tmp_path}/mine.py:Mine")
        site = tiny.start(Storage, "Storage").Battery(battery=SMALL)
        tiny.world.connect(controller, site, "commands")
        tiny.world.connect(site, controller, "refused", time_shifted=True, initial_data={"refused": []})
        tiny.record(site, "refused")
        tiny.record(controller, "refused[1]", "commands")
        result = tiny.series(4)
        summary = controllers.summary(controller.eid)
    assert [len(step) for step in result["refused"]] == [1, 0, 1, 0]
    assert result["refused[1]"] == [0, 1, 0, 1]
    assert [command["watts"] for [command] in result["commands"]] == [-1e9, 0.0, -1e9, 0.0]
    assert summary["commands"] == {"battery": 4}
    [told] = summary["refused"]
    assert (told["kind"], told["count"]) == ("battery", 2)


def test_missing_initial_data_is_refused():
    with TinyWorld() as tiny:
        controller = tiny.start(Scheduler, "Scheduler").Controller(policy="none")
        site = tiny.start(Storage, "Storage").Battery()
        with pytest.raises(ScenarioError):
            tiny.world.connect(site, controller, ("SoC_end[1]", "SoC[1]"), time_shifted=True)


def test_profile_from_mosaik_csv_drives_the_site(tmp_path):
    """OFFIS's mosaik-csv connects without an adapter between."""
    mosaik_csv = pytest.importorskip("mosaik_csv")
    file = tmp_path / "site.csv"
    file.write_text(
        "Date,P,CI\n2024-01-01 00:00:00,0.5,300\n2024-01-01 00:15:00,0.6,400\n2024-01-01 00:30:00,0.0,500\n"
    )
    with TinyWorld() as tiny:
        csv = tiny.world.start(
            PythonStarter(mosaik_csv.CSV),
            sim_id="CSV",
            sim_start="2024-01-01 00:00:00",
            datafile=str(file),
        )
        row = csv.Data()
        site = tiny.start(Storage, "Storage").Battery()
        controller = tiny.start(Scheduler, "Scheduler").Controller(policy="carbon:threshold_g_per_kwh=350")
        tiny.world.connect(row, site, ("P", "P_load[MW]"))
        tiny.world.connect(row, controller, ("CI", "CI[gCO2eq/kWh]"))
        tiny.record(site, "P_import[MW]")
        tiny.record(controller, "hold[1]")
        assert tiny.series(3) == {"P_import[MW]": [0.5, 0.6, 0.0], "hold[1]": [0, 1, 1]}


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Generation().create(1, "PV", power_w=[-1.0]), "PV: expected one power >= 0 W"),
        (lambda: Generation().create(1, "PV"), "PV: expected one power >= 0 W"),
        (lambda: Carbon().create(1, "CarbonIntensity", g_per_kwh=[np.nan]), "one number >= 0 g/kWh"),
        (lambda: Carbon().create(1, "CarbonIntensity"), "one number >= 0 g/kWh"),
        (
            lambda: Carbon().create(1, "CarbonIntensity", g_per_kwh=[1.0], forecast={"name": "oracle"}),
            "carbon forecast: 'oracle' is unknown, expected one of perfect, persistence, noisy",
        ),
        (
            lambda: Carbon().create(1, "CarbonIntensity", g_per_kwh=[1.0], forecast={"seed": 3}),
            "carbon forecast 'perfect': unknown option 'seed'",
        ),
        (lambda: ProfileReplay().create(1, "Profile"), "Profile-0: expected one number for every step"),
        (
            lambda: DataCenter().create(1, "DataCenter", facility={"gpus": 8, "pue": 0.9}),
            "data centre: pue: ",
        ),
        (
            lambda: DataCenter().create(1, "DataCenter", name="hall", facility={"pues": 1.2}),
            "data centre: unknown entry 'pues'.*did you mean pue",
        ),
        (
            lambda: DataCenter().create(1, "DataCenter", facility={"copies": 0}),
            "0 copies, expected",
        ),
        (
            lambda: DataCenter().create(1, "DataCenter", facility={"gpus": -1}),
            "gpus is -1, expected a whole number",
        ),
        (lambda: Storage().create(1, "Battery", export_limit_w=-1.0), "export limit is -1"),
        (
            lambda: Storage().create(1, "Battery", battery={"capacity": 1.0}),
            "battery: unknown option 'capacity', expected one of capacity_wh, .*; did you mean capacity_wh",
        ),
        (lambda: Storage().create(1, "Battery", battery={}), "battery: option 'capacity_wh' is missing"),
        (
            lambda: Storage().create(1, "Battery", battery={"capacity_wh": "big"}),
            "battery: capacity_wh is 'big', expected a number",
        ),
        (lambda: Storage().create(1, "Battery", battery=SMALL | {"soc_min": 0.1}), "state of charge is 0.0"),
        (
            lambda: Storage().create(1, "Battery", dispatch={"name": "carbon"}),
            "battery dispatch 'carbon': option 'charge_at_or_below' is missing",
        ),
        (lambda: Scheduler().create(1, "Controller", policy="green"), "policy: 'green' is unknown"),
        (lambda: Scheduler().create(2, "Controller", name="x"), "x: 2 entities of one name, expected one"),
    ],
)
def test_bad_parameters_are_named(build, message):
    with pytest.raises(InputError, match=message):
        build()
