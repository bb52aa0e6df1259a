"""A site through events: requests and joules of the real cluster, and the command from options to files."""

import json
from math import inf

import numpy as np
import pandas as pd
import pytest

from scenarios.event_levers import shed_lever
from scenarios.event_load import Loss, Shed, delays_s, serve
from scenarios.event_options import EventOptions, SiteOptions, UpsOptions
from scenarios.event_site import through
from scenarios.grid_integration import app
from simulators.datacenter.plain import facility_from_plain
from simulators.errors import InputError
from simulators.inference.hosts import BOOT
from simulators.inference.options import Serving
from simulators.quantities.commands import Awake, BatchCap, PowerCap

from ..conftest import call_app

SERVING = Serving(gpu="h100", replicas=2, iteration_time="roofline")
FACILITY = facility_from_plain({"gpus": 2, "gpus_per_node": 1})
WORKLOAD = {"rate_per_s": 8.0, "lengths": "fixed:600:200", "seed": 3}
SECONDS, AT = 900, 60


def run(cause=None, seconds=SECONDS):
    return serve(SERVING, FACILITY, WORKLOAD, seconds, cause)


@pytest.fixture(scope="module")
def undisturbed():
    return run()


def test_a_loss_of_power_queues_wakes_and_catches_up(undisturbed):
    found = run(Loss(AT, AT + 20))
    np.testing.assert_array_equal(found.power_w[:AT], undisturbed.power_w[:AT])
    assert not found.power_w[AT : AT + 20].any()
    boots = found.power_w[AT + 20 : AT + 20 + int(BOOT.value)]
    assert (boots > 0.0).all()
    assert boots.max() < 0.5 * undisturbed.power_w[AT:].mean()
    ready = AT + 20 + BOOT.value  # then the models load
    assert found.completed[int(ready)] == found.completed[AT - 1]
    # what waits is what came meanwhile and what was thrown back
    came = found.queued[int(ready)] - (undisturbed.running[AT - 1] + undisturbed.queued[AT - 1])
    assert came == pytest.approx(8.0 * (ready - AT), rel=0.1)
    assert found.lost_j > 0.0
    assert found.power_w[int(ready) :].max() > 1.05 * undisturbed.power_w[AT:].max()
    assert found.queued[-1] + found.running[-1] < 1.5 * undisturbed.running[-1] + 5  # caught up
    assert found.arrived == undisturbed.arrived
    late = delays_s(found, undisturbed)
    assert late.max() > BOOT.value
    assert late.min() > -5.0
    # the same requests, each once, with the same tokens
    both = set(found.finished["request_id"]) & set(undisturbed.finished["request_id"])
    assert len(both) >= len(undisturbed.finished) - 100
    assert len(np.unique(found.finished["request_id"])) == len(found.finished)


def test_levers_shed_load_and_lose_nothing(undisturbed):
    mean = undisturbed.power_w[AT : AT + 120].mean()
    for lever, less in (
        (PowerCap(300.0), 0.95),
        (BatchCap(2), 1.0),
        (Awake(1), 0.95),
        (None, 0.5),
    ):
        found = run(Shed(AT, AT + 120, lever), seconds=420)
        held = found.power_w[AT + 40 : AT + 120].mean()
        assert held < less * mean, lever
        late = delays_s(found, undisturbed)
        assert late.max() > 0.1
        assert found.lost_j == 0.0
        ended = found.queued[-1] + found.running[-1]
        assert len(found.finished) + ended == found.arrived
    with pytest.raises(InputError, match="--lever: "):
        run(Shed(1, 5, PowerCap(10.0)), seconds=3)


def test_pools_lose_power_and_shed_load_as_others_do():
    """No request is lost on its way between them; those that decode are off when nothing can come to them any more."""
    pools = SERVING.model_copy(update={"replicas": 1, "prefill_replicas": 1})

    def through(cause=None):
        return serve(pools, FACILITY, WORKLOAD | {"rate_per_s": 3.0}, 420, cause)

    undisturbed = through()
    off = through(Shed(AT, AT + 120, None))
    held = off.power_w[AT + 60 : AT + 120]
    both_off = run(Shed(AT, AT + 120, None), seconds=AT + 120).power_w[-1]
    assert held == pytest.approx(np.full(60, both_off))
    fewer = through(Shed(AT, AT + 120, BatchCap(2)))
    cut = through(Loss(AT, AT + 20))
    assert not cut.power_w[AT : AT + 20].any()
    assert cut.lost_j > 0.0
    for found in (off, fewer, cut):
        assert found.arrived == undisturbed.arrived
        assert len(found.finished) + found.queued[-1] + found.running[-1] == found.arrived
        assert delays_s(found, undisturbed).max() > 0.1
    with pytest.raises(InputError, match="--lever: 1 replicas awake: expected 2"):
        through(Shed(1, 5, Awake(1)))


def test_a_site_that_is_started_serves_only_who_comes_then(undisturbed):
    found = run(Loss(0, 100, turned_away=True), seconds=600)
    assert not found.power_w[:100].any()
    assert found.arrived == pytest.approx(8.0 * 500, rel=0.1)
    assert delays_s(found, undisturbed).min() > -5.0


def test_levers_are_read():
    assert shed_lever("batch-cap=8") == BatchCap(8)
    assert shed_lever("awake=1") == Awake(1)
    for text in ("awake", "awake=some", "lights=off"):
        with pytest.raises(InputError, match="expected awake=REPLICAS"):
            shed_lever(text)


SITE = SiteOptions(mw=4.0, rate=8.0, lengths="fixed:600:200", serving=SERVING)


def test_six_faults_in_82_s_move_all_of_the_load_and_with_ride_through_none():
    dips = EventOptions(event="dip", at_s=60, minutes=5)
    away, rides = through(SITE, dips, UpsOptions()), through(SITE, dips, UpsOptions(curve="ercot_lel"))
    assert not away.p_mw[93 : 60 + 83].any()
    assert not away.p_mw[-100:].any()  # nobody returns it
    np.testing.assert_allclose(rides.p_mw, rides.undisturbed_mw, rtol=1e-12)
    np.testing.assert_allclose(away.undisturbed_mw, rides.p_mw, rtol=1e-12)
    whole = away.battery_mw + away.generator_mw - away.recharge_mw + away.p_mw
    np.testing.assert_allclose(whole, away.facility_mw, rtol=1e-9)
    assert away.requests["delayed_by_over_1_s"] == 0.0  # users notice nothing
    half = through(SITE, dips.model_copy(update={"share": 0.5}), UpsOptions(by_hand_s=60.0))
    np.testing.assert_allclose(half.p_mw[93:142], 0.5 * half.undisturbed_mw[93:142], rtol=1e-9)


def test_groups_come_back_one_after_the_other():
    trip = EventOptions(event="trip", at_s=60, minutes=12, outage_s=30, groups=2, gap_s=100)
    found = through(SITE, trip, UpsOptions(backup=False))
    levels = [float(found.p_mw[second]) for second in (80, 100, 200)]
    assert levels[0] == 0.0
    assert levels[2] == pytest.approx(2.0 * levels[1])
    assert found.requests["still_there"] + found.requests["completed"] == pytest.approx(
        found.requests["arrived"]
    )
    assert found.requests["queue_recovered_s"] is None or found.requests["queue_recovered_s"] > 300
    step = through(SITE, EventOptions(event="step", at_s=60, minutes=2, hold_s=30, step_mw=1.5), UpsOptions())
    np.testing.assert_allclose(
        (step.p_mw - step.undisturbed_mw)[59:91], [0.0] + [1.5] * 30 + [0.0], atol=1e-9
    )
    assert step.requests["longest_delay_s"] == 0.0
    assert inf not in step.requests.values()


def command(*arguments):
    return call_app(app(), "event", *arguments)


def test_the_command_leaves_a_table_a_figure_and_a_file(tmp_path):
    out = tmp_path / "event"
    options = ("--rate", "8", "--model", "meta-llama/Meta-Llama-3-8B", "--tp", "1", "--replicas", "2")
    done = command(
        *("--network", "cigre_mv", "--bus", "9", "--mw", "2", "--event", "dip", "--by-hand-s", "60"),
        *("--at-s", "60", "--minutes", "6", "--iteration-time", "roofline", *options, "--out", str(out)),
    )
    assert done.code == 0, done.err
    assert "6 dips, 0 ridden through" in done.out
    assert "3 transfers to its own supply; stays on its own supply from 32.8 s on" in done.out
    summary = json.loads((out / "summary.json").read_text())
    assert summary["effects"]["drop_mw_per_s"] > 0.5
    assert summary["voltage_at_the_site"]["highest_pu"] > summary["voltage_at_the_site"]["before_pu"]
    assert [one["kept"] for one in summary["transfers"]] == [False, False, True]
    assert {one["name"] for one in summary["assumptions"]} >= {"walk_in_s", "generator_s"}
    frame = pd.read_parquet(out / "event.parquet")
    assert len(frame) == 360
    assert summary["effects"]["missed_mwh"] == pytest.approx(
        (frame.undisturbed_mw - frame.p_mw).clip(lower=0).sum() / 3600
    )
    assert {path.name for path in (out / "figures").iterdir()} == {"event.png", "network.png"}
    inputs = json.loads((out / "config.json").read_text())["inputs"]
    assert {entry["file"] for entry in inputs} >= {"data/ride_through/itic.csv"}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "--bus: not given"),
        (("--bus", "9", "--at-s", "4000"), "--at-s: 4000 given, expected less than the run of 1800 s"),
        (("--bus", "9", "--event", "dip", "--curve", "none"), "no such ride-through curve"),
        (("--bus", "9", "--event", "shed", "--lever", "lights=off"), "--lever: 'lights=off' given"),
        (("--bus", "9", "--event", "storm"), "event"),
        (("--bus", "9", "--share", "2"), "share"),
        (("--bus", "9", "--mw", "500", "--minutes", "2", "--at-s", "60"), "no solution at 0 s with"),
        (("--bus", "9", "--pue-model", "outdoor"), "minutes have no weather"),
    ],
)
def test_what_it_does_not_take_is_one_line(arguments, said, tmp_path):
    done = command("--network", "cigre_mv", *arguments, "--out", str(tmp_path / "run"))
    assert said in done.complaint
    assert list(tmp_path.iterdir()) == []
