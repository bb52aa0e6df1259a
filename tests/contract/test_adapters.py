"""Every adapter in a world with OFFIS's own components: names, units, timing, values."""

import re
from pathlib import Path

import mosaik_api_v3
import numpy as np
import pytest
from mosaik.exceptions import ScenarioError
from mosaik.starters import PythonStarter

from simulators.carbon.forecast import Persistence
from simulators.carbon.simulator import Carbon
from simulators.datacenter.facility import Facility
from simulators.datacenter.node import Node
from simulators.datacenter.simulator import DataCenter
from simulators.errors import InputError
from simulators.generation.per_unit import per_unit_power_w
from simulators.generation.simulator import Generation
from simulators.scheduler.policies import policy
from simulators.scheduler.simulator import Scheduler
from simulators.storage.battery import Battery, BatteryConfig
from simulators.storage.simulator import Storage

from .worlds import STEP_S, TinyWorld

ADAPTERS = [Carbon, DataCenter, Generation, Scheduler, Storage]
README = Path(__file__).resolve().parents[2] / "simulators" / "README.md"


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_attributes_are_those_of_the_architecture(adapter):
    """What the architecture's table promises is there, under those names, and nothing else."""
    table = {}
    for line in README.read_text(encoding="utf-8").splitlines():
        if match := re.match(r"\| `(\w+)` ([\w, ]+) \| (.*) \|$", line):
            for model in match[2].split(", "):
                table[match[1], model] = set(re.findall(r"`([\w]+\[[^`]*\])`", match[3]))
    room = adapter.__module__.split(".")[1]
    for model, description in adapter().meta["models"].items():
        assert set(description["attrs"]) == table[room, model]


def test_generation_is_replayed_in_mw():
    with TinyWorld() as tiny:
        generation = tiny.start(Generation, "Generation")
        pv = generation.PV(power_w=np.array([0.0, 2.5e6, 1e6]))
        tiny.record(pv, "P[MW]")
        assert tiny.series(3) == {"P[MW]": [0.0, 2.5, 1.0]}


def test_generation_ends_with_its_series():
    with TinyWorld() as tiny:
        wind = tiny.start(Generation, "Generation").Wind(power_w=[1e6])
        tiny.record(wind, "P[MW]")
        with pytest.raises(InputError, match="Wind-0: has power for 1 steps, the run goes on at step 1"):
            tiny.series(2)


def test_carbon_hands_out_the_value_and_its_forecast():
    ci = 300.0 + np.arange(100.0)
    with TinyWorld() as tiny:
        carbon = tiny.start(Carbon, "Carbon")
        entity = carbon.CarbonIntensity(ci_g_per_kwh=ci, forecast=Persistence(ci, STEP_S, 4 * STEP_S))
        tiny.record(entity, "CI[gCO2eq/kWh]", "CI_forecast[gCO2eq/kWh]")
        result = tiny.series(98)
    assert result["CI[gCO2eq/kWh]"] == ci[:98].tolist()
    assert result["CI_forecast[gCO2eq/kWh]"][97].tolist() == [397.0, 302.0, 303.0, 304.0]


def test_carbon_without_forecast_knows_only_now():
    with TinyWorld() as tiny:
        entity = tiny.start(Carbon, "Carbon").CarbonIntensity(ci_g_per_kwh=[400.0])
        tiny.record(entity, "CI_forecast[gCO2eq/kWh]")
        [forecast] = tiny.series(1)["CI_forecast[gCO2eq/kWh]"]
        assert forecast.tolist() == [400.0]


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
    facility = Facility(Node(fan_share=0.0, psu_efficiency=1.0, host_idle_w=100.0, host_full_w=500.0), 10)
    with TinyWorld() as tiny:
        centre = tiny.start(DataCenter, "DataCenter").DataCenter(facility=facility)
        tiny.world.connect(tiny.source(lambda i: i / 2), centre, ("value", "utilisation[1]"))
        tiny.record(centre, "P_it[MW]")
        assert tiny.series(3)["P_it[MW]"] == pytest.approx([0.001, 0.003, 0.005])


def test_storage_balances_load_and_generation():
    battery = Battery(BatteryConfig(1e6, 0.5e6, 0.5e6, 1.0, 1.0, 0.0, 1.0, 0.0))
    with TinyWorld() as tiny:
        storage = tiny.start(Storage, "Storage")
        site = storage.Battery(battery=battery, export_limit_w=0.2e6)
        generation = tiny.start(Generation, "Generation")
        shares = per_unit_power_w([1.0, 1.0, 0.0, 0.0], 2e6)
        tiny.world.connect(generation.PerUnit(power_w=shares), site, ("P[MW]", "P_gen[MW]"))
        for load_mw in (0.5, 0.3):
            tiny.world.connect(tiny.source(lambda i, p=load_mw: p), site, ("value", "P_load[MW]"))
        tiny.record(
            site,
            *("P_load[MW]", "P_gen[MW]", "P_charge[MW]", "P_discharge[MW]", "P_import[MW]", "P_export[MW]"),
            *("P_curtailed[MW]", "SoC[1]", "SoC_end[1]", "E[MWh]"),
        )
        result = tiny.series(4)
        residual = storage.max_relative_residual()
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
    assert residual <= 1e-9


def test_site_without_a_battery_imports():
    with TinyWorld() as tiny:
        site = tiny.start(Storage, "Storage").Battery()
        tiny.world.connect(tiny.source(lambda i: 0.7), site, ("value", "P_load[MW]"))
        tiny.record(site, "P_import[MW]", "SoC_end[1]")
        assert tiny.series(2) == {"P_import[MW]": [0.7, 0.7], "SoC_end[1]": [0.0, 0.0]}


def test_scheduler_follows_a_forecast_and_releases_evenly():
    ahead = [[500.0, 200.0, 200.0], [200.0, 200.0, 500.0], [200.0, 500.0, 500.0], [500.0, 500.0, 500.0]]
    with TinyWorld() as tiny:
        rule = policy("carbon", threshold_g_per_kwh=300.0)
        controller = tiny.start(Scheduler, "Scheduler").Controller(policy=rule)
        tiny.world.connect(tiny.source(lambda i: ahead[i][0]), controller, ("value", "CI[gCO2eq/kWh]"))
        tiny.world.connect(tiny.source(lambda i: ahead[i]), controller, ("value", "CI_forecast[gCO2eq/kWh]"))
        for held in (100, 80):
            tiny.world.connect(tiny.source(lambda i, n=held: n), controller, ("value", "held[1]"))
        tiny.record(controller, "hold[1]", "release_rate[1/s]")
        result = tiny.series(4)
    assert result["hold[1]"] == [1, 0, 0, 1]
    assert result["release_rate[1/s]"] == pytest.approx([0.0, 0.1, 0.2, 0.0])


def test_scheduler_takes_the_lowest_voltage():
    with TinyWorld() as tiny:
        controller = tiny.start(Scheduler, "Scheduler").Controller(policy=policy("voltage"))
        for voltage in (1.0, 0.94):
            tiny.world.connect(tiny.source(lambda i, v=voltage: v), controller, ("value", "vm_pu[1]"))
        tiny.record(controller, "hold[1]")
        assert tiny.series(1) == {"hold[1]": [1]}


def test_scheduler_refuses_two_intensities():
    with TinyWorld() as tiny:
        controller = tiny.start(Scheduler, "Scheduler").Controller(policy=policy("none"))
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
    battery = Battery(BatteryConfig(1e6, 4e6, 4e6, 1.0, 1.0, 0.0, 1.0, 0.75))
    with TinyWorld() as tiny:
        rule = policy("solar", soc_release=0.71, spread_s=0)
        controller = tiny.start(Scheduler, "Scheduler").Controller(policy=rule)
        load = tiny.start(SwitchedLoad, "Load").Load()
        site = tiny.start(Storage, "Storage").Battery(battery=battery)
        pv = tiny.start(Generation, "Generation").PV(power_w=np.full(6, 0.5e6))
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


def test_missing_initial_data_is_refused():
    with TinyWorld() as tiny:
        controller = tiny.start(Scheduler, "Scheduler").Controller(policy=policy("none"))
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
        controller = tiny.start(Scheduler, "Scheduler").Controller(
            policy=policy("carbon", threshold_g_per_kwh=350.0)
        )
        tiny.world.connect(row, site, ("P", "P_load[MW]"))
        tiny.world.connect(row, controller, ("CI", "CI[gCO2eq/kWh]"))
        tiny.record(site, "P_import[MW]")
        tiny.record(controller, "hold[1]")
        assert tiny.series(3) == {"P_import[MW]": [0.5, 0.6, 0.0], "hold[1]": [0, 1, 1]}


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Generation().create(1, "PV", power_w=[-1.0]), "PV: expected one power >= 0 W"),
        (lambda: Carbon().create(1, "CarbonIntensity", ci_g_per_kwh=[np.nan]), "one number >= 0 g/kWh"),
        (lambda: Storage().create(1, "Battery", export_limit_w=-1.0), "export limit is -1"),
        (lambda: Storage().create(2, "Battery", battery=Battery(BatteryConfig(1.0))), "one by one"),
        (lambda: Scheduler().create(2, "Controller", policy=policy("none")), "one by one"),
    ],
)
def test_bad_parameters_are_named(build, message):
    with pytest.raises(InputError, match=message):
        build()
