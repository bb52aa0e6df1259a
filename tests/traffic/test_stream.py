"""The stream of requests: the same however time is cut, in bounded memory, seeds kept apart."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulators.errors import InputError
from simulators.quantities.requests import RequestBlock
from simulators.traffic.arrivals import Diurnal, Gamma, Modulated, Poisson
from simulators.traffic.lengths import Fixed, LogNormal, Zipf
from simulators.traffic.stream import Merged, SyntheticWorkload

COLUMNS = ("arrived_at", "prefill_tokens", "decode_tokens", "deferrable", "deadline", "tenant")
ZIPF = Zipf(1024, 4096, 0.6, 20.0)


class At:
    """Arrivals at times that are given, s."""

    bounded = True

    def __init__(self, times_s):
        self._times_s = np.asarray(times_s, dtype=np.float64)

    def chunks(self, rng):
        yield self._times_s


def assert_same(a: RequestBlock, b: RequestBlock) -> None:
    for name in COLUMNS:
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name), err_msg=name)


def synthetic(seed=1, tenant=0, arrivals=None, num_requests=9000):
    return SyntheticWorkload(
        arrivals or Gamma(5.0, 2.0),
        LogNormal(200.0, 1.0, 50.0, 1.0),
        seed,
        num_requests=num_requests,
        deferrable_share=0.3,
        defer_window_s=(60.0, 600.0),
        tenant=tenant,
    )


SOURCES = {
    "gamma": synthetic,
    "diurnal": lambda: synthetic(arrivals=Diurnal(5.0, [1.0, 0.0, 2.0], 30_000.0)),
    "profile": lambda: synthetic(arrivals=Modulated([3.0, 9.0, 0.0, 4.0], 300.0)),
    "equal times": lambda: synthetic(arrivals=At(np.repeat(np.arange(2000.0), 5))),
    "merged": lambda: Merged([synthetic(1, 0), synthetic(2, 1), synthetic(3, 2, num_requests=50)]),
}


@pytest.mark.parametrize("name", SOURCES)
@settings(max_examples=25, deadline=None)
@given(cuts=st.lists(st.floats(0, 2500, allow_nan=False), max_size=30))
def test_requests_do_not_depend_on_how_time_is_cut(name, cuts):
    whole = SOURCES[name]().take(np.inf)
    workload = SOURCES[name]()
    pieces = []
    for cut in cuts:
        piece = workload.take(cut)
        assert np.all(piece.arrived_at < cut)
        pieces.append(piece)
    pieces.append(workload.take(np.inf))
    assert_same(RequestBlock.concatenate(pieces), whole)
    assert workload.exhausted


def test_everything_before_the_cut_is_handed_out_and_nothing_at_it():
    workload = SyntheticWorkload(At([0.0, 1.0, 1.0, 2.0]), Fixed(5, 5), 1)
    assert len(workload.take(1.0)) == 1
    assert len(workload.take(1.0)) == 0
    assert not workload.exhausted
    assert len(workload.take(2.0)) == 2
    assert len(workload.take(2.5)) == 1
    assert workload.exhausted
    assert len(workload.take(np.inf)) == 0


def test_fewer_requests_are_the_beginning_of_more_and_a_horizon_is_a_cut():
    long = SyntheticWorkload(Poisson(3.0), ZIPF, 9, num_requests=10_000).take(np.inf)
    short = SyntheticWorkload(Poisson(3.0), ZIPF, 9, num_requests=5000).take(np.inf)
    assert_same(short, long[:5000])
    until = SyntheticWorkload(Poisson(3.0), ZIPF, 9, horizon_s=1000.0).take(np.inf)
    assert_same(until, long[long.arrived_at < 1000.0])
    exactly_a_chunk = SyntheticWorkload(Poisson(3.0), ZIPF, 9, num_requests=4096)
    assert len(exactly_a_chunk.take(np.inf)) == 4096
    assert exactly_a_chunk.exhausted


def test_arrivals_lengths_and_deferral_have_seeds_of_their_own():
    plain = SyntheticWorkload(Poisson(3.0), ZIPF, 9, num_requests=5000).take(np.inf)
    other_lengths = SyntheticWorkload(Poisson(3.0), Fixed(5, 5), 9, num_requests=5000).take(np.inf)
    np.testing.assert_array_equal(plain.arrived_at, other_lengths.arrived_at)
    faster = SyntheticWorkload(Gamma(9.0, 3.0), ZIPF, 9, num_requests=5000).take(np.inf)
    np.testing.assert_array_equal(plain.prefill_tokens, faster.prefill_tokens)
    some, more, later = (
        SyntheticWorkload(
            Poisson(3.0), ZIPF, 9, num_requests=5000, deferrable_share=share, defer_window_s=window
        ).take(np.inf)
        for share, window in ((0.2, 900.0), (0.5, 900.0), (0.5, (100.0, 5000.0)))
    )
    for block in (some, more, later):
        np.testing.assert_array_equal(block.arrived_at, plain.arrived_at)
        np.testing.assert_array_equal(block.decode_tokens, plain.decode_tokens)
    assert not plain.deferrable.any()
    assert np.all(plain.deadline == np.inf)
    assert np.mean(some.deferrable) == pytest.approx(0.2, abs=0.02)
    assert np.all(more.deferrable[some.deferrable])
    np.testing.assert_array_equal(more.deferrable, later.deferrable)
    np.testing.assert_array_equal(some.deadline[some.deferrable], some.arrived_at[some.deferrable] + 900.0)
    assert np.all(some.deadline[~some.deferrable] == np.inf)
    window_s = (later.deadline - later.arrived_at)[later.deferrable]
    assert window_s.min() >= 100.0
    assert window_s.max() <= 5000.0
    assert np.mean(window_s) == pytest.approx(2550.0, rel=0.05)


def test_merging_orders_by_time_and_keeps_every_tenants_requests():
    merged = SOURCES["merged"]().take(np.inf)
    assert np.all(np.diff(merged.arrived_at) >= 0)
    for tenant, n in ((0, 9000), (1, 9000), (2, 50)):
        alone = synthetic(tenant + 1, tenant, num_requests=n).take(np.inf)
        assert_same(merged[merged.tenant == tenant], alone)


def test_of_equal_times_the_earlier_source_comes_first():
    sources = [SyntheticWorkload(At([1.0, 1.0]), Fixed(5, 5), 0, tenant=t) for t in (3, 1)]
    np.testing.assert_array_equal(Merged(sources).take(2.0).tenant, [3, 3, 1, 1])


def test_memory_does_not_grow_with_the_number_of_requests():
    def peak_bytes(n: int) -> int:
        workload = SyntheticWorkload(Poisson(100.0), ZIPF, 1, num_requests=n)
        tracemalloc.start()
        until_s = 0.0
        while not workload.exhausted:
            until_s += 10.0
            workload.take(until_s)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak

    peak_bytes(1000)
    assert peak_bytes(400_000) < 1.2 * peak_bytes(40_000)
    assert peak_bytes(40_000) < 2_000_000


def test_a_source_without_end_cannot_be_taken_whole():
    workload = SyntheticWorkload(Poisson(1.0), Fixed(5, 5), 1)
    assert len(workload.take(100.0)) > 0
    with pytest.raises(InputError, match="without end; give a number of requests or a horizon"):
        workload.take(np.inf)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_requests": 0}, "number of requests must be at least 1, got 0"),
        ({"horizon_s": 0.0}, "horizon must be positive"),
        ({"deferrable_share": 1.5}, "share must be within 0..1, got 1.5"),
        ({"deferrable_share": 0.5, "defer_window_s": (5.0, 1.0)}, "window must be seconds >= 0, got 5..1"),
        ({"seed": -1}, "seed must be a whole number >= 0"),
    ],
)
def test_wrong_options_are_named(options, message):
    with pytest.raises(InputError, match=message):
        SyntheticWorkload(Poisson(1.0), Fixed(5, 5), **({"seed": 1} | options))


def test_a_block_needs_one_tenant_per_request():
    block = RequestBlock.of(np.array([1.0]), np.array([2]), np.array([3]))
    np.testing.assert_array_equal(block.tenant, [0])
    with pytest.raises(ValueError, match="one entry per request"):
        RequestBlock(
            block.arrived_at,
            block.prefill_tokens,
            block.decode_tokens,
            block.deferrable,
            block.deadline,
            np.array([1, 2], dtype=np.int32),
        )
