"""Trace readers: every format, every way a file can be broken, scaling, streaming."""

from __future__ import annotations

import gzip
import json
import tracemalloc
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulators.errors import InputError
from simulators.quantities.requests import RequestBlock
from simulators.traffic.traces import open_trace, read_lengths, read_rates

HEADER = "arrived_at,prefill_tokens,decode_tokens\n"


def write(folder: Path, name: str, content: str) -> Path:
    path = folder / name
    path.write_bytes(gzip.compress(content.encode()) if name.endswith(".gz") else content.encode())
    return path


def whole(path: Path, **options) -> RequestBlock:
    return open_trace(path, **options).take(np.inf)


def expect(block: RequestBlock, arrived_at, prefill, decode) -> None:
    np.testing.assert_array_equal(block.arrived_at, arrived_at)
    np.testing.assert_array_equal(block.prefill_tokens, prefill)
    np.testing.assert_array_equal(block.decode_tokens, decode)


@pytest.mark.parametrize("name", ["t.csv", "t.csv.gz"])
@pytest.mark.parametrize(
    "header",
    ["arrived_at,prefill_tokens,decode_tokens", "arrived_at_s, num_prefill_tokens, num_decode_tokens"],
)
def test_generic_table(tmp_path, name, header):
    block = whole(write(tmp_path, name, f"{header}\n0.25,10,3\n0.25,20,1\n7,30,2\n"))
    expect(block, [0.25, 0.25, 7.0], [10, 20, 30], [3, 1, 2])
    assert not block.deferrable.any()


def test_generic_table_in_parquet_and_with_extra_columns(tmp_path):
    path = tmp_path / "t.parquet"
    columns = {
        "extra": ["a", "b"],
        "decode_tokens": [3, 4],
        "arrived_at": [1.0, 2.0],
        "prefill_tokens": [5, 6],
    }
    pd.DataFrame(columns).to_parquet(path)
    expect(whole(path), [1.0, 2.0], [5, 6], [3, 4])


def test_times_come_back_bit_by_bit(tmp_path):
    times = np.cumsum(np.random.default_rng(1).exponential(0.155, 5000))
    rows = "".join(f"{float(t)!r},5,5\n" for t in times)
    np.testing.assert_array_equal(whole(write(tmp_path, "t.csv", HEADER + rows)).arrived_at, times)


def test_tenants_and_deadlines_of_a_table(tmp_path):
    header = HEADER.strip() + ",tenant,deadline\n"
    path = write(tmp_path, "t.csv", header + "0,5,5,3,\n1,5,5,1,61\n")
    block = whole(path, time_scale=2.0)
    np.testing.assert_array_equal(block.tenant, [3, 1])
    np.testing.assert_array_equal(block.deferrable, [False, True])
    np.testing.assert_array_equal(block.deadline, [np.inf, 62.0])


def test_azure_times_count_from_the_first_request(tmp_path):
    rows = "2023-11-16 23:59:59.9799600,4808,10\n2023-11-17 00:00:00.0319601,3180,8\n"
    block = whole(write(tmp_path, "a.csv", "TIMESTAMP,ContextTokens,GeneratedTokens\n" + rows))
    expect(block, [0.0, 0.0520001], [4808, 3180], [10, 8])
    rows = "2024-05-10 00:00:00.009930+00:00,2162,5\n2024-05-10 00:00:01+00:00,2399,6\n"
    block = whole(write(tmp_path, "b.csv", "TIMESTAMP,ContextTokens,GeneratedTokens\n" + rows))
    expect(block, [0.0, 0.99007], [2162, 2399], [5, 6])


def test_burstgpt_failures_are_left_out(tmp_path):
    header = "Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type\n"
    rows = "5,ChatGPT,472,18,490,Conversation log\n45,ChatGPT,0,0,0,API log\n118,GPT-4,417,0,417,API log\n"
    block = whole(write(tmp_path, "b.csv", header + rows + "185,GPT-4,9,7,16,API log\n"))
    expect(block, [5.0, 185.0], [472, 9], [18, 7])
    with pytest.raises(InputError, match="no requests"):
        open_trace(write(tmp_path, "f.csv", header + "45,ChatGPT,0,0,0,API log\n"))


def test_mooncake(tmp_path):
    lines = [
        {"timestamp": 0, "input_length": 6758, "output_length": 500, "hash_ids": [0, 1]},
        {"timestamp": 3052, "input_length": 9, "output_length": 1, "hash_ids": []},
    ]
    for name in ("m.jsonl", "m.jsonl.gz"):
        path = write(tmp_path, name, "\n".join(map(json.dumps, lines)) + "\n\n")
        expect(whole(path), [0.0, 3.052], [6758, 9], [500, 1])


def test_no_output_tokens_count_as_the_one_that_comes_with_the_prompt(tmp_path):
    expect(whole(write(tmp_path, "t.csv", HEADER + "0,5,0\n")), [0.0], [5], [1])


BROKEN = {
    "nan.csv": (HEADER + "0,5,5\n1,,5\n", r"row 3 \(line of the file\): prefill_tokens is missing"),
    "negative.csv": (HEADER + "0,5,5\n1,5,-3\n", "row 3 .*: decode_tokens is -3, expected a number >= 0"),
    "negative_time.csv": (HEADER + "-1,5,5\n", "row 2 .*: arrived_at is -1"),
    "text.csv": (HEADER + "0,5,5\n1,many,5\n", "row 3 .*: prefill_tokens is many"),
    "infinite.csv": (HEADER + "0,5,inf\n", "decode_tokens is inf"),
    "fraction.csv": (HEADER + "0,5.5,5\n", "prefill_tokens is 5.5, expected a whole number"),
    "huge.csv": (HEADER + "0,5,99999999999\n", "decode_tokens is 99999999999"),
    "no_prompt.csv": (HEADER + "0,0,5\n", "prefill_tokens is 0, expected at least 1 token"),
    "unsorted.csv": (
        HEADER + "0,5,5\n2,5,5\n1.5,5,5\n",
        r"row 4 .*: arrives at 1.5 s, earlier than the row above \(2 s\)",
    ),
    "header_only.csv": (HEADER, "the trace has no requests"),
    "empty.csv": ("", "the file is empty"),
    "empty.jsonl": ("", "the file is empty"),
    "column.csv": (
        "arrived_at,prefill_tokens\n0,5\n",
        "no column decode_tokens or num_decode_tokens; found arrived_at, prefill_tokens",
    ),
    "azure_column.csv": (
        "TIMESTAMP,ContextTokens\n0,5\n",
        "no column GeneratedTokens; found TIMESTAMP, ContextTokens",
    ),
    "lengths_only.csv": (
        "num_prefill_tokens,num_decode_tokens\n5,5\n",
        "no column arrived_at .*no arrival times",
    ),
    "else.csv": ("time,watts\n0,5\n", "not a request trace, found the columns time, watts"),
    "ragged.csv": (HEADER + "0,5,5\n1,5,5,7\n", "cannot be read: .*3 fields in line 3, saw 4"),
    "shifted.csv": (HEADER + "0,5,5,9\n1,5,5,9\n", "more fields than the header"),
    "stamp.csv": (
        "TIMESTAMP,ContextTokens,GeneratedTokens\nyesterday,5,5\n",
        "row 2 .*: TIMESTAMP is yesterday",
    ),
    "late.csv": (
        HEADER.strip() + ",deadline\n3,5,5,2\n",
        "row 2 .*: deadline is 2, expected a time at or after",
    ),
    "cut.jsonl": ('{"timestamp": 0, "input_length": 5, "output_length": 6}\n{"time', "row 2 .*: not JSON"),
    "list.jsonl": ("[1, 2]\n", "row 1 .*: not a JSON object"),
    "key.jsonl": (
        '{"timestamp": 0, "input_length": 5, "output_length": 6}\n{"timestamp": 1, "input_length": 5}\n',
        "row 2 .*: output_length is missing",
    ),
    "t.txt": ("x", "unknown kind of file"),
    "t.parquet": ("x", "cannot be read"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_file_is_one_line_that_says_where(tmp_path, name):
    content, message = BROKEN[name]
    with pytest.raises(InputError, match=message) as caught:
        open_trace(write(tmp_path, name, content))
    assert str(tmp_path / name) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_cut_off_archive_and_a_missing_file(tmp_path):
    rows = "".join(f"{i},{i % 89 + 1},{i % 97}\n" for i in range(50_000))
    packed = gzip.compress((HEADER + rows).encode())
    path = tmp_path / "cut.csv.gz"
    path.write_bytes(packed[: len(packed) // 2])
    with pytest.raises(InputError, match="cannot be read: Compressed file ended"):
        open_trace(path)
    with pytest.raises(InputError, match="no such file"):
        open_trace(tmp_path / "none.csv")
    with pytest.raises(InputError, match="expected auto, azure, burstgpt, mooncake, table or servegen"):
        open_trace(path, format="vidur")


def test_an_error_in_a_late_row_is_found_before_the_run_and_across_blocks(tmp_path):
    rows = "".join(f"{i},5,5\n" for i in range(40_000))
    path = write(tmp_path, "t.csv", HEADER + rows + "39998.5,5,5\n")
    with pytest.raises(InputError, match=r"row 40002 .*: arrives at 39998.5 s"):
        open_trace(path)
    assert len(open_trace(path, check=False).take(100.0)) == 100
    assert len(whole(path, max_requests=20_000)) == 20_000


@settings(max_examples=20, deadline=None)
@given(cuts=st.lists(st.floats(0, 3000), max_size=20), rate_scale=st.sampled_from([0.4, 1.0, 2.7]))
def test_requests_do_not_depend_on_how_time_is_cut(tmp_path_factory, cuts, rate_scale):
    path = tmp_path_factory.getbasetemp() / "cutting.csv"
    if not path.exists():
        path.write_text(HEADER + "".join(f"{i // 9},{i % 7 + 1},{i % 5 + 1}\n" for i in range(20_000)))
    options = {"rate_scale": rate_scale, "deferrable_share": 0.5, "seed": 3, "check": False}
    workload = open_trace(path, **options)
    pieces = [workload.take(cut) for cut in cuts] + [workload.take(np.inf)]
    together, at_once = RequestBlock.concatenate(pieces), whole(path, **options)
    for name in ("arrived_at", "prefill_tokens", "decode_tokens", "deferrable", "deadline", "tenant"):
        np.testing.assert_array_equal(getattr(together, name), getattr(at_once, name))
    assert np.all(np.diff(together.arrived_at) >= 0)


def test_time_scale_stretches_and_rate_scale_thins_or_repeats(tmp_path):
    path = write(tmp_path, "t.csv", HEADER + "".join(f"{2 * i + 1},{i + 1},5\n" for i in range(20_000)))
    plain = whole(path)
    half = whole(path, time_scale=0.5)
    np.testing.assert_array_equal(half.arrived_at, plain.arrived_at * 0.5)
    np.testing.assert_array_equal(half.released_at, half.arrived_at)
    thin = whole(path, rate_scale=0.3, seed=1)
    assert abs(len(thin) - 6000) < 4 * np.sqrt(20_000 * 0.3 * 0.7)
    np.testing.assert_array_equal(thin.arrived_at, plain.arrived_at[thin.prefill_tokens - 1])
    thick = whole(path, rate_scale=2.5, seed=1)
    assert abs(len(thick) - 50_000) < 4 * np.sqrt(20_000 * 0.25)
    np.testing.assert_array_equal(thick.released_at, thick.arrived_at)
    copies = np.bincount(thick.prefill_tokens)[1:]
    assert set(copies) == {2, 3}
    # each lies between its predecessor and itself, the last is the request itself
    ahead_s = plain.arrived_at[thick.prefill_tokens - 1] - thick.arrived_at
    assert ahead_s.min() == 0.0
    assert ahead_s.max() <= 2.0
    assert np.count_nonzero(ahead_s == 0.0) == pytest.approx(20_000, abs=3)
    assert np.mean(ahead_s[ahead_s > 0]) == pytest.approx(1.0, rel=0.02)
    assert len(whole(path, rate_scale=1.0, horizon_s=101.0)) == 50
    with pytest.raises(InputError, match="rate scale must be a positive number, got 0"):
        open_trace(path, rate_scale=0.0)


def test_a_trace_is_never_held_as_a_whole(tmp_path):
    def peak_bytes(n: int) -> int:
        path = write(tmp_path, f"{n}.csv", HEADER + "".join(f"{i},5,5\n" for i in range(n)))
        tracemalloc.start()
        workload = open_trace(path)
        until_s = 0.0
        while not workload.exhausted:
            until_s += 600.0
            workload.take(until_s)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak

    peak_bytes(100)
    assert peak_bytes(300_000) < 1.3 * peak_bytes(50_000)


def servegen(folder: Path, number: int, windows: str, lengths: dict) -> Path:
    write(folder, f"chunk-{number}-dataset.json", json.dumps(lengths))
    return write(folder, f"chunk-{number}-trace.csv", windows)


LENGTHS = {
    "0": {"input_tokens": "{100: 0.5, 300: 0.5}", "output_tokens": "{7: 1.0}"},
    "1200": {"input_tokens": "{500: 1.0}", "output_tokens": "{0: 0.2, 9: 0.8}"},
}


def test_servegen_windows_keep_their_rate_burstiness_and_lengths(tmp_path):
    windows = "0,20,3.0,Gamma,0.1111,99\n600,0,0,,0,0\n1200,5,1.8,Weibull,0.6,99\n1800,2,1,Exponential,0,0\n"
    path = servegen(tmp_path, 4, windows, LENGTHS)
    runs = [whole(path, seed=seed) for seed in range(40)]
    for start_s, rate in ((0, 20.0), (600, 0.0), (1200, 5.0), (1800, 2.0)):
        counts = [np.count_nonzero((r.arrived_at >= start_s) & (r.arrived_at < start_s + 600)) for r in runs]
        assert abs(np.mean(counts) - 600 * rate) <= 4 * np.std(counts) / np.sqrt(len(counts))
    early, late = (runs[0][runs[0].arrived_at < 600], runs[0][runs[0].arrived_at >= 1200])
    assert set(early.prefill_tokens) == {100, 300}
    assert set(early.decode_tokens) == {7}
    assert set(late.prefill_tokens) == {500}
    assert set(late.decode_tokens) == {1, 9}
    assert set(runs[0].tenant) == {4}
    gaps = np.diff(early.arrived_at)
    assert np.std(gaps) / np.mean(gaps) == pytest.approx(3.0, rel=0.1)
    np.testing.assert_array_equal(whole(path, seed=3).arrived_at, runs[3].arrived_at)


def test_servegen_folder_merges_its_clients(tmp_path):
    for number in (10, 2):
        servegen(tmp_path, number, "0,5,1,Gamma,1,1\n600,5,1,Gamma,1,1\n", LENGTHS)
    block = whole(tmp_path, seed=5)
    assert np.all(np.diff(block.arrived_at) >= 0)
    assert set(block.tenant) == {2, 10}
    assert len(block) == pytest.approx(12_000, rel=0.05)
    assert len(whole(tmp_path, seed=5, max_requests=70)) == 70


@pytest.mark.parametrize(
    ("windows", "lengths", "message"),
    [
        (
            "0,5,1,Gamma,1,1\n",
            {"0": {"input_tokens": "__import__('os').getcwd()", "output_tokens": "{1: 1}"}},
            "expected",
        ),
        ("0,5,1,Gamma,1,1\n", {"0": {"input_tokens": "{1: 1}"}}, "expected"),
        ("0,5,1,Gamma,1,1\n", {"0": {"input_tokens": "{-1: 1}", "output_tokens": "{1: 1}"}}, "negative"),
        ("0,5,1,Gamma,1,1\n", {"0": {"input_tokens": "{}", "output_tokens": "{}"}}, "no window"),
        ("0,5,1,Pareto,1,1\n", LENGTHS, "row 1: Pareto"),
        ("0,5,1,Gamma,0,1\n", LENGTHS, "row 1: Gamma with shape 0"),
        ("0,0,0,,0,0\n", LENGTHS, "sends no requests"),
        ("0,much,1,Gamma,1,1\n", LENGTHS, "row 1: expected t_s,rate"),
        ("0,5,1,Gamma,1,1\n60,5,1,Gamma,1,1\n", LENGTHS, "overlaps"),
        ("", LENGTHS, "sends no requests"),
        ("0,inf,1,Gamma,1,1\n", LENGTHS, "row 1: expected t_s,rate"),
    ],
)
def test_a_broken_servegen_client_is_an_error(tmp_path, windows, lengths, message):
    with pytest.raises(InputError, match=message):
        open_trace(servegen(tmp_path, 1, windows, lengths))


def test_servegen_needs_both_files(tmp_path):
    path = write(tmp_path, "chunk-1-trace.csv", "0,5,1,Gamma,1,1\n")
    with pytest.raises(InputError, match=r"chunk-1-dataset\.json: no such file"):
        open_trace(path)
    with pytest.raises(InputError, match="no client files"):
        open_trace(tmp_path)


def test_rate_profiles(tmp_path):
    rates, interval_s = read_rates(
        write(tmp_path, "r.csv", "t_s,req_per_s,more\n0,1.5,x\n600,2.5,x\n1200,0,x\n")
    )
    np.testing.assert_array_equal(rates, [1.5, 2.5, 0.0])
    assert interval_s == 600.0
    with pytest.raises(InputError, match=r"row 4 .*: t_s must ascend in equal intervals"):
        read_rates(write(tmp_path, "s.csv", "t_s,req_per_s\n0,1\n600,2\n1000,0\n"))
    with pytest.raises(InputError, match="at least two rows"):
        read_rates(write(tmp_path, "u.csv", "t_s,req_per_s\n0,1\n"))


TRACES = Path(__file__).resolve().parents[2] / ".." / "shared" / "data" / "traces"
# requests, mean prompt, mean output, mean rate in 1/s: counted with another tool when the files were collected
RECORDED = {
    "AzureLLMInferenceTrace_code.csv.gz": (8819, 2048, 28, 2.57),
    "AzureLLMInferenceTrace_conv.csv.gz": (19366, 1155, 211, 5.53),
    "mooncake_conversation_trace.jsonl.gz": (12031, 12035, 343, 3.40),
    "DERIVED_servegen_m-large_day0_thin1000.csv.gz": (24417, 582, 175, 0.283),
}


@pytest.mark.shared
@pytest.mark.skipif(not TRACES.exists(), reason="reference data not there")
class TestSharedTraces:
    @pytest.mark.parametrize("name", RECORDED)
    def test_recorded(self, name):
        block = whole(TRACES / name)
        n, prefill, decode, rate = RECORDED[name]
        assert len(block) == n
        assert block.prefill_tokens.mean() == pytest.approx(prefill, abs=0.6)
        assert block.decode_tokens.mean() == pytest.approx(decode, abs=0.6)
        assert n / (block.arrived_at[-1] - block.arrived_at[0]) == pytest.approx(rate, rel=0.003)
        assert np.all(np.diff(block.arrived_at) >= 0)

    @pytest.mark.parametrize("client", [0, 10])
    def test_servegen_client_over_three_days(self, client):
        path = TRACES / f"servegen_native_m-large_chunk-{client}-trace.csv.gz"
        horizon_s = 3 * 86_400.0
        block = whole(path, horizon_s=horizon_s)
        windows = pd.read_csv(path, header=None)
        windows = windows[windows[0] < horizon_s]
        expected = (windows[1] * 600).sum()
        # variance of a renewal count over a long window: cv**2 per expected arrival
        spread = np.sqrt((windows[1] * 600 * np.maximum(windows[2], 1) ** 2).sum())
        assert abs(len(block) - expected) < 4 * spread
        assert set(block.tenant) == {client}
        assert 100 < block.prefill_tokens.mean() < 2000
        assert 50 < block.decode_tokens.mean() < 500

    def test_vidur_lengths_without_arrivals(self):
        path = TRACES / "vidur_arxiv_summarization_stats_llama2_tokenizer_filtered_v2.csv.gz"
        with pytest.raises(InputError, match="no arrival times"):
            open_trace(path)
        prefill, decode = read_lengths(path).draw(np.random.default_rng(1), 100_000)
        assert prefill.mean() == pytest.approx(2588, rel=0.02)
        assert decode.mean() == pytest.approx(291, rel=0.02)

    @pytest.mark.parametrize(("name", "peak"), [("m-large", 223.8), ("m-small", 1709.4)])
    def test_rate_profile(self, name, peak):
        rates, interval_s = read_rates(TRACES / f"servegen_{name}_10min_rate.csv")
        assert (len(rates), interval_s) == (2016, 600.0)
        hourly = rates.reshape(14, 24, 6).mean(axis=(0, 2))
        assert hourly.max() == pytest.approx(peak, rel=0.001)


class TestHashes:
    """Rows whose hashes are not what a prefix cache needs: one line with file and row."""

    GOOD: ClassVar[dict[str, Any]] = {
        "timestamp": 0,
        "input_length": 1100,
        "output_length": 30,
        "hash_ids": [1, 2, 3],
    }

    def trace(self, path: Path, *changes: dict[str, Any] | None) -> Path:
        """A row for each change; None leaves the hashes out."""
        rows = []
        for change in changes:
            row = self.GOOD | (change or {})
            if change is None:
                del row["hash_ids"]
            rows.append(json.dumps(row))
        path.write_text("\n".join(rows))
        return path

    @pytest.mark.parametrize(
        ("hashes", "told"),
        [
            ([1, -2, 3], r"hash_ids is \[1, -2, 3\], expected a list of whole numbers from 0"),
            ([1, 2.5, 3], r"hash_ids is \[1, 2.5, 3\], expected a list of whole numbers"),
            ([1, "2", 3], "hash_ids is .*, expected a list of whole numbers"),
            ([1, True, 3], "hash_ids is .*, expected a list of whole numbers"),
            ("123", "hash_ids is 123, expected a list of whole numbers"),
            ({"0": 1}, "hash_ids is .*, expected a list of whole numbers"),
            ([1, [2], 3], "hash_ids is .*, expected a list of whole numbers"),
            ([1, 2**60, 3], "hash_ids is .*, expected a list of whole numbers from 0 to 281474976710655"),
            (None, "hash_ids is missing, expected 3: one for every 512 tokens"),
            ([], "hash_ids is missing, expected 3"),
            (
                [1, 2],
                r"hash_ids is 2 numbers, expected 3: one for every 512 tokens \(--hash-tokens\) of the 1100",
            ),
            ([1, 2, 3, 4, 5], "hash_ids is 5 numbers, expected 3"),
        ],
    )
    @pytest.mark.parametrize("row", [1, 2])
    def test_a_bad_row(self, tmp_path: Path, hashes: Any, told: str, row: int) -> None:
        path = self.trace(tmp_path / "t.jsonl", *([{}] * (row - 1)), {"hash_ids": hashes}, {})
        with pytest.raises(InputError, match=rf"t\.jsonl: row {row} \(.*\): {told}"):
            open_trace(path, hash_tokens=512)

    @pytest.mark.parametrize("row", [1, 2])
    def test_a_row_without(self, tmp_path: Path, row: int) -> None:
        path = self.trace(tmp_path / "t.jsonl", *([{}] * (row - 1)), None, {})
        with pytest.raises(InputError, match=rf"row {row} \(.*\): hash_ids is missing, expected 3"):
            open_trace(path, hash_tokens=512)
        assert len(open_trace(path).take(np.inf)) == row + 1  # where nobody looks at them they may be missing

    def test_more_for_the_output(self, tmp_path: Path) -> None:
        path = self.trace(tmp_path / "t.jsonl", {}, {"hash_ids": [1, 2, 3, 4]})
        assert [len(h) for h in open_trace(path, hash_tokens=512).take(np.inf).hash_ids] == [3, 4]
