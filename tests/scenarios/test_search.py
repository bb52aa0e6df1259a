"""A search finds what running everything finds, and each point of its front is a study that gives its figures again."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from scenarios import Study, search, simulate
from scenarios.search import STUDY
from scenarios.search_choice import Targets, front, hopeless, less_is_better
from scenarios.search_report import study_toml
from scenarios.search_rounds import Search
from scenarios.search_runs import run_alone, run_full, sample
from scenarios.search_space import candidates
from scenarios.shipping import job_of
from simulators.errors import InputError
from simulators.inference.options import Serving
from tests.conftest import Ended, call_app

VARY = ("tp=1,2", "pp=1", "replicas=1,2", "batch_cap=64", "max_batch_tokens=2048", "clock_limit=1,0.6",
        "precision=checkpoint", "power_cap_w=none")  # fmt: skip
SMALL = STUDY.changed(
    model="meta-llama/Meta-Llama-3-8B",
    iteration_time="roofline",
    days=0.02,
    rate=4.0,
    slo_ttft=0.5,
    slo_tpot=0.03,
)
ARGUMENTS = (
    "--model", "meta-llama/Meta-Llama-3-8B", "--iteration-time", "roofline", "--days", "0.01", "--rate", "4",
    "--slo-ttft", "0.5", "--slo-tpot", "0.03", "--requests", "400", "--workers", "1",
    *(part for entry in VARY for part in ("--vary", entry)),
)  # fmt: skip


def command(*arguments: object) -> Ended:
    return call_app(search.app(), *ARGUMENTS, *arguments)


@pytest.fixture(scope="module")
def found(tmp_path_factory) -> tuple[Path, Ended]:
    out = tmp_path_factory.mktemp("search") / "out"
    return out, command("--gpus", "h100,t4", "--gpu-hour", "h100=3,t4=0.5", "--out", out)


@pytest.fixture(scope="module")
def rows(found) -> pd.DataFrame:
    return pd.read_csv(found[0] / "search.csv", keep_default_na=False, na_values=[""])


def test_it_says_what_is_best_and_what_became_of_every_deployment(found, rows):
    out, ended = found
    assert ended.code == 0, ended.err
    summary = json.loads((out / "summary.json").read_text())
    assert len(rows) == summary["deployments"] == 16
    assert f"Best: {summary['best']['deployment']}" in ended.out
    assert set(rows["status"]) <= {"confirmed", "run", "estimated", "impossible"}
    assert (rows.loc[rows["status"] == "impossible", "why"].str.contains("does not fit")).all()
    assert (rows["status"] == "impossible").any()
    assert rows.loc[rows["status"] == "estimated", "why"].str.len().gt(0).all()
    assert (out / "pareto.png").stat().st_size > 10_000
    assert pd.read_parquet(out / "search.parquet")["deployment"].tolist() == rows["deployment"].tolist()


def test_every_point_of_the_front_is_a_study_that_gives_its_figures_again(found):
    out, _ = found
    points = pd.read_csv(out / "pareto.csv")
    assert len(points) >= 2
    assert points["best"].tolist() == [True] + [False] * (len(points) - 1)
    for point in points.iloc[[0, -1]].to_dict("records"):
        result = simulate(Study.from_toml(out / point["study"]))
        assert result.figures.served.energy_j_per_output_token == pytest.approx(
            point["j_per_output_token"], rel=1e-12
        )
        assert (result.figures.served.ttft_s.p99, result.figures.served.tpot_s.p99) == pytest.approx(
            (point["ttft_s"], point["tpot_s"]), rel=1e-12
        )


def test_the_figures_of_its_stages_stand_side_by_side(found):
    out, ended = found
    stages = {row["figure"]: row for row in json.loads((out / "summary.json").read_text())["stages"]}
    energy = stages["j_per_output_token"]
    assert energy["run_error"] == energy["run"] / energy["full"] - 1
    assert abs(energy["estimate_error"]) < 0.1
    assert abs(energy["run_error"]) < 0.1
    assert "estimate/full" in ended.out


def test_costs_and_carbon_add_up(found):
    for row in pd.read_csv(found[0] / "pareto.csv").to_dict("records"):
        hours = row["gpus"] / row["tokens_per_s"] / 3600
        price = 3.0 if "h100" in row["deployment"] else 0.5
        assert row["gpu_cost_per_million_tokens"] == pytest.approx(1e6 * hours * price)
        parts = row["gpu_cost_per_million_tokens"] + row["energy_cost_per_million_tokens"]
        assert row["cost_per_million_tokens"] == pytest.approx(parts)
        parts = row["operational_g_per_1k_tokens"] + row["embodied_g_per_1k_tokens"]
        assert row["g_per_1k_tokens"] == pytest.approx(parts)
        assert row["meter_j_per_output_token"] > row["j_per_output_token"]


def test_what_is_left_out_is_neither_best_nor_on_the_front():
    """Against running every deployment."""
    options = {"objective": "cost", "requests": 400, "gpu_hour": "h100=3,l40s=1"}
    possible = candidates(SMALL.site.serving, ["h100", "l40s"], VARY, 8)
    one, every = (Search.of(SMALL, possible, **options) for _ in range(2))
    one.screen()
    one.run(100)
    every.run(100)  # without estimates nothing is left out
    assert sum(entry.run is not None for entry in every.entries) == len(possible)
    assert sum(entry.run is not None for entry in one.entries) < len(possible)

    def best(ran: Search) -> str:
        kept = [entry for entry in ran.entries if entry.run and not entry.why]
        return min(kept, key=lambda entry: ran.objective_of(entry.run)).candidate.label

    def on_it(ran: Search) -> set[str]:
        return {entry.candidate.label for entry in ran.entries if entry.on_front}

    assert best(one) == best(every)
    assert on_it(one) == on_it(every)


def test_pools_are_run_without_an_estimate():
    """What they take is not known beforehand, only what cannot be."""
    vary = (
        *VARY[1:5],
        "tp=1",
        "clock_limit=1",
        "precision=checkpoint",
        "prefill_replicas=0,1",
        "scheduler=sarathi,orca",
    )
    ran = Search.of(SMALL, candidates(SMALL.site.serving, ["h100"], vary, 2), objective="cost", requests=400)
    ran.screen()
    pools = [entry for entry in ran.entries if entry.candidate.serving.prefill_replicas]
    assert len(pools) == 2 == sum(entry.estimate is None for entry in pools)
    assert [entry.why.partition(":")[0] for entry in pools] == ["", "--scheduler orca"]
    ran.run(100)
    assert pools[0].run is not None
    assert pools[0].run["saturation"] == "stable"
    assert pools[1].run is None


@pytest.mark.parametrize(
    "options",
    [{}, {"prefill_replicas": 1}, {"failing": "replica", "mtbf_hours": 0.1, "repair_hours": 0.02}],
)
def test_a_run_of_the_whole_study_alone_is_the_full_run(options):
    study = SMALL.changed(gpu="h100", tp=1, replicas=2, **options)
    span_s = float(study.run.length_s)
    workload = study.site.traffic.workload(0.0, span_s, study.run.seed)
    job = job_of(study, workload=workload, span_s=span_s, warm_up_s=0.0, percentile=90.0)
    alone, full = run_alone(job.argument), run_full(job.argument)
    assert alone["saturation"] == full["saturation"]
    for name in ("ttft_s", "tpot_s", "tokens_per_s", "requests", "batch"):
        assert alone[name] == pytest.approx(full[name], rel=1e-12), name
    assert alone["gpu_w"] / alone["tokens_per_s"] == pytest.approx(full["per_token"]["gpu_j"], rel=1e-12)


def test_where_nothing_keeps_the_targets_it_says_what_comes_closest(tmp_path):
    ended = command("--gpus", "h100", "--slo-tpot", "0.001", "--out", tmp_path / "out")
    assert ended.code == 0, ended.err
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["best"] is None
    assert summary["front"] == []
    assert "Best" not in ended.out
    assert f"Closest: {summary['closest']['deployment']}: TPOT p99" in ended.out
    assert "%" in summary["closest"]["why"]


def test_rates_that_vary_are_taken_as_they_are():
    workload = {"rate_per_s": 2.0, "diurnal": "diurnal_day", "horizon_s": 86_400.0}
    varied = sample(workload, 86_400.0, steady=False)
    assert len(varied.levels) == 6
    assert sum(share for _, share in varied.levels) == pytest.approx(1.0)
    assert sum(rate * share for rate, share in varied.levels) == pytest.approx(varied.rate_per_s)
    assert varied.levels[-1][0] > 1.3 * varied.rate_per_s
    assert varied.gap_cv == pytest.approx(1.0, abs=0.03)
    whole = Search.of(
        SMALL.changed(diurnal="diurnal_day"), candidates(Serving(), ["h100"], VARY, 1), objective="j_per_token",
        requests=10,
    )  # fmt: skip
    assert (whole.setting.span_s, whole.setting.warm_up_s) == (SMALL.run.length_s, 0.0)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--gpus", "h100,"), "--gpus: 'h100,' given"),
        (("--gpus", "h999"), "h999"),
        (("--vary", "tp=1;2,3"), "--vary: tp is named twice"),
        (("--vary", "wings=1"), "--vary wings: no option of a deployment"),
        (("--vary", "block_tokens=many"), "--vary block_tokens: 'many' given"),
        (("--max-gpus", "0"), "--max-gpus"),
        (("--gpus", "l40s", "--objective", "cost"), "no price of an hour of l40s is known"),
        (("--gpu-hour", "h100=cheap"), "--gpu-hour: 'h100=cheap' given"),
        (("--gpu-hour", "v100=1"), "'v100' is none of the GPUs that are tried"),
        (("--energy-price", "0.2", "--currency", "EUR", "--objective", "cost"), "energy costs EUR"),
    ],
)
def test_what_is_wrong_is_one_line(tmp_path, arguments, said):
    assert said in command(*arguments, "--out", tmp_path / "out").complaint
    assert not (tmp_path / "out").exists()


def test_only_lower_precisions_that_the_gpu_computes_in_are_tried():
    def tried(gpu: str, base: Serving, *vary: str) -> set[str]:
        found = candidates(base, [gpu], [*(v for v in VARY if "precision" not in v), *vary], 8)
        return {one.values["precision"] for one in found}

    dense = Serving(model="meta-llama/Meta-Llama-3-8B")
    assert tried("a100", dense) == {"checkpoint"}
    assert tried("h100", dense) == {"checkpoint", "fp8"}
    assert tried("b200", dense) == {"checkpoint", "fp8", "fp4"}
    assert tried("a100", dense, "precision=int8") == {"int8"}


def test_an_estimate_rules_out_only_what_cannot_be():
    figures = {"utilisation": 0.5, "ttft_s": 0.5, "tpot_s": 0.03}
    targets = Targets(0.4, 0.03)
    assert hopeless(Serving(), figures, targets) == ""
    assert hopeless(Serving(), figures | {"ttft_s": 4.0}, targets).startswith("TTFT p99")
    assert hopeless(Serving(), figures | {"tpot_s": 0.3}, targets).startswith("TPOT p99")
    assert hopeless(Serving(), figures | {"utilisation": 1.0}, targets) == ""
    nothing = {"utilisation": 2.0, "ttft_s": np.nan, "tpot_s": np.nan}
    assert hopeless(Serving(), nothing, targets).startswith("overloaded")
    assert hopeless(Serving(), nothing | {"utilisation": 1.0}, targets) == ""


def test_the_front_is_of_what_nothing_beats():
    rng = np.random.default_rng(5)
    figures = 10 ** rng.uniform(0, 1, (60, 3))
    on_it = front(figures)
    beaten = np.array(
        [any((other <= row).all() and (other < row).any() for other in figures) for row in figures]
    )
    assert not (on_it & beaten).any()
    assert on_it[figures[:, 0].argmin()]
    names = ["j_per_output_token", "tokens_per_s_per_gpu"]
    rows = [dict(zip(names, row, strict=True)) for row in ((1.0, 10.0), (1.0, 20.0))]
    assert front(less_is_better(rows, names)).tolist() == [False, True]


def test_a_study_that_cannot_be_told_is_refused():
    assert Study.from_toml(study_toml(SMALL, "all of it")) == SMALL
    with pytest.raises(InputError):
        Study.from_toml("[sites.serving]\nwings = 2")
