"""A replica fails beside all else that replicas do: what the plain implementation does, told of no failure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from simulators.inference.cluster import Cluster
from simulators.inference.failures import Failures
from simulators.inference.outages import Outage, Timetable
from simulators.inference.power.states import State
from simulators.inference.routing import router
from simulators.inference.tenant_shares import TenantShares
from simulators.traffic.stream import Stream

from .oracle import Request, Server
from .oracle_clock import metered
from .random_cases import random_cases
from .runs import Fed, Job, assert_same_cache
from .test_pools import drawn, finish, known, made_for, requests_of, servers_of, table
from .test_prefix import behind_host_memory
from .test_shares import WEIGHTS

OFF = State(name="off", power_w=20.0, leave_s=3.0, leave_j=200.0)


@dataclass
class Case:
    """Requests and two replicas, of which the first fails and stays out."""

    jobs: list[Job]
    made_of: dict[str, Any]
    hashes: Sequence[tuple[int, ...]] | None
    tenants: list[int]
    fails_at: float

    def cluster(self) -> Fed:
        given = dict(self.made_of)
        shares, drafters = given.pop("shares"), given.pop("drafters")
        tables = given.pop("tables")[0]
        drafter = drafters[0] if drafters else None
        replicas = [
            made_for(
                "both", given["options"], tables, given["law"], drafter, states={"off": OFF}, group="one"
            )
            for _ in range(2)
        ]
        for replica in replicas if shares else ():
            replica.share(shares)
        routers = [router("round_robin", 2, np.random.default_rng(seed)) for seed in (5, 6)]
        cluster = Cluster(replicas, routers[0], 3, gpus_per_host=1)
        outages = Timetable([Outage(self.fails_at, 1e9, (0,))], None)
        cluster.fail_by(Failures(outages, replicas, cluster.parking, routers[1]))
        return Fed(cluster, Stream(iter([known(self.jobs, self.hashes, self.tenants)])))

    def requests(self) -> list[Request]:
        return requests_of(self.jobs, self.made_of["options"], self.hashes, self.tenants)

    def servers(self) -> list[Server]:
        first = self.made_of | {"tables": self.made_of["tables"][:1]}
        [servers] = servers_of(**first, counts=(2,), roles=("both",))
        return servers


def drawn_case(data: st.DataObject) -> Case:
    """Prefix caches, half of them with host memory behind; drafts; shares of tenants; each by chance."""
    random = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    if data.draw(st.booleans()):
        case = behind_host_memory(data)
        case.pop("drive")
        jobs, law, hashes = case.pop("jobs"), case.pop("law"), case.pop("hashes").of
        made_of = {"tables": [case.pop("tables")], "law": law, "options": case, "drafters": None}
    else:
        case = drawn(data)
        jobs, hashes = case["jobs"], case["hashes"]
        made_of = {name: case[name] for name in ("tables", "law", "options", "drafters")}
    made_of["shares"] = TenantShares.read(str(random.choice(WEIGHTS))) if random.random() < 0.5 else None
    tenants = random.choice([0, 4, 7], len(jobs)).tolist()
    return Case(jobs, made_of, hashes, tenants, float(random.uniform(0.0, 1.2 * jobs[-1][0] + 1.0)))


def check_one_that_fails(data: st.DataObject) -> int:
    """Times, energies, hits and restarts of every request, caches, and the work that is lost; returns how many began
    anew."""
    case = drawn_case(data)
    at, (first, second) = case.fails_at, case.servers()
    fresh = case.requests()
    early = [r for r in fresh[::2] if r.arrived_at < at and first.could_run(r)]
    done = first.run(early, at)
    lost = [r for r in early if r not in done]
    again = [r for r in case.requests() if r.request_id in {one.request_id for one in lost}]
    for request in again:
        request.arrived_at = at
    others = [r for i, r in enumerate(fresh) if (i % 2 == 1 or r.arrived_at >= at) and second.could_run(r)]
    rest = sorted([*others, *again], key=lambda r: (r.arrived_at, r.request_id))
    second.run(rest)
    expected = {r.request_id: r for r in (*done, *rest)}

    c = case.cluster()
    found = table(finish(c, then_s=333.0))
    assert list(found.index) == sorted(expected)
    for name in ("scheduled_at", "prefill_completed_at", "completed_at", "prefill_j", "decode_j", "cached_j",
                 "draft_j", "rejected_j"):  # fmt: skip
        theirs = [getattr(expected[i], name) for i in found.index]
        np.testing.assert_allclose(found[name], theirs, rtol=1e-9, atol=1e-12, err_msg=name)
    begun = {r.request_id: r.restarts + (not np.isnan(r.scheduled_at)) for r in lost}
    assert found.restarts.tolist() == [expected[i].restarts + begun.get(i, 0) for i in found.index]
    hit = {r.request_id: r.cached_tokens for r in lost if not np.isnan(r.scheduled_at)}  # which counts once
    assert found.cached_tokens.tolist() == [hit.get(i, expected[i].cached_tokens) for i in found.index]
    assert found.cached_tokens.sum() == sum(replica.counter("hit_tokens") for replica in c.replicas)
    assert_same_cache(c.replicas[1], second)
    unbroken = case.servers()[0]  # that stops tells of no batch in flight
    unbroken.run([r for r in case.requests() if r.request_id in {one.request_id for one in early}])
    metered_j = metered(unbroken.busy, np.array([0.0, at, 1e9]))[0, :2].sum()
    kept_j = sum(r.prefill_j + r.decode_j for r in done)
    np.testing.assert_allclose(
        c.tally_at(c.now).lost_j, metered_j - kept_j, rtol=1e-9, atol=1e-9 * max(metered_j, 1)
    )
    return sum(begun.values())


@random_cases(5)
@given(data=st.data())
def test_a_failure_is_as_if_its_requests_came_to_the_other_then(data: st.DataObject) -> None:
    check_one_that_fails(data)
