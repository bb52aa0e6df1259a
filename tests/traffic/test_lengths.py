"""Length laws against their closed forms."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from simulators.errors import InputError
from simulators.traffic.lengths import Fixed, LogNormal, Uniform, Zipf, split
from simulators.traffic.measured import Empirical, Rows, TotalCdf


def draw(law, n=200_000, seed=7):
    prefill, decode = law.draw(np.random.default_rng(seed), n)
    assert prefill.dtype == decode.dtype == np.int64
    assert prefill.min() >= 1
    assert decode.min() >= 1
    return prefill, decode


@pytest.mark.parametrize("theta", [0.0, 0.6, 1.0, 2.5])
def test_zipf_totals_follow_the_power_law_of_their_rank(theta):
    prefill, decode = draw(Zipf(100, 149, theta, 4.0))
    counts = np.bincount(prefill + decode - 100, minlength=50)
    weights = np.arange(1, 51) ** -theta
    assert stats.chisquare(counts, weights / weights.sum() * counts.sum()).pvalue > 0.01


def test_zipf_of_the_reference_workload_has_its_closed_form_mean():
    prefill, decode = draw(Zipf(1024, 4096, 0.6, 20.0))
    ranks = np.arange(1, 3074.0)
    totals, weights = ranks + 1023, ranks**-0.6 / np.sum(ranks**-0.6)
    mean = np.sum(totals * weights)
    std = np.sqrt(np.sum(totals**2 * weights) - mean**2)
    assert abs(np.mean(prefill + decode) - mean) < 4 * std / np.sqrt(200_000)
    assert np.mean(prefill) / np.mean(decode) == pytest.approx(20.0, rel=0.02)


def test_splitting_keeps_the_total_and_leaves_each_part_a_token():
    total = np.arange(2, 5000)
    for ratio in (0.0, 0.3, 1.0, 20.0, 1e6):
        prefill, decode = split(total, ratio)
        np.testing.assert_array_equal(prefill + decode, total)
        assert prefill.min() == 1
        assert decode.min() >= 1
    prefill, decode = split(np.array([1024, 21, 20]), 20.0)
    np.testing.assert_array_equal(decode, [48, 1, 1])
    np.testing.assert_array_equal(prefill, [976, 20, 19])


def test_uniform_includes_both_ends():
    prefill, decode = draw(Uniform(10, 15, 1.0))
    counts = np.bincount(prefill + decode)[10:]
    assert len(counts) == 6
    assert stats.chisquare(counts).pvalue > 0.01


def test_lognormal_has_the_given_means_and_spreads_and_independent_parts():
    prefill, decode = draw(LogNormal(1155.0, 0.9, 211.0, 0.7))
    assert np.mean(prefill) == pytest.approx(1155, rel=0.01)
    assert np.std(prefill) / np.mean(prefill) == pytest.approx(0.9, rel=0.03)
    assert np.mean(decode) == pytest.approx(211, rel=0.01)
    assert np.std(decode) / np.mean(decode) == pytest.approx(0.7, rel=0.03)
    assert abs(np.corrcoef(prefill, decode)[0, 1]) < 0.01
    fixed_prefill, _ = draw(LogNormal(300.0, 0.0, 5.0, 1.0), n=100)
    assert set(fixed_prefill) == {300}


def test_empirical_tables_are_drawn_with_their_probabilities():
    prefill, decode = draw(Empirical([5, 10, 0], [2.0, 1.0, 1.0], [7], [3.0]))
    values, counts = np.unique(prefill, return_counts=True)
    np.testing.assert_array_equal(values, [1, 5, 10])
    assert stats.chisquare(counts, np.array([0.25, 0.5, 0.25]) * counts.sum()).pvalue > 0.01
    assert set(decode) == {7}


def test_a_cumulative_distribution_is_met_at_every_given_length():
    tokens, cumulative = [64, 128, 256, 1024], [0.1, 0.1, 0.7, 1.0]
    prefill, decode = draw(TotalCdf(tokens, cumulative, 3.0))
    total = prefill + decode
    for length, probability in zip(tokens, cumulative, strict=True):
        assert np.mean(total <= length) == pytest.approx(probability, abs=0.005)
    assert not np.any((total > 64) & (total <= 128))
    assert total.min() >= 2
    assert total.max() <= 1024
    inside = total[(total > 128) & (total <= 256)]
    assert np.mean(inside) == pytest.approx((129 + 256) / 2, rel=0.01)


def test_rows_of_a_trace_stay_together():
    law = Rows(np.array([10, 20, 30]), np.array([1, 2, 3]))
    prefill, decode = draw(law)
    np.testing.assert_array_equal(prefill, decode * 10)
    assert stats.chisquare(np.bincount(decode)[1:]).pvalue > 0.01


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Fixed(0, 5), "prompt must be a whole number of at least 1 and"),
        (lambda: Fixed(5, 2.5), "output must be a whole number"),
        (lambda: Uniform(10, 9, 1.0), "maximum 9 is below the minimum 10"),
        (lambda: Uniform(1, 9, 1.0), "at least 2"),
        (lambda: Zipf(10, 20, -1.0, 1.0), "theta"),
        (lambda: Zipf(10, 20, 0.5, -1.0), "ratio"),
        (lambda: Zipf(2, 20_000_000, 0.5, 1.0), "at most 10000000"),
        (lambda: LogNormal(0.0, 1.0, 5.0, 1.0), "mean prompt"),
        (lambda: LogNormal(5.0, -1.0, 5.0, 1.0), "coefficient of variation"),
        (lambda: Empirical([], [], [1], [1.0]), "prompt table"),
        (lambda: Empirical([1], [1.0], [1, 2], [1.0]), "output table"),
        (lambda: Empirical([-1], [1.0], [1], [1.0]), "negative"),
        (lambda: Empirical([1], [0.0], [1], [1.0]), "not all zero"),
        (lambda: TotalCdf([64, 32], [0.5, 1.0], 1.0), "ascend"),
        (lambda: TotalCdf([32, 64], [0.5, 0.9], 1.0), "to 1"),
        (lambda: TotalCdf([32, 64], [0.5, np.nan], 1.0), "to 1"),
        (lambda: Rows(np.array([], dtype=int), np.array([], dtype=int)), "no requests"),
    ],
)
def test_wrong_parameters_are_named(make, message):
    with pytest.raises(InputError, match=message):
        make()
