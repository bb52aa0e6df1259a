"""What a user writes becomes a workload, or one line that says what is wrong."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from simulators.errors import InputError
from simulators.traffic import shapes
from simulators.traffic.lengths import Fixed, LogNormal, Uniform, Zipf
from simulators.traffic.options import TrafficOptions, workload_from_options, workload_from_plain
from simulators.traffic.shapes import parse_lengths, read_daily_shape

TRACE = "arrived_at,prefill_tokens,decode_tokens\n1,10,1\n2,20,2\n3,30,3\n"


@pytest.mark.parametrize(
    ("spec", "law"),
    [
        ("fixed:512:128", Fixed(512, 128)),
        ("uniform:100:200:4", Uniform(100, 200, 4.0)),
        ("zipf:1024:4096:0.6:20", Zipf(1024, 4096, 0.6, 20.0)),
        ("lognormal:1155:1.1:211:0.8", LogNormal(1155.0, 1.1, 211.0, 0.8)),
    ],
)
def test_length_specifications(spec, law):
    assert parse_lengths(spec) == law


def test_lengths_from_files(tmp_path):
    trace = tmp_path / "t.csv"
    trace.write_text(TRACE)
    prefill, decode = parse_lengths(f"trace:{trace}").draw(np.random.default_rng(1), 100)
    np.testing.assert_array_equal(prefill, decode * 10)
    for document in ([[100, 0.5], [200, 1.0]], {"cdf": [[100, 0.5], [200, 1.0]]}):
        file = tmp_path / "cdf.json"
        file.write_text(json.dumps(document))
        prefill, decode = parse_lengths(f"cdf:{file}:3").draw(np.random.default_rng(1), 10_000)
        assert np.mean(prefill + decode <= 100) == pytest.approx(0.5, abs=0.02)
        assert np.mean(prefill) / np.mean(decode) == pytest.approx(3.0, rel=0.03)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("", "expected one of fixed:PROMPT:OUTPUT"),
        ("pareto:1:2", "expected one of"),
        ("trace:", "expected one of"),
        ("zipf:1024:4096", "expected zipf:MIN:MAX:THETA:PREFILL_TO_DECODE"),
        ("zipf:1024:4096:0.6:x", "'x' is not a number"),
        ("zipf:1024:4096:nan:20", "'nan' is not a number"),
        ("zipf:1024.5:4096:0.6:20", "1024.5 must be a whole number"),
        ("zipf:4096:1024:0.6:20", "maximum 1024 is below the minimum 4096"),
        ("fixed:0:128", "at least 1"),
        ("trace:none.csv", "none.csv: no such file"),
        ("cdf:none.json:3", "none.json: no such file"),
        ("cdf:none.json:x", "'x' is not a number"),
    ],
)
def test_wrong_specifications_are_named(spec, message):
    with pytest.raises(InputError, match=message):
        parse_lengths(spec)


@pytest.mark.parametrize("content", ["{", "[1, 2]", '{"cdf": null}', "[[1, 2, 3]]", '[["a", "b"]]'])
def test_a_broken_distribution_names_its_file(tmp_path, content):
    file = tmp_path / "cdf.json"
    file.write_text(content)
    with pytest.raises(InputError, match=r"cdf\.json: "):
        parse_lengths(f"cdf:{file}:3")


QUANTILES = {
    "quantile_percent": [0, 50, 100],
    "lengths": {
        "chat": {
            "prefill_tokens": {"quantiles": [100, 500, 900]},
            "decode_tokens": {"quantiles": [0, 40, 80]},
        },
        "code": {"prefill_tokens": {"quantiles": [9, 9, 9]}, "decode_tokens": {"quantiles": [7, 7, 7]}},
    },
}


def shape_file(folder: Path, **entries: object) -> Path:
    path = folder / "shape.json"
    path.write_text(json.dumps({"hourly_factor": [0.0] * 12 + [2.0] * 12} | entries))
    return path


def test_rate_and_lengths():
    block = workload_from_options(rate_per_s=6.45, lengths="zipf:1024:4096:0.6:20", num_requests=20_000).take(
        np.inf
    )
    assert len(block) == 20_000
    assert 20_000 / block.arrived_at[-1] == pytest.approx(6.45, rel=0.03)
    bursty = workload_from_options(rate_per_s=6.45, cv=4.0, lengths="fixed:5:5", num_requests=20_000).take(
        np.inf
    )
    gaps = np.diff(bursty.arrived_at)
    assert np.std(gaps) / np.mean(gaps) == pytest.approx(4.0, rel=0.1)


def test_daily_shape_with_its_own_lengths(tmp_path):
    path = shape_file(tmp_path, **QUANTILES)
    workload = workload_from_options(rate_per_s=0.5, diurnal=path, start_of_day_s=6 * 3600, horizon_s=86_400)
    block = workload.take(np.inf)
    assert len(block) == pytest.approx(43_200, rel=0.03)
    assert np.all((block.arrived_at >= 6 * 3600) & (block.arrived_at < 18 * 3600))
    assert block.prefill_tokens.mean() == pytest.approx(500, rel=0.03)
    assert block.decode_tokens.mean() == pytest.approx(40, rel=0.03)
    assert block.decode_tokens.min() == 1
    prefill, decode = parse_lengths(f"quantiles:{path}:code").draw(np.random.default_rng(1), 10)
    assert set(prefill) == {9}
    assert set(decode) == {7}
    own = workload_from_options(rate_per_s=0.5, diurnal=path, lengths="fixed:7:8", horizon_s=86_400).take(
        np.inf
    )
    assert set(own.prefill_tokens) == {7}
    assert read_daily_shape(shape_file(tmp_path, lengths="fixed:3:4")).lengths == Fixed(3, 4)
    assert read_daily_shape(shape_file(tmp_path)).lengths is None


def test_daily_shape_by_name(tmp_path, monkeypatch):
    shape_file(tmp_path)
    monkeypatch.setattr(shapes, "TRAFFIC_FOLDER", tmp_path)
    assert len(read_daily_shape("shape").factors) == 24
    with pytest.raises(InputError, match=r"daily shape night: unknown \(known: shape\)"):
        read_daily_shape("night")


def test_rate_profile_scaled_to_a_mean_rate(tmp_path):
    path = tmp_path / "r.csv"
    path.write_text("t_s,req_per_s\n0,100\n600,0\n1200,200\n")
    block = workload_from_options(diurnal=path, lengths="fixed:5:5").take(np.inf)
    assert len(block) == pytest.approx(180_000, rel=0.02)
    scaled = workload_from_options(diurnal=path, rate_per_s=10.0, lengths="fixed:5:5").take(np.inf)
    assert len(scaled) == pytest.approx(18_000, rel=0.03)
    assert scaled.arrived_at[-1] < 1800


def test_recorded_requests(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text(TRACE)
    block = workload_from_options(
        requests=path, time_scale=2.0, num_requests=2, deferrable_share=1.0, defer_window_s=60.0
    ).take(np.inf)
    np.testing.assert_array_equal(block.arrived_at, [2.0, 4.0])
    np.testing.assert_array_equal(block.deadline, [62.0, 64.0])


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        ({}, "give recorded requests, or a rate"),
        ({"rate_per_s": 1.0}, "no lengths"),
        ({"lengths": "fixed:5:5"}, "give recorded requests, or a rate"),
        ({"requests": "t.csv", "rate_per_s": 1.0}, "go without a rate"),
        ({"requests": "t.csv", "cv": 2.0}, "go without a rate"),
        ({"rate_per_s": 1.0, "lengths": "fixed:5:5", "time_scale": 2.0}, "go with recorded requests"),
        ({"rate_per_s": -1.0, "lengths": "fixed:5:5"}, "rate must be a positive number, got -1"),
        ({"rate_per_s": 1.0, "lengths": "fixed:5:5", "cv": 0.0}, "coefficient of variation"),
        ({"rate_per_s": 1.0, "lengths": "fixed:5:5", "diurnal": "none.json"}, "none.json: no such file"),
    ],
)
def test_contradictions_and_gaps_are_named(chosen, message):
    with pytest.raises(InputError, match=message):
        workload_from_options(**chosen)


@pytest.mark.parametrize(
    "document",
    ["[]", "{}", '{"hourly_factor": "x"}', '{"hourly_factor": [1, -1]}', '{"hourly_factor": []}', "nope"],
)
def test_a_broken_daily_shape_names_its_file(tmp_path, document):
    path = tmp_path / "shape.json"
    path.write_text(document)
    with pytest.raises(InputError, match=r"shape\.json: "):
        read_daily_shape(path)


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"lengths": 5}, "no lengths with quantiles"),
        ({"lengths": {}}, "no lengths with quantiles"),
        ({"lengths": QUANTILES["lengths"]}, "expected quantile_percent"),
        (QUANTILES | {"quantile_percent": [0, 50, 99]}, "ascend from 0 to 100"),
        (QUANTILES | {"quantile_percent": [0, 100]}, "prompt needs 2 ascending quantiles"),
        (QUANTILES | {"lengths": {"chat": {"prefill_tokens": {"quantiles": [1, 2, 3]}}}}, "chat: expected"),
    ],
)
def test_broken_lengths_of_a_daily_shape_name_its_file(tmp_path, entries, message):
    with pytest.raises(InputError, match=rf"shape\.json: .*{message}"):
        read_daily_shape(shape_file(tmp_path, **entries))


def test_unknown_quantiles_are_named(tmp_path):
    with pytest.raises(InputError, match="has no lengths poem, only chat, code"):
        parse_lengths(f"quantiles:{shape_file(tmp_path, **QUANTILES)}:poem")


@pytest.mark.skipif(not (shapes.TRAFFIC_FOLDER / "diurnal_day.json").exists(), reason="data not there")
def test_the_shape_that_comes_with_the_project():
    document = json.loads((shapes.TRAFFIC_FOLDER / "diurnal_day.json").read_text())
    assert np.mean(read_daily_shape("diurnal_day").factors) == pytest.approx(1.0, abs=0.001)
    for name, stated in document["lengths"].items():
        prefill, decode = parse_lengths(f"quantiles:diurnal_day:{name}").draw(
            np.random.default_rng(1), 200_000
        )
        assert prefill.mean() == pytest.approx(stated["prefill_tokens"]["mean"], rel=0.02)
        assert decode.mean() == pytest.approx(stated["decode_tokens"]["mean"], rel=0.12)
    block = workload_from_options(rate_per_s=1.0, diurnal="diurnal_day", horizon_s=86_400).take(np.inf)
    hourly = np.bincount((block.arrived_at // 3600).astype(int), minlength=24) / 3600
    np.testing.assert_allclose(hourly, document["hourly_factor"], atol=4 * np.sqrt(1.5 / 3600))


TRACES = Path(__file__).resolve().parents[2] / ".." / "shared" / "data" / "traces"


@pytest.mark.shared
@pytest.mark.skipif(not TRACES.exists(), reason="reference data not there")
@pytest.mark.parametrize(("name", "median"), [("azure", 1200), ("lmsys", 370), ("agent_heavy", 3700)])
def test_published_length_distributions(name, median):
    prefill, decode = parse_lengths(f"cdf:{TRACES / f'fleetsim_{name}_cdf.json'}:4").draw(
        np.random.default_rng(1), 50_000
    )
    assert np.median(prefill + decode) == pytest.approx(median, rel=0.05)


def test_plain_options_are_enough(tmp_path):
    """As they come out of JSON: paths as text, pairs as lists."""
    path = tmp_path / "t.csv"
    path.write_text(TRACE)
    plain = json.loads(
        json.dumps({"requests": str(path), "deferrable_share": 1.0, "defer_window_s": [60, 60]})
    )
    block = workload_from_plain(plain).take(np.inf)
    np.testing.assert_array_equal(block.deadline, [61.0, 62.0, 63.0])
    with pytest.raises(InputError, match="3 deferral windows, expected one or"):
        workload_from_plain(plain | {"defer_window_s": [1, 2, 3]})
    with pytest.raises(InputError, match="unknown option 'days', expected requests"):
        workload_from_plain(plain | {"days": 3})


def test_every_file_that_is_read_is_told(tmp_path):
    trace, cdf, rates = tmp_path / "t.csv", tmp_path / "cdf.json", tmp_path / "r.csv"
    trace.write_text(TRACE)
    shape = shape_file(tmp_path, lengths=f"cdf:{cdf}:3")
    told = {
        "trace": TrafficOptions(trace=trace),
        "shape": TrafficOptions(diurnal=str(shape)),
        "rates": TrafficOptions(diurnal=str(rates), lengths=f"trace:{trace}"),
        "quantiles": TrafficOptions(lengths="quantiles:diurnal_day:chat"),
        "law": TrafficOptions(lengths="fixed:1:1"),
    }
    bundled = shapes.TRAFFIC_FOLDER / "diurnal_day.json"
    daily = "daily shape of the traffic"
    assert {name: options.files() for name, options in told.items()} == {
        "trace": [("request trace", trace)],
        "shape": [(daily, shape), (daily, cdf)],
        "rates": [("rate profile", rates), ("lengths of the requests", trace)],
        "quantiles": [(daily, bundled), ("lengths of the requests", bundled)],
        "law": [(daily, bundled)],
    }


def test_the_files_of_serve_gens_clients_are_told_one_by_one(tmp_path):
    names = ["chunk-1-dataset.json", "chunk-1-trace.csv", "chunk-2-dataset.json", "chunk-2-trace.csv"]
    for name in names:
        (tmp_path / name).write_text("")
    files = TrafficOptions(trace=tmp_path).files()
    assert sorted(path.name for _, path in files) == names


def test_traffic_options_make_the_workload():
    chosen = TrafficOptions(rate=2.0, lengths="fixed:7:8", deferrable_share=1.0, defer_hours=2.0)
    block = workload_from_plain(json.loads(json.dumps(chosen.workload(0.0, 600.0, 5)))).take(np.inf)
    expected = workload_from_options(
        rate_per_s=2.0, lengths="fixed:7:8", diurnal="diurnal_day", horizon_s=600.0, deferrable_share=1.0,
        defer_window_s=7200.0, seed=5,
    ).take(np.inf)  # fmt: skip
    assert block.to_plain() == expected.to_plain()
    trace = TrafficOptions(trace=shapes.TRAFFIC_FOLDER / "sample_trace.csv").workload(0.0, 600.0, 5)
    assert workload_from_plain(json.loads(json.dumps(trace))).take(np.inf).deferrable.any()
