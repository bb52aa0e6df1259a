"""The bound lies below what any policy reaches, and moves as it must."""

from __future__ import annotations

import pytest

from scenarios import Study, simulate
from scenarios.bound import bound
from scenarios.comparison import together
from tests.scenarios.test_control_loop import SITE

POLICIES = ("none", "mpc", "mpc:headroom=3", "oracle")


@pytest.fixture(scope="module")
def study() -> Study:
    return together(SITE.changed(without=[], pv_kw=5.0, wind_kw=1.0, battery_kwh=5.0), POLICIES)


def test_no_policy_beats_it(study):
    found = bound(study)
    assert found.kg <= found.kg_with_targets
    for policy in POLICIES:
        kg = simulate(study.changed(policy=policy)).figures.carbon_kg.settled
        assert found.kg < kg, policy
    assert found.kg_with_targets < kg  # of the oracle


def test_more_of_what_helps_never_raises_it(study):
    first = bound(study)
    for more in (
        {"pv_kw": 10.0},
        {"battery_kwh": 10.0},
        {"replicas": 6},
    ):  # full servers, as the four of before
        second = bound(study.changed(**more))
        assert second.kg <= first.kg + 1e-9, more
    fewer = bound(study.changed(deferrable_share=0.0))
    assert fewer.kg_with_targets >= first.kg_with_targets
