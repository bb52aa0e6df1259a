"""The router between sites: shares as asked for, nothing lost, whatever the step."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulators.errors import InputError
from simulators.quantities.commands import Release, Route
from simulators.quantities.requests import RequestBlock
from simulators.traffic.routing import SiteRouter

SITES = ["ber", "dub", "sfo"]
WEIGHTS = {"ber": {"ber": 0.5, "dub": 0.2, "sfo": 0.3}, "sfo": {"dub": 1.0}}


def block(count: int, first: int = 0) -> RequestBlock:
    made = RequestBlock.of(np.arange(first, first + count) * 0.5, np.full(count, 10), np.full(count, 5))
    made.request_id[:] = np.arange(first, first + count)
    return made


def test_an_origin_without_weights_serves_its_own():
    parts = SiteRouter(SITES, WEIGHTS).route("dub", block(100))
    assert {site: len(part) for site, part in parts.items()} == {"ber": 0, "dub": 100, "sfo": 0}


def test_shares_are_those_asked_for_and_draws_independent():
    router = SiteRouter(SITES, WEIGHTS, seed=1)
    parts = router.route("ber", block(30_000))
    for site, share in WEIGHTS["ber"].items():
        assert len(parts[site]) / 30_000 == pytest.approx(share, abs=4 * 0.5 / np.sqrt(30_000))
    chosen = np.isin(np.arange(30_000), parts["ber"].request_id)
    both = (chosen[1:] & chosen[:-1]).mean()
    assert both == pytest.approx(0.25, abs=0.012)
    assert len(router.route("sfo", block(50))["dub"]) == 50


@given(st.lists(st.integers(0, 40), max_size=8), st.integers(0, 3))
def test_a_requests_way_does_not_depend_on_steps_or_on_other_origins(sizes, seed):
    count = sum(sizes)
    whole = SiteRouter(SITES, WEIGHTS, seed).route("ber", block(count))
    router = SiteRouter(SITES, WEIGHTS, seed)
    first, ways = 0, {site: [] for site in SITES}
    for size in sizes:
        router.route("dub", block(size + 3))
        for site, part in router.route("ber", block(size, first)).items():
            ways[site] += part.request_id.tolist()
        first += size
    assert {site: part.request_id.tolist() for site, part in whole.items()} == ways
    assert sorted(number for way in ways.values() for number in way) == list(range(count))


def test_another_seed_goes_other_ways():
    ways = [
        SiteRouter(SITES, WEIGHTS, seed).route("ber", block(100))["ber"].request_id.tolist()
        for seed in (1, 2)
    ]
    assert ways[0] != ways[1]


def test_a_command_changes_the_weights_of_its_origin_alone():
    router = SiteRouter(SITES, WEIGHTS)
    assert router.command("ber", Route({"sfo": 1})) is None
    assert len(router.route("ber", block(40))["sfo"]) == 40
    assert len(router.route("dub", block(40))["dub"]) == 40


@pytest.mark.parametrize(
    ("weights", "reason"),
    [
        ({}, "the weights sum to 0, expected 1"),
        ({"ber": 0.5, "sfo": 0.6}, "the weights sum to 1.1, expected 1"),
        ({"ber": 1.5, "sfo": -0.5}, "the weight of sfo is -0.5, expected a number >= 0"),
        ({"ber": np.nan}, "the weight of ber is nan"),
        ({"ber": np.inf}, "the weight of ber is inf"),
        ({"ber": "all"}, "the weight of ber is 'all'"),
        ({"par": 1.0}, "site par is unknown, expected one of ber, dub, sfo"),
        (None, "the weights are None, expected a share by site"),
    ],
)
def test_impossible_weights_are_refused_and_change_nothing(weights, reason):
    router = SiteRouter(SITES, {"ber": {"sfo": 1.0}})
    assert reason in router.command("ber", Route(weights))
    assert len(router.route("ber", block(10))["sfo"]) == 10
    if weights is not None:
        with pytest.raises(InputError, match="router: origin ber: "):
            SiteRouter(SITES, {"ber": weights})


def test_other_commands_and_other_names_are_refused():
    assert "does not take release" in SiteRouter(SITES).command("ber", Release(hold=True))
    with pytest.raises(InputError, match="origin par: unknown, expected one of ber, dub, sfo"):
        SiteRouter(SITES, {"par": {"ber": 1.0}})
    with pytest.raises(InputError, match="expected one or more different names"):
        SiteRouter(["ber", "ber"])
    with pytest.raises(InputError, match="expected one or more different names"):
        SiteRouter([])
    with pytest.raises(InputError, match="the seed must be a whole number >= 0, got -1"):
        SiteRouter(SITES, seed=-1)
