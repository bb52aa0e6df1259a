"""The paper's experiments: its requests bit for bit, its formulas, results within their targets, the command."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from scenarios.paper import case_study, kernels
from scenarios.paper.accounting import (
    embodied_kg,
    energy_kwh,
    published_embodied_kg,
    published_energy_kwh,
    published_power_w,
)
from scenarios.paper.engine import Point, run_point
from scenarios.paper.experiments import EXPERIMENTS, Experiment, consequences
from scenarios.paper.published import CASE, PARALLEL, RATE_PER_S, SINGLE, published
from scenarios.paper.workloads import SYNTHETIC, PaperRequests, ZipfLengths
from simulators.errors import InputError
from simulators.inference.catalogue import gpu, model

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "scenarios" / "paper_experiments.py"
SHARED = ROOT / ".." / "shared" / "data"
needs_shared = pytest.mark.skipif(not SHARED.is_dir(), reason="the shared data are not here")


class TestRequests:
    def test_arrivals_are_those_of_the_published_simulator(self) -> None:
        block = PaperRequests(3, 6.45).take(np.inf)
        # first two arrivals of a Vidur run at 6.45 req/s with seed 42
        assert block.arrived_at[:2].tolist() == [0.15814888174803116, 0.16207583353760308]

    def test_the_last_arrival_is_the_published_makespan(self) -> None:
        block = PaperRequests(16384, 0.1).take(np.inf)
        assert block.arrived_at[-1] == pytest.approx(155799, abs=1.5)

    def test_no_gap_is_longer_than_three_means(self) -> None:
        gaps = np.diff(PaperRequests(5000, 2.0).take(np.inf).arrived_at)
        assert gaps.max() == pytest.approx(1.5)
        assert gaps.mean() == pytest.approx(0.5 * (1 - np.exp(-3)), rel=0.02)

    def test_lengths_keep_range_and_ratio(self) -> None:
        block = PaperRequests(4000, 1.0).take(np.inf)
        total = block.prefill_tokens + block.decode_tokens
        assert total.min() >= 1022
        assert total.max() <= 4096
        assert (block.prefill_tokens / block.decode_tokens).mean() == pytest.approx(20, rel=0.02)

    def test_short_lengths_give_at_least_a_token_each(self) -> None:
        block = PaperRequests(2000, 1.0, ZipfLengths(16, 4096, 1.1, 0.5)).take(np.inf)
        assert min(block.prefill_tokens.min(), block.decode_tokens.min()) >= 1

    def test_all_may_wait_where_a_window_is_given(self) -> None:
        block = PaperRequests(50, 1.0, defer_window_s=60.0).take(np.inf)
        assert block.deferrable.all()
        assert np.allclose(block.deadline - block.arrived_at, 60.0)


class TestKernels:
    def test_profiled_points_are_kept(self) -> None:
        tables = kernels.paper_tables(model(SINGLE), gpu("a100"), 1, 1)
        # 32 layers: projections and MLP plus the KV-cache write of 2,048 tokens
        assert tables.token_s[2048] == pytest.approx(32e-3 * (4.4957 + 1.0995), rel=0.01)
        assert tables.prefill_s[2048, 0] == pytest.approx(32e-3 * 0.310)
        assert tables.decode_s[32, 3200 // 64] == pytest.approx(32e-3 * 0.266)
        assert tables.peak_flops == 312 * 2.0**40

    def test_attention_grows_with_context_and_batch(self) -> None:
        for name, tp in ((SINGLE, 1), (CASE, 1), (PARALLEL, 2)):
            decode = kernels.paper_tables(model(name), gpu("a100"), tp, 1).decode_s
            assert (decode[8:, -1] > 1.3 * decode[8:, 16]).all()  # 4,096 against 1,024 tokens
            assert (decode[128, 1:] > decode[8, 1:]).all()

    def test_all_reduce_is_the_measured_one(self) -> None:
        size = np.array([536_373_250.0])
        launch = kernels.ALL_REDUCE_LAUNCH_S
        assert kernels.all_reduce_s(size, 2)[0] - launch == pytest.approx(2.746e-3, rel=0.03)
        assert kernels.all_reduce_s(size, 4)[0] - launch == pytest.approx(33.90e-3, rel=0.01)

    def test_substitutes_are_named(self) -> None:
        device = gpu("a100")
        assert "own profile" in kernels.source_of(model(SINGLE), device, 1)
        assert "Llama-2-70B" in kernels.source_of(model(PARALLEL), device, 1)
        assert "roofline" in kernels.source_of(model("microsoft/phi-2"), device, 1)


class TestFormulas:
    def test_published_energy_is_hours_times_480_w(self) -> None:
        for row in published("rate").dropna().itertuples():
            ours = published_energy_kwh(row.makespan_s, 1, row.mfu_percent)
            assert ours == pytest.approx(row.makespan_s / 3600 * 0.48, rel=1e-12)
            assert ours == pytest.approx(row.energy_kwh, rel=2e-3)

    def test_right_energy_of_the_quietest_rate(self) -> None:
        assert published_energy_kwh(155799, 1, 0.892) == pytest.approx(20.77, abs=0.01)
        assert energy_kwh(106.5, 155799, 1) == pytest.approx(5.53, abs=0.01)

    def test_the_law_itself(self) -> None:
        assert published_power_w(0.0) == 100.0
        assert published_power_w(0.45) == published_power_w(42.0) == 400.0
        assert published_power_w(0.1) == pytest.approx(100 + 300 * (0.1 / 0.45) ** 0.7)

    def test_embodied_carbon(self) -> None:
        assert published_embodied_kg(1, 24.9 * 3600) == pytest.approx(3735)
        assert embodied_kg(1, 24.9 * 3600) == pytest.approx(150 * 24.9 / (6 * 365.25 * 24))


class TestStudies:
    def test_rate(self) -> None:
        rows = published("rate").set_index("rate_per_s")
        for rate in (0.37, 5.0):
            own = run_point(Point(SINGLE, 16384, 50.0 if rate == 5 else rate))
            assert own.completed == 16384
            assert own.power_w == pytest.approx(rows.loc[rate, "power_w"], rel=0.01)
            assert own.makespan_s == pytest.approx(rows.loc[rate, "makespan_s"], rel=0.01)
            assert 100 * own.mfu == pytest.approx(rows.loc[rate, "mfu_percent"], rel=0.01)

    def test_only_the_mean_over_time_is_the_published_power(self) -> None:
        own = run_point(Point(SINGLE, 16384, 0.37), averages=True)
        assert own.power_w == pytest.approx(123.9, rel=0.005)
        assert own.row_mean_w < 118
        assert own.gap_billed_w > 250

    def test_batch(self) -> None:
        for row in published("batch").itertuples():
            own = run_point(Point(SINGLE, 1024, RATE_PER_S, batch_cap=row.cap))
            assert own.mean_batch == pytest.approx(row.mean_batch, abs=0.01)
            assert own.power_w == pytest.approx(row.power_w, rel=0.01)

    def test_parallelism_keeps_the_published_order(self) -> None:
        rows = published("parallelism")
        rows["makespan_s"] = rows["energy_kwh"] / (0.48 * rows["tp"] * rows["pp"])
        own = [run_point(Point(PARALLEL, 1024, RATE_PER_S, SYNTHETIC, r.tp, r.pp)) for r in rows.itertuples()]
        times, watts = [o.makespan_s for o in own], [o.power_w for o in own]
        assert np.argsort(times).tolist() == np.argsort(rows["makespan_s"]).tolist()
        assert np.argsort(watts).tolist() == np.argsort(rows["power_w"]).tolist()
        assert np.allclose(watts, rows["power_w"], rtol=0.02)

    def test_every_model_draws_what_was_published(self) -> None:
        table = EXPERIMENTS["requests"](True).table
        assert np.allclose(table["own_w"], table["published_w"], rtol=0.05)

    def test_the_power_law_does_not_change_the_schedule(self) -> None:
        point = Point(SINGLE, 256, RATE_PER_S)
        assert run_point(point).makespan_s == run_point(point, "physics").makespan_s

    def test_consequences_name_the_best(self) -> None:
        table = pd.DataFrame(
            {
                "tp": [1, 2],
                "pp": [2, 1],
                "published_kwh": [2.0, 1.0],
                "published_corrected_kwh": [1.0, 2.0],
                "wrong_kwh": [2.0, 1.0],
                "corrected_kwh": [1.0, 2.0],
                "physics_kwh": [1.0, 2.0],
            }
        )
        study = Experiment("parallelism", "", "", ["tp", "pp"], table)
        (row,) = consequences({"parallelism": study}).to_dict("records")
        assert (row["published"], row["ours, corrected"]) == ("TP2,PP1", "TP1,PP2")


class TestCaseStudy:
    def test_published_power_is_the_mean_over_iterations(self) -> None:
        own = run_point(Point(CASE, 10_000, 20.0), averages=True)
        assert own.row_mean_w == pytest.approx(236, rel=0.01)
        assert own.power_w == pytest.approx(315, rel=0.01)
        assert own.completed / own.makespan_s == pytest.approx(4.46, rel=0.02)

    def test_the_bundled_site_stands_in(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(case_study, "SOLAR", tmp_path / "missing.zip")
        cases = case_study.run_case_study(tmp_path, quick=True)
        before, after = cases["published"], cases["corrected"]
        assert before.kwh("facility_mw") < 0.8 * after.kwh("facility_mw")
        assert before.account.matched_ratio <= 1
        frame = after.frame
        supplied = frame["pv_mw"] + frame["import_mw"] + frame["discharge_mw"]
        used = frame["facility_mw"] + frame["export_mw"] + frame["charge_mw"] + frame["curtailed_mw"]
        assert np.allclose(supplied, used)

    def test_broken_files_are_named(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        broken = tmp_path / "solar.zip"
        broken.write_text("no zip")
        monkeypatch.setattr(case_study, "SOLAR", broken)
        with pytest.raises(InputError, match=r"solar\.zip"):
            case_study.original_series(10)
        with zipfile.ZipFile(broken, "w") as archive:
            archive.writestr("solcast2022_global_actual.csv", "datetime,Berlin\n2022-06-08 00:05:00,0.1\n")
        with pytest.raises(InputError, match="San Francisco"):
            case_study.original_series(10)

    @pytest.mark.shared
    @needs_shared
    def test_the_headline_with_the_original_files(self, tmp_path: Path) -> None:
        case = case_study.simulate_run(case_study.runs()[0], tmp_path)
        assert 100 * case.account.offset_ratio == pytest.approx(69.2, abs=0.5)
        assert case.account.gross_kg == pytest.approx(2.47, rel=0.02)
        assert case.account.matched_ratio == pytest.approx(0.45, abs=0.01)


def _command(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, str(SCRIPT), *arguments], capture_output=True, text=True, cwd=ROOT)


def test_everything_runs_quickly(tmp_path: Path) -> None:
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    out = tmp_path / "paper"
    done = _command("all", "--quick", "--out", str(out))
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    # processor time: other work on the machine does not count
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before < 60
    for name in EXPERIMENTS:
        table = pd.read_csv(out / f"{name}.csv")
        assert (
            table[["published_w", "own_w", "wrong_kwh", "corrected_kwh", "physics_kwh"]]
            .notna()
            .all(axis=None)
        )
        assert (out / "figures" / f"{name}.png").stat().st_size > 10_000
    report = (out / "report.html").read_text(encoding="utf-8")
    for words in (
        "What the corrected energy changes",
        "Accounting duel",
        "A quick run",
        "own profile of 2024",
    ):
        assert words in report
    assert json.loads((out / "summary.json").read_text())["checks"] == []


def test_one_experiment_and_a_wrong_one(tmp_path: Path) -> None:
    out = tmp_path / "batch"
    assert _command("batch", "--out", str(out)).returncode == 0
    checks = json.loads((out / "summary.json").read_text())["checks"]
    assert checks
    assert all(check["kept"] for check in checks)
    assert not (out / "rate.csv").exists()
    wrong = _command("speed")
    assert wrong.returncode == 2
    assert "speed" in wrong.stderr
