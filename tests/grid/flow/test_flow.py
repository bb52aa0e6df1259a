"""Power flows on arrays against plain `runpp`: voltages, loading, losses, slack, sources, violations."""

import numpy as np
import pandapower
import pytest

from simulators.grid.draws import Draws
from simulators.grid.network import Network
from simulators.grid.sources import NETWORKS, load_network
from tests.grid.networks import fresh_net, two_buses

EXACT = {"tolerance_mva": 1e-10, "max_iteration": 50}
"""pandapower stops at 1e-8 of its base, up to 1e-5 MVA: what is compared to 1e-8 is solved further."""


def at_random(net, rng, least=0.3):
    """The network with other loads, generation and storage, in plain pandapower."""
    for table in ("load", "sgen", "storage", "gen"):
        for column in net[table].columns.intersection(["p_mw", "q_mvar"]):
            net[table][column] *= rng.uniform(least, 1.0, len(net[table]))
    return net


def powers_of(net, network):
    """The same for ours: effective powers by table."""
    changed = Draws.of(net).own
    assert {table: len(power.p_mw) for table, power in changed.items()} == {
        table: len(power.p_mw) for table, power in network.draws.own.items()
    }
    return changed


def assert_equal(result, net, atol=1e-8):
    for name, ours, theirs in (
        ("vm", result.vm_pu, net.res_bus.vm_pu),
        ("va", result.va_degree, net.res_bus.va_degree),
        ("line", result.line_loading_percent, net.res_line.loading_percent),
        (
            "trafo",
            result.trafo_loading_percent,
            [*net.res_trafo.loading_percent, *net.res_trafo3w.loading_percent],
        ),
        (
            "loss",
            result.p_loss_mw,
            sum(net[f"res_{t}"].pl_mw.sum() for t in ("line", "trafo", "trafo3w", "impedance")),
        ),
        ("slack", result.p_slack_mw, net.res_ext_grid.p_mw.sum() + net.res_gen.p_mw[net.gen.slack].sum()),
        ("q", result.q_slack_mvar, net.res_ext_grid.q_mvar.sum() + net.res_gen.q_mvar[net.gen.slack].sum()),
    ):
        scale = max(1.0, np.nanmax(np.abs(np.asarray(theirs, dtype=float)), initial=0.0))
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=atol * scale, err_msg=name)


CASES = ["mv_oberrhein", "mv_oberrhein_generation", "cigre_mv", "case118", "example_multivoltage", "case39"]


@pytest.mark.parametrize("name", CASES)
def test_every_step_equals_plain_pandapower(name):
    network, rng = Network(fresh_net(name)), np.random.default_rng(1)
    assert network.solver.flow is not None, network.solver.why
    buses = rng.choice(np.flatnonzero(np.isfinite(network.net.res_bus.vm_pu)), 2)
    for number, at in enumerate(network.net.bus.index[buses]):
        network.attach(int(at), f"site {number}")
    for p_mw in ([0.3, -0.5], [0.0, 0.0]):
        net = at_random(fresh_net(name), rng)
        result = network.step(p_mw, [0.05, 0.0], powers=powers_of(net, network))
        for site, p, q in zip(network.sites, p_mw, [0.05, 0.0], strict=True):
            pandapower.create_load(net, site.bus, p, q)
        pandapower.runpp(net, numba=False, **EXACT)
        assert_equal(result, net)


def test_a_simbench_network_equals_plain_pandapower():
    pytest.importorskip("simbench")
    net = fresh_net("1-MV-rural--0-sw")
    network, rng = Network(net), np.random.default_rng(2)
    changed = at_random(network.copy().net, rng)
    result = network.step([], powers=powers_of(changed, network))
    pandapower.runpp(changed, numba=False, **EXACT)
    assert_equal(result, changed)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(NETWORKS))
def test_every_shipped_network_is_equal_or_says_why_it_is_left_to_pandapower(name):
    shipped = load_network(name)  # some are drawn at random when they are made
    network = Network(shipped)  # refuses what has no solution
    if network.solver.flow is None:
        assert network.solver.why
        return
    net = at_random(shipped, np.random.default_rng(3), least=0.95)
    result = network.step([], powers=powers_of(net, network))
    by_tables = Network(net, arrays=False)  # pandapower's, whose result tables it keeps
    assert_equal(result, by_tables.net, atol=1e-6)  # as far as pandapower goes
    by_tables = by_tables.step([])
    assert {(v.element, v.index, v.kind) for v in result.violations} == {
        (v.element, v.index, v.kind) for v in by_tables.violations
    }


def test_violations_of_sources_are_those_of_tables():
    on_arrays = Network(fresh_net("case118"))
    by_tables = on_arrays.on_tables()
    assert on_arrays.solver.flow is not None
    for scaling in (0.4, 1.0, 1.3):
        ours, theirs = (each.step([], load_scaling=scaling).violations for each in (on_arrays, by_tables))
        assert [(v.element, v.index, v.kind) for v in ours] == [(v.element, v.index, v.kind) for v in theirs]
        np.testing.assert_allclose([v.value for v in ours], [v.value for v in theirs], atol=1e-5)


def test_a_generator_at_its_limit_is_left_to_pandapower():
    """Within all limits arrays give the same; beyond one, buses change their kind."""
    net = fresh_net("case118")
    net.gen["min_q_mvar"], net.gen["max_q_mvar"] = -1e3, 1e3
    network = Network(net, enforce_q_lims=True)
    network.attach(10, "site")
    assert network.solver.flow is not None
    calls = counted(network)
    network.step(50.0, 0.0)
    assert calls == []
    net.gen.loc[net.gen.index[3], "max_q_mvar"] = 5.0
    tight = Network(net, enforce_q_lims=True)
    tight.attach(10, "site")
    calls = counted(tight)
    result = tight.step(50.0, 0.0)
    assert calls == [True]
    pandapower.create_load(net, 10, 50.0)
    pandapower.runpp(net, numba=False, enforce_q_lims=True)
    np.testing.assert_allclose(result.vm_pu, net.res_bus.vm_pu, rtol=0, atol=1e-8)


def counted(network):
    """A list that grows with every power flow on tables."""
    calls, solve = [], network.solver.tables.solve

    def counting():
        calls.append(True)
        return solve()

    network.solver.tables.solve = counting
    return calls


def test_what_does_not_converge_is_asked_of_pandapower():
    network = Network(two_buses())
    network.attach("end", "site")
    calls = counted(network)
    assert not network.step(5000.0).converged
    assert calls == [True]
    assert network.step(1.0).converged
    assert calls == [True]


def test_low_voltages_are_pandapowers_to_judge():
    """The line's two solutions meet at the largest load; near it, that of pandapower's start counts."""
    net = two_buses(r_ohm=0.5, x_ohm=4.0)
    network = Network(net, power_factor=1.0)
    network.attach("end", "site")
    calls = counted(network)
    result = network.step(41.0)
    assert calls == [True]
    pandapower.create_load(net, 1, 41.0)
    pandapower.runpp(net, numba=False, max_iteration=50)
    assert net.res_bus.vm_pu[1] < 0.8
    np.testing.assert_allclose(result.vm_pu, net.res_bus.vm_pu, rtol=0, atol=1e-8)


def voltage_dependent():
    net = fresh_net("cigre_mv")
    net.load["const_z_p_percent"] = 60.0
    return net


def with_dc_line():
    net = two_buses()
    far = pandapower.create_bus(net, 20.0)
    pandapower.create_ext_grid(net, far)
    pandapower.create_dcline(net, 1, far, 1.0, 0.0, 0.0, 1.0, 1.0)
    return net


@pytest.mark.parametrize(("build", "why"), [(voltage_dependent, "voltage depend"), (with_dc_line, "dcline")])
def test_what_arrays_do_not_hold_is_named_and_left_to_pandapower(build, why):
    network = Network(build())
    assert network.solver.flow is None
    assert why in network.solver.why
    network.attach(1, "site")
    net = build()
    pandapower.create_load(net, 1, 0.5, 0.1)
    pandapower.runpp(net, numba=False)
    np.testing.assert_allclose(network.step(0.5, 0.1).vm_pu, net.res_bus.vm_pu, rtol=0, atol=1e-8)


def test_switches_open_ends_and_parallel_elements():
    """A line open at one end still charges; parallel lines and derated ones carry more and less."""
    net = fresh_net("mv_oberrhein")
    line = net.line.index[60]
    pandapower.create_switch(net, net.line.from_bus[line], line, "l", closed=False)
    net.line["parallel"] = np.where(np.arange(len(net.line)) % 3, 1, 2)
    net.line["df"] = np.where(np.arange(len(net.line)) % 5, 1.0, 0.7)
    net.trafo["parallel"] = 2
    network = Network(net)
    assert network.solver.flow is not None
    pandapower.runpp(net, numba=False, **EXACT)
    assert_equal(network.step([]), net)


@pytest.mark.parametrize("r_ohm", [0.0, 0.5])
@pytest.mark.parametrize("x_ohm", [1e-9, 0.4])
def test_lines_without_resistance_or_nearly_without_reactance(r_ohm, x_ohm):
    """What elimination without pivoting between nodes has to bear."""
    if r_ohm == 0.0 and x_ohm < 1e-3:
        return
    net = two_buses(r_ohm=r_ohm, x_ohm=x_ohm)
    for _ in range(3):
        last = net.bus.index[-1]
        bus = pandapower.create_bus(net, 20.0)
        pandapower.create_line_from_parameters(net, last, bus, 1.0, r_ohm, x_ohm, 5.0, 0.5)
        pandapower.create_load(net, bus, 0.3, 0.05)
    network = Network(net)
    assert network.solver.flow is not None
    pandapower.runpp(net, numba=False, **EXACT)
    assert_equal(network.step([]), net)
