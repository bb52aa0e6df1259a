"""Operating points: what is fitted is what the batch loop is fed, and how much of the time a GPU is busy."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulators.errors import InputError
from simulators.inference.catalogue import gpu
from simulators.inference.power.points import (
    LARGEST_TABLE,
    TERMS,
    Deployment,
    Load,
    prompt_tokens_per_s,
    rates,
    work_of,
)
from simulators.inference.power.terms import Coefficients, joules
from simulators.inference.timing.sampling import sampling_s

LLAMA = Deployment("meta-llama/Llama-3.1-8B", "h100", 1)
DEPLOYMENTS = (
    LLAMA._replace(sampling="sorted", version="0.11.1"),
    Deployment("Qwen/Qwen3-30B-A3B", "h100", 2),
    Deployment("nvidia/NVIDIA-Nemotron-Nano-12B-v2", "h100", 1, sampling="random"),
    Deployment("someone/new", "b200", 2, parameters=100e9, active=10e9, precision="fp8", version="0.11.1"),
)
COEFFICIENTS = Coefficients(100.0, 1e-10, 1.1e-10, 1.2e-10, 1e-12, 0.6e-12, 0.5e-12, 0.4e-12, 1e-7)


@settings(max_examples=40, deadline=None)  # the first reads kernels
@given(st.sampled_from(DEPLOYMENTS), st.integers(1, LARGEST_TABLE), st.integers(1, 8000))
def test_what_is_fitted_is_what_is_fed(deployment: Deployment, batch: int, context: int):
    """Energy of a decode iteration, from units per second and from what the batch loop adds up."""
    iteration_s = 0.05
    per_s = rates(deployment, Load(batch, context, batch / iteration_s))
    fitted = (
        sum(getattr(COEFFICIENTS, term) * per_s[term] for term in TERMS if term != "active") * iteration_s
    )
    each = joules(COEFFICIENTS, work_of(deployment)[1])
    fed = each.per_tokens[batch] + each.per_sequence * batch
    fed += batch * context * (each.per_pair + each.per_cached)
    assert fitted == pytest.approx(fed, rel=1e-9)


def test_units_per_second_by_hand():
    found = rates(LLAMA, Load(8, 500, 1000))
    weights = 2 * (32 * (4096 * (2 * 4096 + 2 * 1024) + 3 * 4096 * 14336) + 128256 * 4096)
    assert found["weights"] == pytest.approx(weights * 125)
    assert found["kv"] == pytest.approx(8 * 500 * 131072 * 125)
    assert found["flop16"] == pytest.approx(1000 * (2 * 6979321856 + 524288 * 500))
    assert all(found[term] == 0 for term in ("experts", "flop8", "padded", "unpacked", "logits"))
    assert 0.4 < found["active"] < 1.0
    half = rates(LLAMA._replace(tp=2), Load(8, 500, 1000))
    assert half["weights"] == pytest.approx(found["weights"] / 2)
    assert half["active"] < found["active"]


def test_prompts_are_work_and_time():
    plain, fed = (rates(LLAMA, Load(8, 500, 100, prompts)) for prompts in (0.0, 2.0))
    assert fed["flop16"] > 2.9 * plain["flop16"]
    assert fed["weights"] == plain["weights"]
    tokens_per_s = prompt_tokens_per_s(LLAMA)
    assert fed["active"] - plain["active"] == pytest.approx(200 / tokens_per_s, rel=1e-6)
    # long prompts are bound by arithmetic: half to all of the peak
    assert 0.4 < tokens_per_s * 2 * 7e9 / gpu("h100").peak("bf16") < 1.0


def test_sampling_keeps_the_gpu_busy_and_the_host_does_not():
    greedy = rates(LLAMA, Load(64, 500, 1000))
    drawn = rates(LLAMA._replace(sampling="sorted"), Load(64, 500, 1000))
    assert drawn["active"] - greedy["active"] == pytest.approx(sampling_s(128256, "sorted") * 1000)
    assert drawn["logits"] == 128256 * 1000
    slower = rates(LLAMA, Load(64, 500, 500))
    assert slower["active"] == pytest.approx(greedy["active"] / 2)
    assert (
        rates(LLAMA, Load(64, 500, 1e6))["active"] == 1.0
    )  # faster than the kernels: never more than all the time


def test_a_model_nobody_knows_is_taken_by_its_size_or_refused():
    shape, work, _ = work_of(Deployment("someone/new", "h100", 1, parameters=30e9, active=3e9))
    assert shape.num_experts
    assert work.experts[1] > 0
    dense, _, _ = work_of(Deployment("someone/other", "h100", 1, parameters=8e9))
    assert not dense.num_experts
    with pytest.raises(InputError, match="'someone/new' is unknown"):
        work_of(Deployment("someone/new", "h100", 1))
    # a name the catalogue knows is not guessed
    known, _, _ = work_of(LLAMA._replace(parameters=1e9))
    assert known.parameters == pytest.approx(8.03e9, rel=0.01)
