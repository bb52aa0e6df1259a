"""Reactive power by a characteristic: its points, and what a network and it agree on."""

import math

import numpy as np
import pandapower
import pytest
from pandapower.control.controller.DERController import DERController, QModelCosphiPCurve, QModelQVCurve
from pandapower.control.controller.DERController.DERBasics import CosphiPCurve, QVCurve
from scipy.optimize import brentq

from simulators.errors import InputError
from simulators.grid.network import Network
from simulators.grid.reactive import KNOWN, Characteristic, characteristic
from tests.grid.networks import fresh_net, two_buses


@pytest.mark.parametrize("name", [name for kind, name in KNOWN if kind == "qv"])
def test_points_of_voltage(name):
    points = KNOWN["qv", name]
    ups = characteristic(f"qv:{name}", 4.0)
    for vm_pu, supplied in points:
        assert ups.drawn_mvar(3.0, vm_pu) == pytest.approx(-4.0 * supplied, abs=1e-12)
    (v0, q0), (v1, q1) = points[:2]
    assert ups.drawn_mvar(-3.0, (v0 + v1) / 2) == pytest.approx(-2.0 * (q0 + q1), abs=1e-12)
    assert ups.drawn_mvar(0.0, 0.5) == -4.0 * points[0][1]
    assert ups.drawn_mvar(0.0, 1.5) == -4.0 * points[-1][1]


def test_points_of_active_power_hold_for_feed_in_and_turned_for_load():
    inverter = characteristic("qp:ieee1547b", 2.0)
    assert inverter.drawn_mvar(-2.0, 1.0) == pytest.approx(0.88)
    assert inverter.drawn_mvar(2.0, 1.0) == pytest.approx(-0.88)
    assert inverter.drawn_mvar(-1.5, 1.0) == pytest.approx(0.44)
    assert inverter.drawn_mvar(0.9, 1.0) == 0.0
    inverter = characteristic("cosphi:vde4105", 2.0)
    assert inverter.drawn_mvar(-2.0, 1.0) == pytest.approx(2.0 * math.tan(math.acos(0.9)))
    assert inverter.drawn_mvar(-1.5, 1.0) == pytest.approx(1.5 * math.tan(math.acos(0.95)))
    through_one = characteristic("cosphi:0:0.95,1:-0.95", 1.0)
    assert through_one.drawn_mvar(-0.5, 1.0) == 0.0
    assert through_one.drawn_mvar(-0.25, 1.0) < 0.0 < through_one.drawn_mvar(-0.75, 1.0)


def fixed_point(rule, p_mw, r_ohm=0.5, x_ohm=0.4, kv=20.0):
    """Voltage at the end of a line from a stiff source, by its closed form and a bisection; and reactive power."""
    r, x = r_ohm / kv**2, x_ohm / kv**2

    def miss(vm_pu):
        q = rule.drawn_mvar(p_mw, vm_pu)
        return vm_pu**4 + (2.0 * (r * p_mw + x * q) - 1.0) * vm_pu**2 + (r**2 + x**2) * (p_mw**2 + q**2)

    vm_pu = brentq(miss, 0.8, 1.2, xtol=1e-15, rtol=1e-14)
    return vm_pu, rule.drawn_mvar(p_mw, vm_pu)


@pytest.mark.parametrize("name", [name for kind, name in KNOWN if kind == "qv"])
@pytest.mark.parametrize("p_mw", [-28.0, 0.0, 12.0, 25.0, 45.0])
def test_at_the_end_of_a_line_it_is_the_closed_form(name, p_mw):
    rule = characteristic(f"qv:{name}", 40.0)
    network = Network(two_buses())
    network.attach("end", "site", rule)
    found = network.step(p_mw)
    vm_pu, q_mvar = fixed_point(rule, p_mw)
    assert found.vm_pu[1] == pytest.approx(vm_pu, abs=1e-9)
    assert found.site_q_mvar[0] == pytest.approx(q_mvar, abs=1e-6)


def test_steep_characteristics_settle_too():
    """Where simply taking what is asked for would swing to and fro for ever."""
    rule = Characteristic("qv", ((0.985, 0.5), (0.987, -0.5)), 60.0)
    network = Network(two_buses())
    network.attach("end", "site", rule)
    for p_mw in (5.0, 11.0, 16.0):
        found = network.step(p_mw)
        vm_pu, q_mvar = fixed_point(rule, p_mw)
        assert found.vm_pu[1] == pytest.approx(vm_pu, abs=1e-9)
        assert found.site_q_mvar[0] == pytest.approx(q_mvar, abs=1e-6)


def test_two_sites_settle_where_pandapowers_controllers_do():
    points = KNOWN["qv", "ieee1547b"]
    network = Network(fresh_net("cigre_mv"))
    for bus in (9, 5):
        network.attach(bus, f"{bus}", Characteristic("qv", points, 3.0))
    p_mw = (-1.5, -2.0)
    found = network.step(p_mw)
    net = fresh_net("cigre_mv")
    made = [
        pandapower.create_sgen(net, bus, -p, 0.0, sn_mva=3.0) for bus, p in zip((9, 5), p_mw, strict=True)
    ]
    curve = QVCurve(*(tuple(column) for column in zip(*points, strict=True)))
    DERController(net, made, q_model=QModelQVCurve(curve), pqv_area=None, max_q_error=1e-9)
    pandapower.runpp(net, numba=False, run_control=True, max_iter=100)
    np.testing.assert_allclose(found.vm_pu, net.res_bus.vm_pu, rtol=0, atol=1e-8)
    np.testing.assert_allclose(-found.site_q_mvar, net.res_sgen.q_mvar[made], rtol=0, atol=1e-6)
    for number, site in enumerate(network.sites):
        vm = float(found.vm_pu[network.solver.place_of(site.bus)])
        assert found.site_q_mvar[number] == pytest.approx(
            site.reactive.drawn_mvar(p_mw[number], vm), abs=1e-6
        )
    assert np.abs(found.site_q_mvar).max() > 0.1


def test_cos_phi_is_pandapowers():
    rule = characteristic("cosphi:vde4105", 1.0)
    curve = QModelCosphiPCurve(CosphiPCurve(*zip(*KNOWN["cosphi", "vde4105"], strict=True)))
    for share in (0.2, 0.5, 0.6, 0.85, 1.0):
        theirs = float(np.asarray(curve.step(p_pu=np.array([share])))[0])
        assert abs(rule.drawn_mvar(-share, 1.0)) == pytest.approx(abs(theirs), abs=1e-9)


def test_what_is_connected_goes_before_the_characteristic():
    network = Network(two_buses())
    network.attach("end", "site", characteristic("qv:vde4110", 5.0))
    assert network.step(3.0, 0.7).site_q_mvar[0] == 0.7
    assert network.step([3.0], [None]).site_q_mvar[0] < 0.0


def test_it_raises_the_voltage_and_taps_move_around_it():
    from tests.grid.test_taps import with_taps

    told = {}
    for control in (None, 1.0):
        for rule in (None, characteristic("qv:vde4110", 6.0)):
            network = Network(with_taps(), tap_control=control)
            network.attach(9, "site", rule)
            result = network.step(4.0)
            told[control, rule is not None] = result.vm_min
            if rule is not None:
                vm = float(result.vm_pu[network.solver.place_of(9)])
                assert result.site_q_mvar[0] == pytest.approx(rule.drawn_mvar(4.0, vm), abs=1e-6)
    assert told[None, True] > told[None, False]
    assert told[1.0, False] > told[None, False]


def test_no_solution_is_a_result():
    network = Network(two_buses())
    network.attach("end", "site", characteristic("qv:vde4110", 5.0))
    assert not network.step(9e9).converged
    assert network.step(1.0).converged


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("vde4110", "'vde4110' given, expected qv:vde4110"),
        ("qv:atlantis", "'qv:atlantis' given, expected qv:"),
        ("qv:0.9:0.3,", "given, expected qv:"),
        ("qv:1.04:-0.3,0.96:0.3", "ascending"),
        ("qv:0.96:-0.3,1.04:0.3", "supplies more at a higher voltage"),
        ("qv:nan:0.3,1:0", "expected numbers, ascending"),
        ("cosphi:0:1.2", "expected cos phi from -1 to 1"),
    ],
)
def test_what_is_no_characteristic_is_one_line(text, said):
    with pytest.raises(InputError, match=said) as caught:
        characteristic(text, 1.0)
    assert "\n" not in str(caught.value)
