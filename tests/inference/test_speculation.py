"""Speculative decoding: what is drafted, verified and accepted, and what it costs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulators.errors import InputError
from simulators.inference.acceptance import FOLDER, acceptance, acceptance_names
from simulators.inference.batching.policies import limits_for
from simulators.inference.batching.speculation import drawn
from simulators.inference.cluster import Cluster
from simulators.inference.drive import Driver
from simulators.inference.metrics import Metrics
from simulators.inference.options import Serving
from simulators.inference.replica import Replica
from simulators.inference.routing import router
from simulators.inference.serving import build_cluster, build_replicas
from simulators.inference.sizing import serving_files
from simulators.inference.speculation import assumptions, speculation_of
from simulators.inference.timing.tables import Drafting, StageTables, with_drafting
from simulators.traffic.options import workload_from_options

from ..benchmarks.speculation import case
from .oracle_speculation import Drafter
from .random_cases import random_cases
from .runs import FLAT, both, flat_tables
from .test_cluster import block, busy_jobs
from .test_equality import GRID_S, cases, random_tables
from .test_one_by_one import Brought
from .test_prefix import conversations

ROOFLINE = Serving(
    gpu="h100",
    iteration_time="roofline",
    speculate=3,
    acceptance="kimik2.5_eagle3",
    kv_blocks=600,
    batch_cap=24,
)


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
@random_cases(60)
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


def free_drafter(depth: int, tables: StageTables, acceptance: list[float]) -> Drafter:
    """Drafts that cost nothing."""
    shape = (5, *tables.decode_s.shape)
    return Drafter(depth, acceptance, 7, Drafting(np.zeros(shape), np.zeros(5), 0.0))


def test_a_request_gains_what_is_accepted_and_never_more_than_it_is_to_get() -> None:
    """By hand: one iteration a second. Three drafted and accepted: 4 tokens each; of the last ones, what is left."""
    tables = flat_tables(1.0)
    run, _ = both(
        [(0.0, 5, 11)], tables, FLAT, "vllm_v1", total_blocks=50, drafter=free_drafter(3, tables, [1.0] * 3)
    )
    first = run.iterations.xs(0, level="stage")
    # the prompt gives one of the 11; then 4, 4 and the last 2 of 4
    assert first.tokens.tolist() == [5, 4, 4, 4]
    (request,) = run.requests.itertuples()
    assert request.completed_at == 4.0
    c = run.replica.state.counters[0]
    assert (c.verifications, c.drafted, c.accepted, c.decode_tokens) == (3, 9, 7, 11)
    assert request.rejected_j == pytest.approx(300.0 * 2 / 4)
    never, _ = both(
        [(0.0, 5, 11)], tables, FLAT, "sarathi", total_blocks=50, drafter=free_drafter(3, tables, [0.0] * 3)
    )
    assert never.requests.completed_at.tolist() == [11.0]
    assert never.requests.rejected_j.tolist() == [pytest.approx(10 * 300.0 * 3 / 4)]


def test_drafted_tokens_count_in_the_budget_and_take_blocks() -> None:
    """Two decodes of 1 + 3 tokens and a budget of 6: the second verifies one; blocks of one token show what is held."""
    tables = flat_tables(1.0)
    given: dict[str, Any] = {
        "total_blocks": 40,
        "block_tokens": 1,
        "drafter": free_drafter(3, tables, [0.0] * 3),
    }
    for scheduler, bound in (("vllm_v1", "max_batch_tokens"), ("sarathi", "chunk_size")):
        run, _ = both(
            [(0.0, 2, 4), (0.0, 2, 4)], tables, FLAT, scheduler, watermark=0.0, **{bound: 6}, **given
        )
        first = run.iterations.xs(0, level="stage")
        assert first.tokens.tolist()[:2] == [4, 6]
        assert first.kv_blocks_used.tolist()[:2] == [4, 10]
    run, _ = both([(0.0, 8, 9), (0.0, 8, 9)], tables, FLAT, "vllm_v1", **given | {"total_blocks": 21})
    assert run.requests.restarts.sum() > 0


def test_draws_are_even_and_independent() -> None:
    """Of requests and of their progress; a number of its own for every key."""
    u = np.array([[drawn(11, request, 100 + step) for step in range(40)] for request in range(500)])
    counts, _ = np.histogram(u, bins=20, range=(0, 1))
    assert ((counts - 1000) ** 2 / 1000).sum() < 45  # 0.1 % of chi squared with 19 degrees
    for a, b in ((u[:, 1:], u[:, :-1]), (u[1:], u[:-1])):
        assert abs(np.corrcoef(a.ravel(), b.ravel())[0, 1]) < 4 / np.sqrt(a.size)
    assert drawn(11, 1, 1) != drawn(12, 1, 1) != drawn(12, 2**32 + 1, 1)


@pytest.mark.parametrize("name", acceptance_names())
def test_published_lengths_are_the_means_of_what_is_drawn(name: str) -> None:
    for depth in range(1, 9):
        found = acceptance(name, depth)
        p = np.array(found.at_least)
        assert 1 + p.sum() == pytest.approx(found.length.value, abs=1e-12)
        assert ((p >= 0) & (p <= 1)).all()
        assert (np.diff(p) <= 1e-12).all()
        assert found.length.low <= found.length.value <= found.length.high
        assert "coding prompts only" in found.source


def test_acceptance_as_users_say_it(tmp_path: Path) -> None:
    assert acceptance("0.8,0.6,0.5,0.1", 3).at_least == (0.8, 0.6, 0.5)
    assert 1 + sum(acceptance("2.4", 5).at_least) == pytest.approx(2.4, abs=1e-12)
    assert acceptance("4", 3).at_least == (1.0, 1.0, 1.0)
    own = tmp_path / "own.csv"
    own.write_text("depth,acceptance_length\n2,2.3\n1,1.7\n")
    assert acceptance(str(own), 2).at_least == pytest.approx((0.7, 0.6))
    copy = tmp_path / "other.yaml"
    copy.write_text((FOLDER / "qwen3.5_mtp.yaml").read_text())
    off = acceptance(f"{copy}:thinking_off", 4)
    assert off.at_least == acceptance("qwen3.5_mtp:thinking_off", 4).at_least
    assert "coding" not in off.source  # nobody knows what the user's were measured on
    given = ROOFLINE.model_copy(update={"acceptance": str(own), "speculate": 2})
    assert ("acceptance", own) in serving_files(given)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"acceptance": None}, "expected --acceptance"),
        ({"speculate": 0}, "--acceptance: expected with --speculate"),
        ({"acceptance": "qwen3.5_mpt"}, "did you mean"),
        ({"acceptance": "qwen3.5_mtp", "speculate": 9}, "no acceptance length at depth 9"),
        ({"acceptance": "glm5.2_mtp:thinking_off"}, "no thinking_off in it"),
        ({"acceptance": "4.5"}, "acceptance length up to 4 tokens"),
        ({"acceptance": "YAML:m:\n  thinking_on: {1: 1.9, 2: 2.5, 3: 3, 3: 2}\n"}, "'3' stands twice"),
        ({"acceptance": "-1"}, "a probability from 0 to 1"),
        ({"acceptance": "nan"}, "a probability from 0 to 1"),
        ({"acceptance": "0.5,0.6,0.1"}, "not rising"),
        ({"acceptance": "0.5,0.4"}, "expected 3 shares"),
        ({"acceptance": "none.csv"}, "no such file"),
        ({"acceptance": "FILE:depth,length\n1,1.5\n"}, "'acceptance_length' is missing"),
        ({"acceptance": "FILE:depth,acceptance_length\n1,1.5\n1,1.6\n"}, "data row 2"),
        ({"acceptance": "FILE:depth,acceptance_length\n1,2.5\n2,2\n3,3\n"}, "depth 1: acceptance length 2.5"),
        ({"acceptance": "FILE:depth,acceptance_length\n1,x\n"}, "data row 1"),
        ({"acceptance": "YAML:[1, 2"}, "cannot be read as YAML"),
        ({"acceptance": "YAML:m:\n  thinking_on:\n    1: high\n"}, "thinking_on: 1: high"),
        ({"draft_model": "nobody/knows-it"}, "--draft-model nobody/knows-it"),
        ({"draft_model": "Qwen/Qwen3-4B"}, "tokens in its vocabulary"),
        ({"draft_model": "meta-llama/Llama-3.2-1B", "draft_share": 0.1}, "expected one"),
        ({"scheduler": "orca"}, "expected with --scheduler vllm_v1 or sarathi, not orca"),
    ],
)
def test_what_does_not_go_together_is_refused_in_one_line(
    given: dict[str, Any], said: str, tmp_path: Path
) -> None:
    for kind, suffix in (("FILE:", ".csv"), ("YAML:", ".yaml")):
        if str(given.get("acceptance")).startswith(kind):
            path = tmp_path / f"own{suffix}"
            path.write_text(given["acceptance"].removeprefix(kind))
            given = given | {"acceptance": str(path)}
    with pytest.raises(InputError) as error:
        build_replicas(ROOFLINE.model_copy(update=given))
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_a_number_in_a_toml_file_is_a_number_on_the_command_line() -> None:
    assert [ROOFLINE.__class__(speculate=3, acceptance=given).acceptance for given in (0.6, 2)] == [
        "0.6",
        "2",
    ]
    with pytest.raises(ValueError, match="valid string"):
        ROOFLINE.__class__(speculate=3, acceptance=True)


@pytest.mark.parametrize("scheduler", ["vllm", "orca", "static"])
def test_other_policies_do_not_speculate(scheduler: str) -> None:
    with pytest.raises(InputError, match="expected with --scheduler"):
        limits_for(scheduler, total_blocks=500, depth=2)


def served(step_s: float, routed: str, **given: Any) -> tuple[np.ndarray, dict[str, Any]]:
    """A cluster to its end: its requests as they arrived, and its summary."""
    cluster, _ = build_cluster(ROOFLINE.model_copy(update=given), router_name=routed)
    driver = Driver(
        cluster, workload_from_options(rate_per_s=40.0, lengths="uniform:50:400:1", num_requests=400, seed=3)
    )
    metrics, parts, until = Metrics(), [], 0.0
    while not driver.idle:
        until += step_s
        interval = driver.advance(until)  # checks requests and joules of every interval
        metrics.add(interval)
        parts.append(interval.finished)
        carried = cluster.unfinished()
        total_j = carried["prefill_j"].sum() + carried["decode_j"].sum()
        assert total_j == pytest.approx(cluster.requests_j(), rel=1e-9)
    rows = np.concatenate(parts)
    return rows[np.argsort(rows["request_id"])], metrics.summary(cluster)


@pytest.mark.parametrize(("routed", "pp"), [("least_outstanding", 1), ("round_robin", 2)])
def test_the_same_whatever_the_steps_and_joules_add_up(routed: str, pp: int, monkeypatch: Any) -> None:
    """Also by how many threads replicas are carried; with a cap in force and while requests are evicted."""
    given: dict[str, Any] = {"replicas": 3, "pp": pp, "power_cap_w": 450.0, "kv_blocks": 120}
    rows, told = served(5.0, routed, **given)
    monkeypatch.setenv("WATTLOOP_THREADS", "2")
    again, _ = served(0.73, routed, **given)
    for name in ("completed_at", "restarts", "replica"):
        assert (rows[name] == again[name]).all()
    for name in ("prefill_j", "decode_j", "draft_j", "rejected_j"):
        np.testing.assert_allclose(rows[name], again[name], rtol=1e-12)
    found = told["speculation"]
    assert rows["restarts"].sum() > 0
    assert found["depth"] == 3
    assert found["drafting_j"] == pytest.approx(rows["draft_j"].sum(), rel=1e-9)
    assert found["rejected_j"] == pytest.approx(rows["rejected_j"].sum(), rel=1e-9)
    assert (rows["draft_j"] + rows["rejected_j"] < rows["prefill_j"] + rows["decode_j"]).all()
    assert (
        found["tokens_drafted"]
        == 3 * found["verifications"]
        >= found["tokens_verified"]
        > found["tokens_accepted"]
    )
    # every token but the first of each prefill comes from a verification
    firsts = len(rows) + rows["restarts"].sum()
    assert found["verifications"] + found["tokens_accepted"] <= rows["decode_tokens"].sum()
    assert found["verifications"] + found["tokens_accepted"] >= rows["decode_tokens"].sum() - firsts
    assert 2.6 < found["acceptance_length"] < 2.88  # ends of outputs cut some


@pytest.mark.parametrize("name", ["least_outstanding", "power_of_two"])
def test_the_same_choices_as_bringing_all_to_every_arrival(name: str) -> None:
    """A router that looks at replicas knows when one may be done, though tokens come several at a time."""
    tables = flat_tables(0.1, 0.01)
    drafter = free_drafter(5, tables, [0.9, 0.9, 0.8, 0.8, 0.7])
    runs = []
    for kind in (Cluster, Brought):
        replicas = [
            Replica(
                limits_for("vllm_v1", total_blocks=60, batch_cap=8, depth=5),
                with_drafting(tables, drafter.drafting),
                FLAT,
            )
            for _ in range(4)
        ]
        for replica in replicas:
            replica.speculate(drafter.acceptance, drafter.key)
        cluster = kind(replicas, router(name, 4, np.random.default_rng(5)))
        rows = cluster.advance(400.0, block(busy_jobs(1, 150, 3.0))).finished
        runs.append(rows[np.argsort(rows["request_id"])])
    assert len(runs[0]) == 150
    for field in ("replica", "completed_at"):
        assert (runs[0][field] == runs[1][field]).all()


def test_a_cap_holds_for_drafts_too() -> None:
    """Drafting draws no more than the cap, and takes longer for it where arithmetic binds it."""
    powers = []
    for cap_w in (None, 300.0):
        serving = ROOFLINE.model_copy(
            update={"power_cap_w": cap_w, "draft_model": "meta-llama/Llama-3.2-1B", "acceptance": "0.7"}
        )
        cluster, _ = build_cluster(serving, log=True)
        workload = workload_from_options(rate_per_s=20.0, lengths="fixed:300:60", num_requests=60, seed=1)
        driver, until = Driver(cluster, workload), 0.0
        while not driver.idle:
            until += 5.0
            driver.advance(until)
        powers.append(cluster.replicas[0].take_log()["power_w"].max())
    assert powers[1] <= 300.0 * (1 + 1e-9) < powers[0]


def test_memory_and_assumptions_of_a_draft() -> None:
    """A draft leaves fewer KV blocks; what speculation rests on is told with its range."""
    plain = Serving(gpu="h100", iteration_time="roofline")
    blocks = {}
    for name, update in (
        ("none", {}),
        ("prompt", {"speculate": 2, "acceptance": "0.5", "draft_share": 0.0}),
        ("head", {"speculate": 2, "acceptance": "0.5"}),
        ("model", {"speculate": 2, "acceptance": "0.5", "draft_model": "meta-llama/Llama-3.2-1B"}),
    ):
        _, facts = build_replicas(plain.model_copy(update=update))
        blocks[name] = facts["kv_blocks"]
    assert blocks["none"] == blocks["prompt"] > blocks["head"] > blocks["model"]
    found = {one.name: one.factor for one in assumptions({"speculation": speculation_of(ROOFLINE).facts()})}
    length, share = found["acceptance length at depth 3"], found["draft_share"]
    assert (length.low, length.value, length.high) == (2.49, 2.88, 3.39)
    assert share.low < share.value < share.high
    assert assumptions({}) == []


@pytest.mark.parametrize(("kind", "requests"), [("dense", 1), ("dense", 64), ("MoE", 1), ("MoE", 64)])
def test_the_speed_up_is_that_of_the_closed_form(kind: str, requests: int) -> None:
    """Bound by memory at batch 1; on a mixture of experts each drafted token reads experts of its own there."""
    found = case(kind, requests, 3)
    assert found["error"] == pytest.approx(0.0, abs=0.03)
    assert found["time"] > found["energy"] > 1.0
    if requests == 1:
        assert (found["time"] > 2.0) == (kind == "dense")
