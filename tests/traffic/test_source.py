"""A site's own requests: numbered, held and released on command, and all let go before the run ends."""

from __future__ import annotations

import numpy as np
import pytest

from simulators.errors import InputError
from simulators.quantities.commands import BatchCap, Release
from simulators.quantities.requests import RequestBlock
from simulators.traffic.options import workload_from_options
from simulators.traffic.source import SERVE_S, LatestRelease, Source

STEP_S = 60.0


def workload(share: float = 0.5, window_s: float = 1e5, rate_per_s: float = 0.5, seed: int = 4):
    return workload_from_options(
        rate_per_s=rate_per_s,
        lengths="fixed:10:5",
        deferrable_share=share,
        defer_window_s=window_s,
        seed=seed,
    )


def steps(source: Source, count: int, step_s: float = STEP_S) -> list[RequestBlock]:
    return [source.advance(k * step_s, (k + 1) * step_s) for k in range(count)]


def test_everything_passes_numbered_in_order_of_arrival():
    source = Source(workload())
    parts = steps(source, 20)
    block = RequestBlock.concatenate(parts)
    assert block.request_id.tolist() == list(range(len(block)))
    np.testing.assert_array_equal(block.released_at, block.arrived_at)
    assert source.arrived == len(block) > 500
    assert source.held == 0


def test_numbers_and_lengths_do_not_depend_on_the_step():
    fine, coarse = (RequestBlock.concatenate(steps(Source(workload()), n, 1200.0 / n)) for n in (240, 3))
    assert fine.to_plain() == coarse.to_plain()


def test_a_command_holds_until_the_next_one():
    source = Source(workload())
    assert source.command(Release(hold=True)) is None
    held = RequestBlock.concatenate(steps(source, 10))
    assert not held.deferrable.any()
    assert source.arrived == len(held) + source.held
    before = source.held
    assert source.command(Release(hold=False, rate_per_s=0.2)) is None
    left = source.advance(600.0, 660.0)
    assert (left.released_at > left.arrived_at).sum() == 12  # one in 5 s
    assert source.held == before - 12
    assert source.command(Release(hold=False)) is None
    source.advance(660.0, 720.0)
    assert source.held == 0


def test_the_end_of_a_run_finds_nothing_held():
    span_s = 7200.0
    source = Source(workload(share=1.0), span_s)
    source.command(Release(hold=True))
    block = RequestBlock.concatenate(steps(source, 120))
    assert source.held == 0
    late = block.released_at[block.arrived_at < span_s - SERVE_S]
    assert late.max() < span_s - SERVE_S
    # not all at once either
    assert np.bincount((late // STEP_S).astype(int)).max() < 0.1 * len(late)
    without = Source(workload(share=1.0))
    without.command(Release(hold=True))
    steps(without, 120)
    assert without.held == without.arrived


def test_who_is_held_leaves_in_time_to_be_served():
    """A deadline is for completion: a quarter of an hour is left for it, of a short window the half."""
    for window_s, left_s in ((7200.0, SERVE_S), (1000.0, 500.0)):
        source = Source(workload(share=1.0, window_s=window_s))
        source.command(Release(hold=True))
        block = RequestBlock.concatenate(steps(source, 200))
        np.testing.assert_allclose(block.deadline - block.arrived_at, window_s)
        np.testing.assert_allclose(block.released_at, block.deadline - left_s)
    eager = Source(workload(share=1.0, window_s=7200.0), serve_s=0.0)
    eager.command(Release(hold=True))
    block = RequestBlock.concatenate(steps(eager, 200))
    np.testing.assert_allclose(block.released_at, block.deadline)


def test_the_end_of_a_run_moves_the_release_and_not_the_deadline():
    block = workload(share=1.0, window_s=7200.0).take(7200.0)
    latest = LatestRelease(7200.0 + SERVE_S)(block)
    beyond = block.deadline > 7200.0 + SERVE_S
    assert beyond.mean() > 0.8
    np.testing.assert_allclose(latest[~beyond], block.deadline[~beyond] - SERVE_S)
    np.testing.assert_allclose(latest[beyond], (block.arrived_at[beyond] + 7200.0) / 2)
    np.testing.assert_allclose(block.deadline - block.arrived_at, 7200.0)


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        (Release(hold=False, rate_per_s=-1.0), "release rate is -1.0, expected a number >= 0"),
        (Release(hold=False, rate_per_s=np.nan), "release rate is nan"),
        (Release(hold=False, rate_per_s="fast"), "release rate is 'fast'"),
        (Release(hold="yes"), "hold is 'yes', expected true or false"),
        (Release(hold=2), "hold is 2"),
        (Release(hold=True, tenants=(0, 5)), "tenant 5 has sent no request so far, expected some of 0"),
        (Release(hold=True, tenants=(0.5,)), "tenant 0.5 has sent no request"),
        (Release(hold=True, tenants="0"), "tenants are '0', expected their numbers"),
        (BatchCap(4), "traffic does not take batch_cap, expected release"),
    ],
)
def test_impossible_commands_are_refused_and_change_nothing(command, reason):
    source = Source(workload())
    source.arrive(STEP_S)
    source.command(Release(hold=True, rate_per_s=3.0))
    assert reason in source.command(command)
    assert source.release == Release(hold=True, rate_per_s=3.0)


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"span_s": 0.0}, "span is 0.0 s"),
        ({"span_s": np.nan}, "span is nan"),
        ({"serve_s": -1.0}, "time left for serving is -1"),
    ],
)
def test_impossible_spans_are_refused(how, message):
    with pytest.raises(InputError, match=message):
        Source(workload(), **how)


def test_an_ended_source_is_exhausted_once_nothing_waits():
    source = Source(
        workload_from_options(rate_per_s=1.0, lengths="fixed:1:1", num_requests=5, deferrable_share=1.0)
    )
    source.command(Release(hold=True))
    source.advance(0.0, 600.0)
    assert not source.exhausted
    source.command(Release(hold=False))
    source.advance(600.0, 660.0)
    assert source.exhausted
