"""Host memory behind the prefix cache beside all else that replicas do: what the plain implementation does."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulators.inference.batching.host import Fetching
from simulators.inference.link import Link
from simulators.inference.tenant_shares import TenantShares

from .random_cases import random_cases
from .runs import FLAT, Hashes, Run, both, flat_tables
from .test_equality import random_tables
from .test_pools import as_the_oracle
from .test_prefix import behind_host_memory
from .test_shares import WEIGHTS
from .test_speculation import random_drafter


def with_drafts(data: st.DataObject, case: dict[str, Any]) -> dict[str, Any]:
    random = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    grid = data.draw(st.booleans())
    return case | {
        "drafter": random_drafter(random, case["tables"], data.draw(st.sampled_from([1, 3, 5, 16])), grid)
    }


def with_tenants(data: st.DataObject, case: dict[str, Any]) -> dict[str, Any]:
    random = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    count = len(case["jobs"])
    bursts = np.repeat(random.choice([0, 4, 7], count), random.integers(1, 5, count))
    shares = TenantShares.read(data.draw(st.sampled_from(WEIGHTS)))
    return case | {"tenants": bursts[:count].tolist(), "shares": shares}


def with_ranks(data: st.DataObject, case: dict[str, Any]) -> dict[str, Any]:
    return case | {"fetching": case["fetching"]._replace(ranks=data.draw(st.sampled_from([2, 3, 4])))}


def check_with_drafts(data: st.DataObject) -> Run:
    return both(**with_drafts(data, behind_host_memory(data)))[0]


def check_with_shares(data: st.DataObject) -> Run:
    return both(**with_tenants(data, behind_host_memory(data)))[0]


def check_with_ranks(data: st.DataObject) -> Run:
    return both(**with_ranks(data, behind_host_memory(data)))[0]


def check_with_all(data: st.DataObject) -> Run:
    """All three at once."""
    return both(**with_ranks(data, with_tenants(data, with_drafts(data, behind_host_memory(data)))))[0]


def check_with_pools(data: st.DataObject) -> None:
    """Of the pool that prefills; half of the cases with drafts, half with shares."""
    case = behind_host_memory(data)
    if data.draw(st.booleans()):
        case = with_tenants(data, case)
    random = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    second = random_tables(int(random.integers(2**32)), case["tables"].mode % 2, grid=False)
    given = {name: case.pop(name) for name in ("jobs", "law", "tenants", "shares") if name in case}
    given |= {"tables": [case.pop("tables"), second], "hashes": case.pop("hashes").of}
    if data.draw(st.booleans()):
        depth = int(random.choice([1, 3, 16]))
        one, two = (random_drafter(random, own, depth, grid=False) for own in given["tables"])
        given["drafters"] = [one, replace(two, key=one.key, acceptance=one.acceptance)]
    link = Link(float(random.choice([0.0, 0.03])), 0.0, 64.0, 10.0, overlap=0.5, joules_per_byte=0.01)
    counts = (data.draw(st.integers(1, 2)), data.draw(st.integers(1, 2)))
    steps = [case.pop("drive")["step_s"]] * 3
    as_the_oracle(**given, options=case, counts=counts, link=link, steps=steps)


PAIRS = (check_with_drafts, check_with_shares, check_with_ranks, check_with_all, check_with_pools)


@pytest.mark.parametrize("check", PAIRS)
@random_cases(6)
@given(data=st.data())
def test_any_workload_with(check: Any, data: st.DataObject) -> None:
    check(data)


@pytest.mark.parametrize(("ranks", "blocks"), [(1, 7), (2, 4)])
def test_ranks_fetch_side_by_side(ranks: int, blocks: int) -> None:
    """Two prompts that were overwritten come again at once: 3 and 4 blocks of 2 s, beside 1 s of work."""
    jobs = [(0.0, 13, 1), (10.0, 17, 1), (20.0, 29, 1), (40.0, 13, 1), (40.0, 17, 1)]
    found = (1, 2, 3, 4), (5, 6, 7, 8, 9)
    content = Hashes([*found, tuple(range(20, 28)), *found], [13, 17, 29, 13, 17])
    run, _ = both(
        jobs, flat_tables(), FLAT, "vllm_v1", total_blocks=9, block_tokens=4, hash_tokens=4, prefix_cache="on",
        hashes=content, host_blocks=100, fetching=Fetching(2.0, ranks=ranks),
    )  # fmt: skip
    assert run.requests.cached_tokens.tolist() == [0, 0, 0, 12, 16]
    assert run.iterations.duration_s.tolist() == [1.0, 1.0, 1.0, 2.0 * blocks + 1.0]
