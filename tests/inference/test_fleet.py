"""Clusters of several kinds of replicas, from a file, with results by group."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from simulators.errors import InputError
from simulators.inference.fleet import build_fleet, read_groups
from simulators.inference.metrics import Metrics
from simulators.inference.reliability import Reliability
from simulators.inference.serving import Serving
from simulators.quantities.requests import RequestBlock
from simulators.traffic.stream import Stream

from .runs import Fed

FLEET = """
iteration_time = "roofline"
power_law = "auto"

[[groups]]
gpu = "h100"
replicas = 2
power_cap_w = 500

[[groups]]
gpu = "a100"
batch_cap = 16
idle_off_s = 5.0

[[groups]]
model = "meta-llama/Meta-Llama-3-70B"
gpu = "h100"
tp = 4
"""


@pytest.fixture
def fleet_file(tmp_path: Path) -> Path:
    path = tmp_path / "fleet.toml"
    path.write_text(FLEET, encoding="utf-8")
    return path


def stream(count: int, rate_per_s: float) -> Stream:
    random = np.random.default_rng(3)
    arrived_at = np.cumsum(random.exponential(1 / rate_per_s, count))
    return Stream(iter([RequestBlock.of(arrived_at, *random.integers(50, 400, (2, count)))]))


def test_groups_of_a_file_stand_on_its_top(fleet_file: Path):
    groups = read_groups(fleet_file, Serving(batch_cap=64, gpu="a40"))
    assert [g.gpu for g in groups] == ["h100", "a100", "h100"]
    assert [g.batch_cap for g in groups] == [64, 16, 64]
    assert [g.power_cap_w for g in groups] == [500.0, None, None]
    assert {g.power_law for g in groups} == {"auto"}


def test_a_fleet_serves_and_its_groups_add_up(fleet_file: Path):
    made, facts = build_fleet(read_groups(fleet_file))
    cluster = Fed(made, stream(200, 8.0))
    assert facts["gpus"] == cluster.gpu_count == 2 + 1 + 4
    assert cluster.replicas[0].power_cap_w == 500.0
    metrics = Metrics()
    while not cluster.idle:
        interval = cluster.advance(metrics.span_s + 10.0)
        metrics.add(interval)
    summary = metrics.summary(cluster)
    groups = summary["groups"]
    assert list(groups) == ["Meta-Llama-3-8B on h100", "Meta-Llama-3-8B on a100", "Meta-Llama-3-70B on h100"]
    for key in ("requests_completed", "prefill_tokens", "decode_tokens"):
        assert sum(group[key] for group in groups.values()) == summary[key]
    for phase, joules in summary["gpu_energy_j"].items():
        assert sum(group["gpu_energy_j"][phase] for group in groups.values()) == pytest.approx(joules)
    assert all(group["requests_completed"] > 0 for group in groups.values())
    each_w = [g["gpu_energy_j"]["total"] / g["gpus"] / metrics.span_s for g in groups.values()]
    assert each_w[1] < each_w[0]  # an A100 against an H100
    per_token = [g["energy_j_per_output_token"] for g in groups.values()]
    assert per_token[2] > per_token[0]  # four GPUs and 70 B against one and 8 B


def test_groups_of_the_same_name_are_numbered():
    small = Serving(iteration_time="roofline", gpu="h100")
    cluster, facts = build_fleet([small, small.model_copy(update={"power_cap_w": 400.0})])
    assert [r.group for r in cluster.replicas] == [
        "Meta-Llama-3-8B on h100 (1)",
        "Meta-Llama-3-8B on h100 (2)",
    ]
    assert [g["gpu_max_w"] for g in facts["groups"]] == [700.0, 400.0]


def test_one_cap_for_all_must_suit_all():
    groups = [Serving(iteration_time="roofline", power_law="auto", gpu=name) for name in ("a100", "h100")]
    cluster, _ = build_fleet(groups)
    with pytest.raises(InputError, match="power cap: 100 W"):  # above an idle A100, below an idle H100
        cluster.power_cap_w = 100.0
    assert cluster.power_cap_w == np.inf
    cluster.power_cap_w = 300.0
    assert [r.power_cap_w for r in cluster.replicas] == [300.0, 300.0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("gpu = 'h100'", r"no \[\[groups\]\]"),
        ("groups = 3", r"no \[\[groups\]\]"),
        ("[[groups]]\ngpuu = 'h100'", "group 1, gpuu: 'h100' given"),
        ("[[groups]]\n[[groups]]\ntp = 0", "group 2, tp: 0 given"),
        ("[[groups", "expected TOML"),
    ],
)
def test_bad_files_are_one_line(tmp_path: Path, text: str, message: str):
    path = tmp_path / "bad.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=message) as error:
        read_groups(path)
    assert "\n" not in str(error.value)


def test_a_missing_file_and_no_group_are_said():
    with pytest.raises(InputError, match="no such file"):
        read_groups(Path("nowhere.toml"))
    with pytest.raises(InputError, match="no group"):
        build_fleet([])


def test_an_unknown_gpu_is_one_line(tmp_path: Path):
    with pytest.raises(InputError, match="h1000"):
        build_fleet([Serving(gpu="h1000")])


def test_the_command_takes_a_fleet(fleet_file: Path, tmp_path: Path):
    out = tmp_path / "out"
    run = subprocess.run(
        [
            sys.executable, "-m", "simulators.inference", "--fleet", str(fleet_file), "--rate", "6",
            "--lengths", "fixed:200:50", "--num-requests", "60", "--router", "least_outstanding", "--out", str(out),
        ],
        capture_output=True, text=True, cwd=Path(__file__).resolve().parents[2],
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    summary = json.loads((out / "summary.json").read_text())
    assert len(summary["groups"]) == 3
    assert summary["requests_completed"] == 60
    config = json.loads((out / "config.json").read_text())
    assert config["inputs"][0]["file"] == str(fleet_file)


ROLES = """
iteration_time = "roofline"
kv_link_gb_s = 450

[[groups]]
role = "decode"
gpu = "a100"
replicas = 2
power_cap_w = 300

[[groups]]
role = "prefill"
gpu = "h100"
tp = 2
kv_first_token = "prefill"
"""


def test_groups_may_only_prefill_or_only_decode(tmp_path: Path):
    path = tmp_path / "roles.toml"
    path.write_text(ROLES, encoding="utf-8")
    made, facts = build_fleet(read_groups(path))
    cluster = Fed(made, stream(60, 8.0))
    assert facts["gpus"] == cluster.gpu_count == 2 + 2
    # 8 heads of keys and values on one GPU that decodes, 450 GB/s
    assert facts["kv_link"]["s_per_1000_tokens"] == pytest.approx(131072e3 / 450e9 + 1e-4)
    metrics = Metrics()
    while not cluster.idle:
        metrics.add(cluster.advance(metrics.span_s + 10.0))
    summary = metrics.summary(made)
    groups = summary["groups"]
    assert list(groups) == ["Meta-Llama-3-8B on h100, prefill", "Meta-Llama-3-8B on a100, decode"]
    assert [made.replicas[0].power_cap_w, made.replicas[1].power_cap_w] == [np.inf, 300.0]
    parts_j = [groups[name]["gpu_energy_j"]["total"] for name in groups]
    moved_j = summary["pools"]["transfer"]["energy_j"]
    assert sum(parts_j) + moved_j == pytest.approx(summary["gpu_energy_j"]["total"], rel=1e-12)
    assert summary["pools"]["transfer"]["bytes"] == summary["prefill_tokens"] * 131072


def test_pools_speculate_and_the_cache_of_the_draft_goes_with_the_models():
    """The pool that prefills lets the draft read prompts, and the other one drafts; n-grams leave nothing to read."""
    found = {}
    for name, draft in (
        ("prompt", {"draft_share": 0.0}),
        ("head", {}),
        ("model", {"draft_model": "meta-llama/Llama-3.2-1B"}),
    ):
        own = {"gpu": "h100", "iteration_time": "roofline", "speculate": 3, "acceptance": "1.0,1.0,1.0"}
        made, facts = build_fleet([Serving(prefill_replicas=1, **own, **draft)])
        cluster, metrics = Fed(made, stream(30, 8.0)), Metrics()
        while not cluster.idle:
            metrics.add(cluster.advance(metrics.span_s + 10.0))
        summary = metrics.summary(made)
        found[name] = facts["kv_link"]["bytes_per_token"]
        drafting_j = [replica.counter("draft_j") for replica in made.replicas]
        assert (drafting_j[0] > 0) == (name != "prompt")
        assert sum(drafting_j) == pytest.approx(summary["speculation"]["drafting_j"])
        assert 3.8 < summary["speculation"]["acceptance_length"] <= 4.0  # ends of outputs cut some
    assert found == {"prompt": 131072, "head": 131072 * 33 / 32, "model": 131072 + 32768}


def test_tokens_dealt_out_among_gpus_are_sent_and_drafted_beside_so():
    """Latent attention on 8 GPUs: each keeps all of it, or every eighth token; a head that drafts, a layer more."""
    common = {"model": "deepseek-ai/DeepSeek-V3", "gpu": "h200", "tp": 8, "iteration_time": "roofline"}
    bytes_per_token, blocks = [], []
    for gpus in (1, 8):
        pools = Serving(**common, prefill_replicas=1, decode_context_parallel=gpus)
        drafting = Serving(**common, speculate=1, acceptance="0.8", decode_context_parallel=gpus)
        bytes_per_token.append(build_fleet([pools])[1]["kv_link"]["bytes_per_token"])
        blocks.append(build_fleet([drafting])[1]["kv_blocks"])
    assert bytes_per_token == [8 * 61 * 576 * 2, 61 * 576 * 2]
    assert 0 <= blocks[1] - 8 * blocks[0] < 16  # whole blocks, with and without the draft


def test_outages_of_a_file_are_of_the_replicas_of_both_pools(tmp_path: Path):
    path = tmp_path / "outages.csv"
    path.write_text("replica,start,end\n0,5,50\n2,6,50\n")
    serving = Serving(gpu="h100", iteration_time="roofline", prefill_replicas=2, replicas=2)
    made, _ = build_fleet([serving], reliability=Reliability(failures=path))
    made.advance(10.0, RequestBlock.concatenate([]))
    assert [one.parking.down for one in made.clusters] == [{0}, {0}]
    path.write_text("replica,start,end\n4,5,50\n")
    with pytest.raises(InputError, match="replica 4, expected one of 0 to 3"):
        build_fleet([serving], reliability=Reliability(failures=path))


@pytest.mark.parametrize(
    ("roles", "message"),
    [
        ([{"role": "prefill"}], "groups with the roles prefill, expected both"),
        ([{"role": "prefill"}, {}], "groups with the roles both, prefill, expected both"),
        (
            [{"role": "prefill"}, {"role": "decode", "kv_precision": "fp8"}],
            "KV caches of .* expected one model",
        ),
        (
            [{"role": "prefill"}, {"role": "decode"}, {"role": "prefill", "kv_first_token": "prefill"}],
            "--kv-first-token: groups that prefill have decode and prefill, expected one for all",
        ),
        (
            [{"role": "prefill", "scheduler": "static"}, {"role": "decode"}],
            "--scheduler static: replicas that only",
        ),
        (
            [{"role": "prefill", "prefill_replicas": 2}, {"role": "decode"}],
            "--prefill-replicas 2: .* has a role",
        ),
        (
            [{"role": "prefill"}, {"role": "decode", "speculate": 2, "acceptance": "0.5"}],
            "--speculate: .* have a head on the model and no draft with a KV cache, expected one draft for all",
        ),
    ],
)
def test_roles_that_do_not_go_together_are_one_line(roles: list[dict[str, object]], message: str):
    with pytest.raises(InputError, match=message):
        build_fleet([Serving(iteration_time="roofline", gpu="h100", **each) for each in roles])
