"""What buses can take over a background: against single power flows, closed forms and pandapower."""

import numpy as np
import pandapower
import pytest

from simulators.errors import InputError
from simulators.grid.background.reading import Asked, Steps, open_network
from simulators.grid.network import Network
from simulators.grid.studies.check import checked
from simulators.grid.studies.hosting import hosting_capacity_mw
from simulators.grid.studies.hosting_figure import hosting_figure
from simulators.grid.studies.hosting_year import flexible_mw, hosting_year
from tests.grid.background.test_background import DAY, write
from tests.grid.networks import fresh_net, two_buses


@pytest.fixture(scope="module")
def oberrhein(tmp_path_factory):
    """Four buses of mv_oberrhein on a day whose loads and generation change."""
    path = tmp_path_factory.mktemp("background") / "own.csv"
    hour = np.arange(24)
    net = fresh_net("mv_oberrhein")
    net.sgen["scaling"] = 0.8
    asked = write(
        path, {"load P[1]": 0.7 + 0.3 * np.sin(hour / 4), "sgen P[1]": np.clip(np.sin((hour - 6) / 4), 0, 1)}
    )
    network, background = open_network(net, asked, DAY)
    buses = [0, 100, 200, 39]
    return network, background, hosting_year(network, background, DAY, buses, tolerance_mw=0.005)


def test_every_answer_holds_and_breaks_just_above_in_plain_pandapower(oberrhein):
    _, background, found = oberrhein
    for each in found.buses:
        for step in (0, 10):
            for load_mw, fine in ((each.most_mw[step], True), (each.most_mw[step] + 0.005, False)):
                net = fresh_net("mv_oberrhein")
                powers = background.at(step)
                for table in ("load", "sgen"):
                    net[table]["p_mw"], net[table]["q_mvar"] = powers[table]
                    net[table]["scaling"] = 1.0
                pandapower.create_load(net, each.bus, load_mw, load_mw * np.tan(np.arccos(0.98)))
                pandapower.runpp(net, numba=False)
                held = (
                    net.res_line.loading_percent.max() <= 100 + 1e-6
                    and net.res_trafo.loading_percent.max() <= 100 + 1e-6
                    and net.res_bus.vm_pu.min() >= 0.9 - 1e-6
                    and net.res_bus.vm_pu.max() <= 1.1 + 1e-6
                )
                assert held == fine, (each.bus, step)
    check = checked(found, background)
    assert check.tried == check.held == check.broke >= len(found.buses)


def test_every_step_is_the_capacity_of_a_network_that_stands_still(oberrhein):
    _, background, found = oberrhein
    for step in (3, 14):
        net = fresh_net("mv_oberrhein")
        for table in ("load", "sgen"):
            net[table]["p_mw"], net[table]["q_mvar"] = background.at(step)[table]
            net[table]["scaling"] = 1.0
        for each in found.buses[:2]:
            single = hosting_capacity_mw(Network(net), each.bus, tolerance_mw=0.005)
            assert each.most_mw[step] == pytest.approx(single.capacity_mw, abs=0.006)
            limit = single.limited_by
            assert found.causes[int(each.cause[step])] == (limit.element, limit.index, limit.kind)


def test_flexible_is_at_least_firm_and_misses_what_was_agreed(oberrhein):
    _, _, found = oberrhein
    for each in found.buses:
        assert each.flexible_mw >= each.firm_mw == each.most_mw.min()
        expected = sum(max(0.0, each.flexible_mw - room) for room in each.most_mw)
        assert each.curtailed_mwh == pytest.approx(expected, abs=1e-9)
        assert each.curtailed_mwh == pytest.approx(0.03 * each.flexible_mw * 24, rel=1e-9)
    assert len(found.series()) == 24 * len(found.buses)
    assert found.frame().flexible_mw.tolist() == [each.flexible_mw for each in found.buses]


@pytest.mark.parametrize("share", [0.0, 0.01, 0.2, 0.9])
def test_the_flexible_load_is_where_the_agreed_energy_is_missed(share):
    room = np.random.default_rng(5).uniform(0.5, 9.0, 500)
    power = flexible_mw(room, share)
    missed = np.maximum(0.0, power - room).sum()
    if power < room.max():
        assert missed == pytest.approx(share * power * 500, rel=1e-9, abs=1e-9)
    else:
        assert missed <= share * power * 500
    assert power >= room.min()


def test_what_the_network_violates_without_the_load_counts_unless_the_load_cures_it(tmp_path):
    """A generator at the end of the line: at 14 MW its voltage is too high, and load there lowers it."""
    net = two_buses()
    net.bus["max_vm_pu"] = [1.1, 1.01]
    pandapower.create_sgen(net, 1, 14.0)
    asked = write(tmp_path / "own.csv", {"sgen 0 P[MW]": [0.0, 14.0] + [0.0] * 22})
    network, background = open_network(net, asked, DAY, power_factor=1.0)
    (end,) = hosting_year(network, background, DAY, [1], tolerance_mw=1e-3).buses
    assert end.least_mw[0] == 0.0 < end.least_mw[1] < end.most_mw[0] < end.most_mw[1]
    tried = network.copy()
    tried.attach(1, "site")
    powers = background.at(1)
    assert not tried.step(end.least_mw[1], powers=powers).violations
    assert tried.step(end.least_mw[1] - 2e-3, powers=powers).violations
    (source,) = hosting_year(network, background, DAY, [0]).buses  # at the source, load cures nothing
    assert (source.firm_mw, source.violated_hours) == (0.0, 1.0)
    assert np.isnan(source.most_mw[1])
    assert source.firm_step == 1


def test_the_line_gives_the_closed_form(tmp_path):
    asked = write(tmp_path / "own.csv", {"load P[1]": 1.0})
    network, background = open_network(two_buses(), asked, DAY)
    found = hosting_year(network, background, DAY, [1], tolerance_mw=1e-5)
    tried = Network(two_buses())
    tried.attach("end", "site")
    vm_pu = tried.step(found.buses[0].firm_mw).vm_pu[1]
    assert found.buses[0].firm_mw == pytest.approx(np.sqrt(3.0) * 20.0 * vm_pu * 0.5 * 0.98, abs=2e-5)
    assert found.words(found.buses[0].firm_cause) == "feeder: overload"
    hosting_figure(found).savefig(tmp_path / "hosting.png")


def test_the_slacks_power_limits_too():
    net = two_buses()
    net.ext_grid["max_p_mw"] = 4.0
    day = Steps(DAY.start, 3600, 2)
    network, background = open_network(net, Asked(), day)
    (end,) = (found := hosting_year(network, background, day, [1], tolerance_mw=1e-4)).buses
    assert found.causes[int(end.cause[0])] == ("ext_grid", 0, "high active power")
    tried = Network(net)
    tried.attach(1, "site")
    assert tried.step(end.firm_mw).p_slack_mw == pytest.approx(4.0, abs=2e-4)


def test_nothing_limits_at_the_source():
    day = Steps(DAY.start, 3600, 2)
    network, background = open_network(two_buses(), Asked(), day)
    (source,) = (found := hosting_year(network, background, day, [0], search_to_mw=300.0)).buses
    assert source.firm_mw == source.flexible_mw == 300.0
    assert found.words(source.firm_cause) == ""


@pytest.mark.parametrize(
    ("build", "options", "said"),
    [
        (lambda: fresh_net("case118"), {"enforce_q_lims": True}, "enforce-q-lims"),
        (lambda: fresh_net("cigre_mv"), {}, "voltage depend"),
    ],
)
def test_networks_that_need_single_power_flows_are_refused(build, options, said):
    net = build()
    if said == "voltage depend":
        net.load["const_z_p_percent"] = 50.0
    network, background = open_network(net, Asked(), DAY, **options)
    with pytest.raises(InputError, match=said):
        hosting_year(network, background, DAY, [1])
