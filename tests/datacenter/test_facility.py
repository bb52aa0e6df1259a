"""From GPUs to the meter."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulators.datacenter.cooling import ConstantPue, OutdoorCooling, PartLoadPue
from simulators.datacenter.facility import Facility
from simulators.datacenter.node import Node
from simulators.errors import InputError


@given(st.floats(0, 1e8), st.floats(0, 1), st.integers(0, 50), st.floats(1.05, 2.0), st.floats(0.96, 1.0))
def test_parts_add_up_and_pue_is_as_configured(gpu_w, utilisation, nodes, pue, efficiency):
    facility = Facility(Node() if nodes else None, nodes, ConstantPue(pue), efficiency)
    power = facility.power(gpu_w, utilisation)
    assert power.facility_w == power.it_w + power.cooling_w + power.losses_w
    assert power.it_w >= gpu_w
    assert min(power.cooling_w, power.losses_w) >= 0.0
    if power.it_w > 1e-3:
        assert power.pue == pytest.approx(pue, rel=1e-12)


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
    assert Facility.for_gpus(4, Node(gpus=4), overhead=ConstantPue(1.5)).power(1e3).pue == pytest.approx(1.5)


def test_part_load_raises_the_pue():
    facility = Facility(overhead=PartLoadPue(1.3, 1000.0, 0.5))
    assert facility.power(1000.0).pue == pytest.approx(1.3)
    assert facility.power(250.0).pue == pytest.approx(1 + 0.3 * (500 + 125) / 250)
    assert facility.power(0.0).facility_w == pytest.approx(150.0)


def test_outdoor_cooling_follows_the_weather():
    overhead = OutdoorCooling(np.array([-5.0, 19.0, 25.0, 31.0, 45.0]), supply_c=24.0)
    facility = Facility(overhead=overhead, power_chain_efficiency=1.0)
    pues = [facility.power(1000.0, step=i).pue for i in range(5)]
    assert overhead.cop == pytest.approx(0.0068 * 576 + 0.0008 * 24 + 0.458)
    assert pues[:2] == pytest.approx([1.036, 1.036])
    assert pues[2] == pytest.approx(1.036 + 0.5 / overhead.cop)
    assert pues[3:] == pytest.approx([1.036 + 1 / overhead.cop] * 2)
    with pytest.raises(InputError, match="covers 5 steps, the run goes on at step 5"):
        facility.power(1000.0, step=5)


def test_outdoor_cooling_removes_the_losses_heat_too():
    overhead = OutdoorCooling(np.array([0.0]), circulation=0.1)
    power = Facility(overhead=overhead, power_chain_efficiency=0.8).power(800.0)
    assert power.losses_w == pytest.approx(200.0)
    assert power.cooling_w == pytest.approx(100.0)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: ConstantPue(0.9), "PUE is 0"),
        (lambda: Facility(overhead=ConstantPue(1.02)), "less than the power chain alone"),
        (lambda: Facility(power_chain_efficiency=0.0), "power_chain_efficiency is 0"),
        (lambda: Facility(Node(), 0), "0 nodes, expected at least 1"),
        (lambda: Facility(None, 3), "3 nodes"),
        (lambda: Facility.for_gpus(0), "0 GPUs"),
        (lambda: Node(gpus=0), "gpus is 0"),
        (lambda: Node(host_idle_w=500.0, host_full_w=100.0), "expected 0 <= idle <= full"),
        (lambda: Node(fan_share=1.0), "fan_share is 1"),
        (lambda: Node(psu_efficiency=0.0), "psu_efficiency is 0"),
        (lambda: Facility().power(-1.0), "GPU power is -1"),
        (lambda: Facility().power(float("nan")), "GPU power is nan"),
        (lambda: Facility().power(1.0, 1.5), "utilisation is 1"),
        (lambda: PartLoadPue(1.2, 0.0, 0.5), "rated IT power is 0"),
        (lambda: PartLoadPue(1.2, 1.0, 2.0), "fixed share of overhead is 2"),
        (lambda: OutdoorCooling(np.array([np.nan])), "one number for every step"),
        (lambda: OutdoorCooling(np.array([1.0]), supply_c=5.0), "supply temperature is 5"),
        (lambda: Facility(overhead=PartLoadPue(1.01, 1e3, 0.0)).power(1e3), "more than the whole overhead"),
    ],
)
def test_bad_input_is_named(build, message):
    with pytest.raises(InputError, match=message):
        build()


def test_a_server_that_is_off_draws_nothing_and_the_others_keep_their_work():
    """Half of the servers off: the idle power of one less, the same work on the hosts."""
    facility = Facility.for_gpus(16)
    on = facility.power(5000.0, 0.25).facility_w
    left, busy = facility.without_hosts(1.0, 0.25)
    node = Node()
    saved_w = 1.2 * node.host_idle_w / (1 - node.fan_share) / node.psu_efficiency
    assert left.power(5000.0, busy).facility_w == pytest.approx(on - saved_w)
    assert facility.without_hosts(0.0, 0.25) == (facility, 0.25)
