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
import silicon_rows
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


def test_a_server_that_looks_up_rarely_lets_new_requests_wait(tables):
    at_once, rarely = (
        closed_loop(Cost(tables), Policy(mixed=False, look_every=n), 4, 500, 100, 10**6, 40, (0.2, 0.2))
        for n in (1, 30)
    )
    step_s = stage_seconds(tables, [600] * 4, [])
    assert 5 * step_s < rarely[0].mean() - at_once[0].mean() < 30 * step_s


def test_prompts_that_are_gathered_wait_for_each_other(tables):
    """Nobody else comes within twenty iterations, so every prompt but the first ones waits for that long."""
    at_once, gathered = (
        closed_loop(Cost(tables), policy, 4, 500, 400, 10**6, 40, (0.0, 0.2))
        for policy in (Policy(), Policy(wait_iterations=20, wait_tokens=8000))
    )
    step_s = stage_seconds(tables, [700] * 4, [])
    assert gathered[0].mean() - at_once[0].mean() == pytest.approx(20 * step_s, rel=0.3)
    none = closed_loop(
        Cost(tables), Policy(wait_iterations=20, wait_tokens=400), 4, 500, 400, 10**6, 40, (0.0, 0.2)
    )
    np.testing.assert_allclose(none[0], at_once[0])


@pytest.mark.shared
@pytest.mark.skipif(not silicon_accuracy.ROWS.exists(), reason="reference data absent")
def test_prediction_of_a_real_server():
    """vLLM with Llama-3.1-70B in FP8 on four H100: 4 to 64 clients, three mixes of lengths."""
    rows, _ = silicon_rows.clean(silicon_rows.read(silicon_accuracy.ROWS))
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
        silicon_rows.read(path)
    with pytest.raises(InputError, match="cannot be read"):
        silicon_rows.read(tmp_path / "none.csv")
