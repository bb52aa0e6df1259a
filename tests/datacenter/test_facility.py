"""From GPUs to the meter."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulators.datacenter.cooling import ConstantPue, OutdoorCooling, PartLoadCooling, chiller_cop
from simulators.datacenter.facility import Facility
from simulators.datacenter.node import Node
from simulators.datacenter.power import FacilityPower
from simulators.datacenter.power_chain import ConstantEfficiency, Stage, Stages
from simulators.datacenter.water import ConstantWue, TowerWater
from simulators.errors import InputError

NO_LOSSES = ConstantEfficiency(1.0)


def chains():
    yield ConstantEfficiency(0.967)
    yield Stages((Stage.ups(6e6, 0.97), Stage.transformer(6e6, "dry")))


def coolings(outdoor_c, losses_w):
    yield PartLoadCooling.at_pue(1.4, 3e6, losses_w, 0.37)
    yield OutdoorCooling(outdoor_c)
    yield OutdoorCooling(outdoor_c, fixed_share=0.4, fixed_heat_w=1e6)


def facilities(outdoor_c, node=None):
    """Every model of cooling with every power chain it goes with."""
    nodes = 0 if node is None else 7
    water = ConstantWue(), TowerWater(np.linspace(0.9, 1.6, len(outdoor_c)))
    yield Facility(node, nodes, ConstantPue(1.31), ConstantEfficiency(0.967))
    for chain in chains():
        for cooling in coolings(outdoor_c, chain.losses_w(3e6)):
            yield Facility(node, nodes, cooling, chain, water[1])


@given(st.floats(0, 1e8), st.floats(0, 1), st.integers(0, 50), st.floats(1.05, 2.0), st.floats(0.96, 1.0))
def test_parts_add_up_and_pue_is_as_configured(gpu_w, utilisation, nodes, pue, efficiency):
    facility = Facility(Node() if nodes else None, nodes, ConstantPue(pue), ConstantEfficiency(efficiency))
    power = facility.power(gpu_w, utilisation)
    assert power.facility_w == power.it_w + power.cooling_w + power.losses_w
    assert power.it_w >= gpu_w
    assert min(power.cooling_w, power.losses_w) >= 0.0
    if power.it_w > 1e-3:
        assert power.pue == pytest.approx(pue, rel=1e-12)


@given(st.floats(0, 1e8), st.floats(-40, 55))
def test_every_model_keeps_its_balance_and_no_pue_is_below_the_losses(it_w, outdoor_c):
    for facility in facilities(np.array([outdoor_c])):
        power = facility.from_it(it_w)
        parts = power.it_w + power.cooling_w + power.losses_w
        assert power.facility_w == pytest.approx(parts, rel=1e-12)
        assert power.cooling_w >= 0.0
        assert power.losses_w >= 0.0
        assert power.facility_w >= (power.it_w + power.losses_w) * (1 - 1e-12)
        assert facility.water_m3_per_h(power) >= 0.0


def test_power_rises_with_load_and_with_temperature():
    load_w, outdoor_c = np.linspace(0.0, 6e6, 200), np.linspace(-20.0, 50.0, 200)
    for facility in facilities(outdoor_c):
        rising = facility.from_it(load_w, np.full(200, 120)).facility_w
        assert np.all(np.diff(rising) > 0)
        warmer = facility.from_it(np.full(200, 2e6), slice(0, 200)).facility_w
        assert np.all(np.diff(warmer) >= 0)
        by_weather = isinstance(facility.cooling, OutdoorCooling)
        assert (warmer[-1] > 1.1 * warmer[0]) == by_weather


def test_default_facility_is_the_papers():
    power = Facility().power(400.0)
    assert power.it_w == 400.0
    assert power.facility_w == pytest.approx(480.0)
    assert power.losses_w == pytest.approx(400.0 * (1 / 0.96 - 1))


def test_node_comes_near_the_measured_maximum():
    # at most 8.4 kW measured on an 8x H100 node in training (arXiv 2412.08602)
    assert Node().plug_w(8 * 700.0, 1, 1.0) == pytest.approx(8400.0, rel=0.03)


def test_node_by_hand():
    node = Node(gpus=4, host_idle_w=100.0, host_full_w=300.0, fan_share=0.2, psu_efficiency=0.5)
    assert node.plug_w(1000.0, 2, 0.25) == pytest.approx((1000 + 2 * 150) / 0.8 / 0.5)


def test_servers_are_counted_from_gpus():
    assert [Facility.for_gpus(n).nodes for n in (1, 8, 9, 64)] == [1, 1, 2, 8]
    assert Facility.for_gpus(4, Node(gpus=4), cooling=ConstantPue(1.5)).power(1e3).pue == pytest.approx(1.5)


def test_a_share_of_the_cooling_never_falls():
    """``PUE(x) = 1 + l + (PUE_rated - 1 - l) (f / x + 1 - f)`` with losses l and a load of x times the rated one."""
    losses = 1 / 0.96 - 1
    cooling = PartLoadCooling.at_pue(1.3, 1000.0, 1000.0 * losses, 0.5)
    facility = Facility(cooling=cooling)
    for x in (1.0, 0.5, 0.25, 0.01):
        expected = 1 + losses + (0.3 - losses) * (0.5 / x + 0.5)
        assert facility.from_it(1000.0 * x).pue == pytest.approx(expected, rel=1e-12)
    assert facility.power(0.0).facility_w == pytest.approx((300 - 1000 * losses) * 0.5)


def test_outdoor_cooling_follows_the_weather():
    cooling = OutdoorCooling(np.array([-5.0, 19.0, 25.0, 31.0, 45.0]), supply_c=24.0)
    facility = Facility(cooling=cooling, power_chain=NO_LOSSES)
    pues = [facility.power(1000.0, step=i).pue for i in range(5)]
    assert cooling.cop == pytest.approx(0.0068 * 576 + 0.0008 * 24 + 0.458)
    assert pues[:2] == pytest.approx([1.036, 1.036])
    assert pues[2] == pytest.approx(1.036 + 0.5 / cooling.cop)
    assert pues[3:] == pytest.approx([1.036 + 1 / cooling.cop] * 2)
    with pytest.raises(InputError, match="covers 5 steps, the run goes on at step 5"):
        facility.power(1000.0, step=5)


def test_outdoor_cooling_follows_the_load_too():
    cooling = OutdoorCooling(
        np.array([0.0, 50.0]), circulation=0.1, cop=5.0, fixed_share=0.4, fixed_heat_w=400.0
    )
    facility = Facility(cooling=cooling, power_chain=NO_LOSSES)
    assert facility.from_it(1000.0).pue == pytest.approx(1.1)
    assert facility.from_it(250.0).cooling_w == pytest.approx(0.1 * (400 + 0.6 * 250))
    assert facility.from_it(250.0, 1).cooling_w == pytest.approx(0.1 * (400 + 0.6 * 250) + 250 / 5)


def test_outdoor_cooling_removes_the_losses_heat_too():
    cooling = OutdoorCooling(np.array([0.0]), circulation=0.1)
    power = Facility(cooling=cooling, power_chain=ConstantEfficiency(0.8)).power(800.0)
    assert power.losses_w == pytest.approx(200.0)
    assert power.cooling_w == pytest.approx(100.0)


def test_chillers_work_better_the_warmer_they_supply_within_what_was_measured():
    found = [chiller_cop(t) for t in (5.0, 10.0, 20.0, 30.0, 45.0)]
    assert found == sorted(found)
    assert found[0] == found[1] == pytest.approx(1.146)
    assert found[3] == found[4] == pytest.approx(6.602)


def test_losses_of_a_ups_are_those_of_the_white_paper_at_its_efficiency():
    """APC white paper 113, table 2: 4 % at no load, 9 % at full load."""
    old = Stage.ups(1000.0, 500.0 / 565.0)
    assert [old.losses_w(load) for load in (0.0, 500.0, 1000.0)] == pytest.approx([40.0, 65.0, 90.0])
    new, eco = Stage.ups(1000.0, 0.97), Stage.ups(1000.0, 0.99)
    for load in (100.0, 500.0, 1000.0):
        assert old.losses_w(load) > new.losses_w(load) > eco.losses_w(load)
    assert 500 / (500 + new.losses_w(500.0)) == pytest.approx(0.97)


def test_a_transformer_loses_what_the_regulation_allows():
    """Regulation (EU) 548/2014, tier 2, 1000 kVA: 693 W and 7600 W liquid-immersed, 1395 W and 9000 W dry."""
    liquid, dry = (Stage.transformer(1e6, kind) for kind in ("liquid", "dry"))
    assert [liquid.losses_w(load) for load in (0.0, 5e5, 1e6)] == pytest.approx([693.0, 2593.0, 8293.0])
    assert [dry.losses_w(load) for load in (0.0, 1e6)] == pytest.approx([1395.0, 10395.0])


def test_a_stage_carries_the_losses_of_those_before_it():
    ups, transformer = Stage.ups(2000.0, 0.95), Stage.transformer(2000.0, "dry")
    first = ups.losses_w(1000.0)
    whole = Stages((ups, transformer)).losses_w(1000.0)
    assert whole == pytest.approx(first + transformer.losses_w(1000.0 + first))


def test_water_by_hand():
    power = FacilityPower.of(8e5, 1e5, 1e5)
    assert ConstantWue(1.5).m3_per_h(power, 0) == pytest.approx(1.2)
    assert TowerWater([1.2, 1.5], 3.0).m3_per_h(power, 1) == pytest.approx(1.0 * 1.5 * 1.5)
    at_meter = FacilityPower.at_meter(1e6)
    assert np.isnan(ConstantWue(1.5).m3_per_h(at_meter, 0))
    assert TowerWater([1.2], 3.0).m3_per_h(at_meter, 0) == pytest.approx(1.8)


def test_highest_power_is_that_of_the_hottest_step():
    facility = Facility(cooling=OutdoorCooling(np.array([0.0, 40.0, 10.0])), power_chain=NO_LOSSES)
    assert facility.highest_w(1000.0) == facility.power(1000.0, 1.0, 1).facility_w
    assert Facility().highest_w(1000.0) == Facility().power(1000.0).facility_w


RUNS = st.integers(1, 40).flatmap(
    lambda n: st.tuples(
        *(st.lists(st.floats(*ends), min_size=n, max_size=n) for ends in ((0, 1e8), (0, 1), (-40, 50)))
    )
)
PARTS = ("it_w", "cooling_w", "losses_w", "facility_w")


@given(RUNS)
def test_a_whole_run_at_once_gives_the_bits_of_its_steps(run):
    gpu_w, busy, outdoor_c = (np.array(values) for values in run)
    count = len(gpu_w)
    for facility in (*facilities(outdoor_c), *facilities(outdoor_c, Node())):
        for whole, each in (
            (
                facility.power(gpu_w, busy, slice(0, count)),
                [facility.power(float(gpu_w[i]), float(busy[i]), i) for i in range(count)],
            ),
            (
                facility.power(gpu_w, 0.5, np.arange(count)),
                [facility.power(float(gpu_w[i]), 0.5, i) for i in range(count)],
            ),
            (
                facility.from_it(gpu_w, slice(0, count)),
                [facility.from_it(float(gpu_w[i]), i) for i in range(count)],
            ),
        ):
            for part in PARTS:
                assert getattr(whole, part).tolist() == [getattr(power, part) for power in each]
            assert whole.pue.tolist() == [power.pue for power in each]
            water = facility.water_m3_per_h(whole, slice(0, count))
            assert water.tolist() == [facility.water_m3_per_h(each[i], i) for i in range(count)]


def test_what_a_meter_read_has_no_parts():
    one, many = FacilityPower.at_meter(7.0), FacilityPower.at_meter(np.array([7.0, 0.0]))
    assert one.facility_w == 7.0
    assert many.facility_w.tolist() == [7.0, 0.0]
    for part in ("it_w", "cooling_w", "losses_w", "pue"):
        assert np.isnan(getattr(one, part))
        assert np.isnan(getattr(many, part)).all()
    with pytest.raises(InputError, match=r"power at the meter is -2\.0 W in step 1"):
        FacilityPower.at_meter(np.array([1.0, -2.0]))


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: ConstantPue(0.9), "PUE is 0"),
        (lambda: Facility(cooling=ConstantPue(1.02)), "less than the power chain alone"),
        (
            lambda: Facility(power_chain=next(c for c in chains() if isinstance(c, Stages))),
            "holds the losses",
        ),
        (lambda: ConstantEfficiency(0.0), "power_chain_efficiency is 0"),
        (lambda: Facility(Node(), 0), "0 nodes, expected at least 1"),
        (lambda: Facility(None, 3), "3 nodes"),
        (lambda: Facility.for_gpus(0), "0 GPUs"),
        (lambda: Node(gpus=0), "gpus is 0"),
        (lambda: Node(host_idle_w=500.0, host_full_w=100.0), "expected 0 <= idle <= full"),
        (lambda: Node(fan_share=1.0), "fan_share is 1"),
        (lambda: Node(psu_efficiency=0.0), "psu_efficiency is 0"),
        (lambda: Facility().power(-1.0), "GPU power is -1"),
        (lambda: Facility().power(float("nan")), "GPU power is nan"),
        (lambda: Facility().from_it(np.array([1.0, np.inf])), "IT power is inf W in step 1"),
        (lambda: Facility().power(1.0, 1.5), "utilisation is 1"),
        (lambda: PartLoadCooling(0.0, 1.0, 0.5), "rated IT power is 0"),
        (lambda: PartLoadCooling(1.0, -1.0, 0.5), "rated cooling power is -1"),
        (lambda: PartLoadCooling(1.0, 1.0, 2.0), "fixed share of cooling is 2"),
        (lambda: PartLoadCooling.at_pue(1.01, 1e3, 40.0, 0.0), "less than the power chain alone makes of it"),
        (lambda: OutdoorCooling(np.array([np.nan])), "one number for every step"),
        (lambda: OutdoorCooling(np.array([1.0]), supply_c=5.0), "supply temperature is 5"),
        (lambda: OutdoorCooling(np.array([1.0]), cop=0.0), "COP is 0"),
        (lambda: OutdoorCooling(np.array([1.0]), fixed_share=2.0), "fixed share of 0 to 1"),
        (lambda: Stage(0.0), "rating is 0"),
        (lambda: Stage(1.0, no_load=1.0), "0 to below 1 of the rating"),
        (lambda: Stage.ups(1.0, 0.0), "UPS: efficiency is 0"),
        (lambda: Stage.transformer(1.0, "air"), "'air' is unknown, expected dry or liquid"),
        (lambda: ConstantWue(-1.0), "WUE is -1"),
        (lambda: TowerWater([np.nan]), "one number >= 0 for every step"),
        (lambda: TowerWater([1.0], 1.0), "cycles of concentration are 1"),
    ],
)
def test_bad_input_is_named(build, message):
    with pytest.raises(InputError, match=message):
        build()
