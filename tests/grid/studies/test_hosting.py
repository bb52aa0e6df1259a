"""How much more a bus can take, against single power flows and closed forms."""

import math

import numpy as np
import pandapower
import pytest

from simulators.errors import InputError
from simulators.grid.network import Network
from simulators.grid.studies.hosting import hosting_capacity_mw
from tests.grid.networks import fresh_net, shipped, two_buses


def test_hosting_capacity_is_where_the_first_limit_breaks():
    """The two-bus line carries 0.5 kA: capacity and closed form must agree."""
    network = Network(two_buses())
    found = hosting_capacity_mw(network, "end", tolerance_mw=1e-4)
    network.attach("end", "site")
    assert network.step(found.capacity_mw).violations == ()
    (broken,) = network.step(found.capacity_mw + 2e-4).violations
    assert (broken.kind, broken.element) == ("overload", "line")
    assert found.limited_by is not None
    assert found.limited_by.element == "line"
    result = network.step(found.capacity_mw)
    expected_mw = math.sqrt(3) * 20.0 * result.vm_pu[1] * 0.5 * 0.98
    assert found.capacity_mw == pytest.approx(expected_mw, abs=3e-4)


def test_loads_without_violation_form_one_interval():
    """What bisection rests on, on a meshed-planned, radially run network."""
    network = shipped("mv_oberrhein")
    found = hosting_capacity_mw(network, 100)
    assert network.sites == []
    assert "Line 181: overload" in found.description
    network.attach(100, "site")
    fine = [not network.step(p_mw).violations for p_mw in np.linspace(0.0, 2.5 * found.capacity_mw, 26)]
    assert fine == sorted(fine, reverse=True)
    assert sum(fine) == 11  # 0, 10 %, ... 100 % of the capacity


def test_hosting_capacity_at_its_ends():
    already = hosting_capacity_mw(shipped("cigre_mv"), 9)
    assert already.capacity_mw == 0.0
    assert already.description == "already without load here: Trafo 0-1: overload 101.4 % (limit 100)"
    at_source = hosting_capacity_mw(Network(two_buses()), "source", search_to_mw=300.0)
    assert (at_source.capacity_mw, at_source.limited_by) == (300.0, None)
    with pytest.raises(InputError, match="tolerance 0 MW"):
        hosting_capacity_mw(Network(two_buses()), "end", tolerance_mw=0)


def with_export(p_mw: float):
    """The two-bus network with a generator at its end, which raises the voltage there."""
    net = two_buses()
    pandapower.create_sgen(net, 1, p_mw)
    return net


@pytest.mark.parametrize(("p_mw", "broken_without"), [(18.0, "overload"), (28.0, "overload")])
def test_load_cures_an_overload_by_export(p_mw, broken_without):
    """The loads without violation then begin above 0, and end as far above the point without flow."""
    network = Network(with_export(p_mw), power_factor=1.0)
    assert hosting_edges_hold(network, "end", 1e-3).needed_for.kind == broken_without


def test_load_cures_an_overvoltage():
    net = with_export(14.0)
    net.bus["max_vm_pu"] = [1.1, 1.01]
    network = Network(net, power_factor=1.0)
    found = hosting_edges_hold(network, "end", 1e-3)
    assert found.needed_for.kind == "high voltage"
    # closed form: v^4 - (1 - 2 a) v^2 + b = 0 with p drawn, r 0.5, x 0.4 ohm at 20 kV; v = 1.01 at the edge
    network.attach("end", "site")
    drawn_mw = found.least_mw - 14.0
    a, b = 0.5 * drawn_mw / 400.0, 0.41 * drawn_mw**2 / 160_000.0
    v_pu = math.sqrt(0.5 * (1 - 2 * a) + math.sqrt((0.5 - a) ** 2 - b))
    assert v_pu == pytest.approx(1.01, abs=2e-6)
    assert "; with less, end: high voltage" in found.description


def test_a_narrow_interval_far_from_zero_is_found():
    net = with_export(150.0)
    net.line["max_i_ka"] = 10.0
    net.bus["max_vm_pu"], net.bus["min_vm_pu"] = [1.1, 1.002], [0.9, 0.999]
    found = hosting_edges_hold(Network(net, power_factor=1.0), "end", 0.01)
    assert 140.0 < found.least_mw < found.capacity_mw < 155.0


def test_no_load_where_bands_exclude_each_other():
    net = two_buses()
    net.ext_grid["vm_pu"] = 1.05
    net.bus["max_vm_pu"] = [1.02, 1.1]
    found = hosting_capacity_mw(Network(net), "end")
    assert math.isnan(found.least_mw)
    assert found.capacity_mw == 0.0
    assert found.limited_by.kind == "high voltage"
    assert "source: high voltage 1.0500" in found.description


def hosting_edges_hold(network: Network, bus: str, tolerance_mw: float):
    """Both ends hold, and break just outside, in power flows of their own."""
    found = hosting_capacity_mw(network, bus, tolerance_mw=tolerance_mw)
    assert 0.0 < found.least_mw < found.capacity_mw
    tried = network.copy()
    tried.attach(bus, "site")
    for load_mw in (found.least_mw, 0.5 * (found.least_mw + found.capacity_mw), found.capacity_mw):
        assert tried.step(load_mw).violations == ()
    for load_mw in (found.least_mw - 2 * tolerance_mw, found.capacity_mw + 2 * tolerance_mw):
        assert tried.step(load_mw).violations != ()
    return found


def test_what_the_slack_can_give_limits_hosting():
    """case118: its slack can give 805.2 MW, whatever lines carry."""
    network = Network(fresh_net("case118"), enforce_q_lims=True)
    found = hosting_capacity_mw(network, 10, tolerance_mw=2.0)
    assert (found.limited_by.element, found.limited_by.kind) == ("ext_grid", "high active power")
    network.attach(10, "site")
    at = network.step(found.capacity_mw)
    assert at.p_slack_mw <= 805.2 < network.step(found.capacity_mw + 4.0).p_slack_mw
    assert all("reactive" not in violation.kind for violation in at.violations)


def test_what_generators_exceed_without_load_leaves_nothing_to_host():
    found = hosting_capacity_mw(shipped("case118"), 10, tolerance_mw=1.0, search_to_mw=2000.0)
    assert math.isnan(found.least_mw)
    assert "reactive" in found.limited_by.kind
