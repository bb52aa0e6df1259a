"""Speculative decoding: what is drafted, verified and accepted, and what it costs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from simulators.inference.timing.tables import Drafting, StageTables

from .oracle_speculation import Drafter
from .runs import both
from .test_equality import GRID_S, cases, random_tables
from .test_prefix import conversations


def random_drafter(random: np.random.Generator, tables: StageTables, depth: int, grid: bool) -> Drafter:
    """Drafting that costs anything from nothing on; times are multiples of the grid if asked for."""
    shape = tables.decode_s[:, : len(tables.decode_kv)].shape
    decodes = np.cumsum(random.exponential(0.02, (5, *shape)), axis=2)
    decodes[1] *= 100.0
    prompt = random.uniform(0, 0.01, 5)
    pair_s = float(random.choice([0.0, 1e-5, 1e-3]))
    if grid:
        decodes[0], prompt[0], pair_s = 2 * GRID_S, GRID_S, 0.0
    if random.random() < 0.2:
        decodes[:], prompt[:] = 0.0, 0.0
    acceptance = np.sort(random.choice([0.0, 1.0, *random.random(3)], depth))[::-1]
    key = int(random.integers(2**32))
    return Drafter(depth, acceptance.tolist(), key, Drafting(decodes, prompt, pair_s))


@pytest.mark.parametrize("scheduler", ["vllm_v1", "sarathi"])
@settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
    phases=(Phase.generate,),
)
@given(data=st.data())
def test_any_workload(scheduler: str, data: st.DataObject) -> None:
    """Times, energies, evictions and tokens are those of the plain implementation, half of them with a prefix cache."""
    case: dict[str, Any] = data.draw(cases(scheduler))
    depth = data.draw(st.sampled_from([1, 2, 3, 5, 16]))
    random = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    grid = case["table_choice"][2]
    tables = random_tables(*case.pop("table_choice"))
    case["drafter"] = random_drafter(random, tables, depth, grid)
    if scheduler == "vllm_v1" and random.random() < 0.5:
        unit = case["block_tokens"] * int(random.choice([1, 3]))
        case["jobs"], case["hashes"] = conversations(random, case["jobs"], unit)
        case |= {"prefix_cache": str(random.choice(["on", "unlimited"])), "hash_tokens": unit}
    both(tables=tables, **case)
