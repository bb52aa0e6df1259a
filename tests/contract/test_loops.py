"""The controller in a world: what it sees, what it commands, loops that close one step late."""

import mosaik_api_v3
import pytest
from mosaik.exceptions import ScenarioError
from mosaik.starters import PythonStarter

from simulators.errors import InputError
from simulators.generation.simulator import Generation
from simulators.scheduler.simulator import Scheduler
from simulators.storage.simulator import Storage

from .worlds import LOSSLESS, SMALL, TinyWorld


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
    assert [command["hold"] for [command] in result["commands"]][1:3] == [False, False]


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
    battery = LOSSLESS | {
        "capacity_wh": 1e6, "max_charge_w": 4e6, "max_discharge_w": 4e6, "soc_initial": 0.75
    }  # fmt: skip
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
