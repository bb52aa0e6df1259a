"""The what-if table: one change at a time on the same requests, every joule accounted for."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from scenarios.attribution_report import answer, cheapest, terminal_table
from scenarios.what_if import BASE, WhatIf, compare, evaluate, variant
from simulators.errors import InputError
from simulators.report.labels import seconds

ROOT = Path(__file__).resolve().parents[2]
SMALL = {
    "model": "meta-llama/Meta-Llama-3-8B", "tp": 1, "iteration_time": "roofline", "minutes": 2.0,
    "tenant": ("chat:6:fixed:500:200", "documents:0.5:fixed:6000:300"),
}  # fmt: skip


@pytest.fixture(scope="module")
def options() -> WhatIf:
    serving = BASE.model_copy(update={name: SMALL[name] for name in ("model", "tp", "iteration_time")})
    return WhatIf(serving=serving, minutes=2.0, tenant=SMALL["tenant"])


def test_all_joules_are_in_the_table(options: WhatIf):
    outcome = evaluate(options.serving, options, 400.0)
    row = outcome.row
    assert abs(row["residual"]) <= 1e-12
    parts = ("prefill_j_per_output_token", "decode_j_per_output_token", "idle_j_per_output_token")
    assert sum(row[name] for name in parts) == pytest.approx(row["j_per_output_token"], rel=1e-12)
    assert outcome.costs["energy_j"].sum() == pytest.approx(outcome.meter["meter_j"], rel=1e-12)
    # at the meter of the site: more than the GPUs alone, times PUE, and less than three times that
    gpus_g = row["j_per_output_token"] * 1e3 / 3.6e6 * 400.0
    assert 1.2 * gpus_g < row["g_per_1k_tokens"] < 3 * gpus_g


def test_money_is_energy_at_the_meter_and_hours_of_gpus(options: WhatIf):
    free = compare(evaluate(options.serving, options, 400.0), [], 2.0, 0.1)
    assert cheapest(free, "EUR") == ""
    assert "cost/million" not in terminal_table(free)
    priced = options.model_copy(update={"energy_price": 0.25, "gpu_price": 3.0, "currency": "EUR"})
    base = evaluate(priced.serving, priced, 400.0)
    row = base.row
    kwh_per_token = row["g_per_1k_tokens"] / 1e3 / 400.0
    hours_per_token = row["gpus"] / row["tokens_per_s"] / 3600.0
    expected = 1e6 * (0.25 * kwh_per_token + 3.0 * hours_per_token)
    assert row["cost_per_million_tokens"] == pytest.approx(expected, rel=1e-6)
    table = compare(base, [("tp=2", evaluate(variant(priced.serving, "tp=2"), priced, 400.0))], 2.0, 0.1)
    assert cheapest(table, "EUR").startswith("Cheapest: base, ")  # twice the GPUs cost more than they bring
    assert "cost/million" in terminal_table(table)


def test_tenants_bear_what_they_ask_for(options: WhatIf):
    costs = evaluate(options.serving, options, 400.0).costs
    each = costs.groupby("tenant")[["prefill_j", "decode_j"]].mean()
    assert each["prefill_j"][1] > 10 * each["prefill_j"][0]  # twelve times the prompt
    assert each["decode_j"][1] > 1.5 * each["decode_j"][0]  # half as many tokens again, in a longer context


def test_changes_go_the_way_they_are_known_to(options: WhatIf):
    base = evaluate(options.serving, options, 400.0)
    changed = {
        change: evaluate(variant(options.serving, change), options, 400.0).row
        for change in ("power_cap_w=420", "batch_cap=2", "tp=2", "max_batch_tokens=512")
    }
    energy = {change: row["j_per_output_token"] for change, row in changed.items()}
    now = base.row["j_per_output_token"]
    assert energy["power_cap_w=420"] < now
    assert changed["power_cap_w=420"]["ttft_p95_s"] > base.row["ttft_p95_s"]
    assert energy["batch_cap=2"] > 1.5 * now  # weights are read for two instead of many
    assert changed["tp=2"]["tpot_p50_s"] < base.row["tpot_p50_s"]
    assert energy["tp=2"] > now
    assert (
        changed["max_batch_tokens=512"]["tpot_p50_s"] < base.row["tpot_p50_s"]
    )  # shorter pauses for prompts


def test_the_table_says_what_cannot_be_compared(options: WhatIf):
    base = evaluate(options.serving, options, 400.0)
    slow = evaluate(variant(options.serving, "batch_cap=1"), options, 400.0)
    table = compare(base, [("batch_cap=1", slow), ("tp=3", "not possible: odd")], 1e3, 1e3)
    assert table["change"].tolist() == ["base", "batch_cap=1", "tp=3"]
    assert table["note"].tolist()[0] == ""
    assert "falls behind the load" in table["note"][1]
    assert table["note"][2] == "not possible: odd"
    assert table["energy_change"][1] == pytest.approx(
        slow.row["j_per_output_token"] / base.row["j_per_output_token"] - 1
    )
    assert pd.isna(table["j_per_output_token"][2])
    assert table["holds"].tolist() == [
        True,
        False,
        False,
    ]  # whatever its latencies: it does not carry the load
    assert table["front"].tolist() == [True, False, False]


def test_several_options_change_at_once_and_only_what_keeps_the_targets_holds(options: WhatIf):
    base = evaluate(options.serving, options, 400.0)
    changes = ("tp=2,replicas=2", "power-cap-w=420, clock_limit=0.9", "tp=2")
    serving = [variant(options.serving, change) for change in changes]
    assert (serving[0].tp, serving[0].replicas, serving[0].gpus) == (2, 2, 4)
    assert (serving[1].power_cap_w, serving[1].clock_limit, serving[1].tp) == (420, 0.9, options.serving.tp)
    outcomes = [(change, evaluate(one, options, 400.0)) for change, one in zip(changes, serving, strict=True)]
    rows = [base.row, *(outcome.row for _, outcome in outcomes)]
    assert rows[1]["gpus"] == 4
    assert rows[1]["ttft_p99_s"] < rows[3]["ttft_p99_s"]  # two replicas share the prompts
    limit = sorted(row["tpot_p99_s"] for row in rows)[1]  # two of four keep it
    table = compare(base, outcomes, 1e3, limit)
    assert table["holds"].tolist() == [row["tpot_p99_s"] <= limit for row in rows]
    # nothing on the front is beaten, and what is beaten is not on it
    held = table[table["holds"]]
    for row in held.to_dict("records"):
        better = (held["tpot_p99_s"] < row["tpot_p99_s"]) & (
            held["j_per_output_token"] < row["j_per_output_token"]
        )
        assert row["front"] != better.any()
    words = answer(table, 1e3, limit)
    assert words.startswith(
        f"2 of 4 configurations carry the load within the targets (TTFT p99 up to {seconds(1e3)}"
    )
    assert held.loc[held["j_per_output_token"].idxmin(), "change"] in words
    nothing = compare(base, outcomes, 1e-9, 1e-9)
    assert answer(nothing, 1e-9, 1e-9).startswith("0 of 4 configurations carry")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("batch_cap", "expected OPTION=VALUE"),
        ("batch=3", "did you mean batch_cap"),
        ("batch_cap=0", "greater than or equal to 1"),
        ("precision=fp3", "fp3"),
        ("tp=2,replicas=2,tp=4", "gives tp twice"),
        ("tp=2,replica=2", "did you mean replicas"),
        ("tp=2,", "'' given, expected OPTION=VALUE"),
    ],
)
def test_a_bad_change_is_one_line(options: WhatIf, change: str, message: str):
    with pytest.raises(InputError, match=message) as error:
        variant(options.serving, change)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "tenant", ["chat", "chat:fast:fixed:5:5", "chat:0:fixed:5:5", ":1:fixed:5:5", "chat:1:"]
)
def test_a_bad_tenant_is_one_line(tenant: str):
    with pytest.raises(InputError, match="--tenant"):
        WhatIf(tenant=(tenant,)).workload()


def test_the_command_writes_table_figures_and_report(tmp_path: Path):
    out = tmp_path / "attribution"
    arguments = [
        "--model", SMALL["model"], "--tp", "1", "--iteration-time", "roofline", "--minutes", "1",
        "--change", "power_cap_w=420", "--change", "tp=64", "--change", "batch_cap=4,replicas=2", "--out", str(out),
    ]  # fmt: skip
    run = subprocess.run(
        [sys.executable, "scenarios/attribution.py", *arguments], capture_output=True, text=True, cwd=ROOT
    )
    assert run.returncode == 0, run.stderr
    table = pd.read_csv(out / "table.csv")
    assert table["change"].tolist() == ["base", "power_cap_w=420", "tp=64", "batch_cap=4,replicas=2"]
    assert table["note"].str.contains("not possible", na=False).tolist() == [False, False, True, False]
    summary = json.loads((out / "summary.json").read_text())
    assert summary["largest_residual"] <= 1e-12
    assert set(summary["tenants"]) == {"chat", "documents"}
    shares = [tenant["energy_j"] for tenant in summary["tenants"].values()]
    assert sum(shares) == pytest.approx(summary["meter_j"]["meter_j"], rel=1e-12)
    requests = pd.read_csv(out / "requests.csv")
    assert requests["energy_j"].sum() == pytest.approx(summary["meter_j"]["meter_j"], rel=1e-12)
    for name in ("energy_by_phase.png", "tornado.png", "energy_and_speed.png"):
        assert (out / "figures" / name).stat().st_size > 10_000
    report = (out / "report.html").read_text()
    assert "power_cap_w=420" in report
    assert "documents" in report
    assert "J/out token" in run.stdout


def test_the_command_refuses_a_cap_below_idle(tmp_path: Path):
    run = subprocess.run(
        [
            sys.executable, "scenarios/attribution.py", "--power-cap-w", "100", "--minutes", "1", "--out",
            str(tmp_path / "out"),
        ],
        capture_output=True, text=True, cwd=ROOT,
    )  # fmt: skip
    assert run.returncode == 2
    assert run.stderr.strip().splitlines() == [
        "error: power cap: 100 W is not above the 115.3 W an idle GPU draws; expected up to 700 W"
    ]
