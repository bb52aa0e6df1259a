"""Every adapter in a world with OFFIS's own components: names, units, timing, values, and only plain ones cross."""

import re
from pathlib import Path

import mosaik_api_v3
import numpy as np
import pytest
from mosaik.exceptions import ScenarioError
from mosaik.starters import PythonStarter

from simulators.carbon.simulator import Carbon
from simulators.datacenter.simulator import DataCenter
from simulators.errors import InputError
from simulators.generation.per_unit import per_unit_power_w
from simulators.generation.simulator import Generation
from simulators.profiles.simulator import ProfileReplay
from simulators.quantities.commands import COMMANDS
from simulators.rooms import ROOMS, simulator_class
from simulators.scheduler.simulator import Scheduler
from simulators.storage.simulator import Storage

from .worlds import STEP_S, TinyWorld, crossed

README = Path(__file__).resolve().parents[2] / "simulators" / "README.md"


def attribute_table():
    """The architecture's table: attributes by room and model."""
    table = {}
    for line in README.read_text(encoding="utf-8").splitlines():
        if match := re.match(r"\| `(\w+)` ([\w, ]+) \| (.*) \|$", line):
            for model in match[2].split(", "):
                table[match[1], model] = set(re.findall(r"`(\w+(?:\[[^`]*\])?)`", match[3]))
    return table


@pytest.mark.parametrize("room", ROOMS)
def test_attributes_are_those_of_the_architecture(room):
    """What the architecture's table promises is there, under those names, and nothing else."""
    adapter, table = simulator_class(room), attribute_table()
    folder = adapter.__module__.split(".")[1]
    for model, description in adapter().meta["models"].items():
        assert set(description["attrs"]) == table[folder, model]


@pytest.mark.parametrize("room", ROOMS)
def test_what_an_adapter_says_of_itself_is_plain(room):
    meta = simulator_class(room)().meta
    assert crossed(meta) == meta
    assert "summary" in meta["extra_methods"]


@pytest.mark.parametrize("room", [room for room in ROOMS if hasattr(simulator_class(room), "TAKES")])
def test_actuators_take_commands_and_say_what_they_refused(room):
    adapter = simulator_class(room)
    assert set(adapter.TAKES) <= set(COMMANDS)
    takers = [model for model in adapter().meta["models"].values() if "commands" in model["attrs"]]
    assert takers
    assert all("refused" in model["attrs"] for model in takers)


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
    ci = (300.0 + np.arange(100.0)).tolist()
    ahead = {"name": "persistence", "horizon_s": 4 * STEP_S}
    with TinyWorld() as tiny:
        carbon = tiny.start(Carbon, "Carbon")
        entity = carbon.CarbonIntensity(g_per_kwh=ci, forecast=ahead)
        tiny.record(entity, "CI[gCO2eq/kWh]", "CI_forecast[gCO2eq/kWh]")
        result = tiny.series(98)
    assert result["CI[gCO2eq/kWh]"] == ci[:98]
    assert result["CI_forecast[gCO2eq/kWh]"][97] == [397.0, 302.0, 303.0, 304.0]


def test_carbon_without_forecast_knows_only_now():
    with TinyWorld() as tiny:
        entity = tiny.start(Carbon, "Carbon").CarbonIntensity(g_per_kwh=[400.0])
        tiny.record(entity, "CI_forecast[gCO2eq/kWh]")
        [forecast] = tiny.series(1)["CI_forecast[gCO2eq/kWh]"]
        assert forecast == [400.0]


def test_carbon_tells_average_and_marginal_apart():
    with TinyWorld() as tiny:
        carbon = tiny.start(Carbon, "Carbon")
        both = carbon.CarbonIntensity(
            g_per_kwh=[300.0, 310.0], marginal_g_per_kwh=[600.0, 500.0], name="both"
        )
        tiny.record(both, "CI[gCO2eq/kWh]", "CI_marginal[gCO2eq/kWh]", "CI_forecast[gCO2eq/kWh]")
        assert tiny.series(2) == {
            "CI[gCO2eq/kWh]": [300.0, 310.0],
            "CI_marginal[gCO2eq/kWh]": [600.0, 500.0],
            "CI_forecast[gCO2eq/kWh]": [[300.0], [310.0]],
        }


def test_a_marginal_series_alone_is_forecast_but_never_an_average():
    ahead = {"name": "perfect", "horizon_s": 2 * STEP_S}
    with TinyWorld() as tiny:
        carbon = tiny.start(Carbon, "Carbon").CarbonIntensity(
            marginal_g_per_kwh=[600.0, 500.0], forecast=ahead
        )
        tiny.record(carbon, "CI_marginal[gCO2eq/kWh]", "CI_forecast[gCO2eq/kWh]")
        assert tiny.series(2)["CI_forecast[gCO2eq/kWh]"] == [[600.0, 500.0], [500.0, 500.0]]
    with TinyWorld() as tiny:
        carbon = tiny.start(Carbon, "Carbon").CarbonIntensity(marginal_g_per_kwh=[600.0])
        tiny.record(carbon, "CI[gCO2eq/kWh]")
        with pytest.raises(InputError, match=r"CarbonIntensity-0: has no CI\[gCO2eq/kWh\]"):
            tiny.series(1)


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
    node = {"fan_share": 0.0, "psu_efficiency": 1.0, "host_idle_w": 100.0, "host_full_w": 500.0}
    facility = {"gpus": 80, "node": node}
    with TinyWorld() as tiny:
        centre = tiny.start(DataCenter, "DataCenter").DataCenter(facility=facility)
        tiny.world.connect(tiny.source(lambda i: i / 2), centre, ("value", "utilisation[1]"))
        tiny.record(centre, "P_it[MW]")
        assert tiny.series(3)["P_it[MW]"] == pytest.approx([0.001, 0.003, 0.005])


def test_copies_of_a_building_multiply_its_servers():
    """Three times the GPUs' power in three buildings: three times the servers around them as well."""
    results = []
    for copies in (1.0, 3.0):
        with TinyWorld() as tiny:
            centre = tiny.start(DataCenter, "DataCenter").DataCenter(
                facility={"gpus": 16, "pue": 1.3, "copies": copies}
            )
            tiny.world.connect(tiny.source(lambda i, c=copies: 0.01 * c), centre, ("value", "P_gpu[MW]"))
            tiny.record(centre, "P_it[MW]", "P_cooling[MW]", "P_losses[MW]", "P[MW]")
            results.append(tiny.series(1))
    one, three = results
    assert one["P_it[MW]"][0] > 0.01
    for name, [value] in one.items():
        assert three[name] == pytest.approx([3 * value], rel=1e-12), name


LOSSLESS = {"charge_efficiency": 1.0, "discharge_efficiency": 1.0}


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
    [[_], [second], [third], [_]] = result["commands"]
    assert (second["kind"], second["hold"], third["hold"]) == ("release", False, False)
    assert [second["rate_per_s"], third["rate_per_s"]] == pytest.approx([0.1, 0.2])


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


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Generation().create(1, "PV", power_w=[-1.0]), "PV: expected one power >= 0 W"),
        (lambda: Carbon().create(1, "CarbonIntensity", g_per_kwh=[np.nan]), "one number >= 0 g/kWh"),
        (lambda: Carbon().create(1, "CarbonIntensity"), "one number >= 0 g/kWh"),
        (lambda: Carbon().create(1, "CarbonIntensity", g_per_kwh=[]), "one number >= 0 g/kWh"),
        (
            lambda: Carbon().create(1, "CarbonIntensity", g_per_kwh=[1.0], forecast={"name": "oracle"}),
            "'oracle' is unknown, expected one of perfect",
        ),
        (lambda: Storage().create(1, "Battery", export_limit_w=-1.0), "export limit is -1"),
        (
            lambda: Storage().create(1, "Battery", battery={"capacity_kwh": 1.0}),
            "battery: unknown option 'capacity_kwh'.*did you mean capacity_wh",
        ),
        (lambda: Storage().create(1, "Battery", battery={}), "battery: option 'capacity_wh' is missing"),
        (lambda: Storage().create(1, "Battery", dispatch="self-consumtion"), "did you mean self-consumption"),
        (
            lambda: Storage().create(1, "Battery", dispatch={"name": "peak-shaving", "limit_w": 1.0}),
            "unknown option 'limit_w'",
        ),
        (
            lambda: DataCenter().create(1, "DataCenter", facility={"pu": 1.2}),
            "data centre: unknown entry 'pu'.*did you mean pue",
        ),
        (lambda: DataCenter().create(1, "DataCenter", facility={"pue": 0.9}), "data centre: pue: "),
        (lambda: DataCenter().create(1, "DataCenter", facility={"copies": 0}), "0 copies, expected"),
        (lambda: DataCenter().create(1, "DataCenter", facility={"gpus": -8}), "gpus is -8"),
        (lambda: ProfileReplay().create(1, "Profile", values=[]), "expected one number for every step"),
        (
            lambda: ProfileReplay().create(1, "Profile", values=[1.0], attribute="T[degC]"),
            "'T\\[degC\\]' was not declared",
        ),
        (lambda: Scheduler().create(1, "Controller", policy="carbn"), "did you mean carbon"),
        (lambda: Storage().create(2, "Battery", name="one"), "2 entities of one name"),
    ],
)
def test_bad_parameters_are_named(build, message):
    with pytest.raises(InputError, match=message):
        build()
