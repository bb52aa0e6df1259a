"""Which site serves whom: the cheapest first, as far as it may and can."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulators.errors import InputError
from simulators.scheduler.dispatch import cheapest, dispatcher


def filled_in_order(total: float, costs: list[float], most: list[float]) -> np.ndarray:
    """The closed form where everybody may serve everybody: the cleanest is filled, then the next."""
    found = np.zeros(len(costs))
    for k in np.argsort(costs, kind="stable"):
        found[k] = min(total, most[k])
        total -= found[k]
    return found


amounts = st.floats(0.0, 50.0)


@given(
    st.lists(amounts, min_size=3, max_size=3),
    st.permutations([80.0, 250.0, 410.0]),
    st.lists(st.floats(1.0, 60.0), min_size=3, max_size=3),
)
def test_at_equal_sites_and_no_latency_it_is_the_closed_form(rates, costs, most):
    rates = np.array(rates) * min(1.0, sum(most) / max(sum(rates), 1e-9))
    found = cheapest(rates, np.array(costs), np.array(most), np.ones((3, 3), bool), np.zeros((3, 3)))
    assert found.sum(axis=1) == pytest.approx(rates, abs=1e-6)
    assert found.sum(axis=0) == pytest.approx(filled_in_order(rates.sum(), costs, most), abs=1e-6)


def test_between_equals_the_nearest_serves():
    trips = 0.1 * (1 - np.eye(3))
    found = cheapest(np.array([1.0, 2.0, 3.0]), np.ones(3), np.full(3, 5.0), np.ones((3, 3), bool), trips)
    assert found == pytest.approx(np.diag([1.0, 2.0, 3.0]), abs=1e-9)


def test_nobody_serves_whom_it_may_not_and_what_is_too_much_is_served_all_the_same():
    allowed = np.array([[True, False], [True, True]])
    found = cheapest(
        np.array([8.0, 4.0]), np.array([9.0, 1.0]), np.array([5.0, 5.0]), allowed, np.zeros((2, 2))
    )
    assert found == pytest.approx(np.array([[8.0, 0.0], [0.0, 4.0]]), abs=1e-9)


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("greedi", "did you mean greedy"),
        ("greedy:objective=wind", "objective carbon"),
        ("greedy:target=0", "a target above 0"),
        ("greedy:most_ms=-1", "most_ms above 0"),
    ],
)
def test_what_is_unknown_is_refused(spec, said):
    with pytest.raises(InputError, match=said):
        dispatcher(spec)
