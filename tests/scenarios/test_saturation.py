"""An overloaded run looks green nowhere: every output that has figures of a run says whether its servers kept up."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from scenarios import (
    Result,
    Study,
    attribution_report,
    comparison,
    comparison_figure,
    geo_shifting,
    side_by_side,
    simulate,
    sweep,
    sweep_record,
    what_if,
)
from scenarios.finished import Finished
from scenarios.live import Live
from simulators.inference.serving import Serving
from simulators.quantities.saturation import Waits
from simulators.report import answer, cards, progress


@pytest.fixture(scope="module")
def overloaded() -> Result:
    """Ten minutes of three times what one GPU can serve."""
    study = Study().changed(
        model="meta-llama/Meta-Llama-3-8B", gpu="a100", tp=1, replicas=1, rate=40.0, lengths="fixed:500:100",
        days=600 / 86400, drain_hours=0.0, deferrable_share=0.0, batch_cap=16, iteration_time="roofline",
    )  # fmt: skip
    return simulate(study)


def test_a_run_says_it_in_its_summary_its_table_its_cards_and_its_answer(overloaded: Result):
    summary = overloaded.to_json()
    assert summary["inference"]["saturation"]["label"] == "overloaded"
    assert "Saturation" in progress.summary_table(summary)
    assert "OVERLOADED" in progress.summary_table(summary)
    assert "Overloaded" in cards.cards(summary)
    assert 'class="answer bad"' in answer.section(summary)


def test_tables_of_many_runs_say_it(overloaded: Result):
    label = sweep_record.SATURATION
    row = sweep_record.row_of(overloaded)
    assert row[label] == "overloaded"
    found = sweep_record.table([{"rate": 40.0}, {"rate": 41.0}], [row, None], {1: "failed"})
    assert found[label][0] == "overloaded"
    assert pd.isna(found[label][1])
    assert found["energy_mwh.facility"].dtype == float
    assert "OVERLOADED" in sweep.terminal(found, ["rate"])

    labels = {("none", 1): "stable", ("none", 2): "stable", ("mpc", 1): "stable", ("mpc", 2): "overloaded"}
    one = comparison.row_of(overloaded)
    assert one["saturation"] == "overloaded"
    runs = pd.DataFrame(
        {"policy": policy, "start": "a", "seed": seed} | one | {"saturation": label}
        for (policy, seed), label in labels.items()
    )
    means = comparison.over_starts(comparison.against_baseline(runs))
    assert list(means["saturation"]) == ["stable", "overloaded"]  # the worst of all runs
    assert "OVERLOADED" in comparison_figure.terminal(means)

    moved = pd.DataFrame([geo_shifting.row_of("home", overloaded) | {"saved": 0.0}])
    assert "OVERLOADED" in geo_shifting.terminal(moved)


def test_results_side_by_side_say_it(overloaded: Result):
    finished = Finished("mine", Path("."), {}, overloaded.figures, {}, {})
    rows = {cells[0]: cells[1:] for cells in side_by_side.cells(side_by_side.lined_up([finished, finished]))}
    assert set(rows["Saturation (0 stable, 1 backlogged, 2 overloaded)"]) == {"OVERLOADED"}


def test_what_if_says_it_and_counts_nobody_who_is_overloaded_among_those_that_keep_the_targets():
    options = what_if.WhatIf(tenant=("one:30:fixed:500:100",), minutes=2.0)
    base = what_if.evaluate(Serving(gpu="a100", batch_cap=16, iteration_time="roofline"), options, 300.0)
    assert base.row["saturation"] == "overloaded"
    table = what_if.compare(base, [("cannot", "not possible: no memory")], 1e4, 1e4)  # targets that all keep
    assert not table["holds"].any()
    assert "OVERLOADED" in attribution_report.terminal_table(table)
    assert "cannot" in attribution_report.terminal_table(table)


def test_the_live_page_says_it_of_what_is_finished_so_far():
    page = Live(0, Path("."))
    page._waits, page._targets = Waits(), {"ttft_s": 2.0}
    assert page._saturation() == ""
    at = np.arange(0.0, 100.0)
    page._wait({"deferrable": np.zeros(100, bool), "released_at": at, "scheduled_at": 2 * at})
    page._wait(
        {"deferrable": np.ones(50, bool), "released_at": at[50:], "scheduled_at": at[50:]}
    )  # held is no queue
    assert page._saturation() == " · saturation so far: OVERLOADED"
