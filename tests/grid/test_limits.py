"""What counts as a violation besides voltages and loadings: sources beyond what they can give, and no supply."""

import json

import numpy as np
import pandapower
import pytest

from simulators.grid.network import Network
from simulators.grid.plain import record_from_plain, record_to_plain
from simulators.grid.record import RunRecord, network_summary, worst_breaches
from tests.grid.networks import fresh_net, shipped, two_buses


def of_sources(result):
    return {
        (v.element, v.index, v.kind) for v in result.violations if v.element in ("ext_grid", "gen", "dcline")
    }


@pytest.mark.parametrize("name", ["case118", "case24_ieee_rts", "case39", "GBreducednetwork"])
def test_sources_beyond_their_limits_are_those_pandapowers_tables_show(name):
    network = shipped(name)
    net = network.net
    result = network.step([])
    expected = set()
    for element in ("ext_grid", "gen"):
        for column, power in (("p_mw", "active power"), ("q_mvar", "reactive power")):
            value = net[f"res_{element}"][column]
            low, high = net[element][f"min_{column}"], net[element][f"max_{column}"]
            expected |= {(element, i, f"low {power}") for i in value.index[value < low - 1e-5]}
            expected |= {(element, i, f"high {power}") for i in value.index[value > high + 1e-5]}
    assert of_sources(result) == expected != set()


def test_generators_held_at_their_reactive_limits_are_pandapowers():
    network = Network(fresh_net("case118"), enforce_q_lims=True)
    network.attach(10, "site")
    for p_mw in (0.0, 150.0):
        result = network.step(p_mw, 0.0)
        net = fresh_net("case118")
        pandapower.create_load(net, 10, p_mw)
        pandapower.runpp(net, numba=False, enforce_q_lims=True)
        np.testing.assert_allclose(result.vm_pu, net.res_bus.vm_pu, rtol=0, atol=1e-8)
        assert not of_sources(result)


def test_a_slack_beyond_its_limits_is_measured_by_the_larger_one():
    net = two_buses()
    net.ext_grid[["min_p_mw", "max_p_mw", "min_q_mvar", "max_q_mvar"]] = [0.0, 4.0, -1.0, 0.0]
    network = Network(net)
    network.attach("end", "site")
    drawing = {v.kind: v for v in network.step(6.0, 0.5).violations}
    assert set(drawing) == {"high active power", "high reactive power"}
    assert drawing["high active power"].severity == pytest.approx(0.5, abs=0.02)
    assert drawing["high reactive power"].severity == pytest.approx(0.5, abs=0.1)
    exporting = network.step(-2.0).violations[0]
    assert network.describe(exporting) == "ext_grid 0: low active power -1.995 MW (limit 0)"


def test_dc_lines_have_limits():
    net = two_buses()
    far = pandapower.create_bus(net, 20.0)
    pandapower.create_ext_grid(net, far)
    options = {"loss_percent": 0.0, "loss_mw": 0.0, "vm_from_pu": 1.0, "vm_to_pu": 1.0, "max_p_mw": 3.0}
    pandapower.create_dcline(net, 1, far, 5.0, **options)
    network = Network(net)
    network.attach(far, "site")
    for p_mw in (
        0.0,
        1.0,
        2.0,
    ):  # a warm start, which pandapower does not know with DC lines, would fail here
        assert ("dcline", 0, "high active power") in of_sources(network.step(p_mw))


def outage(name: str, line: int) -> Network:
    net = fresh_net(name)
    net.line.loc[line, "in_service"] = False
    return Network(net)


def test_every_line_outage_tells_the_buses_and_the_load_it_leaves_dark():
    """case33bw is run radially: an outage of any of its 32 closed lines leaves all below it dark."""
    for line in range(32):
        network = outage("case33bw", line)
        net = network.net
        result = network.step([])
        below = set(pandapower.topology.unsupplied_buses(net))
        dark = {v.index: v.value for v in result.violations if v.kind == "no supply"}
        assert set(dark) == below != set()
        load = net.load.groupby("bus").p_mw.sum()
        assert result.unsupplied_mw == pytest.approx(
            load.reindex(sorted(below), fill_value=0.0).sum(), abs=1e-12
        )
        assert result.unsupplied_buses == len(below)
        assert dark == pytest.approx({bus: load.get(bus, 0.0) for bus in below})


def test_no_supply_is_the_worst_violation_and_most_load_the_worst_of_it():
    network = outage("case33bw", 10)
    network.attach(5, "site")
    record = RunRecord(network)
    record.add(network.step(8.0), 0, 1800)  # voltages far below their band as well
    record.add(network.step(0.0, load_scaling=2.0), 1800, 1800)
    worst = worst_breaches(record)
    assert {b.worst.kind for b in worst} > {"no supply", "low voltage"}
    dark = [b.worst.value for b in worst if b.worst.kind == "no supply"]
    assert [b.worst.kind for b in worst[: len(dark)]] == ["no supply"] * len(dark)
    assert dark == sorted(dark, reverse=True)
    lost_mw = network.step(0.0, load_scaling=1.0).unsupplied_mw
    summary = network_summary(record)
    assert summary["unsupplied_buses"] == len(dark) == 7
    assert summary["unsupplied_mwh"] == pytest.approx(0.5 * lost_mw + 0.5 * 2.0 * lost_mw)
    assert sum(dark) == pytest.approx(2.0 * lost_mw)  # each at its worst step
    assert "no supply, " in network.describe(worst[0].worst)
    plain = json.loads(json.dumps(record_to_plain(record)))
    again = network_summary(record_from_plain(outage("case33bw", 10), plain))
    assert again == json.loads(json.dumps(summary))


def test_all_kinds_of_load_count():
    net = two_buses()
    dark = pandapower.create_bus(net, 20.0)
    pandapower.create_load(net, dark, 1.0, scaling=0.5)
    pandapower.create_load(net, dark, 9.0, in_service=False)
    pandapower.create_asymmetric_load(net, dark, 0.1, 0.2, 0.3)
    pandapower.create_motor(net, dark, 0.9, 0.9, efficiency_percent=90.0, loading_percent=50.0)
    pandapower.create_ward(net, dark, 2.0, 0.0, 0.5, 0.0)
    pandapower.create_xward(net, dark, 4.0, 0.0, 0.25, 0.0, 0.1, 0.1, 1.0)
    assert Network(net).step([]).unsupplied_mw == pytest.approx(0.5 + 0.6 + 0.5 + 2.5 + 4.25)


def test_a_bus_out_of_service_misses_nothing():
    net = two_buses()
    pandapower.create_bus(net, 20.0, in_service=False)
    assert Network(net).step([]).violations == ()
