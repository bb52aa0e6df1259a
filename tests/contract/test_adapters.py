"""Every adapter in a world with OFFIS's own components: names, units, timing, values, and only plain ones cross."""

import re
from pathlib import Path

import numpy as np
import pytest

from simulators.carbon.simulator import Carbon
from simulators.datacenter.simulator import DataCenter
from simulators.errors import InputError
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
