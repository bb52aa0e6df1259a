"""The comparison of policies: what is saved and why, over starts; the command on a small site."""

from __future__ import annotations

import json
from math import nan

import pandas as pd
import pytest

from scenarios import Study, compare_policies
from scenarios.compare_policies import ComparePolicies
from scenarios.comparison import (
    against_baseline,
    best_known,
    entry,
    half_width,
    over_starts,
    run_one,
    starts,
    together,
    under,
)
from scenarios.shipping import job_of
from simulators.errors import InputError
from tests.conftest import call_app
from tests.scenarios.runs import SMALL

SITE = Study().changed(
    site="germany", days=0.05, gpu="a100", tp=1, replicas=1, model="meta-llama/Meta-Llama-3-8B", rate=0.5,
    deferrable_share=0.5, defer_hours=0.5, without=["battery"],
)  # fmt: skip


def rows(**columns) -> pd.DataFrame:
    return pd.DataFrame(
        {"policy": ["none", "mpc", "oracle"],
         "start": ["a"] * 3, "seed": [1] * 3, "output_tokens": [1000.0] * 3, "slo_kept": [True] * 3,
         "saturation": ["stable"] * 3,
         "deadlines_missed": [0.0] * 3, "facility_kwh": [300.0, 150.0, 120.0]} | columns
    )  # fmt: skip


def test_a_saving_is_that_of_energy_and_that_of_cleaner_hours():
    found = against_baseline(rows(kg=[100.0, 40.0, 30.0], import_kwh=[200.0, 120.0, 100.0]))
    mpc = found.iloc[1]
    assert mpc.saved == pytest.approx(0.6)
    assert mpc.energy_part == pytest.approx(0.4)  # 80 of 200 kWh at 0.5 kg
    assert mpc.carbon_part == pytest.approx(0.2)
    assert mpc.kwh_saved == pytest.approx(0.5)
    assert mpc.best_share == pytest.approx(60 / 70)
    assert found.best_known.tolist() == [0.0, 0.0, 1.0]
    assert found.iloc[0][["saved", "energy_part", "carbon_part", "kwh_saved"]].tolist() == [0.0] * 4


@pytest.mark.parametrize(
    ("kept", "missed", "shares"),
    [
        ([True] * 3, [0, 0, 0], [0.0, 1.0, 0.8]),  # better than the oracle: then that is what is known best
        ([True, False, True], [0, 0, 0], [0.0, None, 1.0]),
        ([True, True, True], [0, 3, 0], [0.0, None, 1.0]),
    ],
)
def test_a_share_is_of_the_best_that_kept_its_promises(kept, missed, shares):
    frame = rows(kg=[100.0, 25.0, 40.0], import_kwh=[200.0] * 3, slo_kept=kept, deadlines_missed=missed)
    means = over_starts(against_baseline(frame))
    assert means.best_share.tolist() == pytest.approx(
        [nan if one is None else one for one in shares], nan_ok=True
    )
    assert best_known(means).count(f"{'mpc' if shares[1] else 'oracle'} in 100%") == 1
    for none in ({"kg": [1.0, 2.0, 3.0]}, {"kg": [3.0, 2.0, 1.0], "slo_kept": [False] * 3}):
        means = over_starts(against_baseline(rows(import_kwh=[1.0] * 3, **none)))
        assert means.best_share.isna().all()
        assert best_known(means) == ""


def test_what_did_half_the_work_has_saved_nothing_by_that():
    found = against_baseline(
        rows(kg=[100.0, 50.0, 50.0], import_kwh=[200.0, 100.0, 100.0], output_tokens=[1000.0, 500.0, 1000.0])
    )
    assert found.saved.tolist() == pytest.approx([0.0, 0.0, 0.5])


def test_intervals_are_over_starts():
    frames = [
        rows(kg=[100.0, kg, 30.0], import_kwh=[200.0, 120.0, 100.0]).assign(start=name)
        for name, kg in (("a", 40.0), ("b", 50.0), ("c", 60.0))
    ]
    means = over_starts(against_baseline(pd.concat(frames, ignore_index=True)))
    assert means.policy.tolist() == ["none", "mpc", "oracle"]
    assert means.saved.tolist() == pytest.approx([0.0, 0.5, 0.7])
    assert means.saved_half_width[1] == pytest.approx(half_width([0.6, 0.5, 0.4]))
    assert means.starts.tolist() == [3, 3, 3]


def test_an_interval_is_of_paired_differences_and_seeds_of_one_start_are_one_of_its_values():
    """By hand: 10, 20, 30 kg, whatever the level; mean 20, half width t(0.975, 2) s / sqrt(3), t = 4.30265, s = 10."""
    frames = [
        rows(kg=[level, level - saved - off, level], import_kwh=[200.0] * 3).assign(start=start, seed=seed)
        for start, level, saved in (("a", 1000.0, 10.0), ("b", 100.0, 20.0), ("c", -400.0, 30.0))
        for seed, off in ((1, 5.0), (2, -5.0))
    ]
    means = over_starts(against_baseline(pd.concat(frames, ignore_index=True))).set_index("policy")
    assert means.kg_saved["mpc"] == pytest.approx(20.0)
    assert means.kg_saved_half_width["mpc"] == pytest.approx(4.30265 * 10 / 3**0.5, rel=1e-5)
    assert means.kg_saved_half_width["none"] == 0.0
    # a share of a credit is none: that start has no part in the mean and its interval
    assert means.saved["mpc"] == pytest.approx((0.01 + 0.2) / 2)
    assert means.saved_half_width["mpc"] == pytest.approx(half_width([0.01, 0.2]))
    assert (means.starts["mpc"], means.runs["mpc"]) == (3, 6)
    alone = over_starts(against_baseline(pd.concat(frames[:2], ignore_index=True))).set_index("policy")
    assert alone.kg_saved_half_width["mpc"] == pytest.approx(
        12.7062 * 7.07107 / 2**0.5, rel=1e-5
    )  # of its seeds
    one = over_starts(against_baseline(frames[0])).set_index("policy")
    assert one.kg_saved_half_width.isna().all()


def test_what_forecast_error_costs_is_against_the_same_policy_with_a_perfect_one():
    frame = rows(kg=[100.0, 50.0, 55.0], import_kwh=[200.0] * 3)
    found = against_baseline(frame.assign(policy=["none", "mpc@perfect", "mpc@noisy=0.1"]))
    assert found.forecast_cost.tolist()[1:] == pytest.approx([0.0, 0.1])
    assert found.forecast_cost.isna().tolist() == [True, False, False]


def test_starts_keep_their_time_of_day_through_the_year():
    dates = starts(SITE.changed(start="2023-03-01T06:00"), 3, 30)
    assert dates == ["2023-03-01T06:00:00+01:00", "2023-03-31T06:00:00+02:00", "2023-04-30T06:00:00+02:00"]


def test_all_run_as_long_as_the_longest():
    study = together(SITE, ["none", "carbon"])
    assert {study.changed(policy=name).length_s for name in ("none", "carbon")} == {SITE.run.length_s + 1800}
    assert together(SITE, ["none"]).length_s == SITE.run.length_s
    with pytest.raises(InputError, match="one is named twice"):
        together(SITE, ["none", "none"])


def test_what_a_worse_forecast_costs_can_be_asked():
    assert under(SITE, "wait@persistence").site.control.forecast == "persistence"
    assert entry("dir@home/mine.py:Rule:x=1") == ("dir@home/mine.py:Rule:x=1", None, None)
    assert entry("dir@home/mine.py:Rule:x=1@noisy") == ("dir@home/mine.py:Rule:x=1", "noisy", None)
    assert under(SITE, "mpc@noisy=0.05").site.control.forecast_error == 0.05
    asked = ComparePolicies(policies=("none,bunch,mpc,mpc@seasonal,oracle",), forecasts="perfect, noisy=0.2")
    assert asked.entries == ["none", "bunch", "mpc@perfect", "mpc@noisy=0.2", "mpc@seasonal", "oracle"]


def test_a_row_says_what_the_run_did():
    study = under(together(SITE, ["none", "bunch"]), "bunch").changed(start="2023-06-05T08:00")
    row = run_one(job_of(study, policy="bunch", start="2023-06-05T08:00").argument)
    assert row["policy"] == "bunch"
    assert row["delay_mean_s"] > 300
    assert row["deadlines_missed"] == 0
    assert row["interactive_ttft_p99_s"] > row["interactive_ttft_p50_s"] > 0
    assert row["facility_kwh"] > row["import_kwh"] >= 0
    assert row["wake_ups"] == 0


def test_the_command_leaves_a_table_and_a_figure(tmp_path):
    out = tmp_path / "compared"
    options = [entry for entry in SMALL if entry not in ("--drain-hours", "0")]
    ended = call_app(
        compare_policies.app(), *options, "--site", "germany", "--days", "0.03", "--defer-hours", "0.3",
        "--policies", "none,bunch", "--policies", "carbon:quantile=0.2,spread=false", "--starts", "2",
        "--apart-days", "30", "--workers", "1", "--out", out,
    )  # fmt: skip
    assert ended.code == 0, ended.err
    table = ended.out[ended.out.index("policy ") :].splitlines()
    assert [line.split()[0] for line in table[:4]] == [
        "policy",
        "none",
        "bunch",
        "carbon:quantile=0.2,spread=false",
    ]
    runs = pd.read_csv(out / "runs.csv")
    assert len(runs) == 6
    assert runs.groupby("start").completed.nunique().tolist() == [1, 1]  # the same work for all
    summary = json.loads((out / "summary.json").read_text())
    assert list(summary["policies"]) == ["bunch", "carbon:quantile=0.2,spread=false", "none"]
    assert summary["policies"]["none"]["saved"] == 0.0
    shares = [row["best_share"] for row in summary["policies"].values()]
    assert all(share is None or share <= 1 for share in shares)
    assert (out / "comparison.png").stat().st_size > 20_000


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--policies", "nonne"), "'nonne' is unknown"),
        (("--starts", "0"), "--starts: '0' given"),
        (("--forecasts", "perfekt"), "--forecasts: 'perfekt' given, expected some of perfect"),
        (("--forecasts", "noisy=x"), "expected the error of a forecast"),
        (("--policies", "none,none"), "--policies: one is named twice"),
    ],
)
def test_what_is_wrong_is_one_line(tmp_path, arguments, message):
    ended = call_app(compare_policies.app(), *arguments, "--out", tmp_path / "out")
    assert ended.code == 2
    assert message in ended.err
    assert ended.err.count("\n") == 1
