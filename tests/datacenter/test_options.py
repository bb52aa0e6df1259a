"""A facility from what a study says, and from plain values."""

from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError

from simulators.datacenter import factors
from simulators.datacenter.cooling import ConstantPue, OutdoorCooling, PartLoadCooling
from simulators.datacenter.facility import Facility
from simulators.datacenter.node import Node
from simulators.datacenter.options import FacilityOptions
from simulators.datacenter.outdoors import outdoor_series
from simulators.datacenter.plain import facility_from_plain
from simulators.datacenter.power_chain import ConstantEfficiency, Stage, Stages
from simulators.datacenter.water import ConstantWue, TowerWater
from simulators.errors import InputError
from simulators.quantities.factor import Factor


def test_a_studys_facility_is_the_one_built_by_hand():
    """As the scenarios always made it: losses of 4 %, or less where the PUE leaves less."""
    for pue, efficiency in ((1.2, 0.96), (1.02, 1 / 1.02)):
        chain = ConstantEfficiency(efficiency)
        by_hand = Facility.for_gpus(20, cooling=ConstantPue(pue), power_chain=chain)
        assert facility_from_plain({"gpus": 20, "pue": pue}) == by_hand
        told = {found.name: found.factor for found in FacilityOptions(pue=pue).assumptions()}
        assert told["power_chain_efficiency"].value == efficiency
    assert facility_from_plain({"gpus": 20}) == Facility.for_gpus(20)
    assert facility_from_plain({"gpus": 20, "node_overhead": False}).nodes == 0


def test_every_model_as_plain_values():
    server = {"gpus_per_node": 4, "host_idle_w": 100.0, "server_cooling": "liquid", "psu_efficiency": 0.9}
    facility = facility_from_plain({"gpus": 16, "nameplate_gpu_w": 11200.0, "pue_model": "load"} | server)
    node = Node(4, 100.0, Node.host_full_w, factors.FAN_SHARE["liquid"].value, 0.9)
    rated_w = node.plug_w(11200.0, 4, 1.0)
    cooling = PartLoadCooling.at_pue(1.2, rated_w, rated_w * (1 / 0.96 - 1), factors.FIXED_SHARE.value)
    assert facility == Facility(node, 4, cooling)

    staged = {
        "pue_model": "outdoor-load", "design_it_kw": 10.0, "ups": "eco", "transformer": "liquid", "approach": 3.0,
        "outdoor_c": [10.0, 40.0],
    }  # fmt: skip
    facility = facility_from_plain(staged)
    rating_w = 1e4 * factors.UPS_CAPACITY.value
    assert facility.power_chain == Stages((Stage.ups(rating_w, 0.99), Stage.transformer(rating_w, "liquid")))
    outdoor = facility.cooling
    assert isinstance(outdoor, OutdoorCooling)
    assert outdoor.approach_k == 3.0
    assert outdoor.fixed_heat_w == pytest.approx(
        factors.FIXED_SHARE.value * (1e4 + facility.power_chain.losses_w(1e4))
    )
    assert facility.power(1e4, step=1).cooling_w > facility.power(1e4, step=0).cooling_w
    assert facility.water == ConstantWue(0.0)

    wet = {"pue_model": "outdoor", "cooling": "wet", "outdoor_c": [10.0], "evaporated_kg_per_kwh": [1.2]}
    assert isinstance(facility_from_plain(wet).water, TowerWater)
    assert facility_from_plain(wet | {"wue": 0.3}).water == ConstantWue(0.3)
    assert facility_from_plain({"power_chain_efficiency": 0.9, "pue": 1.5}).power_chain == ConstantEfficiency(
        0.9
    )


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"puee": 1.2}, "unknown entry 'puee'.*did you mean pue"),
        ({"pue": 0.5}, "data centre: pue: "),
        ({"gpus": 2.5}, "gpus is 2.5, expected a whole number"),
        ({"pue_model": "magic"}, "data centre: pue_model: input should be 'constant', 'load'"),
        ({"pue_model": "load"}, "no design load, expected design_it_kw"),
        ({"pue_model": "outdoor"}, "no outdoor_c, expected an outdoor temperature of every step"),
        (
            {"pue_model": "outdoor", "cooling": "wet", "outdoor_c": [1.0]},
            "no evaporated_kg_per_kwh, expected",
        ),
        ({"power_chain_efficiency": 0.5}, "PUE 1.2 is less than the power chain alone makes of it"),
        (
            {"pue_model": "load", "pue": 1.02, "design_it_kw": 5.0},
            "PUE 1.02 at the rated load is less than the power chain",
        ),
    ],
)
def test_wrong_values_are_named(wrong, said):
    with pytest.raises(InputError, match=said):
        facility_from_plain(wrong)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"approach": 5.0}, "--approach: 5.0 given, but has an effect only with --pue-model outdoor"),
        ({"cooling": "wet"}, "--cooling: wet given"),
        ({"ups": "eco"}, "--ups: eco given, but has an effect only with --pue-model load"),
        (
            {"pue_model": "outdoor", "pue": 1.1},
            "--pue: 1.1 given, but has an effect only with --pue-model const",
        ),
        ({"pue_fixed_share": 0.5}, "--pue-fixed-share: 0.5 given"),
        ({"ups_efficiency": 0.9}, "--ups-efficiency: 0.9 given, but has an effect only with --ups"),
        ({"design_it_kw": 9.0}, "--design-it-kw: 9.0 given"),
        (
            {"pue_model": "outdoor", "ups": "eco", "power_chain_efficiency": 0.9},
            "--power-chain-efficiency: 0.9 given, but has an effect only with neither --ups nor",
        ),
        ({"node_overhead": False, "fan_share": 0.1}, "--fan-share: 0.1 given.*--node-overhead"),
        ({"node_overhead": False, "server_cooling": "liquid"}, "--server-cooling: liquid given"),
        ({"cycles_of_concentration": 3.0}, "--cycles-of-concentration: 3.0 given"),
        ({"host_idle_w": 2000.0}, "--host-idle-w: 2000 W, expected at most --host-full-w, 1030 W"),
    ],
)
def test_what_would_have_no_effect_is_refused(options, said):
    with pytest.raises(ValidationError, match=said):
        FacilityOptions(**options)


def test_every_constant_has_a_range_and_a_source():
    known = [value for value in vars(factors).values() if isinstance(value, Factor)]
    for value in vars(factors).values():
        if isinstance(value, dict):
            known += [entry for entry in value.values() if isinstance(entry, Factor)]
    assert len(known) > 20
    for factor in known:
        assert factor.low < factor.high, factor
        assert len(factor.source) > 10
        assert factor.unit


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"node_overhead": False, "pue": 1.0},
        {"pue_model": "load", "host_idle_w": 800.0},
        {"pue_model": "outdoor", "cooling": "wet", "ups": "double-conversion", "chiller_cop": 5.0},
        {"pue_model": "outdoor-load", "server_cooling": "liquid", "transformer": "dry", "host_full_w": 400.0},
    ],
)
def test_a_run_tells_what_it_rests_on(options):
    """What a study names is its own, without a range; the rest carries one, and builds at either end of it."""
    chosen = FacilityOptions(**options)
    told = {found.name: found.factor for found in chosen.assumptions()}
    assert {"grid_water"} <= set(told)
    for name, value in options.items():
        if name in told:
            assert told[name] == Factor(value, value, value, told[name].unit, "the study's own")
    plain = {"gpus": 8, "nameplate_gpu_w": 5600.0, "outdoor_c": [30.0], "evaporated_kg_per_kwh": [1.2]}
    for name, factor in chosen.factors().items():
        for end in (factor.low, factor.high):
            if name == "power_chain_efficiency" and not chosen.outdoor:
                continue  # within the PUE
            assert facility_from_plain(plain | options | {name: end}).power(2000.0).facility_w >= 2000.0


def test_weather_as_cooling_sees_it():
    temp, humidity = np.array([5.0, 35.0]), np.array([90.0, 20.0])
    assert outdoor_series(FacilityOptions(), temp) == {}
    assert outdoor_series(FacilityOptions(pue_model="outdoor"), temp)["outdoor_c"] is temp
    wet = FacilityOptions(pue_model="outdoor", cooling="wet")
    with pytest.raises(InputError, match="need the humidity"):
        outdoor_series(wet, temp)
    seen = outdoor_series(wet, temp, humidity)
    assert np.all(seen["outdoor_c"] < temp)
    assert seen["outdoor_c"][1] < 20.0  # a dry desert noon cools towers well
