"""Tables from profile folders reproduce the reference runs batch by batch."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from simulators.errors import InputError
from simulators.inference.catalogue import gpu, model
from simulators.inference.catalogue.layout import Layout
from simulators.inference.timing.profile import profile_tables
from simulators.inference.timing.seconds import stage_flops, stage_seconds

REFERENCE = Path(__file__).resolve().parents[2] / ".." / "shared" / "reference" / "vidur"
shared = [pytest.mark.shared, pytest.mark.skipif(not REFERENCE.exists(), reason="reference data absent")]
OPERATORS = [
    "attn_pre_proj", "attn_post_proj", "mlp_up_proj", "mlp_down_proj", "mlp_act", "attn_rope", "attn_kv_cache_save",
    "input_layernorm", "post_attention_layernorm", "add",
]  # fmt: skip


@pytest.fixture(scope="module")
def reference_tables():
    def tables(folder):
        return profile_tables(
            REFERENCE / "tables" / folder,
            model("meta-llama/Meta-Llama-3-8B"),
            gpu("a100"),
            peak_flops=312 * 2**40,
        )

    return {"A": tables("8b_a100_tp1"), "D": tables("8b_a100_tp1_orca")}


@pytest.mark.parametrize("run", ["A", "B", "D"])
class TestReferenceRuns:
    pytestmark = shared

    def test_every_batch_takes_as_long(self, run, reference_tables):
        tables = reference_tables["D" if run == "D" else "A"]
        batches = pd.read_csv(REFERENCE / run / "batches.csv.gz")
        shape = [
            "decode_batch_size",
            "decode_kv_rounded",
            "num_prefills",
            "agg_prefill_kv",
            "agg_prefill_chunk",
        ]
        distinct = batches.drop_duplicates([*shape, "total_tokens"])
        assert len(distinct) > 50
        worst = 0.0
        for row in distinct.itertuples():
            # several prompts merge into one of the same attention: give their sum to the first
            prompts = [(row.agg_prefill_chunk, row.agg_prefill_kv)] if row.num_prefills == 1 else []
            ours = stage_seconds(tables, [row.decode_kv_rounded] * row.decode_batch_size, prompts)
            if row.num_prefills > 1:
                attention = tables.prefill_s[row.agg_prefill_chunk, row.agg_prefill_kv // 64] * 1.1
                alone = stage_seconds(tables, [row.decode_kv_rounded] * row.decode_batch_size, [])
                ours = (
                    alone
                    - tables.token_s[row.decode_batch_size]
                    + tables.token_s[row.total_tokens]
                    + attention
                )
            worst = max(worst, abs(ours / row.execution_time - 1))
        assert worst < 1e-12

    def test_mfu_of_batches_with_one_whole_prompt(self, run, reference_tables):
        tables = reference_tables["D" if run == "D" else "A"]
        batches = pd.read_csv(REFERENCE / run / "batches.csv.gz")
        alone = batches[
            (batches.batch_size == 1) & (batches.num_prefills == 1) & (batches.agg_prefill_kv % 64 == 0)
        ]
        assert len(alone)
        for row in alone.drop_duplicates(["agg_prefill_chunk", "agg_prefill_kv"]).itertuples():
            prompt = [(row.agg_prefill_chunk, row.agg_prefill_kv)]
            mfu = stage_flops(tables, [], prompt) / stage_seconds(tables, [], prompt) / tables.peak_flops
            if row.agg_prefill_chunk in (512, 1024) and row.agg_prefill_kv in (0, 512):
                assert 100 * mfu == pytest.approx(row.mfu_percent, rel=1e-6)


def test_mfu_of_the_first_batch_by_hand():
    shape, sheet = model("meta-llama/Meta-Llama-3-8B"), gpu("a100")
    layer = 4096 * 128 * (32 + 2 * 8 + 32) + 3 * 4096 * 14336
    flops = 2 * 512 * 32 * layer + 4 * 32 * 32 * 128 * 512 * 512
    assert flops / 0.035475320960000015 / (312 * 2**40) == pytest.approx(0.59855623, rel=1e-6)
    assert sheet.peak("bf16") == 312e12
    assert shape.active_parameters == 32 * layer


def write_tables(folder: Path, tokens=16, batch=3, **extra: np.ndarray) -> None:
    n = np.arange(1, tokens + 1)
    per_token = pd.DataFrame(
        {"num_tokens": n} | {name: (i + 1) * n / 1000 for i, name in enumerate(OPERATORS)} | extra
    )
    per_token.to_csv(folder / "per_num_tokens.csv", index=False)
    decode = [(b, kv, b * (kv + 1) / 1000) for b in range(1, batch + 1) for kv in (0, 64, 128)]
    pd.DataFrame(decode, columns=["decode_batch_size", "avg_kv_cache_size_rounded_up", "ms"]).to_csv(
        folder / "attn_decode.csv", index=False
    )
    prefill = pd.DataFrame({"chunk": n} | {f"kv{kv}": n * (kv + n) / 1e4 for kv in (0, 64, 128)})
    prefill.to_csv(folder / "attn_prefill_matrix.csv", index=False)


def test_rules_by_hand(tmp_path):
    write_tables(tmp_path)
    tables = profile_tables(tmp_path, model("meta-llama/Meta-Llama-3-8B"), gpu("a100"))
    # operators 1..10, all at 8 tokens but the seventh, the KV write, at 3; 32 layers
    assert tables.token_s[3] == pytest.approx(32e-6 * (8 * (55 - 7) + 7 * 3))
    # two decodes of context 10 and 75: mean 42, rounded up to 64, shared by grouped heads
    decode = 32e-3 * 1.1 * 2 * 65 / 1000
    assert stage_seconds(tables, [10, 75], []) == pytest.approx(tables.token_s[2] + decode)
    # prompts of 3 and 4 tokens: as one of 5; contexts rounded up one by one
    prefill = 32e-3 * 1.1 * 5 * (128 + 5) / 1e4
    assert stage_seconds(tables, [], [(3, 1), (4, 64)]) == pytest.approx(tables.token_s[7] + prefill)
    ungrouped = profile_tables(tmp_path, model("meta-llama/Llama-2-7b-hf"), gpu("a100"))
    assert ungrouped.shared_factor == 1.0


def test_parallel_stages(tmp_path):
    n = np.arange(1, 17)
    shape, sheet = model("meta-llama/Meta-Llama-3-8B"), gpu("a100")
    write_tables(tmp_path)
    with pytest.raises(InputError, match="all_reduce"):
        profile_tables(tmp_path, shape, sheet, Layout(2))
    with pytest.raises(InputError, match="send_recv"):
        profile_tables(tmp_path, shape, sheet, Layout(1, 2))
    write_tables(tmp_path, all_reduce=n / 100, send_recv=n / 50)
    one = profile_tables(tmp_path, shape, sheet)
    both = profile_tables(tmp_path, shape, sheet, Layout(2, 2))
    assert both.comm_s[5] == pytest.approx(16e-3 * 2 * (0.08 + 0.02))
    assert both.token_s[5] == pytest.approx(one.token_s[5] / 2 + both.comm_s[5])
    assert both.send_s[5] == pytest.approx(0.16e-3)
    middle, last = (stage_seconds(both, [1] * 3, [], last_stage=last) for last in (False, True))
    assert middle - last == pytest.approx(0.16e-3)
    assert both.flops_per_token == one.flops_per_token / 4


def test_broken_tables_are_named(tmp_path):
    shape, sheet = model("meta-llama/Meta-Llama-3-8B"), gpu("a100")
    with pytest.raises(InputError, match="no folder"):
        profile_tables(tmp_path / "x", shape, sheet)
    with pytest.raises(InputError, match=r"expected per_num_tokens\.csv"):
        profile_tables(tmp_path, shape, sheet)
    write_tables(tmp_path)
    frame = pd.read_csv(tmp_path / "per_num_tokens.csv")
    frame.drop(columns="mlp_act").to_csv(tmp_path / "per_num_tokens.csv", index=False)
    with pytest.raises(InputError, match="'mlp_act' is missing"):
        profile_tables(tmp_path, shape, sheet)
    frame.drop(index=4).to_csv(tmp_path / "per_num_tokens.csv", index=False)
    with pytest.raises(InputError, match="num_tokens 5 is missing"):
        profile_tables(tmp_path, shape, sheet)
    frame.assign(add=-1.0).to_csv(tmp_path / "per_num_tokens.csv", index=False)
    with pytest.raises(InputError, match="negative"):
        profile_tables(tmp_path, shape, sheet)


@pytest.mark.shared
@pytest.mark.skipif(not REFERENCE.exists(), reason="reference data absent")
def test_raw_profile_of_a_real_gpu_passes_through_its_points(tmp_path):
    for stem in ("mlp", "attention"):
        name = f"MEASURED_AKafakA_a30_qwen2-7b_tp1_{stem}.csv.gz"
        (tmp_path / name).symlink_to((REFERENCE / "profile_inputs" / name).resolve())
    shape = model("Qwen/Qwen2-7B")
    tables = profile_tables(tmp_path, shape, gpu("a30"), max_tokens=8192, max_batch=64)
    raw = pd.read_csv(tmp_path / "MEASURED_AKafakA_a30_qwen2-7b_tp1_attention.csv.gz")
    decode = raw[(raw.prefill_chunk_size == 0) & (raw.batch_size == 16) & (raw.kv_cache_size == 1024)]
    assert tables.decode_s[16, 16] == pytest.approx(28e-3 * decode["time_stats.attn_decode.median"].median())
    # a decode of one token cannot be faster than reading 13 GB of layers at 933 GB/s, nor thrice slower
    assert 0.014 < stage_seconds(tables, [64], []) < 0.042
    assert stage_flops(tables, [], [(4096, 0)]) / stage_seconds(tables, [], [(4096, 0)]) < 165e12
    assert len(tables.token_s) == 8193
    assert (np.diff(tables.token_s[4096:]) >= -1e-12).all()
    with pytest.raises(InputError, match="no row with n_embd = 4096; found 3584"):
        profile_tables(tmp_path, model("meta-llama/Meta-Llama-3-8B"), gpu("a30"))
