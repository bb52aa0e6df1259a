"""Latencies of finished requests, and the record of them: exact in what it counts, fixed in size."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from simulators.quantities.experience import BY_CLASS, MOST_TENANTS, OTHERS
from simulators.quantities.latencies import (
    DAY_S,
    HOUR_S,
    LATENCIES,
    OVER_TIME,
    OVER_TIME_ERROR,
    LatencyRecord,
    latencies,
)
from simulators.quantities.sketch import ERROR

ONE = {
    "arrived_at": [0.0],
    "released_at": [100.0],
    "scheduled_at": [101.0],
    "prefill_completed_at": [103.0],
    "completed_at": [107.0],
    "decode_tokens": [5],
}


def finished(count: int, span_s: float, seed: int = 1) -> dict[str, np.ndarray]:
    """Finished requests in order of completion, a third of them deferrable and held."""
    rng = np.random.default_rng(seed)
    arrived_at = np.sort(rng.uniform(0, span_s, count))
    deferrable = rng.random(count) < 1 / 3
    released_at = arrived_at + np.where(deferrable, rng.uniform(0, 7000, count), 0.0)
    scheduled_at = released_at + rng.exponential(0.5, count)
    first = scheduled_at + rng.lognormal(-1, 1, count)
    tokens = rng.integers(1, 200, count)
    columns = {
        "arrived_at": arrived_at,
        "released_at": released_at,
        "scheduled_at": scheduled_at,
        "prefill_completed_at": first,
        "completed_at": first + (tokens - 1) * rng.uniform(0.01, 0.05, count),
        "decode_tokens": tokens,
        "deferrable": deferrable,
    }
    order = np.argsort(columns["completed_at"])
    return {name: values[order] for name, values in columns.items()}


def recorded(columns: dict[str, np.ndarray], size: int = 90, **how: float) -> LatencyRecord:
    record = LatencyRecord(how.pop("span_s", 0.0))
    for at in range(0, len(columns["arrived_at"]), size):
        record.add({name: values[at : at + size] for name, values in columns.items()}, **how)
    return record


def test_latencies_count_from_the_release_and_holding_apart():
    expected = {"ttft_s": [3.0], "tpot_s": [1.0], "e2e_s": [7.0], "queueing_s": [1.0], "held_s": [100.0]}
    frame = pd.DataFrame(ONE)
    for columns in (ONE, frame, frame.to_records(index=False).view(np.ndarray)):
        assert {name: values.tolist() for name, values in latencies(columns).items()} == expected
    assert tuple(expected) == LATENCIES


def test_one_token_has_no_time_per_token_and_what_was_not_recorded_is_not_made_up():
    columns = {
        "arrived_at": [0, 0],
        "prefill_completed_at": [1, 1],
        "completed_at": [1, 3],
        "decode_tokens": [1, 2],
    }
    times = latencies(columns)
    assert np.isnan(times["tpot_s"][0])
    assert times["tpot_s"][1] == 2.0
    assert times["held_s"].tolist() == [0.0, 0.0]
    assert np.isnan(times["queueing_s"]).all()


@pytest.mark.parametrize("size", [1, 90, 5000])
def test_a_record_knows_every_distribution(size):
    columns = finished(6000, 6 * HOUR_S)
    record = recorded(columns, size)
    times = latencies(columns)
    samples = {name: times[name][~np.isnan(times[name])] for name in LATENCIES}
    samples["held_s"] = samples["held_s"][samples["held_s"] > 0]
    for name, values in samples.items():
        sketch = record.sketch(name)
        assert sketch.count == len(values)
        assert sketch.mean == pytest.approx(values.mean(), rel=1e-9)
        for q in (0.5, 0.95, 0.99):
            assert sketch.quantile(q) == pytest.approx(np.quantile(values, q), rel=ERROR)
    for name in BY_CLASS:
        for deferrable in (False, True):
            values = samples[name][columns["deferrable"][~np.isnan(times[name])] == deferrable]
            sketch = record.sketch(name, deferrable)
            assert sketch.count == len(values)
            assert sketch.quantile(0.95) == pytest.approx(np.quantile(values, 0.95), rel=ERROR)


def test_percentiles_over_time_are_those_of_the_hour_of_arrival():
    columns = finished(6000, 6 * HOUR_S)
    record, times = recorded(columns), latencies(columns)
    assert record.period_s == HOUR_S
    for name in OVER_TIME:
        hours = list(record.over_time(name))
        assert [at for at, _ in hours] == [HOUR_S * k for k in range(6)]
        for at, sketch in hours:
            there = (columns["arrived_at"] // HOUR_S * HOUR_S == at) & ~np.isnan(times[name])
            assert sketch.count == there.sum()
            assert sketch.quantile(0.5) == pytest.approx(np.median(times[name][there]), rel=OVER_TIME_ERROR)


def test_a_long_run_is_kept_by_day_whether_or_not_it_was_known_to_be_long():
    columns = finished(3000, 20 * DAY_S)
    known, found_out = recorded(columns, span_s=20 * DAY_S), recorded(columns)
    assert known.period_s == found_out.period_s == DAY_S
    assert recorded(finished(30, 13.9 * DAY_S), span_s=14 * DAY_S).period_s == HOUR_S
    for name in OVER_TIME:
        ours, theirs = list(known.over_time(name)), list(found_out.over_time(name))
        assert [at for at, _ in ours] == [at for at, _ in theirs] == [DAY_S * k for k in range(20)]
        assert [s.quantile(0.9) for _, s in ours] == [s.quantile(0.9) for _, s in theirs]


def test_a_record_goes_through_json_and_records_merge():
    one, other = finished(2000, 3 * HOUR_S, seed=1), finished(3000, 20 * DAY_S, seed=2)
    together = recorded({name: np.concatenate([one[name], other[name]]) for name in one})
    for first, second in ((one, other), (other, one)):
        merged = recorded(first)
        merged.merge(recorded(second))
        again = LatencyRecord.from_plain(json.loads(json.dumps(merged.to_plain())))
        assert again.period_s == DAY_S
        for name in LATENCIES:
            assert again.sketch(name).percentiles() == together.sketch(name).percentiles()
        for (at, ours), (there, theirs) in zip(
            again.over_time("e2e_s"), together.over_time("e2e_s"), strict=True
        ):
            assert (at, ours.count, ours.quantile(0.9)) == (there, theirs.count, theirs.quantile(0.9))


def test_a_request_may_stand_for_many():
    columns = finished(500, HOUR_S)
    once, many = recorded(columns), recorded(columns, weight=77.3)
    assert many.sketch("e2e_s").weight == pytest.approx(77.3 * 500)
    assert many.sketch("e2e_s").percentiles() == once.sketch("e2e_s").percentiles()


def test_memory_does_not_grow_with_the_number_of_requests():
    sizes = [recorded(finished(count, 3 * DAY_S), 20_000).nbytes for count in (100_000, 1_000_000)]
    assert sizes[1] < 1.2 * sizes[0] < 10e6


def test_nothing_is_no_latency():
    record = LatencyRecord()
    record.add({name: values[:0] for name, values in ONE.items()})
    assert record.sketch("ttft_s").count == 0
    assert list(record.over_time("ttft_s")) == []


def test_a_deadline_is_kept_by_who_is_complete_and_misses_are_counted_by_class_and_tenant():
    """The release was in time for all of them."""
    columns = finished(3000, 6 * HOUR_S)
    rng = np.random.default_rng(5)
    columns["tenant"] = rng.integers(0, 3, 3000)
    columns["deadline"] = np.where(columns["deferrable"], columns["released_at"] + 3.0, np.inf)
    late = columns["completed_at"] > columns["deadline"]
    assert 100 < late.sum() < columns["deferrable"].sum()
    record = recorded(columns, weight=2.0)
    again = LatencyRecord.from_plain(json.loads(json.dumps(record.to_plain())))
    halves = recorded({name: values[:1500] for name, values in columns.items()}, weight=2.0)
    halves.merge(recorded({name: values[1500:] for name, values in columns.items()}, weight=2.0))
    for one in (record, again, halves):
        classes, tenants = one.experiences.classes, one.experiences.tenants
        assert (classes[False].due, classes[False].missed) == (0, 0)
        assert (classes[True].due, classes[True].missed) == (2 * columns["deferrable"].sum(), 2 * late.sum())
        assert sorted(tenants) == [0, 1, 2]
        for tenant, kinds in tenants.items():
            of_tenant = columns["tenant"] == tenant
            assert kinds[True].missed == 2 * (late & of_tenant).sum()
            assert kinds[False].requests == 2 * (of_tenant & ~columns["deferrable"]).sum()
            waited = latencies(columns)["ttft_s"][of_tenant & ~columns["deferrable"]]
            found = kinds[False].figures()["ttft_s"]["p95"]
            assert found == pytest.approx(np.quantile(waited, 0.95), rel=OVER_TIME_ERROR)


def test_a_thousand_tenants_take_the_room_of_a_few():
    columns = finished(9000, HOUR_S)
    columns["tenant"] = np.arange(9000) % 1000
    record = recorded(columns)
    tenants = record.experiences.tenants
    assert len(tenants) == MOST_TENANTS + 1
    assert tenants[OTHERS][False].requests + tenants[OTHERS][True].requests == 9000 - 9 * MOST_TENANTS
    record.merge(recorded(columns))
    assert len(record.experiences.tenants) == MOST_TENANTS + 1
