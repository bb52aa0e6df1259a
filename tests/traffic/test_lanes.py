"""Requests held by tenant: nothing is lost, and what is held of one does not touch the others."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from simulators.kept import keep
from simulators.quantities.commands import Release
from simulators.quantities.requests import RequestBlock
from simulators.restored import restore
from simulators.traffic.lanes import Lanes
from simulators.traffic.simulator import Traffic
from tests.traffic.test_traffic_simulator import STEP_S, release, started, through_json

WIDTH_S = 10.0


def block(arrivals: list[tuple[int, int, bool, int]], begins_at: float, first: int) -> RequestBlock:
    """Requests of (quarter second, patience in s, deferrable, tenant)."""
    quarters, patience_s, deferrable, tenant = np.array(sorted(arrivals)).reshape(-1, 4).T
    at, ten, may_wait = begins_at + quarters / 4, np.full(len(quarters), 10), deferrable.astype(bool)
    deadline = np.where(may_wait, at + patience_s, np.inf)
    return RequestBlock(at, ten, ten, may_wait, deadline, tenant.astype(np.int32), first + np.arange(len(at)))


ARRIVALS = st.lists(
    st.tuples(st.integers(0, 39), st.integers(1, 60), st.booleans(), st.integers(0, 2)), max_size=6
)
NAMED = st.sampled_from([(), (0,), (1, 0), (2,), (2, 1)])
COMMANDS = st.lists(
    st.builds(Release, st.booleans(), st.sampled_from([0.05, 0.5, np.inf]), st.booleans(), NAMED), max_size=2
)
HISTORIES = st.lists(st.tuples(ARRIVALS, COMMANDS), min_size=2, max_size=6)
"""Steps of one length: what arrives in each, of whom, and what is commanded."""


def blocks(history: list[Any]) -> list[RequestBlock]:
    counts = np.cumsum([0, *(len(arrivals) for arrivals, _ in history)]).tolist()
    return [block(arrivals, WIDTH_S * number, counts[number]) for number, (arrivals, _) in enumerate(history)]


def released(arriving: list[RequestBlock], commands: list[list[Release]]) -> tuple[list[RequestBlock], Lanes]:
    lanes, parts = Lanes(lambda block: block.deadline), []
    for number, (requests, told) in enumerate(zip(arriving, commands, strict=True)):
        for command in told:
            lanes.rule(command)
        parts.append(lanes.pass_through(requests, WIDTH_S * number, WIDTH_S * (number + 1)))
    return parts, lanes


@settings(max_examples=60)
@given(HISTORIES)
def test_nothing_is_lost_or_late_whoever_is_held(history):
    arriving = blocks(history)
    parts, lanes = released(arriving, [told for _, told in history])
    left, came = RequestBlock.concatenate(parts), RequestBlock.concatenate(arriving)
    end_s = WIDTH_S * len(history)
    assert len(left) + lanes.held == len(came)
    assert sum(sum(lanes.due(end_s, 5.0, 4, tenant)) for tenant in range(3)) == sum(lanes.due(end_s, 5.0, 4))
    everything = RequestBlock.concatenate([left, lanes.pass_through(came[:0], end_s, 1e9)])
    assert sorted(everything.request_id.tolist()) == list(range(len(came)))
    for part in parts:
        assert np.all(np.diff(part.released_at) >= 0)
    assert np.all(everything.released_at >= everything.arrived_at)
    assert np.all(everything.released_at <= everything.deadline)
    never = ~everything.deferrable
    assert np.array_equal(everything.released_at[never], everything.arrived_at[never])


@settings(max_examples=60)
@given(HISTORIES)
def test_what_is_commanded_of_some_tenants_does_not_touch_the_others(history):
    """Tenant 2 leaves when it would if nothing were asked of the others, and none of them were there."""
    arriving = blocks(history)
    told = [[one for one in commands if one.tenants in ((0,), (1, 0), (2,))] for _, commands in history]
    own = [[one for one in commands if one.tenants == (2,)] for commands in told]
    among = RequestBlock.concatenate(released(arriving, told)[0])
    alone, _ = released([part[part.tenant == 2] for part in arriving], own)
    assert among[among.tenant == 2].to_plain() == RequestBlock.concatenate(alone).to_plain()


def test_tenants_of_one_command_share_its_rate_and_keep_their_pace():
    requests = block([(2 * n, 10**6, True, 1 + n % 3) for n in range(12)], 0.0, 0)
    lanes = Lanes(lambda block: block.deadline)
    lanes.rule(Release(hold=True))
    assert len(lanes.pass_through(requests, 0.0, 10.0)) == 0
    times: list[float] = []
    for begins_at in np.arange(10.0, 110.0, 10.0):
        # said anew in every step, as policies do
        lanes.rule(Release(hold=True))
        lanes.rule(Release(hold=False, rate_per_s=1 / 25, tenants=(3, 1)))
        left = lanes.pass_through(requests[:0], begins_at, begins_at + 10)
        assert 2 not in left.tenant
        times += left.released_at.tolist()
    assert times == [10.0, 35.0, 60.0, 85.0]
    lanes.rule(Release(hold=False))
    assert len(lanes.pass_through(requests[:0], 110.0, 120.0)) == 8
    assert lanes.held == 0


def test_counts_by_tenant_cross_mosaik_and_a_run_goes_on_where_it_was_kept(tmp_path):
    lines = [f"{4 * n},10,5,{n % 3}" for n in range(0, 4 * STEP_S // 4)]
    trace = tmp_path / "trace.csv"
    trace.write_text("\n".join(["arrived_at,prefill_tokens,decode_tokens,tenant", *lines]), encoding="utf-8")
    workload = {"requests": str(trace), "deferrable_share": 1.0, "defer_window_s": 1e5}

    def made() -> Traffic:
        simulator = started()
        simulator.create(1, "Source", workload=workload, copies=2)
        return simulator

    hold = release(True, tenants=[1])
    asked = [
        {"Source-0": one}
        for one in (hold, release(False, rate_per_s=0.1, tenants=[1]), release(True, tenants=[9]))
    ]
    simulator, other = made(), made()
    seen = []
    for number, inputs in enumerate(asked):
        simulator.step(number * STEP_S, through_json(inputs), 10**9)
        names = ["requests", "held[1]", "arrived[1]", "tenants", "refused"]
        seen.append(through_json(simulator.get_data({"Source-0": names}))["Source-0"])
    each = STEP_S // 4 // 3
    first, second, third = (step["tenants"] for step in seen)
    assert first["tenant"] == [0, 1, 2]
    assert first["arrived"] == first["deferrable"] == [2 * each] * 3
    assert first["held"] == [0, 2 * each, 0]
    assert set(seen[0]["requests"]["tenant"]) == {0, 2}
    # all copies release 0.1/s; each of both half of it
    assert second["held"] == [0, 2 * (each - 0.05 * STEP_S), 0]
    assert sum(map(sum, third["held_due"])) == seen[2]["held[1]"]
    assert seen[2]["refused"] == [
        {"kind": "release", "reason": "tenant 9 has sent no request so far, expected some of 0, 1, 2"}
    ]
    restore({"traffic": other}, keep({"traffic": simulator}, {}))
    ways = []
    for one in (simulator, other):
        one.step(3 * STEP_S, {}, 10**9)
        ways.append(through_json(one.get_data({"Source-0": names})))
    assert ways[0] == ways[1]
