"""A sketch against NumPy on all values: within the stated error, whatever the values and however they were added."""

from __future__ import annotations

import json
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulators.quantities.sketch import ERROR, LEAST, Sketch

LEVELS = np.array([0.0, 0.01, 0.25, 0.5, 0.75, 0.95, 0.99, 1.0])
VALUES = st.lists(
    st.one_of(st.just(0.0), st.floats(2e-7, 1e8), st.floats(0.01, 100.0), st.just(1.0)),
    min_size=1,
    max_size=60,
)


def sketch_of(values, weight=1.0, error=ERROR):
    made = Sketch(error)
    made.add(values, weight)
    return made


def assert_close(sketch: Sketch, values) -> None:
    expected = np.quantile(values, LEVELS)
    # between two values the error is that of both; a step down to 0 is exact at 0
    np.testing.assert_allclose(sketch.quantiles(LEVELS), expected, rtol=sketch.error * (1 + 1e-6), atol=1e-12)


@given(VALUES)
def test_quantiles_are_numpys_within_the_error(values):
    sketch = sketch_of(values)
    assert_close(sketch, values)
    assert sketch.quantile(0.0) == min(values) == sketch.smallest
    assert sketch.quantile(1.0) == max(values) == sketch.largest
    assert sketch.count == sketch.weight == len(values)
    assert sketch.mean == pytest.approx(np.mean(values), rel=1e-12)


@given(VALUES, st.integers(1, 7), st.floats(0.01, 1000.0))
def test_the_way_values_come_in_does_not_matter(values, size, weight):
    """Cut into parts, weighed alike, merged, sent through JSON: the same quantiles."""
    whole = sketch_of(values)
    parts = [values[at : at + size] for at in range(0, len(values), size)]
    weighed, merged = Sketch(), Sketch()
    for part in parts:
        weighed.add(part, weight)
        merged.merge(sketch_of(part))
    for other in (weighed, merged, Sketch.from_plain(json.loads(json.dumps(merged.to_plain())))):
        np.testing.assert_array_equal(other.quantiles(LEVELS), whole.quantiles(LEVELS))
        assert other.count == len(values)
        assert other.mean == pytest.approx(whole.mean, rel=1e-9)
    assert weighed.weight == pytest.approx(weight * len(values))


@pytest.mark.parametrize("error", [0.0005, 0.01, 0.3])
@pytest.mark.parametrize("spread", [0.1, 1.0, 6.0])
def test_the_error_is_kept_over_many_magnitudes(error, spread):
    values = np.random.default_rng(4).lognormal(sigma=spread, size=20_000)
    assert_close(sketch_of(values, error=error), values)


def test_bins_give_the_distribution():
    values = np.random.default_rng(5).lognormal(size=5000)
    at, weights = sketch_of(np.append(values, [0.0, 0.0]), weight=2.0).bins()
    assert at[0] == 0.0
    assert weights[0] == 4.0
    assert np.all(np.diff(at) > 0)
    assert weights.sum() == 2 * 5002
    assert (at * weights).sum() == pytest.approx(2 * values.sum(), rel=ERROR)


def test_what_is_below_the_least_counts_as_zero_and_what_is_beyond_the_most_as_that():
    sketch = sketch_of([0.0, LEAST / 2, -1e-15, 1.0, 1e30, np.inf])
    assert sketch.quantiles([0.2, 0.3]).tolist() == [0.0, 0.0]
    assert sketch.quantile(0.6) == pytest.approx(1.0, rel=ERROR)
    assert sketch.quantile(0.8) == pytest.approx(1e9, rel=ERROR)
    assert sketch.largest == np.inf


def test_nothing_has_no_quantiles():
    empty = Sketch()
    empty.add([])
    empty.merge(Sketch())
    assert np.isnan(empty.quantile(0.5))
    assert np.isnan(empty.mean)
    assert empty.percentiles() == {"p50": None, "p95": None, "p99": None}
    assert Sketch.from_plain(json.loads(json.dumps(empty.to_plain()))).count == 0
    assert len(empty.bins()[0]) == 0


def test_memory_follows_the_spread_and_not_the_number():
    rng = np.random.default_rng(6)
    sketch = sketch_of([0.01, 100.0])
    sizes = []
    for _ in range(3):
        for _ in range(100):
            sketch.add(np.clip(rng.lognormal(size=1000), 0.01, 100.0))
        sizes.append(sketch.nbytes)
    assert sizes[0] == sizes[-1] < 120_000
    sketch.add([1e-7, 1e9])
    assert sketch.nbytes < 300_000


def test_adding_a_step_is_cheap():
    """The calls of a year of minutes must not cost minutes; measured at 10 us a call of 90 values."""
    sketch, values = Sketch(), np.random.default_rng(7).lognormal(size=90)
    best = np.inf
    for _ in range(5):
        begun = time.perf_counter()
        for _ in range(500):
            sketch.add(values)
        best = min(best, time.perf_counter() - begun)
    assert best / 500 < 100e-6


@pytest.mark.parametrize("error", [0.0, 1.0, -1.0, np.nan])
def test_an_impossible_error_is_refused(error):
    with pytest.raises(ValueError, match="relative error must be between 0 and 1"):
        Sketch(error)


def test_what_is_no_number_is_refused_and_unequal_errors_do_not_merge():
    with pytest.raises(ValueError, match="got NaN"):
        sketch_of([1.0, np.nan])
    with pytest.raises(ValueError, match="do not merge"):
        Sketch(0.01).merge(Sketch())
