"""Power flow of a network with sites: against plain pandapower, closed forms and conservation."""

import math

import numpy as np
import pandapower
import pytest

from simulators.errors import InputError
from simulators.grid.network import Network
from tests.grid.networks import fresh_net, shipped, two_buses


def fresh_solution(source, bus, p_mw, q_mvar, scale=None):
    """The same case in plain pandapower, from nothing."""
    net = fresh_net(source) if isinstance(source, str) else source()
    if scale is not None:
        net.load["scaling"], net.sgen["scaling"] = scale
    pandapower.create_load(net, bus, p_mw, q_mvar)
    pandapower.runpp(net, numba=False)
    return net


def assert_same(result, net, atol=1e-8):
    np.testing.assert_allclose(result.vm_pu, net.res_bus.vm_pu, rtol=0, atol=atol)
    np.testing.assert_allclose(result.va_degree, net.res_bus.va_degree, rtol=0, atol=1e-6)
    np.testing.assert_allclose(
        result.line_loading_percent, net.res_line.loading_percent, rtol=1e-7, atol=1e-6
    )
    np.testing.assert_allclose(
        result.trafo_loading_percent,
        [*net.res_trafo.loading_percent, *net.res_trafo3w.loading_percent],
        rtol=1e-7,  # pandapower stops at a mismatch of 1e-8 MVA, which small lines see
        atol=1e-6,
    )
    assert result.p_slack_mw == pytest.approx(
        net.res_ext_grid.p_mw.sum() + net.res_gen.p_mw[net.gen.slack].sum(), abs=1e-6
    )


@pytest.mark.parametrize(
    ("name", "bus", "largest_mw"),
    [
        ("mv_oberrhein", 100, 8.0),
        ("cigre_mv", 9, 3.0),
        ("example_multivoltage", 40, 1.0),
        ("case39", 10, 200.0),
    ],
)
def test_a_warm_sequence_equals_plain_pandapower_step_by_step(name, bus, largest_mw):
    network = shipped(name)
    network.attach(bus, "site")
    rng = np.random.default_rng(7)
    for p_mw in rng.uniform(0.0, largest_mw, 3):
        q_mvar = 0.3 * p_mw
        assert_same(network.step(p_mw, q_mvar), fresh_solution(name, bus, p_mw, q_mvar))


def test_scaling_replaces_the_networks_own_and_leaves_the_site_alone():
    network = shipped("mv_oberrhein")
    network.attach(100, "site")
    plain = network.step(2.0, 0.1)
    scaled = network.step(2.0, 0.1, load_scaling=0.3, gen_scaling=0.5)
    assert_same(scaled, fresh_solution("mv_oberrhein", 100, 2.0, 0.1, (0.3, 0.5)))
    assert scaled.p_slack_mw < plain.p_slack_mw - 10.0
    assert_same(network.step(2.0, 0.1), fresh_solution("mv_oberrhein", 100, 2.0, 0.1))


def test_voltage_dependent_loads_survive_the_warm_start():
    def build():
        net = fresh_net("cigre_mv")
        net.load["const_z_p_percent"] = 60.0
        net.load["const_z_q_percent"] = 60.0
        return net

    network = Network(build())
    network.attach(9, "site")
    for p_mw in (0.5, 2.0, 1.0):
        assert_same(network.step(p_mw, 0.2), fresh_solution(build, 9, p_mw, 0.2))


@pytest.mark.parametrize(("p_mw", "q_mvar"), [(5.0, 1.0), (12.0, -3.0), (-8.0, 0.0)])
def test_two_buses_have_the_closed_form_voltage_and_loss(p_mw, q_mvar):
    """v^4 - (1 - 2 a) v^2 + b = 0 with a = (r p + x q)/V^2, b = (r^2 + x^2)(p^2 + q^2)/V^4."""
    r_ohm, x_ohm, v_kv = 0.5, 0.4, 20.0
    network = Network(two_buses(r_ohm, x_ohm))
    network.attach("end", "site")
    result = network.step(p_mw, q_mvar)
    a = (r_ohm * p_mw + x_ohm * q_mvar) / v_kv**2
    b = (r_ohm**2 + x_ohm**2) * (p_mw**2 + q_mvar**2) / v_kv**4
    v_pu = math.sqrt(0.5 * (1 - 2 * a) + math.sqrt((0.5 - a) ** 2 - b))
    i_ka = math.hypot(p_mw, q_mvar) / (math.sqrt(3) * v_pu * v_kv)
    assert result.vm_pu[1] == pytest.approx(v_pu, abs=1e-9)
    assert result.p_loss_mw == pytest.approx(3 * r_ohm * i_ka**2, abs=1e-8)
    assert result.line_loading_percent[0] == pytest.approx(100 * i_ka / 0.5, abs=1e-6)
    assert result.p_slack_mw == pytest.approx(p_mw + result.p_loss_mw, abs=1e-8)


@pytest.mark.parametrize(
    ("name", "bus", "p_mw"),
    [
        ("mv_oberrhein", 100, 3.0),
        ("mv_oberrhein_generation", 100, -2.0),
        ("cigre_mv_pv_wind", 9, 1.0),
        ("example_multivoltage", 40, 0.5),
        ("case39", 10, 100.0),
        ("case14", 8, -5.0),
    ],
)
def test_power_is_conserved(name, bus, p_mw):
    network, by_tables = shipped(name), Network(fresh_net(name), arrays=False)
    for each in (network, by_tables):
        each.attach(bus, "site")
    result = network.step(p_mw)
    assert by_tables.step(p_mw).converged
    net = by_tables.net
    fed_in = result.p_slack_mw + net.res_sgen.p_mw.sum() + net.res_gen.p_mw[~net.gen.slack].sum()
    drawn = sum(
        net[f"res_{table}"].p_mw.sum() for table in ("load", "shunt", "storage", "ward", "xward", "motor")
    )
    assert fed_in == pytest.approx(drawn + result.p_loss_mw, abs=1e-6)
    assert result.p_loss_mw > 0.0


def test_export_feeds_in_as_generation():
    network = Network(two_buses(), arrays=False)
    site = network.attach("end", "site")
    result = network.step(-4.0)
    assert network.net.res_sgen.p_mw[site.sgen] == 4.0
    assert network.net.res_load.p_mw[site.load] == 0.0
    assert result.vm_pu[1] > 1.0
    assert result.site_q_mvar[0] == 0.0


def test_reactive_power_follows_the_power_factor():
    network = Network(two_buses(), power_factor=0.9)
    network.attach("end", "site")
    result = network.step(9.0)
    assert 9.0 / math.hypot(9.0, result.site_q_mvar[0]) == pytest.approx(0.9, rel=1e-12)
    leading = Network(two_buses(), power_factor=-0.9)
    leading.attach("end", "site")
    assert leading.step(9.0).site_q_mvar[0] == -result.site_q_mvar[0]


def test_two_sites_on_one_bus_add_up():
    apart, together = Network(two_buses()), Network(two_buses())
    for name in ("a", "b"):
        apart.attach("end", name)
    together.attach("end", "both")
    np.testing.assert_allclose(
        apart.step([2.0, 3.0], [0.1, 0.4]).vm_pu, together.step(5.0, 0.5).vm_pu, rtol=0, atol=1e-12
    )


def test_base_case_violations_are_those_pandapower_shows():
    network = shipped("cigre_mv")
    network.attach(9, "site")
    (violation,) = network.step(0.0).violations  # one transformer is at 101.4 % as shipped
    assert (violation.element, violation.index, violation.kind) == ("trafo", 0, "overload")
    assert violation.value == pytest.approx(101.4, abs=0.05)
    assert network.describe(violation) == "Trafo 0-1: overload 101.4 % (limit 100)"


def test_violations_are_counted_element_by_element():
    network = shipped("example_multivoltage")
    network.attach(40, "site")
    result = network.step(1.0)
    net = fresh_solution("example_multivoltage", 40, 1.0, network.reactive_mvar(1.0))
    expected = (
        (net.res_bus.vm_pu < 0.9).sum()
        + (net.res_bus.vm_pu > 1.1).sum()
        + (net.res_line.loading_percent > 100.0).sum()
        + (net.res_trafo.loading_percent > 100.0).sum()
        + (net.res_trafo3w.loading_percent > 100.0).sum()
    )
    assert len(result.violations) == expected > 3


def test_a_networks_own_limits_hold_unless_told_otherwise():
    net = two_buses()
    net.bus["min_vm_pu"] = [0.0, 0.995]
    net.line["max_loading_percent"] = 30.0
    found = {}
    for limits in ("network", "en50160", (0.997, 1.01)):
        network = Network(net, voltage_limits=limits)
        network.attach("end", "site")
        found[limits] = {violation.kind: violation.limit for violation in network.step(6.0).violations}
    assert found["network"] == {"low voltage": 0.995, "overload": 30.0}
    assert found["en50160"] == {"overload": 30.0}
    assert found[(0.997, 1.01)] == {"low voltage": 0.997, "overload": 30.0}


def test_an_absurd_load_is_a_violation_and_the_next_step_is_clean():
    network = shipped("mv_oberrhein")
    network.attach(100, "site")
    network.step(2.0)
    absurd = network.step(5000.0)
    assert not absurd.converged
    assert [violation.kind for violation in absurd.violations] == ["no solution"]
    for number in (absurd.vm_min, absurd.vm_max, absurd.line_loading_max, absurd.trafo_loading_max):
        assert math.isnan(number)
    assert np.isnan(absurd.vm_pu).all()
    assert absurd.site_p_mw[0] == 5000.0
    after = network.step(3.0, 0.5)
    assert after.converged
    assert_same(after, fresh_solution("mv_oberrhein", 100, 3.0, 0.5))


def test_only_an_equal_step_is_answered_from_memory():
    network = Network(two_buses())
    network.attach("end", "site")
    first = network.step(1.0)
    assert network.step(1.0) is first
    assert network.step(1.0 + 1e-12) is not first
    assert network.step(1.0, load_scaling=0.5) is not first


def test_a_copy_is_independent_and_starts_afresh():
    network = shipped("mv_oberrhein")
    network.attach(100, "site")
    before = network.step(1.0, load_scaling=0.2).vm_min
    twin = network.copy()
    assert twin.step(1.0).vm_min < before - 1e-3  # the scaling of the step before did not come along
    assert network.step(1.0, load_scaling=0.2).vm_min == before


def test_networks_without_lines_or_transformers_report_no_loading():
    network = shipped("case9")
    network.attach(4, "site")
    assert network.step(1.0).trafo_loading_max == 0.0


@pytest.mark.parametrize(
    ("bus", "message"),
    [
        (
            999,
            r"bus '999': not in network two buses; expected a bus name or one of its 2 indices between 0 and 1",
        ),
        (-1, "bus '-1': not in network"),
        ("nowhere", "bus 'nowhere': not in network"),
        ("1.5", "bus '1.5': not in network"),
    ],
)
def test_unknown_buses_are_named(bus, message):
    with pytest.raises(InputError, match=message):
        Network(two_buses()).attach(bus, "site")


def test_dead_buses_are_refused():
    net = two_buses()
    island = pandapower.create_bus(net, 20.0, name="island")
    dead = pandapower.create_bus(net, 20.0, name="dead", in_service=False)
    network = Network(net)
    with pytest.raises(InputError, match="not connected to an external grid"):
        network.attach(int(island), "site")
    with pytest.raises(InputError, match="out of service"):
        network.attach(int(dead), "site")
    network.attach("end", "site")
    assert math.isnan(network.step(1.0).vm_pu[island])
    with pytest.raises(InputError, match="attached already"):
        network.attach("source", "site")


def test_a_name_that_two_buses_share_needs_the_index():
    net = two_buses()
    net.bus["name"] = "twin"
    with pytest.raises(InputError, match="2 buses of two buses are called so"):
        Network(net).attach("twin", "site")
    assert Network(net).attach("1", "site").bus == 1


def test_a_number_names_the_index_even_where_buses_are_named_by_numbers():
    net = two_buses()
    net.bus["name"] = ["1", "2"]
    assert Network(net).attach(1, "site").bus == 1


@pytest.mark.parametrize(
    ("p_mw", "options"),
    [
        (math.nan, {}),
        (math.inf, {}),
        ([1.0, 2.0], {}),
        (1.0, {"q_mvar": math.nan}),
        (1.0, {"load_scaling": -0.1}),
        (1.0, {"gen_scaling": math.nan}),
    ],
)
def test_bad_numbers_are_refused(p_mw, options):
    network = Network(two_buses())
    network.attach("end", "site")
    with pytest.raises(InputError, match="network two buses"):
        network.step(p_mw, **options)


def test_networks_that_cannot_work_are_refused():
    sourceless = two_buses()
    sourceless.ext_grid["in_service"] = False
    with pytest.raises(InputError, match="no external grid in service"):
        Network(sourceless)
    hopeless = two_buses()
    pandapower.create_load(hopeless, 1, 10_000.0)
    with pytest.raises(InputError, match="no solution even without a site"):
        Network(hopeless)
    with pytest.raises(InputError, match="power factor 0"):
        Network(two_buses(), power_factor=0)
    with pytest.raises(InputError, match="0 < lowest < highest"):
        Network(two_buses(), voltage_limits=(1.1, 0.9))
    with pytest.raises(InputError, match="voltage limits 'own'"):
        Network(two_buses(), voltage_limits="own")
