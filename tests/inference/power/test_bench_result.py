"""Results of vllm bench serve: rates, batch and context follow from them; the steady part from the details."""

from __future__ import annotations

import json

import numpy as np
import pytest

from simulators.errors import InputError
from simulators.inference.power.bench_result import read_bench

from .server_logs import BEGINS, bench


def test_a_result_without_details_stands_for_the_whole_run(tmp_path):
    (run,) = read_bench(bench(tmp_path / "r.json", ends_s=100.0))
    assert run.model == "meta-llama/Llama-3.1-8B"
    assert run.written_s == BEGINS.timestamp() + 100
    served = run.served
    assert (served.begins_s, served.lasts_s, served.steady) == (0.0, 60.0, False)
    assert served.batch == pytest.approx(32.0)
    assert served.context == pytest.approx(600 + 400 / 2)
    assert served.tokens_per_s == pytest.approx(1600.0)
    assert served.prefill_tokens_per_s == pytest.approx(600 / 400 * 1600.0)


def detailed(
    clients: int = 16, rounds: int = 2, output: int = 1001, ramp_s: float = 1.0
) -> dict[str, object]:
    """Clients that start one after another, each with `rounds` requests of 20 s, and stop."""
    starts = [ramp_s * client + 20.1 * turn for turn in range(rounds) for client in range(clients)]
    n = len(starts)
    return {
        "input_lens": [500] * n, "output_lens": [output] * n, "start_times": [7000.0 + s for s in starts],
        "ttfts": [0.1] * n, "itls": [[0.02] * (output - 1)] * n, "errors": [""] * n,
    }  # fmt: skip


def test_details_give_the_part_in_which_the_batch_is_full(tmp_path):
    """16 clients, a second apart: full from the 13th to when the 4th has ended its second request."""
    duration_s = 15 + 40.2
    (run,) = read_bench(bench(tmp_path / "r.json", 60.0, duration_s, mean_tpot_ms=20.0, **detailed()))
    served = run.served
    assert served.steady
    assert served.begins_s == pytest.approx(12.1, abs=0.01)
    assert served.begins_s + served.lasts_s == pytest.approx(3 + 40.2, abs=0.01)
    assert 13 <= served.batch <= 16
    assert served.batch / served.tokens_per_s == pytest.approx(0.02, rel=0.01)
    assert 500 + 350 < served.context < 500 + 650
    assert served.prefill_tokens_per_s == pytest.approx(500 * served.tokens_per_s / 1001, rel=0.2)


def test_requests_that_failed_and_short_peaks_do_not_count(tmp_path):
    fields = detailed()
    for name, value in (
        ("input_lens", 0),
        ("output_lens", 0),
        ("start_times", 7000.0),
        ("ttfts", 0.0),
        ("itls", []),
    ):
        fields[name] = [*fields[name], value]  # type: ignore[misc]
    assert read_bench(bench(tmp_path / "r.json", 60.0, 55.2, **fields))[0].served.steady
    brief = detailed(rounds=1, ramp_s=1.5)
    assert not read_bench(bench(tmp_path / "r.json", 60.0, 43.0, **brief))[0].served.steady


def test_results_appended_to_one_file_are_several_runs(tmp_path):
    one = bench(tmp_path / "a.json", 100.0).read_text()
    path = tmp_path / "all.json"
    path.write_text(one + "\n" + one.replace("Llama-3.1-8B", "Llama-3.2-3B") + "\n")
    assert [run.number for run in read_bench(path)] == [1, 2]
    assert read_bench(path)[1].model == "meta-llama/Llama-3.2-3B"


def test_a_result_without_a_date_is_read(tmp_path):
    fields = json.loads(bench(tmp_path / "a.json", 100.0).read_text())
    del fields["date"]
    path = tmp_path / "b.json"
    path.write_text(json.dumps(fields))
    assert read_bench(path)[0].written_s is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"duration": None}, "run 1: duration: None, expected a number > 0"),
        ({"duration": "long"}, "duration: 'long'"),
        ({"completed": 0}, "completed: 0"),
        ({"mean_tpot_ms": 0.0}, "mean_tpot_ms"),
        ({"total_output_tokens": float("inf")}, "total_output_tokens: inf"),
        ({"date": "yesterday"}, "date: 'yesterday'"),
        (detailed() | {"ttfts": [0.1]}, "'ttfts': 1.*one length"),
        (detailed() | {"start_times": ["soon"] * 32}, "expected lists of numbers"),
    ],
)
def test_a_bad_field_is_one_line(tmp_path, change, message: str):
    with pytest.raises(InputError, match=message) as caught:
        read_bench(bench(tmp_path / "r.json", 60.0, **({"duration_s": 60.0} | change)))
    assert "r.json" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [("", "empty"), ("{", "no JSON"), ("[1, 2]", "list, expected a JSON object"), ("duration 60", "no JSON")],
)
def test_a_bad_file_is_one_line(tmp_path, text: str, message: str):
    path = tmp_path / "r.json"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        read_bench(path)
    with pytest.raises(InputError, match="no such file"):
        read_bench(tmp_path / "none.json")


def test_tokens_of_the_steady_part_are_those_served_in_it(tmp_path):
    """Against a count of the tokens one by one."""
    fields = detailed()
    (run,) = read_bench(bench(tmp_path / "r.json", 60.0, 55.2, **fields))
    begin, end = run.served.begins_s, run.served.begins_s + run.served.lasts_s
    starts = np.array(fields["start_times"]) - 7000.0
    times = (starts[:, None] + 0.1 + 0.02 * np.arange(1001)).ravel()
    counted = ((times >= begin) & (times < end)).sum() / run.served.lasts_s
    assert run.served.steady
    assert run.served.tokens_per_s == pytest.approx(counted, rel=0.01)
