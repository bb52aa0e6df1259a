"""A power log and a benchmark's result become a measurement row: the right stretch, the right power, or one line."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest

from simulators.errors import InputError
from simulators.inference import calibrate
from simulators.inference.catalogue import gpu
from simulators.inference.power.measurements import GENERIC, read_measurements
from simulators.inference.power.operator_logs import Pair, read_manifest, rows_of

from ...conftest import call_app
from .server_logs import BEGINS, Wave, bench, smi

H100 = gpu("h100")
AT_S = np.arange(0.0, 200.0, 0.1)
RUN = Wave([50.0, 110.0], [115.0, 480.0, 115.0])
"""One run of 60 s at 480 W, from 10:00:50 to 10:01:50."""


def log(tmp_path, wave: Wave = RUN, gpus: int = 1, averaged: bool = True, at_s: np.ndarray = AT_S):
    """An nvidia-smi log of a server."""
    series = wave.averaged(at_s) if averaged else wave.present(at_s)
    column = "power.draw" if averaged else "power.draw.instant"
    return smi(tmp_path / "smi.csv", at_s, {str(n): series for n in range(gpus)}, column)


@pytest.mark.parametrize("averaged", [True, False])
@pytest.mark.parametrize("step_s", [0.1, 0.25, 1.0])
def test_a_run_found_by_its_date(tmp_path, averaged: bool, step_s: float):
    """The result is written 3 s after the run, and says so to the second."""
    at_s = np.arange(0.0, 200.0, step_s)
    pair = Pair(log(tmp_path, averaged=averaged, at_s=at_s), bench(tmp_path / "r.json", 113.0))
    (row,) = rows_of([pair], H100).to_dict("records")
    assert row["found_by"] == "date"
    assert row["power_w"] == pytest.approx(480.0, rel=0.005)
    assert row["begins"].startswith(("2026-11-24T10:00:49", "2026-11-24T10:00:50"))
    assert row["batch"] == pytest.approx(32)
    assert row["tp"] == row["replicas"] == 1


def test_a_run_found_by_its_plateau_where_clocks_differ(tmp_path):
    for ends_s in (110.0 + 7200.0, 110.0 - 3600.0, 60.0, 190.0):
        pair = Pair(log(tmp_path), bench(tmp_path / "r.json", ends_s))
        (row,) = rows_of([pair], H100).to_dict("records")
        assert row["found_by"] == "plateau", ends_s
        assert row["power_w"] == pytest.approx(480.0, rel=0.005)


def test_a_warm_up_is_not_taken_for_the_run(tmp_path):
    wave = Wave([10, 30, 50, 110], [115, 520, 115, 480, 115])
    (row,) = rows_of([Pair(log(tmp_path, wave), bench(tmp_path / "r.json", 9000.0))], H100).to_dict("records")
    assert (row["found_by"], row["power_w"]) == ("plateau", pytest.approx(480.0, rel=0.005))


def test_a_log_in_utc_is_searched_for_the_plateau(tmp_path):
    series = RUN.averaged(AT_S)
    path = tmp_path / "dcgm.csv"
    pd.DataFrame(
        {"timestamp": BEGINS.timestamp() + AT_S, "gpu": 0, "DCGM_FI_DEV_POWER_USAGE": series}
    ).to_csv(path, index=False)
    (row,) = rows_of([Pair(path, bench(tmp_path / "r.json", 110.0))], H100).to_dict("records")
    assert (row["found_by"], row["power_column"]) == ("plateau", "dcgm_fi_dev_power_usage")
    assert row["power_w"] == pytest.approx(480.0, rel=0.005)


def test_several_runs_in_one_log(tmp_path):
    """A sweep: each result's date finds its own plateau, low ones too."""
    wave = Wave([20, 80, 100, 160], [115, 250, 115, 600, 115])
    path = log(tmp_path, wave)
    pairs = [Pair(path, bench(tmp_path / f"{end}.json", end + 1.0)) for end in (80.0, 160.0)]
    rows = rows_of(pairs, H100)
    assert rows["found_by"].tolist() == ["date", "date"]
    assert rows["power_w"].to_numpy() == pytest.approx(np.array([250.0, 600.0]), rel=0.005)


def test_a_date_that_points_between_two_runs_is_not_believed(tmp_path):
    """Clocks 40 s apart: the stretch would hold the end of one run, a pause and the beginning of the next."""
    path = log(tmp_path, Wave([20, 80, 100, 160], [115, 250, 115, 600, 115]))
    with pytest.raises(InputError, match="not found by its date"):
        rows_of([Pair(path, bench(tmp_path / "r.json", 121.0))], H100)


def test_the_steady_part_of_a_detailed_run(tmp_path):
    """The batch fills for 20 s at 300 W, is full for 30 s at 500 W and drains for 10 s."""
    wave = Wave([50, 70, 100, 110], [115, 300, 500, 200, 115])
    starts, lasts = np.repeat([0.0, 20.0], 8), np.repeat([30.0, 50.0], 8)
    fields = {
        "input_lens": [500] * 16, "output_lens": [1000] * 16, "start_times": (900 + starts).tolist(),
        "ttfts": [0.0] * 16,
        "itls": [[float(length) / 999] * 999 for length in np.where(starts > 0, 40.0, lasts + 20.0)],
    }  # fmt: skip
    (row,) = rows_of([Pair(log(tmp_path, wave), bench(tmp_path / "r.json", 110.0, **fields))], H100).to_dict(
        "records"
    )
    assert row["steady"]
    assert row["seconds"] == pytest.approx(30.0, abs=0.1)
    assert row["power_w"] == pytest.approx(500.0, rel=0.01)
    assert row["batch"] == pytest.approx(16, abs=0.1)


def test_rows_are_per_replica_and_read_as_measurements(tmp_path):
    pair = Pair(log(tmp_path, gpus=4), bench(tmp_path / "r.json", 110.0), tp=2)
    rows = rows_of([pair], H100)
    assert set(GENERIC) <= set(rows.columns)
    assert (rows["replicas"][0], rows["tp"][0], rows["batch"][0]) == (2, 2, pytest.approx(16))
    assert rows["tokens_per_s"][0] == pytest.approx(800.0)
    path = tmp_path / "rows.csv"
    rows.to_csv(path, index=False)
    point = read_measurements(path).iloc[0]
    assert point["power_w"] == pytest.approx(480.0, rel=0.005)
    assert 0.1 < point["weights"] / H100.memory_bandwidth < 0.6


def test_boards_that_show_the_present_power_are_not_unfolded(tmp_path):
    """On A100 power.draw is the present power: unfolding it would move every edge by half a second."""
    at_s = np.arange(0.0, 200.0, 0.5)
    path = smi(tmp_path / "smi.csv", at_s, {"0": Wave([50, 110], [65, 300, 65]).present(at_s)})
    (row,) = rows_of([Pair(path, bench(tmp_path / "r.json", 110.0))], gpu("a100")).to_dict("records")
    assert row["power_w"] == pytest.approx(300.0, rel=0.003)


def broken(tmp_path, case: str) -> Pair:
    """Logs and results that do not fit each other."""
    result = bench(tmp_path / "r.json", 110.0)
    series = RUN.averaged(AT_S)
    if case == "short":
        return Pair(smi(tmp_path / "smi.csv", AT_S[:300], {"0": series[:300]}), result)
    if case == "gap":
        kept = (AT_S < 60) | (AT_S > 95)
        return Pair(smi(tmp_path / "smi.csv", AT_S[kept], {"0": series[kept]}), result)
    if case == "idle neighbour":
        return Pair(smi(tmp_path / "smi.csv", AT_S, {"0": series, "1": series, "2": 0 * series + 72}), result)
    if case == "hot":
        return Pair(smi(tmp_path / "smi.csv", AT_S, {"0": 2 * series}), result)
    if case == "rivals":
        twice = Wave([10, 70, 100, 160], [115, 480, 115, 480, 115])
        return Pair(log(tmp_path, twice), bench(tmp_path / "r.json", 9000.0))
    if case == "idle server":
        return Pair(log(tmp_path), bench(tmp_path / "r.json", 110.0, mean_tpot_ms=0.5))
    if case == "local path":
        return Pair(log(tmp_path), bench(tmp_path / "r.json", 110.0, model_id="/models/llama"))
    if case == "no model":
        return Pair(log(tmp_path), bench(tmp_path / "r.json", 110.0, model_id=None))
    if case == "precision":
        return Pair(log(tmp_path), result, precision="fp3")
    if case == "unknown GPU":
        return Pair(log(tmp_path), result, gpus=("5",))
    return Pair(log(tmp_path, gpus=3), result, tp=2)


@pytest.mark.parametrize(
    ("case", "message"),
    [
        ("short", r"smi\.csv: holds 3\d s, expected the 60 s of .*r\.json: run 1"),
        ("gap", r"GPU 0 has no reading for 35 s.*at least every 6 s"),
        ("idle neighbour", r"GPU 2 draws 72 W .* the others 480 W.*column gpus"),
        ("hot", r"GPU 0 draws 960 W .* 700 W limit of h100"),
        ("rivals", "work in several stretches of 60 s.*clocks that agree"),
        ("idle server", "0.80 requests run at a time, expected at least 1"),
        ("local path", r"r\.json: run 1: .*'/models/llama'.*--model"),
        ("no model", r"r\.json: run 1: .*--model"),
        ("precision", r"r\.json: run 1: .*'fp3'"),
        ("unknown GPU", "GPU '5' is not in the log, expected one of 0"),
        ("odd tp", r"3 GPUs \(0, 1, 2\).*tp 2, expected a multiple"),
    ],
)
def test_what_does_not_fit_is_one_line(tmp_path, case: str, message: str):
    with pytest.raises(InputError, match=message) as caught:
        rows_of([broken(tmp_path, case)], H100)
    assert "\n" not in str(caught.value)


def test_a_model_may_be_named_beside_the_result(tmp_path):
    pair = Pair(log(tmp_path), bench(tmp_path / "r.json", 110.0, model_id="served"), model="Qwen/Qwen3-8B")
    assert rows_of([pair], H100)["model"].tolist() == ["Qwen/Qwen3-8B"]


def test_a_manifest_names_pairs_relative_to_itself(tmp_path):
    manifest = tmp_path / "runs.csv"
    manifest.write_text(
        "# a sweep\npower_log,bench,gpus,tp,model,precision\n"
        "smi.csv,a.json,0 1,2,,fp8\nsmi.csv,b.json,2;3,,Qwen/Qwen3-8B,\n"
    )
    first, second = read_manifest(manifest)
    assert first == Pair(tmp_path / "smi.csv", tmp_path / "a.json", ("0", "1"), 2, None, "fp8")
    assert second == Pair(tmp_path / "smi.csv", tmp_path / "b.json", ("2", "3"), None, "Qwen/Qwen3-8B", None)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("power_log\na\n", "column 'bench' is missing, expected power_log, bench"),
        ("power_log,bench,pt\na,b,1\n", "column 'pt' is unknown"),
        ("power_log,bench\n", "no rows"),
        ("power_log,bench\na,\n", "data row 1, bench: empty"),
        ("power_log,bench,tp\na,b,two\n", "data row 1, tp: 'two', expected a whole number"),
        ("power_log,bench,tp\na,b,0\n", "data row 1, tp: '0'"),
        ("", "the file is empty"),
    ],
)
def test_a_bad_manifest_is_one_line(tmp_path, text: str, message: str):
    path = tmp_path / "runs.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=message) as caught:
        read_manifest(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def sweep(tmp_path) -> list[str]:
    """Nine runs in one log and a manifest of them, as options."""
    levels = np.linspace(250, 620, 9)
    edges = np.concatenate([[80 * k + 10, 80 * k + 70] for k in range(9)])
    wave = Wave(edges, [115.0, *np.ravel([[level, 115.0] for level in levels])])
    smi(tmp_path / "smi.csv", at_s := np.arange(0.0, 730.0, 0.25), {"0": wave.averaged(at_s)})
    lines = ["power_log,bench"]
    for k in range(9):
        bench(
            tmp_path / f"{k}.json",
            80 * k + 72.0,
            mean_tpot_ms=20.0 / (k + 1),
            model_id=f"Qwen/Qwen3-{(8, 14)[k % 2]}B",
        )
        lines.append(f"smi.csv,{k}.json")
    (tmp_path / "runs.csv").write_text("\n".join(lines) + "\n")
    return ["--runs", str(tmp_path / "runs.csv"), "--gpu", "h100", "--plot", str(tmp_path / "p.png")]


def test_the_command_fits_a_sweep_of_logs(tmp_path):
    run = call_app(calibrate.app, *sweep(tmp_path))
    assert run.code == 0, run.out
    assert run.out.count("found by date") == 9
    rows = pd.read_csv(tmp_path / "p.runs.csv")
    assert rows["power_w"].to_numpy() == pytest.approx(np.linspace(250, 620, 9), rel=0.01)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "--measurements, --power-log with --bench, or --runs: none given"),
        (["--power-log", "a.csv"], "--power-log, --bench: 1 and 0 given"),
        (["--power-log", "a.csv", "--bench", "b.json"], r"a\.csv: no such file"),
    ],
)
def test_options_that_do_not_fit_are_one_line(tmp_path, monkeypatch, options: list[str], message: str):
    monkeypatch.chdir(tmp_path)
    run = call_app(calibrate.app, "--gpu", "h100", *options)
    assert run.code == 2
    assert len(run.err.strip().splitlines()) == 1
    assert re.search(message, run.err)


def test_help_names_the_columns_of_every_layout():
    told = call_app(calibrate.app, "--help").out
    for name in (
        "avg_power_w_per_gpu", "tokens_per_s", "mbu", "power.draw", "DCGM_FI_DEV_POWER_USAGE", "total_output_tokens",
        "mean_tpot_ms", "power_log", "--power-log", "--bench", "--runs", "--save-detailed",
    ):  # fmt: skip
        assert name in told, name
