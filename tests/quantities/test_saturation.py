"""One definition of whether a server keeps up."""

from __future__ import annotations

import numpy as np
import pytest

from simulators.quantities.saturation import MOST_PERIODS, Waits


def waited(at, wait_s):
    waits = Waits()
    waits.add(at, wait_s)
    return waits


@pytest.mark.parametrize("span_s", [20.0, 3600.0, 7 * 86400.0])
@pytest.mark.parametrize(
    ("wait", "label"),
    [
        (lambda t: 0.05 + 0.0 * t, "stable"),
        (lambda t: 100.0 * t, "overloaded"),  # grows for as long as requests come
        (lambda t: 30.0 * np.exp(-(((t - 0.5) / 0.1) ** 2)), "backlogged"),  # a peak that is worked off
        (lambda t: np.where(t > 0.985, 3.0, 0.1), "stable"),  # a few at the end are no trend
        (lambda t: np.where((t > 0.4) & (t < 0.42), 9.0, 0.1), "stable"),
    ],
)
def test_a_label_does_not_hang_on_the_length_of_the_run(span_s, wait, label):
    share = np.linspace(0.0, 1.0, 5000, endpoint=False)
    assert waited(share * span_s, wait(share)).saturation(2.0).label == label


def test_who_waits_longer_than_the_target_at_the_end_is_not_stable():
    """However few parts of the run that is, and however quickly it goes."""
    at = np.linspace(0.0, 3600.0, 5000, endpoint=False)
    found = waited(at, np.where(at > 0.985 * 3600.0, 40.0, 0.1)).saturation(2.0)
    assert found.above_share < 0.05
    assert found.wait_end_s > 2.0
    assert found.label == "backlogged"


def test_memory_does_not_grow_and_order_does_not_matter():
    at = np.random.default_rng(1).uniform(0, 1e7, 20_000)
    once, bit_by_bit = waited(at, at / 1e6), Waits()
    for part in np.array_split(np.sort(at), 50):
        bit_by_bit.add(part, part / 1e6)
    assert bit_by_bit.count == once.count == 20_000
    assert bit_by_bit.saturation(2.0) == pytest.approx(once.saturation(2.0))
    assert len(once._sums) == MOST_PERIODS


def test_nobody_waits_where_nobody_is():
    assert Waits().saturation(2.0) is None
