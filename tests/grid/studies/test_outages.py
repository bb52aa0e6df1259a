"""N-1: outages on arrays against pandapower with the element out of service."""

import numpy as np
import pandapower
import pandapower.topology
import pytest

from simulators.grid.network import Network
from simulators.grid.studies.outages import branches, outages
from tests.grid.networks import fresh_net, two_buses


@pytest.mark.parametrize(
    ("name", "every"), [("cigre_mv", 1), ("case33bw", 8), ("mv_oberrhein", 60), ("case118", 30)]
)
def test_an_outage_is_the_element_out_of_service(name, every):
    network = Network(fresh_net(name))
    assert network.solver.flow is not None
    column = network.solver.flow.system.column.copy()
    found = outages(network, open_points=False)
    assert len(found) == len(branches(network))
    for outage in found[::every]:
        net = fresh_net(name)
        table, index = outage.branch
        net[table].loc[index, "in_service"] = False
        plain = Network(net, arrays=False).step([])
        assert {(v.element, v.index, v.kind) for v in outage.violations} == {
            (v.element, v.index, v.kind) for v in plain.violations
        }
        assert outage.vm_min_pu == pytest.approx(plain.vm_min, abs=1e-8)
        loading = max(plain.line_loading_max, plain.trafo_loading_max)
        assert outage.loading_max_percent == pytest.approx(loading, rel=1e-7)
        assert np.array_equal(network.solver.flow.system.column, column)  # what is kept stays as it is
        assert outage.unsupplied_mw == pytest.approx(plain.unsupplied_mw, abs=1e-9)
        assert (
            outage.unsupplied_buses
            == plain.unsupplied_buses
            == len(pandapower.topology.unsupplied_buses(net))
        )


def test_an_open_point_brings_back_what_went_dark():
    """A ring of three, open at the far side: whichever line fails, closing it feeds all again."""
    net = two_buses()
    far = pandapower.create_bus(net, 20.0, name="far")
    for start, end in ((1, far), (0, far)):
        pandapower.create_line_from_parameters(net, start, end, 1.0, 0.5, 0.4, 0.0, 0.5)
    pandapower.create_switch(net, far, 2, "l", closed=False)
    for bus in (1, far):
        pandapower.create_load(net, bus, 2.0)
    first, second, last = outages(Network(net))
    assert (first.unsupplied_mw, first.unsupplied_buses) == (pytest.approx(4.0), 2)
    assert (second.unsupplied_mw, second.closing, second.still_unsupplied_mw) == (
        pytest.approx(2.0),
        "line 2",
        0.0,
    )
    assert (first.closing, first.still_unsupplied_mw, first.closed_violations) == ("line 2", 0.0, 0)
    assert last.secure
    assert last.closing == ""


def test_what_is_left_alone_after_parallel_lines_and_what_is_not():
    net = two_buses()
    pandapower.create_line_from_parameters(net, 0, 1, 1.0, 0.5, 0.4, 0.0, 0.5, name="second")
    pandapower.create_load(net, 1, 20.0)
    network = Network(net)
    assert not network.step([]).violations
    for outage in outages(network):
        assert [v.kind for v in outage.violations] == ["overload"]
        assert outage.unsupplied_buses == 0


def test_powers_of_another_hour_count():
    network = Network(fresh_net("cigre_mv"))
    half = network.draws.scaled(0.5, None)
    ours = outages(network, half, open_points=False)
    net = fresh_net("cigre_mv")
    net.load["scaling"] = 0.5
    for one, two in zip(ours, outages(Network(net), open_points=False), strict=True):
        assert one.unsupplied_mw == pytest.approx(two.unsupplied_mw)
        assert np.isclose(one.loading_max_percent, two.loading_max_percent, rtol=1e-8)


def test_networks_left_to_pandapower_have_outages_too():
    net = two_buses()
    pandapower.create_load(net, 1, 1.0, const_z_p_percent=50.0)
    (outage,) = outages(Network(net))
    assert outage.unsupplied_mw == pytest.approx(1.0)
