"""Conversations: their rate, what their turns hold, and what is the same in them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from simulators.errors import InputError
from simulators.quantities.requests import RequestBlock
from simulators.traffic.arrivals import Diurnal, Poisson
from simulators.traffic.lengths import Fixed
from simulators.traffic.options import TrafficOptions, workload_from_options
from simulators.traffic.sessions import FIRST_HASH, Sessions, session_requests

FEW = {"turns": 3.5, "gap_s": 60.0}
OPTIONS: dict[str, Any] = {
    "rate_per_s": 5.0,
    "lengths": "lognormal:100:1:200:1",
    "seed": 3,
    "hash_tokens": 64,
}


def taken(until_s: float = 3600.0, sessions: dict[str, Any] = FEW, **changes: Any) -> RequestBlock:
    return workload_from_options(sessions=sessions, **OPTIONS | changes).take(until_s)


@pytest.fixture(scope="module")
def hours() -> RequestBlock:
    return taken(4 * 3600.0)


def test_the_rate_asked_for_is_that_of_turns_and_holds_from_the_start(hours: RequestBlock) -> None:
    counts = np.histogram(hours.arrived_at, bins=np.arange(0, 4 * 3600 + 1, 600))[0]
    # of cluster processes the variance is that of single arrivals times at most the mean square over the mean of turns
    spread = np.sqrt(3000 * 2 * 3.5)
    assert (np.abs(counts - 3000) < 4 * spread).all()
    assert abs(counts.mean() - 3000) < 3 * spread / np.sqrt(len(counts))
    begun = hours.session >= hours.session[hours.arrived_at < 1200].max()  # neither under way at the start
    ended = hours.arrived_at[begun] < 3 * 3600
    turns = np.unique(hours.session[begun][ended], return_counts=True)[1]
    assert turns.mean() == pytest.approx(3.5, rel=0.06)
    assert turns.var() == pytest.approx(3.5 * 2.5, rel=0.25)  # geometric


def test_it_follows_the_day() -> None:
    law = Diurnal(4.0, [1.0, 3.0], start_offset_s=0.0)
    assert law.rate_at_start_per_s == 2.0
    assert Diurnal(4.0, [1.0, 3.0], start_offset_s=43_200.0).rate_at_start_per_s == 6.0
    blocks = session_requests(
        Sessions(**FEW), Diurnal(0.3, [1.0, 3.0]), Fixed(10, 10), np.random.SeedSequence(1), 64
    )
    at = np.concatenate([block.arrived_at for block in blocks_until(blocks, 86_400.0)])
    low, high = np.histogram(at, bins=[0, 43_200, 86_400])[0] / 43_200 / 3.5
    assert (low, high) == pytest.approx((0.15, 0.45), rel=0.08)


def blocks_until(blocks: Any, until_s: float) -> list[RequestBlock]:
    found = []
    for block in blocks:
        found.append(block)
        if block.arrived_at[-1] > until_s:
            return found
    return found


def test_a_turn_begins_with_all_before_it() -> None:
    law = {"turns": 5.0, "gap_s": 30.0, "prompts": 3, "prompt_tokens": 200, "prompt_cv": 0.6}
    block = taken(sessions=law, lengths="uniform:50:150:0.5", rate_per_s=1.0)
    assert (np.diff(block.arrived_at) >= 0).all()
    firsts: dict[int, int] = {}
    longest = 0
    for session in np.unique(block.session):
        rows = np.flatnonzero(block.session == session)
        before: tuple[int, int] | None = None
        for row in rows.tolist():
            prompt, answer = int(block.prefill_tokens[row]), int(block.decode_tokens[row])
            hashes = block.hash_ids[row].tolist()
            assert len(hashes) >= max(-(-(prompt + answer) // 64), prompt / 64 + 1)
            if before is not None:
                earlier, said = before
                assert prompt > said
                full = said // 64
                assert hashes[:full] == block.hash_ids[earlier].tolist()[:full]
                longest = max(longest, full)
            elif session >= block.session[0]:
                firsts[hashes[0]] = firsts.get(hashes[0], 0) + 1
            before = row, prompt + answer
    assert longest > 20
    shared = {first: count for first, count in firsts.items() if first < FIRST_HASH}
    assert 1 < len(shared) <= 3  # system prompts of at least one hash
    own = np.concatenate(block.hash_ids)
    assert len(np.unique(own[own >= FIRST_HASH])) > len(firsts)


def test_a_popular_system_prompt_is_used_as_often_as_its_weight_says() -> None:
    law = {"turns": 1.0, "prompts": 4, "prompt_tokens": 128, "prompt_cv": 0.0, "prompt_zipf": 1.0}
    first = np.array([hashes[0] for hashes in taken(sessions=law).hash_ids])
    shares = np.bincount(first // 2, minlength=4) / len(first)  # two hashes each
    weights = 1 / np.arange(1, 5)
    np.testing.assert_allclose(shares, weights / weights.sum(), atol=0.02)


def test_a_turn_that_does_not_fit_begins_anew() -> None:
    law = {
        "turns": 50.0,
        "gap_s": 1.0,
        "prompts": 1,
        "prompt_tokens": 64,
        "prompt_cv": 0,
        "context_tokens": 1000,
    }
    block = taken(sessions=law, lengths="fixed:100:100")
    whole = block.prefill_tokens + block.decode_tokens
    assert whole.max() <= 1000
    assert set(block.prefill_tokens.tolist()) == {164, 364, 564, 764}  # 964 would be 1064 with its answer
    again = {}
    for row in np.flatnonzero(block.prefill_tokens == 164):
        again.setdefault(int(block.session[row]), []).append(int(block.hash_ids[row][1]))
    assert max(map(len, again.values())) > 5
    assert all(len(set(hashes)) == len(hashes) for hashes in again.values())  # nothing old is found


def test_how_a_run_is_cut_changes_nothing(hours: RequestBlock) -> None:
    workload = workload_from_options(sessions=FEW, **OPTIONS)
    parts = [workload.take(float(until)) for until in np.arange(13.0, 1300.0, 13.0)]
    cut = RequestBlock.from_plain([part.to_plain() for part in parts])
    assert len(cut) > 5000
    for name in ("arrived_at", "prefill_tokens", "decode_tokens", "session"):
        np.testing.assert_array_equal(getattr(cut, name), getattr(hours, name)[: len(cut)])
    assert all((a == b).all() for a, b in zip(cut.hash_ids, hours.hash_ids, strict=False))
    other = taken(600.0, seed=4)
    assert other.arrived_at[0] != hours.arrived_at[0]


def test_only_sessions_under_way_are_kept() -> None:
    blocks = session_requests(Sessions(**FEW), Poisson(2.0), Fixed(10, 10), np.random.SeedSequence(1), 512)
    held = []
    for _ in range(30):
        block = next(blocks)
        held.append(len(blocks.gi_frame.f_locals["turns"]))
    assert block.arrived_at[-1] > 5000.0
    # a session is under way for 2.5 gaps and has 3.5 turns left; 512 are drawn at once
    assert max(held) < 2.0 * 60 * 2.5 * 3.5 * 1.5 + 512 * 3.5 * 1.5


def test_sources_of_which_one_has_no_sessions_go_together(hours: RequestBlock) -> None:
    plain = RequestBlock.of(np.array([0.5]), np.array([10]), np.array([5]))
    both = RequestBlock.from_plain([hours[:2].to_plain(), plain.to_plain()])
    assert sorted(both.session.tolist()) == [-1, *sorted(hours.session[:2].tolist())]
    assert replace(both, session=None).to_plain().get("session") is None


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"sessions": {"turns": 0.5}}, "sessions: the turns of a session is 0.5, expected 1 to 1000"),
        ({"sessions": FEW, "clusters": 2}, "conversations .* go with a rate, not"),
        ({"sessions": FEW, "requests": "t.csv", "rate_per_s": None}, "conversations .* go with a rate, not"),
        (
            {"sessions": {**FEW, "prompts": 60_000, "prompt_tokens": 9000}, "hash_tokens": 1},
            "hashes of system prompts",
        ),
    ],
)
def test_what_cannot_be_is_told(change: dict[str, Any], told: str) -> None:
    with pytest.raises(InputError, match=told):
        workload_from_options(**OPTIONS | change).take(1.0)


def test_a_study_says_what_it_took_conversations_to_be_like() -> None:
    assert TrafficOptions().assumptions() == []
    turns, gap, _ = TrafficOptions(session_turns=2.5).assumptions()
    assert (turns.factor.value, turns.factor.source) == (2.5, "the study's own")
    assert gap.factor.low < gap.factor.value == 100.0 < gap.factor.high
    plain = TrafficOptions(session_turns=2.5).workload(0.0, 60.0, 1, hash_tokens=16)
    assert plain["sessions"]["turns"] == 2.5
    assert plain["hash_tokens"] == 16


def test_where_nobody_looks_no_hashes_are_made(hours: RequestBlock) -> None:
    bare = taken(600.0, hash_tokens=None)
    assert bare.hash_ids is None
    for name in ("arrived_at", "prefill_tokens", "session"):
        np.testing.assert_array_equal(getattr(bare, name), getattr(hours, name)[: len(bare)])
