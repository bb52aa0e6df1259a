"""Every adapter in a world with OFFIS's own components: names, units, timing, values.

All of them are made from plain values that went through JSON, as they would be in another process.
"""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from simulators.carbon.simulator import Carbon
from simulators.datacenter.facility import Facility
from simulators.datacenter.simulator import DataCenter
from simulators.errors import InputError
from simulators.generation.simulator import Generation
from simulators.grid.simulator import PowerGrid
from simulators.inference.simulator import Inference
from simulators.live.simulator import Follow
from simulators.profiles.simulator import ProfileReplay
from simulators.scheduler.simulator import Scheduler
from simulators.shedding.simulator import Shedding
from simulators.storage.simulator import Storage
from simulators.traffic.simulator import Traffic

from .worlds import SMALL, STEP_S, TinyWorld

ADAPTERS = [
    Carbon,
    DataCenter,
    Follow,
    Generation,
    Inference,
    PowerGrid,
    ProfileReplay,
    Scheduler,
    Shedding,
    Storage,
    Traffic,
]
README = Path(__file__).resolve().parents[2] / "simulators" / "README.md"


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
    facility = Facility.for_gpus(16)
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


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Generation().create(1, "PV", power_w=[-1.0]), "PV: expected one power >= 0 W"),
        (lambda: Generation().create(1, "PV"), "PV: expected one power >= 0 W"),
        (lambda: Carbon().create(1, "CarbonIntensity", g_per_kwh=[np.nan]), "one number >= 0 g/kWh"),
        (lambda: Carbon().create(1, "CarbonIntensity"), "one number >= 0 g/kWh"),
        (
            lambda: Carbon().create(1, "CarbonIntensity", g_per_kwh=[1.0], forecast={"name": "oracle"}),
            "forecast: 'oracle' is unknown, expected one of perfect, persistence, seasonal, noisy",
        ),
        (
            lambda: Carbon().create(1, "CarbonIntensity", g_per_kwh=[1.0], forecast={"seed": 3}),
            "forecast 'perfect': unknown option 'seed'",
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
        (lambda: Storage().create(1, "Battery", connection={"export_limit_w": -1.0}), "export limit is -1"),
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
            lambda: Storage().create(1, "Battery", dispatch={"name": "peak-shaving"}),
            "battery dispatch 'peak-shaving': option 'import_limit_w' is missing",
        ),
        (lambda: Scheduler().create(1, "Controller", policy="green"), "policy: 'green' is unknown"),
        (lambda: Scheduler().create(2, "Controller", name="x"), "x: 2 entities of one name, expected one"),
    ],
)
def test_bad_parameters_are_named(build, message):
    with pytest.raises(InputError, match=message):
        build()
