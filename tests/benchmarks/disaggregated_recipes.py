"""How the disaggregated servers of InferenceX were started: what decides waiting and is not in the measured rows.

`disaggregated_recipes.csv` has a line for every public recipe without speculation (SemiAnalysisAI/InferenceX and the
srt-slurm files its configurations name, both Apache-2.0; column `source`). Columns in a server's own terms:

- `*_tp`: GPUs of a server; `*_dp`: its attention ranks; `*_ep`: GPUs its experts are spread over.
- `decode_max_batch`, `prefill_max_batch`: requests at once, of a rank in TensorRT-LLM and vLLM, of a server in SGLang.
- `prefill_max_tokens`: tokens of an iteration, of a rank in TensorRT-LLM and vLLM, of a server in SGLang.

A recipe is found by what a row says of its deployment and its clients, never by its result. Labels of parallelism
within a server are the recipe's: InferenceX's own labels of SGLang's rows of 2025 "do nothing" (its words), and two
labels of one TensorRT-LLM recipe differ between months.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pandas as pd

FILE = Path(__file__).with_suffix(".csv")
MODELS = {"deepseek": "dsr1", "kimi": "kimik2.5", "gpt-oss": "gptoss"}


@dataclass(frozen=True)
class Pool:
    """A server of one pool.

    Attributes
    ----------
    tp, ranks, experts
        GPUs of one attention rank, attention ranks, GPUs the experts are spread over.
    requests, tokens
        Most requests at once and most tokens of an iteration, of the whole server; None: not known.
    """

    tp: int
    ranks: int
    experts: int
    requests: int | None
    tokens: int | None


@cache
def _recipes() -> pd.DataFrame:
    return pd.read_csv(FILE)


def recipe_of(row: pd.Series) -> tuple[Pool, Pool] | None:
    """Servers that prefill and that decode of a row's recipe; None if none is known."""
    table = _recipes()
    name = next((short for word, short in MODELS.items() if word in row.model_path.lower()), None)
    gpus = {
        pool: int(row[f"{pool}_tp_size"]) * int(row[f"{pool}_attention_dp_size"])
        for pool in ("prefill", "decode")
    }
    same = table[
        (table.system == row.system.removesuffix("_sxm"))
        & (table.backend == row.backend)
        & (table.model == name)
        & (table.precision == row.precision)
        & (table.isl == row.isl)
        & (table.osl == row.osl)
        & (table.prefill_workers == row.prefill_num_workers)
        & (table.decode_workers == row.decode_num_workers)
        & (table.prefill_tp == gpus["prefill"])
        & (table.decode_tp == gpus["decode"])
    ]
    clients = str(int(row.clients))
    same = same[[clients in told.split() for told in same.concurrencies.astype(str)]]
    if same.empty:
        return None
    # of several, the one whose ranks are those of the row, then the one that says most
    alike = sum(
        (same[f"{pool}_dp"] > 1) == (row[f"{pool}_attention_dp_size"] > 1) for pool in ("prefill", "decode")
    )
    alike = alike * 10 + (same.prefill_ep == max(1, row.prefill_moe_ep_size)) * 5
    alike = alike + same.decode_max_batch.notna() + same.prefill_max_batch.notna()
    best = same.loc[alike.idxmax()]
    return _pool(best, "prefill"), _pool(best, "decode")


def _pool(recipe: pd.Series, pool: str) -> Pool:
    gpus, ranks = int(recipe[f"{pool}_tp"]), int(recipe[f"{pool}_dp"])
    each = 1 if recipe.backend == "sglang" else ranks

    def whole(column: str) -> int | None:
        value = recipe.get(column)
        return None if pd.isna(value) else int(value) * each

    tokens = whole("prefill_max_tokens") if pool == "prefill" else None
    return Pool(gpus // ranks, ranks, int(recipe[f"{pool}_ep"]), whole(f"{pool}_max_batch"), tokens)
