"""Routers that go by what is in the requests, and conversations in front of prefix caches."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from simulators.errors import InputError
from simulators.inference.batching import known as by_prefix
from simulators.inference.batching.known import choose_by_prefix, learn, nothing_known
from simulators.inference.batching.policies import limits_for
from simulators.inference.cluster import Cluster
from simulators.inference.drive import Driver
from simulators.inference.power.states import State
from simulators.inference.replica import Replica
from simulators.inference.routing import CacheAware, SessionSticky, router
from simulators.quantities.commands import Awake
from simulators.quantities.requests import RequestBlock, Workload, ragged
from simulators.traffic.options import workload_from_options
from simulators.traffic.stream import Stream

from .runs import FLAT, flat_tables

TALKS = {"turns": 4.0, "gap_s": 20.0, "gap_cv": 0.2, "prompts": 2, "prompt_tokens": 96, "prompt_cv": 0.0}
HASH = 16
OFF = State(name="off", power_w=20.0, enter_s=0.5, enter_j=30.0, leave_s=3.0, leave_j=200.0)


def talks(sessions: dict[str, Any] = TALKS, lengths: str = "fixed:40:24", count: int = 2000) -> RequestBlock:
    options = {"rate_per_s": 4.0, "lengths": lengths, "num_requests": count, "seed": 8, "hash_tokens": HASH}
    return workload_from_options(sessions=sessions, **options).take(np.inf)


def served(
    requests: RequestBlock,
    name: str,
    replicas: int = 4,
    blocks: int = 4000,
    mode: str = "on",
    iteration_s: float = 0.01,
) -> tuple[Cluster, NDArray[np.void]]:
    """A cluster that has served everything, and the requests in order."""
    limits = limits_for(
        "vllm_v1", total_blocks=blocks, block_tokens=HASH, hash_tokens=HASH, prefix_cache=mode, batch_cap=32
    )
    made = [Replica(limits, flat_tables(iteration_s), FLAT) for _ in range(replicas)]
    cluster = Cluster(made, router(name, replicas, np.random.default_rng(0)))
    workload: Workload = Stream(iter([requests]))
    driver = Driver(cluster, workload)
    found, until = [], 0.0
    while not driver.idle:
        until += 30.0
        found.append(driver.advance(until).finished)
    records = np.concatenate(found)
    return cluster, records[np.argsort(records["request_id"])]


def hit_ratio(cluster: Cluster) -> float:
    hit, asked = (sum(r.counter(name) for r in cluster.replicas) for name in ("hit_blocks", "prompt_blocks"))
    return hit / asked


# --- conversations and the bound -----------------------------------------------------------------------------------


def test_an_unlimited_cache_hits_as_the_model_of_conversations_says() -> None:
    """Turn k of k: system prompt L, texts u, answers a; what was said before is known but for the last token."""
    requests = talks(count=6000)
    cluster, records = served(requests, "round_robin", replicas=1, mode="unlimited")
    text, answer, prompt, turns = 40, 24, 96, 4.0
    first = {int(s): i for i, s in reversed(list(enumerate(requests.session.tolist())))}
    spoken = np.zeros(len(requests), np.int64)
    for i, session in enumerate(requests.session.tolist()):
        if first[session] != i:
            spoken[i] = requests.prefill_tokens[i] - text - 1  # not what was sampled last
    shared = np.maximum(spoken, prompt)
    expected = np.minimum(shared, requests.prefill_tokens - 1) // HASH * HASH
    new = [int(np.flatnonzero([h[0] == k for h in requests.hash_ids])[0]) for k in (0, prompt // HASH)]
    expected[new] = 0  # whoever is the first on a system prompt
    np.testing.assert_array_equal(records["cached_tokens"], expected)

    k = np.arange(1, 400)
    weight = (1 - 1 / turns) ** (k - 1)
    asked = prompt + k * text + (k - 1) * answer
    known = np.where(k == 1, prompt, asked - text - 1) // HASH
    law = (weight * known).sum() / (weight * -(-asked // HASH)).sum()
    assert hit_ratio(cluster) == pytest.approx(law, rel=0.02)
    assert 0.8 < law < 0.85


# --- sticky ----------------------------------------------------------------------------------------------------------


def test_conversations_that_stay_at_one_replica_hit_more_often() -> None:
    requests = talks()
    ratios = {}
    for name in ("round_robin", "session_sticky", "cache_aware"):
        cluster, records = served(requests, name)
        ratios[name] = hit_ratio(cluster)
        if name == "session_sticky":
            where = {}
            for session, replica in zip(requests.session.tolist(), records["replica"].tolist(), strict=True):
                assert where.setdefault(session, replica) == replica
            assert set(where.values()) == {0, 1, 2, 3}
    bound = hit_ratio(served(requests, "round_robin", replicas=1, mode="unlimited")[0])
    assert ratios["round_robin"] + 0.1 < ratios["session_sticky"] <= bound
    assert ratios["round_robin"] + 0.1 < ratios["cache_aware"] <= bound


def test_without_numbers_of_conversations_the_second_hash_tells_them() -> None:
    sticky = SessionSticky(3)
    hashes = ragged([np.array(h) for h in ([0, 5, 6], [0, 5, 9, 11], [0, 7], [0], [0], [])])
    block = RequestBlock.of(np.arange(6.0), np.full(6, 9), np.full(6, 1))
    sticky.see(replace(block, hash_ids=hashes))
    one, same, other, *alone = sticky.assign(6, 3).tolist()
    assert one == same
    sticky.see(replace(block, hash_ids=hashes, session=np.array([-1, -1, -1, 5, 5, 5])))
    assert sticky.candidates(3).tolist() == [[one] * 2, [same] * 2, [other] * 2]
    assert len(set(sticky.assign(3, 3).tolist())) == 1
    assert alone[0] == alone[1]
    with pytest.raises(
        InputError, match="--router session_sticky: nothing tells which requests belong together"
    ):
        sticky.see(block)
    many = SessionSticky(7)
    many.see(replace(RequestBlock.concatenate([block] * 2000), session=np.arange(12_000)))
    counts = np.bincount(many.assign(12_000, 7), minlength=7)
    assert abs(counts - 12_000 / 7).max() < 5 * np.sqrt(12_000 / 7)


def test_of_those_that_sleep_only_their_own_conversations_move() -> None:
    requests = talks(count=900)
    limits = limits_for(
        "vllm_v1", total_blocks=4000, block_tokens=HASH, hash_tokens=HASH, prefix_cache="on", batch_cap=64
    )
    stay = served(requests, "session_sticky")[1]["replica"]
    made = [Replica(limits, flat_tables(0.01), FLAT, states={"off": OFF}) for _ in range(4)]
    cluster = Cluster(made, SessionSticky(4))
    assert cluster.command(Awake(3)) is None
    [gone] = cluster.parking.away
    until = float(requests.arrived_at[-1]) + 1.0
    numbered = replace(requests, request_id=np.arange(len(requests)))
    finished = [
        cluster.advance(until, numbered).finished,
        cluster.advance(until + 600, numbered[:0]).finished,
    ]
    moved = np.concatenate(finished)
    now = moved["replica"][np.argsort(moved["request_id"])]
    assert not (now == gone).any()
    np.testing.assert_array_equal(now[stay != gone], stay[stay != gone])


@pytest.mark.parametrize(("mode", "kept"), [("on", 0), ("unlimited", 32)])
def test_a_replica_that_was_off_has_forgotten(mode: str, kept: int) -> None:
    limits = limits_for("vllm_v1", total_blocks=60, block_tokens=HASH, hash_tokens=HASH, prefix_cache=mode)
    cluster = Cluster([Replica(limits, flat_tables(0.1), FLAT, states={"off": OFF})], CacheAware(1))
    ids = ragged([np.array([1, 2, 3])] * 3)
    asked = replace(RequestBlock.of(np.array([0.0, 10.0, 60.0]), np.full(3, 40), np.full(3, 4)), hash_ids=ids)
    found = [cluster.advance(20.0, asked[:2]).finished]
    cluster.park(0, OFF)
    cluster.advance(40.0, asked[:0])
    assert cluster.awake == 0
    found += [cluster.advance(100.0, asked[2:]).finished]
    cached = np.concatenate(found)["cached_tokens"].tolist()
    assert cached == [0, 32, kept]
    [known] = cluster.router.known.counts
    assert known == 3


# --- cache aware -----------------------------------------------------------------------------------------------------


class Plain:
    """The rule in plain Python: what each replica was sent, in the order in which it is forgotten."""

    def __init__(self, replicas: int, most: int) -> None:
        self.sent: list[OrderedDict[int, None]] = [OrderedDict() for _ in range(replicas)]
        self.most = most

    def choose(self, loads: list[int], wanted: list[bool], hashes: list[int]) -> int:
        among = [n for n, want in enumerate(wanted) if want]
        low, high = min(loads[n] for n in among), max(loads[n] for n in among)
        if high - low > 64 and high > 1.5 * low:
            return min(among, key=lambda n: (loads[n], n))
        lengths = [next((k for k, h in enumerate(hashes) if h not in s), len(hashes)) for s in self.sent]
        best = min(among, key=lambda n: (-lengths[n], loads[n], n))
        if lengths[best] > 0.3 * len(hashes):
            return best
        return min(among, key=lambda n: (len(self.sent[n]), loads[n], n))

    def learn(self, number: int, hashes: list[int]) -> None:
        sent = self.sent[number]
        for one in reversed(hashes[: self.most]):
            sent.pop(one, None)
            if len(sent) == self.most:
                sent.popitem(last=False)
            sent[one] = None


def test_the_choice_by_prefix_is_that_of_the_rule_in_plain_python(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(by_prefix, "LEAST_HASHES", 24)
    monkeypatch.setattr(by_prefix, "HASHES_OF_ALL", 5 * 24)
    random = np.random.default_rng(5)
    known, plain = nothing_known(5), Plain(5, 24)
    chosen = []
    for _ in range(1500):
        loads = random.integers(0, random.choice([3, 40, 200]), 5)
        wanted = random.random(5) < 0.8
        wanted[random.integers(5)] = True
        talk = int(random.integers(12))
        hashes = 100 * talk + np.arange(random.integers(1, 30))
        asked = (known, loads, wanted, np.concatenate(([7], hashes)), 1, len(hashes))
        n = int(choose_by_prefix(*asked))
        assert n == plain.choose(loads.tolist(), wanted.tolist(), hashes.tolist())
        learn(known, n, asked[3], 1, len(hashes))
        plain.learn(n, hashes.tolist())
        chosen.append(n)
        assert [int(c) for c in known.counts] == [len(sent) for sent in plain.sent]
    assert set(chosen) == set(range(5))


def test_the_loads_are_those_at_each_arrival() -> None:
    """Requests of a cluster go where the plain rule says, with the loads that the finished requests give."""
    requests = talks(count=500)
    _, records = served(requests, "cache_aware", replicas=3, iteration_s=0.05)
    plain = Plain(3, 32_768)
    for i in range(len(records)):
        at, before = records["released_at"][i], records[:i]
        under_way = before["completed_at"] > at
        loads = np.bincount(before["replica"][under_way], minlength=3).tolist()
        count = -(-int(requests.prefill_tokens[i]) // HASH)
        hashes = requests.hash_ids[i][:count].tolist()
        assert records["replica"][i] == plain.choose(loads, [True] * 3, hashes)
        plain.learn(int(records["replica"][i]), hashes)


def test_where_loads_are_far_apart_they_decide() -> None:
    """One conversation that everybody has: it goes to one replica until that has 65 more than the others."""
    count = 200
    same = ragged([np.array([1, 2, 3])] * count)
    block = replace(
        RequestBlock.of(np.linspace(0, 1, count), np.full(count, 48), np.full(count, 500)), hash_ids=same
    )
    _, records = served(block, "cache_aware", replicas=2, iteration_s=0.1)
    assert records["replica"][:65].tolist() == [records["replica"][0]] * 65
    assert np.bincount(records["replica"]).min() > 40


def test_it_needs_to_know_what_is_in_the_requests() -> None:
    block = RequestBlock.of(np.arange(3.0), np.full(3, 9), np.full(3, 1))
    with pytest.raises(InputError, match="nothing is known of what is in the requests"):
        served(block, "cache_aware", mode="off")
    assert isinstance(router("cache_aware", 2, np.random.default_rng(0)), CacheAware)
    # it goes by what was sent, so it works without a prefix cache too
    assert served(talks(count=50), "cache_aware", mode="off")[0].completed == 50
