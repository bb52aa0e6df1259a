"""Routers: how they share requests out, what they remember, and which seed they follow."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from simulators.errors import InputError
from simulators.inference.batching.board import Board, choose, mark_wanted
from simulators.inference.batching.known import nothing_known
from simulators.inference.routing import (
    CONTENT_BLIND,
    LeastOutstanding,
    PowerOfTwo,
    Random,
    RoundRobin,
    Router,
    router,
)


def test_round_robin_goes_on_where_it_stopped():
    """However the requests come in portions, the k-th goes to replica k modulo the number of replicas."""
    whole = RoundRobin(3).assign(20, 3)
    parts = RoundRobin(3)
    cut = np.concatenate([parts.assign(n, 3) for n in (0, 1, 5, 2, 12)])
    assert whole.tolist() == cut.tolist() == [k % 3 for k in range(20)]


def test_random_shares_out_evenly_and_follows_its_seed():
    count = 30_000
    chosen = Random(3, np.random.default_rng(1)).assign(count, 3)
    again = Random(3, np.random.default_rng(1))
    assert np.concatenate([again.assign(n, 3) for n in (10, 1, count - 11)]).tolist() == chosen.tolist()
    assert Random(3, np.random.default_rng(2)).assign(count, 3).tolist() != chosen.tolist()
    # four standard deviations of a binomial share
    assert np.bincount(chosen) / count == pytest.approx([1 / 3] * 3, abs=4 * np.sqrt(2 / 9 / count))


def chosen_by(named: Router, count: int, loads: list[int]) -> NDArray[np.int64]:
    """The replicas of `count` requests when the replicas always have these loads."""
    some = len(loads)
    kinds = [np.int64] * 3 + [np.float64] * 4 + [np.int64] * 2 + [np.bool_]
    board = Board(*(np.zeros(some, kind) for kind in kinds), nothing_known(0))
    board.outstanding[:] = loads
    mark_wanted(board)
    return np.array([choose(board, first, second) for first, second in named.candidates(count)])


def test_least_outstanding_takes_the_first_of_equals():
    for loads, first in (([3, 1, 2], 1), ([2, 1, 1], 1), ([0, 0, 0], 0)):
        assert chosen_by(LeastOutstanding(), 1, loads).tolist() == [first]


def test_power_of_two_never_takes_the_most_loaded_and_every_other_by_its_odds():
    """Of four replicas with loads 0 < 1 < 2 < 3, the k-th least loaded wins 3, 2, 1, 0 of the 6 pairs."""
    count = 12_000
    chosen = chosen_by(PowerOfTwo(4, np.random.default_rng(5)), count, [2, 0, 3, 1])
    shares = np.bincount(chosen, minlength=4) / count
    assert shares == pytest.approx([1 / 6, 3 / 6, 0, 2 / 6], abs=4 * np.sqrt(0.25 / count))


def test_power_of_two_is_even_among_equals_and_draws_the_same_in_portions():
    count = 9_000
    draw = PowerOfTwo(3, np.random.default_rng(5))
    shares = np.bincount(chosen_by(draw, count, [0, 0, 0])) / count
    assert shares == pytest.approx([1 / 3] * 3, abs=4 * np.sqrt(2 / 9 / count))
    whole, parts = (PowerOfTwo(3, np.random.default_rng(5)) for _ in range(2))
    cut = np.concatenate([parts.candidates(n) for n in (1, 0, 7, 42)])
    assert cut.tolist() == whole.candidates(50).tolist()


@pytest.mark.parametrize("name", CONTENT_BLIND)
def test_one_replica_gets_everything(name):
    only = router(name, 1, np.random.default_rng(0))
    assert chosen_by(only, 5, [3]).tolist() == [0] * 5
    if not only.looks:
        assert only.assign(5, 1).tolist() == [0] * 5


def test_an_unknown_router_is_refused():
    with pytest.raises(InputError, match=r"--router fastest: unknown, expected one of round_robin, random"):
        router("fastest", 2, np.random.default_rng(0))
