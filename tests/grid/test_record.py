"""What a run leaves behind, and how much more a bus can take."""

import json

import numpy as np
import pytest

from simulators.grid.network import Network
from simulators.grid.plain import record_from_plain, record_to_plain
from simulators.grid.record import RunRecord, network_summary
from tests.grid.networks import shipped, two_buses

STEP_S = 900


@pytest.fixture(scope="module")
def run():
    """Four quarter hours on the two-bus network: fine, overloaded, without solution, overloaded less."""
    network = Network(two_buses())
    network.attach("end", "site")
    record = RunRecord(network)
    results = [network.step(p_mw) for p_mw in (5.0, 20.0, 5000.0, 18.0)]
    for number, result in enumerate(results):
        record.add(result, number * STEP_S, STEP_S)
    return network, record, results


def test_extremes_and_sums_are_those_of_the_steps(run):
    _, record, results = run
    solved = [results[0], results[1], results[3]]
    assert record.hours == 1.0
    assert record.losses_mwh == pytest.approx(0.25 * sum(r.p_loss_mw for r in solved), rel=1e-12)
    assert record.slack_mwh == pytest.approx(0.25 * sum(r.p_slack_mw for r in solved), rel=1e-12)
    np.testing.assert_array_equal(record.line_loading_max, results[1].line_loading_percent)
    np.testing.assert_array_equal(record.vm_min, results[1].vm_pu)
    np.testing.assert_array_equal(record.vm_max, results[0].vm_pu)
    assert record.violation_hours == 0.75
    assert record.unsolved_hours == 0.25


def test_the_summary_says_what_where_and_when(run):
    _, record, results = run
    summary = json.loads(json.dumps(network_summary(record), allow_nan=False))
    worst_line = {"value": results[1].line_loading_max, "element": "feeder", "index": 0, "at_s": STEP_S}
    assert summary["line_loading_percent_max"] == worst_line
    assert summary["vm_pu_min"] == {"value": results[1].vm_min, "element": "end", "index": 1, "at_s": STEP_S}
    assert summary["trafo_loading_percent_max"] is None
    assert summary["converged_share"] == 0.75
    assert summary["violated_limits"] == 2
    unsolved, overload = summary["violations"]
    assert (unsolved["kind"], unsolved["hours"], unsolved["at_s"]) == ("no solution", 0.25, 2 * STEP_S)
    assert (overload["name"], overload["hours"], overload["at_s"]) == ("feeder", 0.5, STEP_S)
    beyond = [max(0.0, result.line_loading_max - 100.0) for result in results if result.converged]
    assert overload["beyond_times_hours"] == pytest.approx(0.25 * sum(beyond))
    assert (overload["first_s"], overload["end_s"]) == (STEP_S, 4 * STEP_S)
    assert unsolved["beyond_times_hours"] is None
    (site,) = summary["sites"]
    assert site["vm_pu_min"] == results[1].vm_pu[1]
    assert site["energy_mwh"] == pytest.approx(0.25 * 5043.0)


def same(a, b):
    """Equal values of equal types, NaN equal to itself."""
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list):
        return len(a) == len(b) and all(map(same, a, b))
    return type(a) is type(b) and (a == b or (a != a and b != b))


def through_json(record, network):
    plain = record_to_plain(record)
    crossed = json.loads(json.dumps(plain))
    assert same(crossed, plain)
    again = record_from_plain(network, crossed)
    assert same(record_to_plain(again), plain)
    return again


def test_a_record_survives_json(run):
    _, record, _ = run
    again = through_json(record, Network(two_buses()))
    assert same(network_summary(again), network_summary(record))
    assert [site.name for site in again.network.sites] == ["site"]
    for name, value in vars(record).items():
        if isinstance(value, np.ndarray):
            np.testing.assert_array_equal(getattr(again, name), value)
        elif name != "network":
            assert str(getattr(again, name)) == str(value), name  # NaN is in some


def test_a_record_goes_on_where_it_was(run):
    network, record, results = run
    again = through_json(record, Network(two_buses()))
    longer = RunRecord(network)
    for number, result in enumerate([*results, results[1]]):
        longer.add(result, number * STEP_S, STEP_S)
    again.add(results[1], 4 * STEP_S, STEP_S)
    assert same(record_to_plain(again), record_to_plain(longer))


def test_a_record_of_a_real_network_survives_json():
    network = shipped("mv_oberrhein")
    for bus in (100, 80):
        network.attach(bus, f"site {bus}")
    record = RunRecord(network)
    for number, p_mw in enumerate((1.0, 30.0)):
        record.add(network.step([p_mw, 2.0]), number * STEP_S, STEP_S)
    again = through_json(record, shipped("mv_oberrhein"))
    assert same(network_summary(again), network_summary(record))


def test_an_empty_record_survives_json():
    network = Network(two_buses())
    through_json(RunRecord(network), Network(two_buses()))


def test_an_empty_run_has_a_summary_without_nan():
    network = Network(two_buses())
    network.attach("end", "site")
    summary = network_summary(RunRecord(network))
    json.dumps(summary, allow_nan=False)
    assert summary["vm_pu_min"] is None
    assert summary["converged_share"] is None
