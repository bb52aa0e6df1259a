"""`python -m simulators.inference` as a user types it: files, figures, repeatability, and every way to get it wrong."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from simulators.inference.__main__ import RunOptions, run
from simulators.inference.output import run_to_end
from simulators.recorder.summary import sha256
from tests.conftest import ROOT, Ended, call, files_below, spawn

from .runs import flat_tables
from .test_cluster import cluster

COMMAND_LINE = (
    "--model meta-llama/Meta-Llama-3-8B --gpu a100 --tp 1 --pp 1 --replicas 1 --scheduler vllm --batch-cap 128 "
    "--max-batch-tokens 4096 --chunk-size 512 --router round_robin --rate 6.45 --num-requests 150 "
    "--lengths zipf:1024:4096:0.6:20 --iteration-time measured --power-law mfu --seed 42 --iterations"
)
COMMAND = COMMAND_LINE.split()
SMALL = ("--rate", 5, "--num-requests", 20, "--lengths", "fixed:100:20")
REQUEST_COLUMNS = [
    "request_id", "arrived_at", "prefill_tokens", "decode_tokens", "scheduled_at", "prefill_completed_at",
    "completed_at", "restarts", "energy_j",
]  # fmt: skip


def infer(*arguments: object) -> Ended:
    return call(RunOptions, run, *arguments)


@pytest.fixture(scope="session")
def typed(tmp_path_factory) -> tuple[Ended, Path]:
    """The full command in a process of its own."""
    out = tmp_path_factory.mktemp("typed") / "run"
    return spawn("-m", "simulators.inference", *COMMAND, "--out", out), out


def summary_of(out: Path) -> dict:
    return json.loads((out / "summary.json").read_text())


def without_clock(out: Path) -> dict:
    return summary_of(out) | {"wall_s": None}


def test_the_command_leaves_its_files_and_says_where(typed):
    ended, out = typed
    assert ended.code == 0, ended.err
    assert ended.err == ""
    assert str(out) in ended.out
    assert "150 of 150 completed, 0 rejected" in ended.out
    assert files_below(out.parent) == {
        f"run/{name}"
        for name in (
            *("requests.csv", "power.csv", "iterations.csv"),
            *("summary.json", "config.json", "manifest.json"),
        )
    }


def test_requests_are_whole_and_in_order(typed):
    _, out = typed
    done = pd.read_csv(out / "requests.csv")
    assert list(done)[:9] == REQUEST_COLUMNS
    assert list(done.request_id) == list(range(150))
    assert done.arrived_at.is_monotonic_increasing
    assert (done.arrived_at <= done.scheduled_at).all()
    assert (done.scheduled_at < done.prefill_completed_at).all()
    assert (done.prefill_completed_at <= done.completed_at).all()
    total = done.prefill_tokens + done.decode_tokens
    assert 1024 <= total.min() <= total.max() <= 4096
    # 150 gaps of mean 1/6.45 s: within four standard deviations
    assert done.arrived_at.iloc[-1] == pytest.approx(150 / 6.45, rel=4 / np.sqrt(150))


def test_files_agree_on_time_energy_and_tokens(typed):
    _, out = typed
    done, power, batches = (pd.read_csv(out / f"{name}.csv") for name in ("requests", "power", "iterations"))
    s = summary_of(out)
    assert s["simulated_s"] == done.completed_at.max()
    energy = s["gpu_energy_j"]
    assert energy["total"] == pytest.approx(energy["prefill"] + energy["decode"] + energy["idle"])
    assert done.energy_j.sum() == pytest.approx(energy["prefill"] + energy["decode"], rel=1e-12)
    # the meter's last row goes on idle to the end of its second
    assert len(power) == int(np.ceil(s["simulated_s"]))
    after_j = (len(power) - s["simulated_s"]) * 100.0
    assert power.power_w.sum() == pytest.approx(energy["total"] + after_j, rel=1e-9)
    assert power.power_w.between(100.0 - 1e-9, 400.0 + 1e-9).all()
    np.testing.assert_allclose(power.power_w, power.prefill_w + power.decode_w + power.idle_w, rtol=1e-12)
    assert (batches.power_w * batches.duration_s).sum() == pytest.approx(done.energy_j.sum(), rel=1e-9)
    assert len(batches) == s["batches"]
    assert batches.prefill_tokens.sum() == done.prefill_tokens.sum() == s["prefill_tokens"]
    assert batches.duration_s.sum() == pytest.approx(s["busy_mean"] * s["simulated_s"])
    mfu_mean = (batches.mfu * batches.duration_s).sum() / s["simulated_s"]
    assert s["mfu_mean"] == pytest.approx(mfu_mean, rel=1e-9)
    ttft = done.prefill_completed_at - done.arrived_at
    assert s["ttft_s"]["p99"] == pytest.approx(ttft.quantile(0.99), rel=s["latency_error"])


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(typed, tmp_path):
    _, out = typed
    assert infer(*COMMAND, "--out", tmp_path / "again").code == 0
    for name in ("requests.csv", "power.csv", "iterations.csv"):
        assert (tmp_path / "again" / name).read_bytes() == (out / name).read_bytes(), name
    assert without_clock(tmp_path / "again") == without_clock(out)
    assert infer(*COMMAND, "--seed", 43, "--out", tmp_path / "other").code == 0
    assert (tmp_path / "other" / "requests.csv").read_bytes() != (out / "requests.csv").read_bytes()


def test_the_requests_written_can_be_served_again(typed, tmp_path):
    """requests.csv is itself a trace: replayed, everything happens at the same moments."""
    _, out = typed
    options = [
        *COMMAND[: COMMAND.index("--rate")],
        "--power-law",
        "mfu",
        "--out",
        tmp_path / "replay",
        "--requests",
        out / "requests.csv",
    ]
    assert infer(*options).code == 0
    # without a log of iterations batches are formed by what changes in them: energies agree to rounding
    first, again = (pd.read_csv(folder / "requests.csv") for folder in (out, tmp_path / "replay"))
    pd.testing.assert_frame_equal(first, again, rtol=1e-12)
    assert "iterations.csv" not in files_below(tmp_path / "replay")


def test_a_configuration_can_be_run_again(typed, tmp_path):
    _, out = typed
    assert infer("--config", out / "config.json", "--out", tmp_path / "again").code == 0
    assert without_clock(tmp_path / "again") == without_clock(out)
    config = json.loads((tmp_path / "again" / "config.json").read_text())
    assert config["options"]["traffic"]["lengths"] == "zipf:1024:4096:0.6:20"
    told = {entry["what"]: entry for entry in config["inputs"]}
    assert {"GPU data sheet", "model"} <= set(told)
    for entry in told.values():
        assert entry["file"].startswith("data/")
        assert entry["sha256"] == sha256(ROOT / entry["file"])
    assert config["facts"]["iteration_time"] == "measured"
    assert "numba" in config["versions"]


def test_requests_are_written_in_order_while_the_run_goes_on(tmp_path):
    """Ten second-long requests among short ones: who finishes early waits for who came before, and no longer."""
    jobs = [(0.1 * k, 5, 200 if k % 100 == 0 else 2) for k in range(1000)]
    c = cluster(jobs, flat_tables(0.05), replicas=2)
    lines = []

    def count(simulated_s: int) -> None:
        file = tmp_path / "requests.csv"
        lines.append(len(file.read_text().splitlines()) if file.exists() else 0)

    summary = run_to_end(c, 10.0, tmp_path, reached=count)
    done = pd.read_csv(tmp_path / "requests.csv")
    assert list(done.request_id) == list(range(1000)) == list(range(summary["requests_completed"]))
    assert not done.completed_at.is_monotonic_increasing
    # after each 10 s of 100 arrivals
    assert len(lines) > 8
    assert all(100 * k - 150 < written <= 100 * (k + 1) + 1 for k, written in enumerate(lines[:9]))


def test_a_run_that_is_stopped_leaves_what_was_finished(tmp_path):
    c = cluster([(0.1 * k, 5, 200 if k == 0 else 2) for k in range(300)], flat_tables(0.05))

    def stop(simulated_s: int) -> None:
        if simulated_s >= 8:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_to_end(c, 2.0, tmp_path, reached=stop)
    done = pd.read_csv(tmp_path / "requests.csv")
    assert 60 < len(done) < 85
    assert 0 not in set(done.request_id)
    assert done.request_id.is_monotonic_increasing


def test_every_file_a_run_reads_is_told(tmp_path):
    file = trace(tmp_path, HEADER + "0,1000,10\n1,1001,10\n")
    fleet = tmp_path / "fleet.toml"
    fleet.write_text('[[groups]]\ngpu = "a100"\n[[groups]]\ngpu = "h100"\n')
    ended = infer(
        "--requests", file, "--fleet", fleet, "--iteration-time", "roofline", "--out", tmp_path / "out"
    )
    assert ended.code == 0, ended.err
    told = json.loads((tmp_path / "out" / "config.json").read_text())["inputs"]
    names = [Path(entry["file"]).name for entry in told]
    assert names[:2] == ["trace.csv", "fleet.toml"]
    assert {"a100.toml", "h100.toml"} <= set(names)
    assert len(set(names)) == len(names)


def test_an_older_result_is_replaced_and_nothing_else(tmp_path):
    out = tmp_path / "run"
    assert infer(*SMALL, "--iterations", "--out", out).code == 0
    assert (out / "iterations.csv").exists()
    assert infer(*SMALL, "--out", out).code == 0
    assert not (out / "iterations.csv").exists()
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.txt").write_text("irreplaceable")
    assert str(mine) in infer(*SMALL, "--out", mine).complaint
    assert files_below(mine) == {"thesis.txt"}


def test_more_replicas_serve_faster_with_more_power(tmp_path):
    heavy = ("--rate", 20, "--num-requests", 150, "--lengths", "fixed:1000:50", "--scheduler", "sarathi")
    for replicas in (1, 3):
        ended = infer(
            *heavy, "--replicas", replicas, "--router", "least_outstanding", "--out", tmp_path / str(replicas)
        )
        assert ended.code == 0, ended.err
    one, three = (summary_of(tmp_path / name) for name in ("1", "3"))
    assert three["ttft_s"]["p50"] < one["ttft_s"]["p50"] / 2
    assert three["gpu_power_w_mean"] < one["gpu_power_w_mean"]  # per GPU
    assert set(pd.read_csv(tmp_path / "3" / "requests.csv").replica) == {0, 1, 2}


def test_a_fine_power_series_has_the_same_energy(tmp_path):
    for step in (0.1, 5.0):
        assert infer(*SMALL, "--power-interval", step, "--out", tmp_path / str(step)).code == 0
    fine, coarse = (pd.read_csv(tmp_path / name / "power.csv") for name in ("0.1", "5.0"))
    assert np.diff(fine.time_s) == pytest.approx(0.1)
    means = fine.power_w.to_numpy()[: len(fine) // 50 * 50].reshape(-1, 50).mean(axis=1)
    np.testing.assert_allclose(means, coarse.power_w[: len(means)], rtol=1e-9)


def trace(folder: Path, text: str) -> Path:
    file = folder / "trace.csv"
    file.write_text(text)
    return file


HEADER = "arrived_at,prefill_tokens,decode_tokens\n"


@pytest.mark.parametrize(
    ("scheduler", "options", "rejected"),
    [
        ("vllm", ("--max-batch-tokens", 1000), 2),  # prompts of 1001 and 5000 never fit a batch
        ("vllm_v1", ("--max-batch-tokens", 1000), 0),  # they are cut
        ("sarathi", ("--chunk-size", 128), 0),
        ("vllm_v1", ("--kv-blocks", 100), 1),  # 5000 tokens never fit 1600
        ("sarathi", ("--kv-blocks", 100), 1),
        ("orca", ("--kv-blocks", 100, "--max-model-len", 1600), 1),
        ("static", ("--kv-blocks", 100, "--max-model-len", 1600), 1),
    ],
)
def test_what_a_server_would_reject_is_counted(tmp_path, scheduler, options, rejected):
    file = trace(tmp_path, HEADER + "0,1000,10\n1,1001,10\n2,5000,10\n3,10,10\n")
    ended = infer("--requests", file, "--scheduler", scheduler, *options, "--out", tmp_path / "out")
    assert ended.code == 0, ended.err
    s = summary_of(tmp_path / "out")
    assert (s["requests_arrived"], s["requests_rejected"]) == (4, rejected)
    assert s["requests_completed"] == 4 - rejected == len(pd.read_csv(tmp_path / "out" / "requests.csv"))
    assert s["requests_running"] == s["requests_waiting"] == 0


def test_a_run_of_which_everything_is_rejected_still_has_results(tmp_path):
    file = trace(tmp_path, HEADER + "0,1000,10\n700,1001,10\n")
    ended = infer("--requests", file, "--kv-blocks", 5, "--out", tmp_path / "out")
    assert ended.code == 0, ended.err
    s = summary_of(tmp_path / "out")
    assert (s["requests_rejected"], s["requests_completed"]) == (2, 0)
    assert s["ttft_s"] == {"p50": None, "p95": None, "p99": None}
    assert s["energy_j_per_output_token"] is None
    assert len(pd.read_csv(tmp_path / "out" / "requests.csv")) == 0


BAD_TRACES = {
    "": "empty",
    HEADER: "no requests",
    HEADER + "0,10,5\n1,nan,5\n": "row 3 (line of the file)",
    HEADER + "0,10,5\n1,,5\n": "row 3 (line of the file)",
    HEADER + "0,10,5\n1,-10,5\n": "row 3 (line of the file)",
    HEADER + "0,10,5\n1,10,-5\n": "row 3 (line of the file)",
    HEADER + "0,10,5\n1,0,5\n": "row 3 (line of the file)",
    HEADER + "0,10,5\n1,10.5,5\n": "row 3 (line of the file)",
    HEADER + "0,10,5\n1,ten,5\n": "row 3 (line of the file)",
    HEADER + "0,10,5\nnan,10,5\n": "row 3 (line of the file)",
    HEADER + "0,10,5\n5,10,5\n4,10,5\n": "row 4 (line of the file)",
    HEADER + "-1,10,5\n": "row 2 (line of the file)",
    HEADER + "0,10,5\ninf,10,5\n": "row 3 (line of the file)",
    "arrived_at,prefill_tokens\n0,10\n": "decode_tokens",
    "a,b,c\n0,10,5\n": "expected arrived_at",
}


@pytest.mark.parametrize("text", BAD_TRACES)
def test_a_bad_trace_is_one_line_with_file_and_row(tmp_path, text):
    file = trace(tmp_path, text)
    complaint = infer("--requests", file, "--out", tmp_path / "out").complaint
    assert str(file) in complaint
    assert BAD_TRACES[text] in complaint
    assert files_below(tmp_path) == {"trace.csv"}


def test_unix_times_are_refused_instead_of_simulating_decades(tmp_path):
    file = trace(tmp_path, HEADER + "1700000000,10,5\n1700000001,10,5\n")
    complaint = infer("--requests", file, "--power-interval", 60, "--out", tmp_path / "out").complaint
    assert "arrives after 1700000000 s, which counts from 1970" in complaint
    assert files_below(tmp_path) == {"trace.csv"}


BAD_OPTIONS = {
    "--model gpt-9": "model: 'gpt-9' is unknown",
    "--model /no/config.json": "/no/config.json",
    "--gpu a1000": "gpu: 'a1000'",
    "--scheduler fifo": "--scheduler fifo: unknown",
    "--router fastest": "--router fastest: unknown",
    "--lengths pareto:3": "lengths pareto:3",
    "--lengths fixed:0:5": "at least 1",
    "--lengths fixed:-5:5": "at least 1",
    "--lengths fixed:nan:5": "'nan' is not a number",
    "--lengths trace:/no/such.csv": "/no/such.csv: no such file",
    "--model meta-llama/Meta-Llama-3-70B": "does not fit",
    "--kv-blocks 0": "--kv-blocks: '0' given",
    "--kv-blocks -3": "--kv-blocks: '-3' given",
    "--tp 0": "--tp: '0' given",
    "--tp 3": "tp: 3 does not divide the 32 attention heads",
    "--pp 0": "--pp: '0' given",
    "--replicas 0": "--replicas: '0' given",
    "--batch-cap 0": "--batch-cap: '0' given",
    "--max-batch-tokens 0": "--max-batch-tokens: '0' given",
    "--chunk-size 0": "--chunk-size: '0' given",
    "--num-requests 0": "--num-requests: '0' given",
    "--rate 0": "--rate: '0' given",
    "--rate -2": "--rate: '-2' given",
    "--rate nan": "--rate: 'nan' given",
    "--rate many": "--rate: 'many' given",
    "--cv 0": "--cv: '0' given",
    "--iteration-time guess": "iteration time: 'guess' is unknown",
    "--iteration-time profile:/no/folder": "/no/folder is no folder",
    "--iteration-time profile": "profile needs a folder",
    "--power-law loud": "power law: 'loud' is unknown",
    "--power-law table:/no/law.csv": "/no/law.csv",
    "--precision fp7": "precision: 'fp7' is unknown",
    "--power-interval 0": "--power-interval: '0' given",
    "--seed -1": "--seed: '-1' given",
    "--watermark 1": "--watermark: '1' given",
    "--scheduler static --kv-blocks 3": "static reserves 256 KV blocks",
    "--pp 4 --batch-cap 2": "batch cap 2 is below the 4 pipeline stages",
}


@pytest.mark.parametrize("options", BAD_OPTIONS)
def test_a_bad_option_is_one_line_and_leaves_nothing(tmp_path, options):
    complaint = infer(*SMALL, "--out", tmp_path / "out", *options.split()).complaint
    assert BAD_OPTIONS[options] in complaint
    assert files_below(tmp_path) == set()


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ((), "--requests or --rate: neither given"),
        (("--rate", 3), "--lengths: not given, expected with --rate"),
        (("--requests", "/no/such.csv"), "/no/such.csv: no such file"),
        (("--requests", "/no/such.csv", "--rate", 3), "recorded requests go without a rate"),
    ],
)
def test_requests_come_from_a_file_or_from_a_rate_with_lengths(tmp_path, arguments, expected):
    assert expected in infer(*arguments, "--out", tmp_path / "out").complaint
    assert files_below(tmp_path) == set()


def test_a_wrong_input_ends_the_process_with_2_and_one_line(tmp_path):
    ended = spawn("-m", "simulators.inference", *map(str, SMALL), "--gpu", "a1000", "--out", tmp_path / "out")
    assert "gpu: 'a1000'" in ended.complaint
    assert list(tmp_path.iterdir()) == []


def test_help_explains_every_option(tmp_path):
    text = " ".join(infer("--help").out.split())
    for option in (
        "--model", "--gpu", "--tp", "--pp", "--replicas", "--scheduler", "--batch-cap", "--max-batch-tokens",
        "--chunk-size", "--kv-blocks", "--router", "--requests", "--rate", "--num-requests", "--lengths",
        "--iteration-time", "--power-law", "--seed", "--out", "--iterations",
    ):  # fmt: skip
        assert f"{option} " in text or f"{option}/" in text, option
    assert "[default: auto]" in text
    assert "arrived_at (s), prefill_tokens, decode_tokens" in text
