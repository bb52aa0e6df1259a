"""Request by request against recorded runs of Vidur, fed with their arrivals and their tables of iteration times."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from simulators.inference.batching.policies import limits_for
from simulators.inference.catalogue import gpu, model
from simulators.inference.power.laws import mfu_law
from simulators.inference.replica import Replica
from simulators.inference.timing.profile import profile_tables
from simulators.inference.timing.tables import StageTables

from .oracle import Server
from .runs import Run, run_oracle, run_replica

REFERENCE = Path(__file__).resolve().parents[2] / ".." / "shared" / "reference" / "vidur"
KV_BLOCKS = 30208
"""Llama-3-8B on an A100 with 80 GB: 118 sequences of 4096 tokens, blocks of 16."""
RUNS = {"A": ("vllm", "8b_a100_tp1"), "B": ("sarathi", "8b_a100_tp1"), "D": ("orca", "8b_a100_tp1_orca")}

pytestmark = [
    pytest.mark.shared,
    pytest.mark.skipif(not REFERENCE.is_dir(), reason="reference runs are not beside the checkout"),
]


def reference_tables(folder: str) -> StageTables:
    """The tables of a run; its MFU counts a TFLOP as 2^40 FLOP."""
    return profile_tables(
        REFERENCE / "tables" / folder,
        model("meta-llama/Meta-Llama-3-8B"),
        gpu("a100"),
        peak_flops=312.0 * 2**40,
    )


def jobs_of(requests: pd.DataFrame) -> list[tuple[float, int, int]]:
    columns = (requests.arrived_at, requests.prefill_tokens, requests.decode_tokens)
    return list(zip(*(column.tolist() for column in columns), strict=True))


@pytest.fixture(scope="module", params=RUNS)
def recorded(request: pytest.FixtureRequest) -> tuple[str, pd.DataFrame, pd.DataFrame, Run, StageTables]:
    """Name, the reference's requests and batches, and our run."""
    scheduler, folder = RUNS[request.param]
    requests = pd.read_csv(REFERENCE / request.param / "requests.csv").sort_values("arrived_at")
    batches = pd.read_csv(REFERENCE / request.param / "batches.csv.gz")
    tables = reference_tables(folder)
    replica = Replica(limits_for(scheduler, total_blocks=KV_BLOCKS), tables, mfu_law(100.0, 400.0), log=True)
    run = run_replica(replica, jobs_of(requests))
    return request.param, requests.reset_index(drop=True), batches, run, tables


@pytest.mark.parametrize("field", ["scheduled_at", "prefill_completed_at", "completed_at"])
def test_every_request_at_the_same_time(recorded: tuple, field: str) -> None:
    _, requests, _, run, _ = recorded
    assert len(run.requests) == len(requests)
    np.testing.assert_allclose(run.requests[field], requests[field], rtol=0, atol=1e-9)


def test_the_same_batches(recorded: tuple) -> None:
    _, requests, batches, run, _ = recorded
    ours = run.iterations.reset_index()
    assert len(ours) == len(batches)
    for name, reference in {
        "batch_id": "batch_id",
        "batch_size": "batch_size",
        "tokens": "total_tokens",
        "prefill_tokens": "prefill_tokens",
        "decode_batch_size": "decode_batch_size",
        "kv_blocks_used": "allocated_blocks",
        "waiting": "waiting_requests",
    }.items():
        np.testing.assert_array_equal(ours[name], batches[reference], err_msg=name)
    np.testing.assert_allclose(ours.start_s, batches.start_time, rtol=0, atol=1e-9)
    np.testing.assert_allclose(ours.duration_s, batches.execution_time, rtol=1e-9)
    assert run.requests.restarts.tolist() == requests.num_restarts.tolist()


def test_the_same_mfu(recorded: tuple) -> None:
    """The reference prints percent with six decimals; what rounding leaves open is granted, and 1e-6 of the value."""
    _, _, batches, run, _ = recorded
    np.testing.assert_allclose(100 * run.iterations.mfu, batches.mfu_percent, rtol=1e-9, atol=5.0001e-7)


def test_the_oracle_as_well(recorded: tuple) -> None:
    """The plain implementation reproduces the runs too: on the first 150 requests, but for their tail."""
    name, requests, batches, _, tables = recorded
    scheduler, _ = RUNS[name]
    server = Server(scheduler, tables, lambda mfu, mbu, comm: 300.0, total_blocks=KV_BLOCKS)
    ours, iterations = run_oracle(server, jobs_of(requests[:150]))
    same = (requests.completed_at < requests.arrived_at[150]).to_numpy()[:150]
    assert same.sum() > 100
    for field in ("scheduled_at", "prefill_completed_at", "completed_at"):
        np.testing.assert_allclose(ours[field][same], requests[field][:150][same], rtol=0, atol=1e-9)
    before = (batches.start_time < requests.arrived_at[150]).sum()
    assert iterations.batch_size[:before].tolist() == batches.batch_size[:before].tolist()
    assert iterations.kv_blocks_used[:before].tolist() == batches.allocated_blocks[:before].tolist()
