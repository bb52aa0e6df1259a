"""What the silicon benchmark throws away, on rows made for it."""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))
import disaggregated_recipes
import silicon_accuracy
import silicon_rows
import silicon_servers

DUMP = "db-dump/2026-04-27; config_id={number}; silicon_concurrency={clients}; measured={date}T00:00:00.000Z"
EXPORT = (
    "source_file={date}.csv; model=X; silicon_concurrency={clients}; measured={date}T10:00:00Z; wip=False"
)


def line(clients=8, ttft=200.0, tpot=10.0, number="", date="2026-02-01", **fields):
    text = (DUMP if number else EXPORT).format(number=number, clients=clients, date=date)
    return {
        "silicon_data_source": text, "backend": "trtllm", "backend_version": "1.2.0",
        "model_path": "deepseek-ai/DeepSeek-R1", "system": "b200_sxm", "precision": "fp8", "mode": "agg",
        "isl": 1024, "osl": 1024, "batch_size": clients, "tp_size": 8, "pp_size": 1, "attention_dp_size": 1,
        "moe_tp_size": 8, "moe_ep_size": 1, "silicon_ttft_ms": ttft, "silicon_tpot_ms": tpot,
    } | fields  # fmt: skip


@pytest.fixture
def cleaned(tmp_path):
    def clean(*lines):
        path = tmp_path / "rows.csv"
        pd.DataFrame(lines).to_csv(path, index=False)
        kept, dropped = silicon_rows.clean(silicon_rows.read(path))
        assert len(kept) + sum(dropped.values()) == sum(one["mode"] == "agg" for one in lines)
        return kept, {why: count for why, count in dropped.items() if count}

    return clean


def test_rows_of_other_kinds_and_without_load_are_no_matter(cleaned):
    kept, dropped = cleaned(line(), line(mode="disagg"), line(clients=16, tpot=np.nan))
    assert len(kept) == 1
    assert dropped == {"no load or nothing measured": 1}


def test_one_run_written_down_three_times_is_one_row(cleaned):
    kept, dropped = cleaned(
        line(tp_size=64, moe_tp_size=8, moe_ep_size=8, date="2026-03-01"),  # tp x ep in place of tp
        line(model_path="deepseek-ai/DeepSeek-V3", ttft=200.04),  # another name, rounded otherwise
        line(number=87),
    )
    assert dropped == {"recorded twice": 2}
    assert kept.number.tolist() == ["87"]
    assert kept.tp_size.tolist() == [8]


def test_more_gpus_than_a_server_has(cleaned):
    layouts = [{"tp_size": 16}, {"attention_dp_size": 4, "tp_size": 4}, {"tp_size": 4, "pp_size": 2}]
    lines = [line(tpot=10 + i, **layout) for i, layout in enumerate(layouts)]
    kept, dropped = cleaned(*lines)
    assert dropped == {"more GPUs than a server has": 2}
    assert kept.pp_size.tolist() == [2]


def series(factor_tpot, factor_ttft, **fields):
    """Twins at three loads and one row more at 64 clients, of an older and a newer version."""
    older = [line(clients=n, tpot=8 + n / 4, ttft=200 + 9 * n, **fields) for n in (4, 8, 16, 64)]
    newer = [
        one | {"backend_version": "1.2.1", "silicon_tpot_ms": factor_tpot * one["silicon_tpot_ms"],
               "silicon_ttft_ms": factor_ttft * one["silicon_ttft_ms"]}
        for one in older
    ]  # fmt: skip
    return older, newer


def test_drafting_shows_in_answers_and_not_in_prompts(cleaned):
    older, newer = series(0.6, 1.1)
    kept, dropped = cleaned(*older, *newer)
    assert dropped == {"draft tokens": 4}  # the row at 64 clients with them
    assert set(kept.backend_version) == {"1.2.0"}


@pytest.mark.parametrize(("tpot", "ttft"), [(0.85, 1.0), (0.7, 0.7), (1.0, 1.0)])
def test_a_better_server_is_no_draft(cleaned, tpot, ttft):
    older, newer = series(tpot, ttft)
    kept, dropped = cleaned(*older, *newer)
    assert "draft tokens" not in dropped
    assert len(kept) + dropped.get("recorded twice", 0) == 8


def test_drafting_is_seen_within_one_version_by_the_number_of_the_configuration(cleaned):
    plain = [line(clients=n, tpot=10 + n, number=5) for n in (4, 8)]
    drafts = [line(clients=n, tpot=6 + n / 2, ttft=260.0) for n in (4, 8)]
    kept, dropped = cleaned(*plain, *drafts)
    assert dropped == {"draft tokens": 2}
    assert set(kept.number) == {"5"}


def test_nobody_reads_weights_faster_than_the_memory(cleaned):
    llama = {"model_path": "meta-llama/Llama-3.1-70B", "tp_size": 1, "moe_tp_size": 1}
    kept, dropped = cleaned(line(tpot=8.0, **llama), line(tpot=9.5, **llama, backend="vllm"))
    assert dropped == {"below the memory floor": 1}  # 70.6 GB of FP8 at 8 TB/s take 8.8 ms
    assert kept.silicon_tpot_ms.tolist() == [9.5]


def test_waits_the_memory_does_not_explain(cleaned):
    small = {"model_path": "meta-llama/Llama-3.1-8B", "precision": "bf16", "tp_size": 1, "moe_tp_size": 1}
    kept, dropped = cleaned(
        line(clients=128, ttft=60e3, tpot=8.0, **small),  # an answer takes 8 s, the memory holds all
        line(clients=64, ttft=6e3, tpot=8.0, **small),
        line(clients=128, ttft=60e3, tpot=8.0, isl=16384, osl=8192, **small),  # an answer takes 65 s
    )
    assert dropped == {"waits without a reason": 1}
    assert len(kept) == 2


def test_a_day_whose_first_tokens_wait_for_more_than_service(cleaned):
    good = [line(clients=n, ttft=200 + 10 * n, date="2026-02-01") for n in (32, 64, 128)]
    bad = [line(clients=n, ttft=7000.0 + n, tpot=11, date="2026-01-01") for n in (8, 16, 32, 64)]
    kept, dropped = cleaned(*good, *bad)
    assert dropped == {"start-up in the mean": 4}
    assert set(kept.date) == {"2026-02-01"}


def test_a_day_on_which_more_clients_were_answered_faster(cleaned):
    day = [line(clients=n, tpot=t) for n, t in ((4, 40), (8, 35), (16, 50), (32, 25), (64, 28))]
    kept, dropped = cleaned(*day, line(clients=32, tpot=25.0, date="2026-02-02", ttft=201))
    assert dropped == {"disturbed": 5}
    assert kept.date.tolist() == ["2026-02-02"]


def test_repetitions_weigh_as_one(cleaned):
    kept, dropped = cleaned(*(line(tpot=t, ttft=100 + t, date=f"2026-02-0{t}") for t in (7, 8, 9)))
    assert dropped == {"repeated measurement": 2}
    assert kept[["silicon_tpot_ms", "silicon_ttft_ms"]].to_numpy().tolist() == [[8, 108]]


@pytest.mark.parametrize(
    ("fields", "source", "kv", "spread"),
    [
        ({}, silicon_servers.INFERENCEX, "fp8", silicon_servers.UPPER_FIFTH),
        ({"precision": "bf16"}, silicon_servers.INFERENCEX, "fp8", silicon_servers.UPPER_FIFTH),
        (
            {"silicon_data_source": "source_file=/x/trtllm/1.0/Q.csv; silicon_concurrency=8"},
            silicon_servers.NVIDIA, "fp8", silicon_servers.NEARLY_IN_STEP,
        ),
        (
            {"silicon_data_source": "source_file=gap-analysis.csv", "gemm_quant_mode": "fp8_block"},
            silicon_servers.NVIDIA, "bf16", silicon_servers.NEARLY_IN_STEP,
        ),
        (
            {"silicon_data_source": "source_file=gap-analysis.csv", "backend": "sglang"},
            silicon_servers.NVIDIA, "bf16", silicon_servers.IN_STEP,
        ),
        (
            {"silicon_data_source": "image=nvcr.io/nvidia/ai-dynamo/x", "batch_size": 2},
            silicon_servers.DYNAMO, "fp8", silicon_servers.NEARLY_IN_STEP,
        ),
    ],
)  # fmt: skip
def test_whose_run_it_is_decides_how_it_was_taken(cleaned, fields, source, kv, spread):
    kept, _ = cleaned(line(**fields))
    run = silicon_servers.run_of(kept.iloc[0], silicon_rows.sheet_of("b200_sxm"))
    assert (run.source, run.kv_precision, run.spread) == (source, kv, spread)
    assert run.clients == (2 if source == silicon_servers.DYNAMO else 8)


def test_what_nobody_measured_is_left_out_by_name(cleaned):
    strange = [
        {"model_path": "nobody/Nothing"},
        {"precision": "w4a8"},
        {"backend": "orca"},
        {"system": "b900"},
    ]
    kept, dropped = cleaned(*(line(tpot=10 + i, **one) for i, one in enumerate(strange)))
    assert len(kept) == 4
    assert not dropped
    predictor = silicon_accuracy.Predictor()
    reasons = [predictor(row) for _, row in kept.iterrows()]
    for word, reason in zip(("nobody/Nothing", "w4a8", "orca", "b900"), reasons, strict=True):
        assert word.lower() in reason.lower()


def test_one_line_per_system_and_quantity_and_its_interval_from_others(tmp_path, monkeypatch):
    """Eight rows of two makers, predicted 10 % short for one and 10 % long for the other."""
    from tests.benchmarks.truth import silicon

    makers = ("deepseek-ai/DeepSeek-R1", "meta-llama/Llama-3.1-70B")
    lines = [
        line(clients=n, tpot=10.0 + n, ttft=100.0 + n, model_path=name)
        for name in makers
        for n in (4, 8, 16, 32)
    ]
    path = tmp_path / "rows.csv"
    pd.DataFrame(lines).to_csv(path, index=False)

    def predicted(self, row):
        factor = 0.9 if row.model_path == makers[0] else 1.1
        return factor * row.silicon_ttft_ms, factor * row.silicon_tpot_ms

    monkeypatch.setattr("silicon_accuracy.Predictor.__call__", predicted)
    found = silicon.rows(path)
    assert [(one.quantity, one.group, one.rows) for one in found] == [
        ("TPOT [ms]", "b200_sxm, aggregated", 8),
        ("TTFT, mean [ms]", "b200_sxm, aggregated", 8),
    ]
    assert found[0].median == pytest.approx(0.1)
    assert found[0].coverage == 0.0  # what one maker's rows say is wrong for the other's


def apart(workers=(1, 4), ttft=500.0, tpot=10.0, clients=8, number="5", **fields):
    pools = {
        "mode": "disagg",
        "silicon_data_source": DUMP.format(number=number, clients=clients, date="2026-02-01"),
    }
    for pool, count in zip(("prefill", "decode"), workers, strict=True):
        pools |= {f"{pool}_num_workers": count, f"{pool}_tp_size": 8, f"{pool}_attention_dp_size": 1}
    return line(clients, ttft, tpot) | pools | fields


def test_pools_of_which_nobody_says_how_large_they_were_are_not_scored(tmp_path):
    lines = [
        apart(),
        apart(workers=(np.nan, np.nan), number=""),  # the same run in an export, which does not say
        apart(workers=(np.nan, np.nan), tpot=11.0),
        apart(silicon_data_source="source_file=gap-analysis.csv", tpot=12.0),  # no clients
        apart(tpot=0.1),  # nobody reads the experts of a token in a tenth of a millisecond
        apart(ttft=9000.0, tpot=13.0),  # eight prompts of 1024 tokens take no nine seconds
        line(),
    ]
    path = tmp_path / "rows.csv"
    pd.DataFrame(lines).to_csv(path, index=False)
    kept, dropped = silicon_rows.clean_disaggregated(silicon_rows.read(path, "disagg"))
    assert {why: count for why, count in dropped.items() if count} == {
        "recorded twice": 1,
        "workers not recorded": 1,
        "no load or nothing measured": 1,
        "below the memory floor": 1,
        "waits without a reason (TTFT alone)": 1,
    }
    assert kept.silicon_tpot_ms.tolist() == [10.0, 13.0]
    assert kept.silicon_ttft_ms.isna().tolist() == [False, True]
    assert len(silicon_rows.read(path)) == 1


def test_every_recipe_is_found_by_its_own_deployment() -> None:
    table = pd.read_csv(disaggregated_recipes.FILE)
    assert table.source.notna().all()
    for _, recipe in table.iterrows():
        row = pd.Series(
            {
                "system": f"{recipe.system}_sxm",
                "backend": recipe.backend,
                "model_path": {"dsr1": "deepseek-ai/DeepSeek-R1", "kimik2.5": "moonshotai/Kimi-K2.5"}.get(
                    recipe.model, "openai/gpt-oss-120b"
                ),
                **recipe[["precision", "isl", "osl"]],
                "clients": int(str(recipe.concurrencies).split()[0]),
            }
        )
        for pool in ("prefill", "decode"):
            row[f"{pool}_num_workers"] = recipe[f"{pool}_workers"]
            row[f"{pool}_tp_size"] = recipe[f"{pool}_tp"] // recipe[f"{pool}_dp"]
            row[f"{pool}_attention_dp_size"] = recipe[f"{pool}_dp"]
            row[f"{pool}_moe_ep_size"] = recipe[f"{pool}_ep"]
        found = disaggregated_recipes.recipe_of(row)
        assert found is not None, recipe.source
        for pool, name in zip(found, ("prefill", "decode"), strict=True):
            assert pool.tp * pool.ranks == recipe[f"{name}_tp"]
            assert pool.ranks == recipe[f"{name}_dp"]
            assert pool.requests is None or pool.requests >= 1
        row["clients"] = 777_777
        assert disaggregated_recipes.recipe_of(row) is None
