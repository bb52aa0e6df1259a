"""Replicas fail, are maintained and come back: requests, tokens and joules are conserved, nothing is lost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulators.errors import InputError
from simulators.inference import attribution, output
from simulators.inference.batching.host import Fetching
from simulators.inference.batching.policies import POLICIES, limits_for
from simulators.inference.cluster import Cluster
from simulators.inference.failing import failures_for
from simulators.inference.failures import Failures
from simulators.inference.metrics import Metrics
from simulators.inference.outages import Breakdowns, Outage, Timetable, read_outages
from simulators.inference.parking import Parking
from simulators.inference.power.laws import constant_law
from simulators.inference.power.states import State
from simulators.inference.reliability import GPU_MTBF, Reliability
from simulators.inference.replica import Replica
from simulators.inference.routing import BY_CONTENT, ROUTERS, router
from simulators.inference.serving import Serving, build_cluster
from simulators.inference.standby import IdleRule
from simulators.inference.timing.tables import LOOKUP, StageTables
from simulators.kept import digests, keep
from simulators.quantities.commands import Awake
from simulators.quantities.requests import RequestBlock, ragged
from simulators.restored import restore
from simulators.traffic.stream import Stream

from .oracle import Request, Server
from .runs import FLAT, Fed, Job, flat_tables, plain_power_w
from .test_cluster import TIMES, block, busy_jobs, requests
from .test_equality import random_tables

OFF = State(name="off", power_w=20.0, leave_s=3.0, leave_j=200.0)
NOTHING = RequestBlock.concatenate([])


def failing(
    jobs: list[Job],
    outages: list[Outage],
    tables: StageTables | None = None,
    *,
    replicas: int = 2,
    router_name: str = "least_outstanding",
    rule: IdleRule | None = None,
    copies: float = 1.0,
    breakdowns: Breakdowns | None = None,
    hashes: list[list[int]] | None = None,
    host_blocks: int = 0,
    **limits: Any,
) -> Fed:
    bounds = limits_for(
        **{"scheduler": "vllm_v1", "total_blocks": 60, "batch_cap": 8, "max_model_len": 256} | limits
    )
    tables = tables or flat_tables(1.0)
    made = [
        Replica(bounds, tables, FLAT, states={"off": OFF}, host_blocks=host_blocks) for _ in range(replicas)
    ]
    for replica in made[1:]:
        replica.standby.rule = rule
    for replica in made:
        replica.fetch_from_host(Fetching(0.05, 0.01, 4), block_bytes=100.0, joules_per_byte=0.1)
    routers = [router(router_name, replicas, np.random.default_rng(seed)) for seed in (5, 6)]
    cluster = Cluster(made, routers[0], copies=copies, gpus_per_host=2)
    cluster.fail_by(Failures(Timetable(outages, breakdowns), made, cluster.parking, routers[1]))
    requests = block(jobs) if jobs else NOTHING
    if hashes is not None:
        object.__setattr__(requests, "hash_ids", ragged([np.array(one) for one in hashes]))
    return Fed(cluster, Stream(iter([requests])))


def served(c: Fed, step_s: float = 20.0) -> tuple[list[Any], dict[str, Any]]:
    metrics, intervals = Metrics(copies=c.copies), []
    while not c.idle:
        assert c.now < 1e6, "something waits for ever"
        intervals.append(c.advance(c.now + step_s))
        metrics.add(intervals[-1])
    return intervals, metrics.summary(c.cluster)


def test_what_one_failure_takes_and_leaves():
    """A request of 5 tokens, 1 s each, cut off after 2.5 s; the replica is back at 10 s and loads for 3 s."""
    c = failing([(0.0, 5, 5)], [Outage(2.5, 10.0, (0,))], replicas=1)
    intervals, summary = served(c)
    (one,) = requests(intervals).itertuples()
    assert (one.released_at, one.scheduled_at, one.prefill_completed_at, one.completed_at) == (0, 13, 14, 18)
    assert (one.restarts, one.replica) == (1, 0)
    assert one.prefill_j + one.decode_j == pytest.approx(5 * 300.0)
    found = summary["failures"]
    assert found["lost_work_j"] == pytest.approx(2.5 * 300.0)
    assert (found["failures"], found["requests_interrupted"], found["lost_tokens"]) == (1, 1, 2)
    assert found["out_s"] == pytest.approx(7.5)
    assert summary["decode_tokens"] == 5
    assert summary["gpu_energy_j"]["idle"] == pytest.approx(7.5 * 20.0 + 200.0 + 2 * 100.0)
    assert summary["gpu_energy_j"]["transition_within_idle"] == pytest.approx(200.0)


def test_a_run_to_its_end_does_not_wait_for_servers_that_do_not_come_back(tmp_path, monkeypatch):
    monkeypatch.setattr(output, "LONGEST_STALL_S", 3600.0)
    jobs = [(0.0, 5, 5), (1.0, 5, 5)]
    with pytest.raises(
        InputError, match=r"2 requests wait, and none was finished in the .* days from 0 s on"
    ):
        output.run_to_end(failing(jobs, [Outage(2.5, 1e9, (0,))], replicas=1), 600.0, tmp_path)
    late = failing(jobs, [Outage(2.5, 4000.0, (0,))], replicas=1)
    assert output.run_to_end(late, 600.0, tmp_path)["requests_completed"] == 2


def test_maintenance_waits_for_what_runs_and_a_failure_does_not():
    jobs = [(0.0, 5, 30), (1.0, 5, 30), (12.0, 5, 3), (13.0, 5, 3)]
    for planned, interrupted in ((True, 0), (False, 1)):
        c = failing(jobs, [Outage(10.0, 60.0, (0,), planned)])
        intervals, summary = served(c)
        done = requests(intervals)
        assert summary["failures"]["requests_interrupted"] == interrupted
        assert summary["failures"]["maintenance"] == int(planned)
        assert list(done.replica[2:]) == [1, 1]  # nothing new for who is out
        assert (done.replica[0] == 0) == planned
        assert (done.completed_at[0] == 30.0) == planned


def test_a_router_that_goes_by_what_it_sent_forgets_what_a_failure_took():
    """A conversation stays with its replica, moves when that fails, and stays where it moved when that is back."""
    talk, other = [7, 8, 9, 10], [1, 2, 3, 4]
    jobs = [
        (0.0, 60, 2),
        (1.0, 60, 2),
        (10.0, 60, 2),
        (11.0, 60, 2),
        (20.0, 60, 2),
        (40.0, 60, 2),
        (41.0, 60, 2),
    ]
    hashes = [talk, other, talk, other, talk, talk, other]
    c = failing(
        jobs, [Outage(15.0, 30.0, (0,))], router_name="cache_aware", hashes=hashes, prefix_cache="on", hash_tokens=16,
    )  # fmt: skip
    intervals, _ = served(c)
    done = requests(intervals)
    assert done.replica.tolist() == [0, 1, 0, 1, 1, 1, 1]
    assert done.restarts.tolist() == [0] * 7
    assert done.cached_tokens.tolist() == [0, 0, 48, 48, 0, 48, 48]


def test_a_replica_that_sleeps_on_order_stands_in():
    c = failing([(0.0, 5, 5), (20.0, 5, 40)], [Outage(25.0, 100.0, (0,))])
    assert c.command(Awake(1)) is None
    c.advance(20.0)
    assert (c.awake, c.waking) == (1, 0)
    c.advance(26.0)
    assert (c.awake, c.waking) == (0, 1)  # the other loads
    intervals = [c.advance(until) for until in (40.0, 99.0, 150.0)]
    assert requests(intervals).scheduled_at[1] == pytest.approx(28.0)
    assert c.awake == 1  # who is back sleeps in turn: so many as were told
    assert c.command(Awake(1)) is None
    c.advance(160.0)
    assert c.parking.asleep == {0}
    assert c.command(Awake(2)) is None
    c.advance(180.0)
    assert c.awake == 2


def test_whoever_comes_while_nobody_is_there_waits_at_the_door():
    c = failing([(1.0, 5, 3), (4.0, 5, 3), (30.0, 5, 3)], [Outage(2.5, 40.0, (0,)), Outage(3.0, 25.0, (1,))])
    inside = c.advance(20.0)
    assert (inside.waiting, inside.running, c.outstanding) == (2, 0, 2)
    assert sorted(c.unfinished()["released_at"]) == [1.0, 4.0]
    assert len(c.cluster.waiting_records()) == 2
    intervals, _ = served(c)
    done = requests(intervals)
    assert done.scheduled_at.tolist() == [28.0, 28.0, 30.0]
    assert done.released_at.tolist() == [1.0, 4.0, 30.0]
    assert done.restarts.tolist() == [2, 0, 0]  # on its second replica as well


def test_a_replica_that_fails_while_it_loads_loads_again():
    c = failing([(0.0, 5, 2), (30.0, 5, 2)], [Outage(10.0, 20.0, (0,)), Outage(21.0, 50.0, (0,))], replicas=1)
    intervals, summary = served(c, step_s=7.0)
    assert requests(intervals).scheduled_at[1] == 53.0
    assert summary["failures"]["failures"] == 2
    loading_j = 200.0 + 200.0 / 3.0
    assert summary["gpu_energy_j"]["transition_within_idle"] == pytest.approx(loading_j)


OUTAGES = st.lists(
    st.tuples(st.integers(0, 2), st.floats(0.0, 60.0), st.floats(0.1, 40.0), st.booleans()), max_size=6
)


@settings(max_examples=15, deadline=None)
@given(st.data())
def test_requests_tokens_and_joules_are_conserved_whatever_fails(data):
    """Random failures, maintenance, load, batching, router, parking and commands, in two cuts of time."""
    seed = data.draw(st.integers(0, 99))
    jobs = busy_jobs(seed, data.draw(st.integers(1, 60)), data.draw(st.sampled_from([0.5, 3.0])))
    tables = random_tables(seed, LOOKUP, grid=False) if data.draw(st.booleans()) else flat_tables(0.1, 0.01)
    outages = [Outage(at, at + lasts, (n,), planned) for n, at, lasts, planned in data.draw(OUTAGES)]
    cached = data.draw(st.booleans())
    options: dict[str, Any] = {
        "replicas": 3,
        "router_name": data.draw(st.sampled_from([*sorted(set(ROUTERS) - set(BY_CONTENT)), *["cache_aware"] * cached])),
        "rule": data.draw(st.sampled_from([None, IdleRule(OFF, 0.0), IdleRule(OFF, 4.0)])),
        "scheduler": "vllm_v1" if cached else data.draw(st.sampled_from(sorted(POLICIES))),
        "total_blocks": data.draw(st.sampled_from([24, 200])), "stages": data.draw(st.sampled_from([1, 2])),
        "copies": data.draw(st.sampled_from([1.0, 2.5])),
    }  # fmt: skip
    if cached:
        options |= {
            "prefix_cache": data.draw(st.sampled_from(["on", "unlimited"])),
            "hash_tokens": 16,
            "stages": 1,
        }
        if options["prefix_cache"] == "on":
            options["host_blocks"] = data.draw(st.sampled_from([0, 10, 10**6]))
        options["hashes"] = [
            list(range(k % 3, k % 3 + -(-prompt // 16))) for k, (_, prompt, _) in enumerate(jobs)
        ]
    by_chance = data.draw(st.booleans())
    awake = data.draw(st.integers(1, 3))
    runs = []
    for step_s in (11.0, 37.0):
        breakdowns = Breakdowns([(0, 1), (2,)], [30.0, 50.0], 5.0, seed) if by_chance else None
        c = failing(jobs, outages, tables, breakdowns=breakdowns, **options)
        assert c.command(Awake(awake), at=5.5) is None
        intervals, summary = served(c, step_s)
        done = requests(intervals)
        meter = attribution.phases(intervals)
        table = attribution.request_table(np.concatenate([i.finished for i in intervals]), c.unfinished())
        assert len(done) + c.rejected == c.received == len(jobs)
        assert done.decode_tokens.sum() * c.copies == pytest.approx(summary["decode_tokens"])
        assert (done.released_at == done.arrived_at).all()
        assert (done.scheduled_at >= done.released_at).all()
        table["busy_j"] *= c.copies
        assert abs(attribution.residual(table, meter)) < 1e-9
        assert meter["lost_work_j"] == pytest.approx(c.copies * c.failures.tally.lost_j)
        groups = summary["groups"].values()
        assert sum(group["decode_tokens"] for group in groups) == pytest.approx(
            summary["decode_tokens"], abs=1
        )
        runs.append((done, summary))
    (ours, mine), (theirs, yours) = runs
    assert list(ours.replica) == list(theirs.replica)
    for column in TIMES:
        np.testing.assert_allclose(ours[column], theirs[column], rtol=1e-12, err_msg=column)
    assert mine["failures"]["lost_work_j"] == pytest.approx(
        yours["failures"]["lost_work_j"], rel=1e-9, abs=1e-9
    )


@settings(max_examples=10, deadline=None)
@given(st.data())
def test_a_failure_is_as_if_its_requests_came_to_the_others_then(data):
    """The plain servers of the oracle, told of no failure: one until then, the other with those that were left."""
    seed = data.draw(st.integers(0, 99))
    scheduler = data.draw(st.sampled_from(sorted(POLICIES)))
    tables = random_tables(seed, LOOKUP, grid=False)
    unit_s = float(tables.token_s[1])
    jobs = [(at * 4 * unit_s, prompt, output) for at, prompt, output in busy_jobs(seed, 40, 1.0)]
    fails_at = data.draw(st.floats(0.0, jobs[-1][0]))
    limits = {"scheduler": scheduler, "total_blocks": 40, "batch_cap": 4, "max_model_len": 256}
    c = failing(jobs, [Outage(fails_at, 1e5, (0,))], tables, router_name="round_robin", **limits)
    intervals, summary = served(c, 1000.0)
    done = requests(intervals)

    def serve(mine: list[Request]) -> tuple[Server, list[Request]]:
        server = Server(scheduler, tables, lambda *of: plain_power_w(FLAT, tables, *of),
                        **{k: v for k, v in limits.items() if k != "scheduler"})  # fmt: skip
        return server, server.run(mine)

    early = [Request(i, *job) for i, job in enumerate(jobs) if job[0] < fails_at and i % 2 == 0]
    first, one = serve(early)
    left = {r.request_id for r in early if not r.completed_at < fails_at}
    others = [Request(i, *job) for i, job in enumerate(jobs) if job[0] < fails_at and i % 2 == 1]
    again = [Request(i, fails_at, *jobs[i][1:]) for i in sorted(left)]
    late = [Request(i, *job) for i, job in enumerate(jobs) if job[0] >= fails_at]
    _, two = serve([*others, *again, *late])
    expected = {r.request_id: r for r in (*one, *two) if r not in one or r.request_id not in left}
    assert set(expected) == set(done.index)
    for column in TIMES[1:]:
        theirs = [getattr(expected[i], column) for i in done.index]
        np.testing.assert_allclose(done[column], theirs, rtol=1e-9, err_msg=column)
    metered_j = sum((b.prefill_w + b.decode_w) * max(0.0, min(b.end, fails_at) - b.begin) for b in first.busy)
    on_finished_j = sum(r.prefill_j + r.decode_j for r in one if r.request_id not in left)
    assert summary["failures"]["lost_work_j"] == pytest.approx(metered_j - on_finished_j, rel=1e-9, abs=1e-6)


def test_a_run_that_is_taken_up_again_goes_on_as_if_unbroken():
    def made() -> Fed:
        jobs = busy_jobs(3, 80, 2.0)
        breakdowns = Breakdowns([(0,), (1,)], [8.0, 11.0], 9.0, seed=7)
        return failing(jobs, [], flat_tables(0.2), router_name="power_of_two", breakdowns=breakdowns)

    whole, broken, taken_up = made(), made(), made()
    constant = digests({"all": [taken_up.cluster, taken_up.source]})
    for c in (whole, broken):
        for _ in range(4):
            c.advance(c.now + 7.0)
    assert whole.failures.tally.failures > 1
    assert whole.failures._released  # some are on their second way
    restore(
        {"all": [taken_up.cluster, taken_up.source]}, keep({"all": [broken.cluster, broken.source]}, constant)
    )
    taken_up._conservation = type(taken_up._conservation)(taken_up.cluster)
    (ours, mine), (theirs, yours) = served(taken_up, 7.0), served(whole, 7.0)
    assert requests(ours).equals(requests(theirs))
    assert mine["failures"] == {**yours["failures"], "lost_work_j": mine["failures"]["lost_work_j"],
                                "lost_tokens": mine["failures"]["lost_tokens"]}  # fmt: skip
    assert [i.energy_j for i in ours] == [i.energy_j for i in theirs]
    assert [i.lost_work_j for i in ours] == [i.lost_work_j for i in theirs]


def test_failures_by_chance_come_as_often_as_told_and_as_the_seed_has_them():
    hours = 3600.0
    units = Breakdowns([(n,) for n in range(200)], [100 * hours] * 200, 2 * hours, seed=1)
    found = units.begin_before(1000 * hours)
    assert len(found) == pytest.approx(200 * 1000 / 102, rel=0.07)  # standard error 2.3 %
    assert np.mean([one.end_s - one.start_s for one in found]) == pytest.approx(2 * hours, rel=0.07)
    fewer = Breakdowns([(n,) for n in range(3)], [100 * hours] * 3, 2 * hours, seed=1)
    assert fewer.begin_before(500 * hours) + fewer.begin_before(1000 * hours) == sorted(
        [one for one in found if one.replicas[0] < 3],
        key=lambda one: (one.start_s >= 500 * hours, one.replicas, one),
    )


def test_a_server_that_fails_is_off_with_its_replicas():
    serving = Serving(gpu="h100", tp=4, replicas=4, iteration_time="roofline")
    cluster, _ = build_cluster(
        serving, reliability=Reliability(failing="host", mtbf_hours=1, repair_hours=0.5), seed=1
    )
    first = Breakdowns([(0, 1), (2, 3)], [3600.0] * 2, 1800.0, seed=1).begin_before(36_000.0)
    one = min(first)
    cluster.advance(one.start_s, NOTHING)
    assert cluster.awake == 4
    cluster.advance(min(one.end_s, one.start_s + 60.0), NOTHING)
    assert cluster.hosts_off == pytest.approx(1.0)
    assert cluster.awake == 2
    assert cluster.parking.down == set(one.replicas)


def test_the_published_figures_are_of_a_gpu_and_stand_in_the_assumptions():
    assert GPU_MTBF.value == pytest.approx(54 * 24 * 16_384 / 419, rel=1e-3)
    assert GPU_MTBF.low == pytest.approx(1.8 * 16_384, rel=1e-3)
    assert GPU_MTBF.high == pytest.approx(8 * 24 * 1000 / 2.34, rel=1e-3)
    told = {one.name: one.factor for one in Reliability(failing="host", repair_hours=1).assumptions()}
    assert told["repair_hours"].high == 1
    assert "training" in told["mtbf_hours_of_a_gpu"].source
    assert Reliability().assumptions() == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("replica,start\n0,1\n", "columns replica, start and end"),
        ("replica,start,end,start\n0,1,5,2\n", r"column .start. stands twice"),
        ("replica,start,end\n", "columns replica, start and end"),
        ("replica,start,end\n0,5,5\n", r"row 1: from 5 s to 5 s"),
        ("replica,start,end\n2,0,5\n", r"row 1: replica 2, expected one of 0 to 1"),
        ("replica,start,end\n0,x,5\n", r"row 1: start 'x', expected a number"),
        ("replica,start,end\n0,1,inf\n", r"row 1: end 'inf', expected a number"),
        (
            "replica,start,end,kind\n0,1,5,crash\n",
            r"row 1: kind 'crash' is unknown, expected failure or maintenance",
        ),
        ("replica,start,end\n0,1,5\n1,2,3\n0,4,9\n", r"replica 0 is out from 4 s on and already until 5 s"),
    ],
)
def test_a_wrong_file_is_told_in_one_line(tmp_path: Path, text: str, message: str):
    path = tmp_path / "outages.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=message) as error:
        read_outages(path, 2)
    assert "\n" not in str(error.value)


def test_a_file_says_who_is_out_and_whether_that_was_planned(tmp_path: Path):
    path = tmp_path / "outages.csv"
    path.write_text("# of May\nreplica,start,end,kind\n1,30,40.5,maintenance\n0,5,10,\n")
    assert read_outages(path, 2) == [Outage(5.0, 10.0, (0,)), Outage(30.0, 40.5, (1,), True)]


def test_failures_that_come_before_a_replica_is_back_are_refused():
    with pytest.raises(InputError, match=r"--mtbf-hours: 0\.001 h between failures, expected more than"):
        build_cluster(
            Serving(gpu="h100", iteration_time="roofline"),
            reliability=Reliability(failing="replica", mtbf_hours=0.001),
        )
    with pytest.raises(ValueError, match="--repair-hours: 2 given, expected with --failing"):
        Reliability(repair_hours=2)


def test_a_law_without_states_cannot_be_out():
    replica = Replica(
        limits_for("vllm_v1", total_blocks=9), flat_tables(), constant_law(1.0, 2.0), group="mine"
    )
    with pytest.raises(InputError, match="what mine draws in the state off is not known"):
        failures_for(Reliability(failing="replica"), [replica], Parking([replica]), "random", 1)


def test_threads_change_nothing(monkeypatch: pytest.MonkeyPatch):
    def run(threads: str) -> bytes:
        monkeypatch.setenv("WATTLOOP_THREADS", threads)
        breakdowns = Breakdowns([(0,), (1,), (2,)], [9.0] * 3, 4.0, seed=2)
        c = failing(
            busy_jobs(2, 400, 8.0),
            [],
            flat_tables(0.05),
            replicas=3,
            router_name="random",
            breakdowns=breakdowns,
        )
        intervals, summary = served(c)
        assert summary["failures"]["failures"] > 3
        return b"".join(i.finished.tobytes() + i.by_replica.tobytes() for i in intervals)

    assert run("1") == run("3")


def test_a_request_that_outlasts_every_replica_ends_the_run(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("simulators.inference.failures.MOST_RESTARTS", 20)
    outages = [Outage(6.0 * k + 2.0, 6.0 * k + 2.5, (0,)) for k in range(40)]
    c = failing([(0.0, 5, 5)], outages, replicas=1)
    with pytest.raises(
        InputError, match=r"request 0 has begun anew 21 times by 122 s, expected failures that leave"
    ):
        served(c)


def test_a_run_that_ends_within_its_last_interval_counts_no_failure_after_its_end():
    """Two replicas serve for seconds of an interval of 600 s, in which one of them fails before that and one after."""
    jobs = [(float(k), 4, 6) for k in range(20)]
    c = failing(jobs, [Outage(5.0, 15.0, (0,)), Outage(400.0, 500.0, (1,))])
    metrics = Metrics()
    interval = c.advance(600.0)
    ends_at = float(interval.finished["completed_at"].max())
    metrics.add(interval.cut(ends_at, c.standby_j(ends_at, 600.0))[0])
    found = metrics.summary(c)["failures"]
    assert 15.0 < ends_at < 400.0
    assert (found["failures"], found["out_s"]) == (1, pytest.approx(10.0))
    assert found["availability"] == pytest.approx(1 - 10.0 / (2 * ends_at))
