"""The fit: recovers known prices, sees noise and strangers where they are, and bounds what it does not know."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from simulators.errors import InputError
from simulators.inference.catalogue import gpu
from simulators.inference.power.fit import (
    MIN_ROWS,
    TERMS,
    errors,
    expected,
    family,
    fit,
    fit_prices,
    interval,
    maker,
    mape,
    predict_w,
)
from simulators.inference.power.prices import ESTIMATED_HIGH, ESTIMATED_LOW, loaded_idle_w
from simulators.inference.power.terms import Coefficients

from .points import TRUTH, made

near = st.floats(0.85, 1.15)


def of_expected(*factors: float) -> Coefficients:
    return Coefficients(*(f * price for f, price in zip(factors, expected("h100"), strict=True)))


@settings(max_examples=8, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(st.builds(of_expected, *[near] * len(TERMS)))
def test_a_fit_finds_the_prices_data_were_made_with(truth: Coefficients):
    points = made(of={"h100": truth}, rows=30)
    found = fit_prices(points)["h100"]
    assert mape(predict_w(points, {"h100": found}), points["power_w"].to_numpy()) < 0.005
    for term in TERMS:
        assert getattr(found, term) == pytest.approx(getattr(truth, term), rel=0.1), term


def test_two_gpus_are_told_apart_and_help_each_other():
    cheap = expected("b200")._replace(weights=90e-12)
    points = made(of={"h100": TRUTH, "b200": cheap}, rows=30)
    found = fit_prices(points)
    assert set(found) == {"h100", "b200"}
    assert found["h100"].weights == pytest.approx(TRUTH.weights, rel=0.05)
    assert found["b200"].weights == pytest.approx(90e-12, rel=0.05)
    # what only the H100's rows have any of moves the B200's expectation along
    dear = TRUTH._replace(kv=1.5 * expected("h100").kv)
    points = made(of={"h100": dear, "b200": expected("b200")}, rows=30)
    points.loc[points["gpu"] == "b200", "kv"] = 0.0
    assert fit_prices(points)["b200"].kv > 1.03 * expected("b200").kv


def test_a_term_no_row_has_any_of_stays_where_it_is_expected():
    points = made().assign(padded=0.0, flop8=0.0)
    points["power_w"] = predict_w(points, {"h100": TRUTH})
    found = fit_prices(points)["h100"]
    assert (found.padded, found.flop8) == pytest.approx((expected("h100").padded, expected("h100").flop8))


def test_a_few_wild_rows_move_little():
    points = made(rows=20)
    points.loc[points.index[:5], "power_w"] *= 0.5
    found = fit_prices(points)["h100"]
    assert mape(predict_w(points[5:], {"h100": found}), points["power_w"][5:].to_numpy()) < 0.03


def test_power_stays_between_idle_and_limit():
    sheet, points = gpu("h100"), made()
    rest = points.assign(**dict.fromkeys(TERMS, 0.0))
    assert predict_w(rest, {"h100": TRUTH}) == pytest.approx(loaded_idle_w(sheet), rel=1e-4)
    assert (predict_w(points.assign(weights=1e15), {"h100": TRUTH}) <= sheet.tdp_w).all()
    assert np.isnan(predict_w(points, {})).all()


def test_leaving_models_out_sees_noise_and_not_more():
    row = errors(fit(made(noise=0.05, makers=3)).points).iloc[0]
    assert 2 < row["in_sample_%"] < 6
    assert row["in_sample_%"] < row["left_out_%"] < 8
    assert row["left_out_%"] < row["maker_out_%"] + 0.5
    assert row["inside_%"] > 60


def test_a_model_unlike_the_others_is_only_seen_when_it_is_left_out():
    points = made()
    odd = (points["model"] == "maker0/model-3").to_numpy()
    points.loc[odd, "power_w"] *= 0.6
    out = fit(points).points
    error = (out["left_out_w"] / out["power_w"] - 1).abs()
    assert error[odd].mean() > 0.4
    assert error[~odd].mean() < 0.2


def test_the_interval_is_of_makers_then_of_models_then_a_judgement():
    several = fit(made(noise=0.05, makers=3))
    assert several.spread_from == "models of makers left out of the fit, the widest"
    assert 0.75 < several.spread[0] < 1 < several.spread[1] < 1.3
    assert several.points[["low_w", "high_w"]].notna().all(axis=None)
    one_maker = fit(made(noise=0.05, makers=1))
    assert one_maker.spread_from == "models left out of the fit"
    assert one_maker.spread[0] < 1 < one_maker.spread[1]
    assert one_maker.points["maker_out_w"].isna().all()
    one_model = fit(made(models=1, rows=20))
    assert one_model.spread == (ESTIMATED_LOW, ESTIMATED_HIGH)
    assert one_model.spread_from.startswith("judgement: one model")
    assert one_model.points["left_out_w"].isna().all()


def test_an_interval_never_leaves_out_one_and_reaches_to_the_farthest_maker():
    points = made(models=2, makers=2)
    first = (points["model"] == "maker0/model-0").to_numpy()
    ratio = points["power_w"] * 0 + np.where(first, 1.2, 1.5)
    assert interval(ratio, points) == pytest.approx((1.0, 1.5))
    assert interval(1 / ratio, points) == pytest.approx((1 / 1.5, 1.0))
    assert np.isnan(interval(ratio * np.nan, points)).all()


def test_too_few_rows_and_power_above_the_board_are_refused():
    with pytest.raises(InputError, match=f"3 rows of h100, expected at least {MIN_ROWS}"):
        fit(made(models=1, rows=3))
    points = made()
    points.loc[7, "power_w"] = 1400.0
    with pytest.raises(InputError, match="1400 is above the 700 W limit of h100: W per GPU expected"):
        fit(points)


def test_variants_of_a_model_are_left_out_together():
    assert family("Qwen/Qwen3-235B-A22B-Instruct-2507-FP8") == family("Qwen/Qwen3-235B-A22B-Thinking-2507")
    assert family("Qwen/Qwen3-8B") != family("Qwen/Qwen3-32B")
    assert family("Qwen/Qwen3-30B-A3B-Instruct-2507") != family("Qwen/Qwen3-VL-30B-A3B-Instruct")
    assert maker("Qwen/Qwen3-8B") == maker("Qwen/Qwen3-VL-30B-A3B-Instruct") == "Qwen"
    assert maker("Qwen3-8B") == "Qwen3"
