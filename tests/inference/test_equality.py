"""The compiled loop and the plain implementation do the same, whatever the workload, tables and limits."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from simulators.inference.batching.policies import POLICIES
from simulators.inference.power.law import TABLE
from simulators.inference.power.laws import constant_law, energy_law, make_law, mfu_law
from simulators.inference.power.terms import Joules
from simulators.inference.timing.tables import (
    INTERPOLATE,
    LOOKUP,
    MIXED,
    StageTables,
    with_prompts,
    with_ranks,
)

from .runs import FLAT, Job, both, flat_tables

LAWS = (
    mfu_law(100.0, 400.0),
    mfu_law(60.0, 700.0, saturation=0.2, exponent=1.3),
    constant_law(50.0, 250.0),
    energy_law(80.0, 700.0, 60.0, Joules(np.array([0.0, 15.0, 22.0, 24.0]), 3.0, 0.02, 0.05)),
    energy_law(80.0, 300.0, 0.0, Joules(np.array([0.0, 200.0, 420.0]), 0.0, 0.0, 0.1)),
    make_law(TABLE, 75.0, 400.0, curve=(np.array([0.0, 0.1, 0.6]), np.array([90.0, 200.0, 380.0]))),
)
GRID_S = 0.125
"""Times that are multiples of a power of two add up without rounding, so two events can share an instant."""


def increasing(random: np.random.Generator, *shape: int, scale_s: float, grid: bool) -> np.ndarray:
    """Times that grow along every axis, s; multiples of the grid if asked for."""
    steps = random.integers(0, 3, shape) * GRID_S if grid else random.exponential(scale_s, shape)
    for axis in range(len(shape)):
        steps = np.cumsum(steps, axis=axis) / (1 if grid else shape[axis])
    return steps


def random_tables(seed: int, mode: int, grid: bool) -> StageTables:
    """Tables with increasing times and arbitrary work, at times smaller than the batches (then they are continued)."""
    random = np.random.default_rng(seed)
    rows = int(random.integers(2, 12))
    columns = int(random.integers(2, 8))
    kv_step = int(random.choice([8, 64]))
    tokens = int(random.integers(4, 300))

    def table(*shape: int, scale_s: float) -> np.ndarray:
        return increasing(random, *shape, scale_s=scale_s, grid=grid)

    token_s = 4 * GRID_S + table(tokens, scale_s=0.5)
    chunks = int(random.integers(2, 40))
    if mode == LOOKUP:
        decode_kv = prefill_kv = kv_step * np.arange(columns, dtype=float)
        # a chunk beyond the table costs its square, which leaves the grid: make the table long enough
        prefill_chunk = np.arange(1200 if grid else chunks, dtype=float)
    else:
        decode_kv, prefill_kv = (np.cumsum(random.uniform(1, 60, columns)) - 1 for _ in range(2))
        prefill_chunk = np.cumsum(random.uniform(1, 30, chunks))
    prefill_s = table(len(prefill_chunk), columns, scale_s=0.1)
    decode_s = table(rows + 1, columns, scale_s=0.2)
    if mode == INTERPOLATE and random.integers(0, 2):
        mode = MIXED
        beside_s = table(rows + 1, columns, scale_s=0.3)
        decode_s = with_prompts(decode_s, beside_s, float(random.uniform(0, 0.01)))
    prefill_floor_s = 0.0 if mode == LOOKUP else float(prefill_s[0, 0])
    if mode != LOOKUP and random.integers(0, 2):
        apart_s = table(len(prefill_chunk), scale_s=0.05)
        prefill_s = with_ranks(prefill_s, apart_s, int(random.integers(2, 5)))
    return StageTables(
        mode=mode,
        token_s=token_s,
        sequence_s=table(20, scale_s=0.1),
        send_s=table(20, scale_s=0.1),
        comm_s=0.3 * token_s,
        decode_s=decode_s,
        decode_kv=decode_kv,
        prefill_s=prefill_s,
        prefill_chunk=prefill_chunk,
        prefill_kv=prefill_kv,
        prefill_floor_s=prefill_floor_s,
        kv_step=kv_step,
        shared_factor=float(random.choice([1.0, 1.5])) if grid else 1.1,
        flops_per_token=float(random.uniform(1, 10)),
        flops_per_pair=float(random.uniform(0, 0.1)),
        weight_bytes=100 + np.cumsum(random.uniform(0, 1, 30)),
        kv_bytes_per_token=float(random.uniform(0, 1)),
        peak_flops=2e3,
        peak_bytes=1e3,
    )


@st.composite
def workloads(draw: st.DrawFn, grid: bool) -> list[Job]:
    """Bursts of requests with gaps between them, from simultaneous to long idle; one-token prompts and outputs too."""
    bursts = draw(
        st.lists(st.tuples(st.sampled_from([0, 1, 6, 40]), st.integers(1, 6)), min_size=1, max_size=4)
    )
    length = st.one_of(st.just(1), st.integers(1, 30), st.integers(30, 110))
    now = 0.0
    jobs = []
    for scale, count in bursts:
        for k in range(count):
            if k == 0 or draw(st.booleans()):
                gap = draw(st.integers(0, 8))
                now += gap * GRID_S * scale if grid else gap * 0.1234567 * scale * (1 + len(jobs) / 97)
            jobs.append((now, draw(length), draw(length)))
    return jobs


@st.composite
def cases(draw: st.DrawFn, scheduler: str) -> dict[str, Any]:
    """Everything `both` takes."""
    grid = draw(st.booleans())
    mode = LOOKUP if grid else draw(st.sampled_from([LOOKUP, INTERPOLATE]))
    block = draw(st.sampled_from([1, 4, 16]))
    stages = draw(st.sampled_from([1, 1, 1, 2, 3, 4]))
    step_s = draw(st.sampled_from([4.0, 16.0, 1024.0]))
    options: dict[str, Any] = {
        "total_blocks": draw(st.integers(160, 500)) // block,
        "batch_cap": draw(st.sampled_from([4, 5, 9, 64])),
        "max_batch_tokens": draw(st.sampled_from([16, 100, 512])),
        "chunk_size": draw(st.sampled_from([3, 32, 200])),
        "stages": stages,
        "block_tokens": block,
        "watermark": draw(st.sampled_from([0.0, 0.01, 0.1])),
        "chunked": draw(st.booleans()) or scheduler != "vllm_v1",
        "ahead": scheduler == "vllm_v1" and stages == 1 and draw(st.booleans()),
        "max_model_len": draw(st.sampled_from([64, 150])),
        "gpus": draw(st.integers(1, 2)),
        "attribution": draw(st.sampled_from(["work", "tokens"])),
        "table_choice": (draw(st.integers(0, 2**32)), mode, grid),
        "law": draw(st.sampled_from(LAWS)),
        "drive": {
            "step_s": step_s,
            "width_s": draw(st.sampled_from([None, step_s / 8, step_s / 5])),
            "cuts": draw(st.lists(st.integers(0, 3000).map(lambda k: k * GRID_S), max_size=12)),
            "just_in_time": draw(st.booleans()),
        },
    }
    return {"jobs": draw(workloads(grid)), "scheduler": scheduler, **options}


@pytest.mark.parametrize("scheduler", POLICIES)
@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_any_workload(scheduler: str, data: st.DataObject) -> None:
    case = data.draw(cases(scheduler))
    both(tables=random_tables(*case.pop("table_choice")), **case)


@pytest.mark.parametrize("scheduler", POLICIES)
@settings(max_examples=20, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_any_workload_under_a_cap_set_later(scheduler: str, data: st.DataObject) -> None:
    """A replica made with one batch cap and set to another is one made with the other."""
    case = data.draw(cases(scheduler))
    stages, blocks = case["stages"], case["total_blocks"]
    case["batch_cap"], built_with = data.draw(st.tuples(*[st.integers(stages, blocks)] * 2))
    both(tables=random_tables(*case.pop("table_choice")), built_with=built_with, **case)


def test_attention_does_not_go_below_nothing_where_tables_are_continued() -> None:
    """Contexts below the first of the tables, whose straight line would give a negative time there."""
    tables = random_tables(17379, INTERPOLATE, grid=False)
    both(
        [(0.0, 1, 38)],
        tables,
        LAWS[0],
        "static",
        total_blocks=160,
        max_model_len=64,
        drive={"step_s": 1024.0},
    )


@pytest.mark.parametrize("scheduler", POLICIES)
def test_the_tightest_caches_are_reached(scheduler: str) -> None:
    """The workloads above are worth something only if they evict; here is one that must, again and again."""
    random = np.random.default_rng(1)
    jobs = [
        (float(t), int(p), int(d))
        for t, p, d in zip(range(40), *random.integers(1, 80, (2, 40)), strict=True)
    ]
    for stages in (1, 2, 4):
        run, _ = both(
            jobs, flat_tables(0.5, 0.01), FLAT, scheduler,
            total_blocks=17, batch_cap=16, chunk_size=24, max_batch_tokens=160, stages=stages, max_model_len=64,
            drive={"step_s": 10.0},
        )  # fmt: skip
        assert (run.requests.restarts.sum() > 10) == (scheduler in ("vllm", "vllm_v1", "sarathi"))


@pytest.mark.parametrize("scheduler", POLICIES)
@pytest.mark.parametrize("stages", [1, 2])
def test_step_arrival_and_end_of_a_batch_at_one_instant(scheduler: str, stages: int) -> None:
    """What happens at the end of a step belongs to the next one, which may bring another request at that instant."""
    jobs = [(0.0, 3, 9), (4.0, 5, 6), (8.0, 2, 1), (8.0, 2, 3), (12.0, 4, 4)]
    runs = [
        both(
            jobs, flat_tables(), FLAT, scheduler, total_blocks=100, max_model_len=16, stages=stages,
            drive={"step_s": step_s, "just_in_time": True},
        )[0].requests
        for step_s in (1.0, 4.0, 64.0)
    ]  # fmt: skip
    for requests in runs[1:]:
        assert requests.completed_at.tolist() == runs[0].completed_at.tolist()


@pytest.mark.parametrize(("scheduler", "just_in_time"), [("vllm", True), ("sarathi", False), ("orca", True)])
def test_more_requests_than_any_buffer_holds(scheduler: str, just_in_time: bool) -> None:
    """Slots grow, finished requests and iterations are collected; nothing is lost on the way."""
    random = np.random.default_rng(2)
    arrivals = np.cumsum(random.exponential(0.04, 9000))
    lengths = random.integers(1, 6, (2, 9000))
    jobs = [(float(t), int(p), int(d)) for t, p, d in zip(arrivals, *lengths, strict=True)]
    both(
        jobs, flat_tables(0.1), FLAT, scheduler, total_blocks=64, batch_cap=16, max_model_len=16,
        drive={"step_s": 120.0, "just_in_time": just_in_time},
    )  # fmt: skip


def test_uncompiled_is_the_same() -> None:
    """`NUMBA_DISABLE_JIT=1` runs the very same functions as plain Python."""
    code = (
        "from inference.runs import *\n"
        "from simulators.inference.batching.policies import POLICIES\n"
        "jobs = [(0.0, 20, 40), (0.0, 30, 50), (2.5, 60, 3), (40.0, 5, 1)]\n"
        "for scheduler in POLICIES:\n"
        "    for stages in (1, 2):\n"
        "        run, _ = both(jobs, flat_tables(per_token_s=0.125), FLAT, scheduler, total_blocks=8, batch_cap=8,\n"
        "                      max_model_len=64, stages=stages, drive={'step_s': 7.0, 'width_s': 1.75})\n"
        "        print(scheduler, stages, *run.requests.completed_at, *run.requests.restarts)\n"
    )
    root = Path(__file__).resolve().parents[2]

    def output(**variables: str) -> str:
        path = os.pathsep.join([str(root), str(root / "tests")])
        environment = {**os.environ, "PYTHONPATH": path, **variables}
        result = subprocess.run(
            [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
        )
        return result.stdout

    plain = output(NUMBA_DISABLE_JIT="1")
    assert len(plain.splitlines()) == 2 * len(POLICIES)
    assert plain == output(NUMBA_DISABLE_JIT="0")
