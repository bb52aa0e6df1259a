"""The closed loop of the silicon benchmark against arithmetic, and its prediction of real servers."""

import sys
from pathlib import Path

import numpy as np
import pytest

from simulators.errors import InputError
from simulators.inference.catalogue import gpu, model
from simulators.inference.timing import stage_tables
from simulators.inference.timing.seconds import stage_seconds

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "benchmarks"))
import silicon_accuracy
from closed_loop import Cost, Policy, closed_loop


@pytest.fixture(scope="module")
def tables():
    size = {"max_tokens": 2048, "max_batch": 64, "max_context": 4096}
    return stage_tables("measured", model("meta-llama/Llama-3.1-8B"), gpu("a100"), **size)


def test_cost_is_the_reference_s(tables):
    cost = Cost(tables)
    for decodes, prompts in [
        ([700] * 9, []),
        ([], [(512, 0), (100, 900)]),
        ([64, 3000], [(1, 4000)]),
        ([5000] * 80, []),
    ]:
        expected = stage_seconds(tables, decodes, prompts)
        assert cost.seconds(len(decodes), sum(decodes), prompts) == pytest.approx(expected, rel=1e-12)


def test_one_client_gets_prompt_then_tokens(tables):
    ttft, tpot = closed_loop(Cost(tables), Policy(), 1, 1000, 101, kv_tokens=10**6, requests=2)
    np.testing.assert_allclose(ttft, stage_seconds(tables, [], [(1000, 0)]))
    steps = [stage_seconds(tables, [1001 + i], []) for i in range(100)]
    np.testing.assert_allclose(tpot, np.mean(steps), rtol=1e-3)


def test_more_clients_wait_longer_but_yield_more(tables):
    few, many = (
        closed_loop(Cost(tables), Policy(budget=1024), n, 500, 50, kv_tokens=10**6, requests=4 * n)
        for n in (2, 32)
    )
    assert many[0].mean() > few[0].mean()
    assert few[1].mean() < many[1].mean() < 16 * few[1].mean()


@pytest.mark.parametrize("reserve", [True, False])
def test_a_full_cache_delays_but_loses_nobody(tables, reserve):
    policy = Policy(reserve=reserve)
    roomy, tight = (closed_loop(Cost(tables), policy, 16, 500, 200, kv, requests=48) for kv in (10**6, 3000))
    assert len(tight[0]) == len(roomy[0]) == 48
    assert tight[0].mean() > roomy[0].mean()
    assert np.isfinite(tight[1]).all()


@pytest.mark.shared
@pytest.mark.skipif(not silicon_accuracy.ROWS.exists(), reason="reference data absent")
def test_prediction_of_a_real_server():
    """vLLM with Llama-3.1-70B in FP8 on four H100: 4 to 64 clients, three mixes of lengths."""
    rows = silicon_accuracy.read(silicon_accuracy.ROWS)
    rows = rows[
        (rows.system == "h100_sxm")
        & (rows.backend == "vllm")
        & rows.model_path.str.contains("70B")
        & (rows.tp_size == 4)
    ]
    assert len(rows) > 10
    predicted, left_out = silicon_accuracy.predict(rows)
    assert not left_out
    for name, goal in (("tpot", 0.10), ("ttft", 0.25)):
        median = float(predicted[f"{name}_error"].abs().median())
        print(f"{name}: median error {median:.1%} over {len(predicted)} rows")
        assert median < goal


def test_broken_rows_are_named(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text("a,b\n1,2\n")
    with pytest.raises(InputError, match="column 'backend' is missing"):
        silicon_accuracy.read(path)
    with pytest.raises(InputError, match="cannot be read"):
        silicon_accuracy.read(tmp_path / "none.csv")
