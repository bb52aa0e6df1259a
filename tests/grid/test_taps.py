"""Tap changers on arrays move as pandapower's own controller does."""

import json
from copy import deepcopy

import numpy as np
import pandapower
import pytest
from pandapower.control import DiscreteTapControl

from simulators.errors import InputError
from simulators.grid.background.reading import Asked, Steps, open_network
from simulators.grid.network import Network
from simulators.grid.plain import record_from_plain, record_to_plain
from simulators.grid.record import RunRecord, network_summary
from simulators.grid.studies.steps import results
from tests.grid.networks import fresh_net, two_buses

RATIO = {
    "tap_side": "hv",
    "tap_neutral": 0.0,
    "tap_min": -9.0,
    "tap_max": 9.0,
    "tap_step_percent": 1.5,
    "tap_pos": 0.0,
}


def with_taps(**changes):
    """CIGRE's medium-voltage network, whose transformers come without."""
    net = fresh_net("cigre_mv")
    for column, value in {**RATIO, "tap_changer_type": "Ratio", **changes}.items():
        net.trafo[column] = value
    return net


def reference(net, set_points):
    for index, set_point in set_points.items():
        DiscreteTapControl.from_tap_step_percent(net, index, set_point)
    return net


@pytest.mark.parametrize(
    ("net", "bus", "largest_mw"),
    [
        (fresh_net("mv_oberrhein"), 100, 3.0),
        (with_taps(), 9, 1.0),
        (with_taps(tap_side="lv", tap_step_percent=-1.0), 9, 1.0),
        (with_taps(tap_max=1.0, tap_min=-1.0), 9, 1.0),
    ],
    ids=["oberrhein", "cigre", "turned round", "at its end"],
)
def test_positions_and_voltages_are_those_of_pandapowers_controller(net, bus, largest_mw):
    ours = Network(net, tap_control=1.0)
    ours.attach(bus, "site")
    theirs = reference(deepcopy(net), dict.fromkeys(net.trafo.index, 1.0))
    load = pandapower.create_load(theirs, bus, 0.0)
    rng = np.random.default_rng(3)
    positions = set()
    for _ in range(4):
        scaling, p_mw = float(rng.uniform(0.0, 1.1)), float(rng.uniform(-largest_mw, largest_mw))
        found = ours.step(p_mw, 0.1, load_scaling=scaling)
        theirs.load["scaling"] = scaling
        theirs.load.loc[load, ["p_mw", "q_mvar", "scaling"]] = [p_mw, 0.1, 1.0]
        pandapower.runpp(theirs, numba=False, run_control=True)
        assert found.tap_pos.tolist() == theirs.trafo.tap_pos.tolist()
        np.testing.assert_allclose(found.vm_pu, theirs.res_bus.vm_pu, rtol=0, atol=1e-8)
        np.testing.assert_allclose(
            found.trafo_loading_percent, theirs.res_trafo.loading_percent, rtol=1e-7, atol=1e-7
        )
        assert ours.solver.solution is not None  # on arrays
        positions.add(tuple(found.tap_pos))
    assert len(positions) > 1


def test_a_simbench_network_with_its_profiles_and_set_points():
    pytest.importorskip("simbench")
    from datetime import UTC, datetime

    from simulators.profiles.fileref import FileRef

    steps = Steps(datetime(2016, 6, 6, tzinfo=UTC), 6 * 3600, 8)
    ours, background = open_network(
        fresh_net("1-MV-rural--0-sw"), Asked(FileRef(path="simbench"), load=3.0), steps, tap_control="own"
    )
    theirs = deepcopy(ours.net)
    reference(theirs, theirs.trafo.autoTapSetp.to_dict())
    for table in ("load", "sgen", "storage"):
        theirs[table]["scaling"] = 1.0
    changed = set()
    for step, found in enumerate(results(ours, background, np.zeros((8, 0)))):
        for table in ("load", "sgen", "storage"):
            theirs[table]["p_mw"], theirs[table]["q_mvar"] = background.at(step)[table]
        pandapower.runpp(theirs, numba=False, run_control=True)
        assert found.tap_pos.tolist() == theirs.trafo.tap_pos.tolist()
        np.testing.assert_allclose(found.vm_pu, theirs.res_bus.vm_pu, rtol=0, atol=1e-8)
        changed.add(tuple(found.tap_pos))
    assert changed != {(0.0, 0.0)}


def test_left_to_pandapower_and_with_other_switches_the_rule_is_the_same():
    on_arrays, on_tables = (Network(with_taps(), tap_control=1.02, arrays=arrays) for arrays in (True, False))
    line = int(on_arrays.net.switch.index[on_arrays.net.switch.closed][-1])
    been = set()
    for scaling, closed in ((0.2, True), (1.0, False), (0.5, True), (1.0, True)):
        both = []
        for network in (on_arrays, on_tables):
            network.switch({line: closed})
            both.append(network.step([], load_scaling=scaling))
        assert both[0].tap_pos.tolist() == both[1].tap_pos.tolist()
        np.testing.assert_allclose(both[0].vm_pu, both[1].vm_pu, rtol=0, atol=1e-8)
        np.testing.assert_allclose(both[0].p_loss_mw, both[1].p_loss_mw, rtol=1e-7, atol=1e-9)
        assert on_arrays.solver.solution is not None
        been.add(tuple(both[0].tap_pos))
    assert len(been) > 2


def test_a_step_wider_than_its_band_comes_back_and_stays(monkeypatch):
    monkeypatch.setattr("simulators.grid.taps._TOLERANCE_PU", -0.005)
    network = Network(with_taps(), tap_control=1.0)
    found = [network.step([], load_scaling=scaling) for scaling in (0.3, 0.6, 0.9)]
    assert all(result.converged for result in found)


def test_a_record_tells_positions_and_moves():
    network = Network(with_taps(), tap_control=1.0)
    record = RunRecord(network)
    found = []
    for number, scaling in enumerate((0.1, 1.0, 0.1)):
        result = network.step([], load_scaling=scaling)
        found.append(result.tap_pos)
        record.add(result, number * 900, 900)
    moves = np.abs(np.diff(found, axis=0)).sum(axis=0)
    told = network_summary(record)["tap_changers"]
    assert [one["moves"] for one in told] == moves.tolist()
    assert sum(moves) > 0
    assert [one["lowest"] for one in told] == np.min(found, axis=0).tolist()
    again = record_from_plain(Network(with_taps()), json.loads(json.dumps(record_to_plain(record))))
    assert again.tap_moves.tolist() == moves.tolist()


def test_taps_stay_where_nobody_asks_and_a_copy_moves_alone():
    assert not len(Network(with_taps()).step([]).tap_pos)
    network = Network(with_taps(), tap_control=1.0)
    before = network.step([], load_scaling=0.1).tap_pos.tolist()
    assert network.copy().step([], load_scaling=1.0).tap_pos.tolist() != before
    assert network.taps.position.tolist() == before


@pytest.mark.parametrize(
    ("net", "asked", "said"),
    [
        (two_buses(), 1.0, "no transformer with a tap changer under load"),
        (fresh_net("cigre_mv"), 1.0, "no transformer with a tap changer under load"),
        (with_taps(), "own", "brings no set points of tap changers"),
    ],
)
def test_networks_without_say_so(net, asked, said):
    with pytest.raises(InputError, match=said):
        Network(net, tap_control=asked)
