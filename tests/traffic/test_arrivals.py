"""Arrival processes against their closed forms; seeds are fixed, so nothing here is flaky."""

from __future__ import annotations

from itertools import islice

import numpy as np
import pytest
from scipy import stats

from simulators.errors import InputError
from simulators.traffic.arrivals import DAY_S, Diurnal, Gamma, Modulated, Poisson
from simulators.traffic.gaps import WeibullGaps, gap_law


def draw(arrivals, n, seed=1):
    """The first `n` arrival times."""
    chunks = []
    count = 0
    for chunk in arrivals.chunks(np.random.default_rng(seed)):
        chunks.append(chunk)
        count += len(chunk)
        if count >= n:
            break
    return np.concatenate(chunks)[:n]


def test_poisson_gaps_are_exponential_with_the_given_rate():
    times = draw(Poisson(6.45), 50_000)
    gaps = np.diff(times, prepend=0.0)
    assert stats.kstest(gaps, "expon", args=(0, 1 / 6.45)).pvalue > 0.01
    assert abs(len(times) / times[-1] - 6.45) < 4 * 6.45 / np.sqrt(len(times))


def test_gaps_are_independent_across_chunk_boundaries():
    gaps = np.diff(draw(Poisson(1.0), 200_000))
    at_boundary = gaps[4095::4096]
    assert len(at_boundary) > 40
    assert stats.kstest(at_boundary, "expon").pvalue > 0.01


@pytest.mark.parametrize("cv", [0.25, 1.0, 3.0])
def test_gamma_gaps_have_the_given_mean_and_cv(cv):
    gaps = np.diff(draw(Gamma(10.0, cv), 400_000))
    assert np.mean(gaps) == pytest.approx(0.1, rel=5 * cv / np.sqrt(400_000))
    assert np.std(gaps) / np.mean(gaps) == pytest.approx(cv, rel=0.03)
    # the law itself: in a sum, the shortest of very bursty gaps are below the resolution of a float
    law = gap_law(cv).gaps(np.random.default_rng(1), 20_000)
    assert stats.kstest(law, "gamma", args=(cv**-2, 0, cv**2)).pvalue > 0.01


def test_bursty_arrivals_start_in_their_stationary_state():
    # an ordinary renewal process would have (cv**2 - 1) / 2 = 7.5 arrivals more than the 20 expected ones
    counts = [np.searchsorted(draw(Gamma(2.0, 4.0), 200, seed), 10.0) for seed in range(1500)]
    assert abs(np.mean(counts) - 20.0) < 4 * np.std(counts) / np.sqrt(len(counts))


def test_the_weibull_residual_is_uniform_over_a_length_weighted_gap():
    # mean residual life of a stationary renewal process: E[gap**2] / (2 E[gap])
    law, rng = WeibullGaps(0.6), np.random.default_rng(3)
    residuals = np.array([law.residual(rng) for _ in range(40_000)])
    gaps = law.gaps(rng, 400_000)
    assert np.mean(gaps) == pytest.approx(1.0, rel=0.02)
    first, second = (stats.weibull_min(0.6).moment(k) for k in (1, 2))
    assert np.mean(residuals) == pytest.approx(second / (2 * first**2), rel=0.03)


FACTORS = np.array([0.4, 0.3, 0.0, 0.0, 0.5, 0.8, 1.2, 1.9] * 3)


def test_diurnal_arrivals_are_poisson_in_operational_time():
    times = draw(Diurnal(2.0, FACTORS, start_offset_s=5 * 3600), 300_000)
    edges_s = 3600.0 * np.arange(24 * 3 + 1)
    expected = np.concatenate(([0.0], np.cumsum(np.tile(2.0 * FACTORS / FACTORS.mean() * 3600, 3))))
    operational = np.interp(times + 5 * 3600, edges_s, expected)
    gaps = np.diff(operational)[: int(2.0 * DAY_S)]
    assert stats.kstest(gaps, "expon").pvalue > 0.01


def test_diurnal_counts_follow_the_hours_and_the_mean_rate():
    offset_s = 7.5 * 3600
    times = draw(Diurnal(5.0, FACTORS, offset_s), 900_000)
    days = 2
    hour = ((times[times < days * DAY_S] + offset_s) % DAY_S // 3600).astype(int)
    counts = np.bincount(hour, minlength=24)
    expected = 5.0 * FACTORS / FACTORS.mean() * 3600 * days
    busy = expected > 0
    assert not counts[~busy].any()
    assert stats.chisquare(counts[busy], expected[busy] * counts.sum() / expected.sum()).pvalue > 0.01
    assert abs(counts.sum() - 5.0 * DAY_S * days) < 4 * np.sqrt(5.0 * DAY_S * days)


def test_diurnal_takes_any_number_of_intervals_and_any_scale():
    coarse = draw(Diurnal(1.0, [1.0, 3.0], 0.0), 1000)
    fine = draw(Diurnal(1.0, [50.0] * 12 + [150.0] * 12, 0.0), 1000)
    np.testing.assert_allclose(coarse, fine, rtol=1e-12)


def test_times_ascend_and_a_profile_ends_with_its_last_interval():
    profile = Modulated([0.0, 3.0, 0.0, 1.0, 0.0], 1000.0)
    chunks = list(profile.chunks(np.random.default_rng(5)))
    times = np.concatenate(chunks)
    assert profile.bounded
    assert np.all(np.diff(times) >= 0)
    assert times[0] >= 1000.0
    assert times[-1] < 4000.0
    assert abs(len(times) - 4000) < 4 * np.sqrt(4000)
    assert not np.any((times >= 2000.0) & (times < 3000.0))


def test_a_bursty_profile_keeps_the_mean_rate():
    counts = [
        len(np.concatenate(list(Modulated([2.0, 6.0], 50.0, cv=3.0).chunks(np.random.default_rng(seed)))))
        for seed in range(600)
    ]
    assert abs(np.mean(counts) - 400.0) < 4 * np.std(counts) / np.sqrt(len(counts))


def test_the_same_seed_gives_the_same_times_and_another_seed_others():
    one, same, other = (next(islice(Gamma(1.0, 2.0).chunks(np.random.default_rng(s)), 1)) for s in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert not np.array_equal(one, other)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Poisson(0.0), "rate must be a positive number, got 0"),
        (lambda: Poisson(float("nan")), "got nan"),
        (lambda: Gamma(1.0, -1.0), "coefficient of variation must be a positive number, got -1"),
        (lambda: Diurnal(1.0, [0.0] * 24), "not all zero"),
        (lambda: Diurnal(1.0, []), "not all zero"),
        (lambda: Diurnal(1.0, [1.0, -1.0, 3.0]), "numbers >= 0"),
        (lambda: Modulated([0.0, 0.0], 60.0), "all rates are zero"),
        (lambda: Modulated([1.0, np.nan], 60.0), "numbers >= 0"),
        (lambda: Modulated([1.0], 60.0, start_offset_s=60.0), "start offset 60 s is not in 0..60 s"),
    ],
)
def test_wrong_parameters_are_named(make, message):
    with pytest.raises(InputError, match=message.replace(".", r"\.")):
        make()
