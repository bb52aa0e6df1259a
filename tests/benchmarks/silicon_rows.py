"""Rows of measured serving runs, read and cleaned before anything is predicted.

Every rule looks at the row's configuration, at what other rows of the file measured, or at the data sheet; none looks
at a prediction. In this order:

- `no load or nothing measured`: clients, ISL, OSL, TTFT or TPOT are missing or not above 0.
- `recorded twice`: same GPU, framework, precision and load, and the same TTFT and TPOT to three digits. It is one run
  that was written down again: from another export of the same data base, under another name of the same model
  (DeepSeek-V3 and R1 are one architecture) or with another parallel layout. The copy with a layout that fits a server
  and with the data base's own number is kept.
- `more GPUs than a server has`: tensor x pipeline x attention data parallelism above eight GPUs. An aggregated run is
  one server; such rows carry tp x ep in place of tp (16 and 64 for 4 and 8), or all GPUs of a run over several servers.
- `draft tokens`: speculative decoding that no column marks. Two series (backend version, day, number in the data base)
  of one model on one GPU share two configurations or more with at most 16 clients; one has at most 0.8 of the other's
  TPOT in the median and yet no shorter TTFT (at least 0.9 of it). Drafting speeds up decoding alone, a better server
  both. The whole faster series goes, because its other rows have no twin to tell them by. The smallest mean acceptance
  length in use is 1.8 tokens per step, and at few clients a step costs little more for it.
- `below the memory floor`: a TPOT shorter than one reading of the weights a token needs takes at the data sheet's
  bandwidth. No server does that without drafting.
- `waits without a reason`: a TTFT longer than one answer, half of all clients' prompts at 30 % of the data sheet's
  dense peak, and the turns that a KV cache in bf16 and 80 % of the memory would impose, together. The server was
  started with fewer slots than the row has clients, or answered through something else, and neither is recorded. Where
  the cache would impose more than two turns the estimate of its size decides, and the row stays.
- `start-up in the mean`: a TTFT more than twice, and more than a second above, that of a row of the same layout with
  no fewer clients and no shorter prompts and answers. Where that is so for a tenth of a day's rows of one version
  (three at least), their means hold something that is not serving, such as kernels compiled on first use; the day goes.
- `disturbed`: the same with TPOT, 1.3 times that of a row of the same day, version and lengths with more clients.
  Something else ran on the machine, or the rows' clients are not as many as they name.

What is left of one configuration measured more than once by one version becomes one row with the medians: repetition is
scatter of the measurement, and would weigh that configuration more than others. Versions stay apart.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from simulators.errors import InputError
from simulators.inference.catalogue import Gpu, gpu, gpu_names, kv_blocks, model
from simulators.inference.catalogue.precision import Precision, precision_named
from simulators.inference.timing.work import weight_traffic

COLUMNS = ["backend", "model_path", "system", "mode", "isl", "osl", "silicon_ttft_ms", "silicon_tpot_ms"]
LAYOUT = ["tp_size", "pp_size", "attention_dp_size", "moe_tp_size", "moe_ep_size"]
POOLS = [f"{pool}_{name}" for pool in ("prefill", "decode") for name in ("num_workers", *LAYOUT)]
OPTIONAL = [
    *LAYOUT,
    *POOLS,
    "batch_size",
    "precision",
    "backend_version",
    "silicon_data_source",
]
GPUS_PER_SERVER = 8
DRAFT_TWINS, DRAFT_CLIENTS, DRAFT_TPOT, DRAFT_TTFT = 2, 16, 0.8, 0.9
WAIT_PEAK, WAIT_MEMORY, WAIT_TURNS = 0.3, 0.8, 2.0
POOL_PEAK = 0.1
GROUP = ["system", "backend", "family", "precision"]
START_UP_TTFT, START_UP_MS, DISTURBED_TPOT = 2.0, 1000.0, 1.3
ODD_SHARE, ODD_ROWS = 0.1, 3
# one architecture and size under several names; measured values do not depend on which
SAME_MODEL = {"deepseek-ai/DeepSeek-V3": "deepseek-ai/DeepSeek-R1"}
OTHER_NAMES = {
    "nvidia/DeepSeek-R1-NVFP4": "deepseek-ai/DeepSeek-R1",
    "nvidia/Qwen3-32B-NVFP4": "Qwen/Qwen3-32B",
}


def read(path: Path, mode: str = "agg") -> pd.DataFrame:
    """Rows of aggregated (with ``disagg``, disaggregated) serving with `clients`, `date`, `number` and whole layouts.

    Where an aggregated row does not say how many clients there were, its batch was kept full. A disaggregated one has
    the largest batch it was started for: Qwen3-32B would read its KV cache faster than the memory allows.
    """
    try:
        rows = pd.read_csv(path)
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read as CSV: {error}") from None
    missing = [column for column in COLUMNS if column not in rows]
    if missing:
        raise InputError(f"{path}: column {missing[0]!r} is missing")
    for column in OPTIONAL:
        if column not in rows:
            rows[column] = np.nan
    rows = rows[rows["mode"] == mode].reset_index(drop=True)
    source = rows.silicon_data_source.astype("string")
    rows["clients"] = source.str.extract(r"concurrency=(\d+)", expand=False).astype(float)
    if mode == "agg":
        rows["clients"] = rows.clients.fillna(rows.batch_size)
    rows["date"] = source.str.extract(r"measured=(\d{4}-\d\d-\d\d)", expand=False).fillna("")
    rows["number"] = source.str.extract(r"config_id=(\d+)", expand=False).fillna("")
    rows["precision"] = rows.precision.fillna("bf16")
    rows["backend_version"] = rows.backend_version.astype("string").fillna("")
    layouts = [name for name in POOLS if not name.endswith("num_workers")] if mode == "disagg" else LAYOUT
    for column in layouts:
        rows[column] = pd.to_numeric(rows[column], errors="coerce").fillna(1).clip(lower=1).astype(int)
    rows["model_path"] = rows.model_path.replace(OTHER_NAMES)
    return rows


def sheet_of(system: str) -> Gpu:
    """The data sheet whose measured kernels are called `system`.

    Raises
    ------
    InputError
        If no sheet has it.
    """
    for name in gpu_names():
        if gpu(name).aiconfigurator_system == system:
            return gpu(name)
    raise InputError(f"no data sheet for {system}")


def clean(rows: pd.DataFrame) -> tuple[pd.DataFrame, Counter[str]]:
    """The rows that can be scored, and how many went by which rule; the index stays that of `read`."""
    dropped: Counter[str] = Counter()

    def keep(rows: pd.DataFrame, wrong: pd.Series, why: str) -> pd.DataFrame:
        wrong = wrong.reindex(rows.index).astype(bool)
        dropped[why] += int(wrong.sum())
        return rows[~wrong]

    rows = rows.assign(
        family=rows.model_path.replace(SAME_MODEL),
        gpus=rows.tp_size * rows.pp_size * rows.attention_dp_size,
    )
    measured = (rows[["silicon_ttft_ms", "silicon_tpot_ms", "clients", "isl", "osl"]] > 0).all(axis=1)
    rows = keep(rows, ~measured, "no load or nothing measured")
    rows = keep(rows, recorded_twice(rows), "recorded twice")
    drafts = with_drafts(rows)
    rows = keep(rows, rows.gpus > GPUS_PER_SERVER, "more GPUs than a server has")
    rows = keep(rows, drafts[rows.index], "draft tokens")
    rows = keep(rows, each(rows, below_the_floor), "below the memory floor")
    rows = keep(rows, each(rows, waits_without_a_reason), "waits without a reason")
    late = contradicted(rows, "silicon_ttft_ms", [], START_UP_TTFT, START_UP_MS)
    rows = keep(rows, late, "start-up in the mean")
    same_day_and_lengths = ["backend_version", "date", "isl", "osl"]
    slow = contradicted(rows, "silicon_tpot_ms", same_day_and_lengths, DISTURBED_TPOT, 0.0)
    rows = keep(rows, slow, "disturbed")
    merged = one_per_configuration(rows)
    dropped["repeated measurement"] = len(rows) - len(merged)
    return merged, dropped


def clean_disaggregated(rows: pd.DataFrame) -> tuple[pd.DataFrame, Counter[str]]:
    """Of `read(path, "disagg")`, the rows that can be scored, and how many went by which rule.

    The rules are those of aggregated rows as far as pools have the columns. `workers not recorded`: how many replicas
    each pool had is not said, nor whether a server's GPUs had attention of their own (exports give tp x dp as tp), so
    that nobody knows how many requests shared one. `draft tokens` are not looked for: the series that draft are among
    those. A TTFT that no prefill explains is made NaN, for the TPOT is still one: longer than a second and all clients'
    prompts, one after the other in each replica, at a tenth of the data sheet's dense peak.
    """
    dropped: Counter[str] = Counter()

    def keep(rows: pd.DataFrame, wrong: pd.Series, why: str) -> pd.DataFrame:
        dropped[why] += int(wrong.sum())
        return rows[~wrong]

    rows = rows.assign(family=rows.model_path.replace(SAME_MODEL))
    measured = (rows[["silicon_ttft_ms", "silicon_tpot_ms", "clients", "isl", "osl"]] > 0).all(axis=1)
    rows = keep(rows, ~measured, "no load or nothing measured")
    told = (rows[["prefill_num_workers", "decode_num_workers"]] > 0).all(axis=1)
    twice = recorded_twice(rows.assign(gpus=np.where(told, 1, GPUS_PER_SERVER + 1)))
    rows = keep(rows, twice, "recorded twice")
    rows = keep(rows, ~told[rows.index], "workers not recorded")
    floor = each(rows.assign(tp_size=rows.decode_tp_size * rows.decode_attention_dp_size), below_the_floor)
    rows = keep(rows, floor, "below the memory floor")
    late = contradicted(rows, "silicon_ttft_ms", [], START_UP_TTFT, START_UP_MS, POOLS)
    rows = keep(rows, late, "start-up in the mean")
    waits = each(rows, waits_longer_than_prompts)
    dropped["waits without a reason (TTFT alone)"] = int(waits.sum())
    return rows.assign(silicon_ttft_ms=rows.silicon_ttft_ms.mask(waits)), dropped


def waits_longer_than_prompts(row: pd.Series) -> bool:
    """Whether the TTFT is longer than the pool that prefills explains; False where the model is not known."""
    try:
        peak = sheet_of(row.system).peak(weight_precision(row))
        work = 2.0 * model(row.model_path).active_parameters * row.isl
    except InputError:
        return False
    gpus = row.prefill_num_workers * row.prefill_tp_size * row.prefill_attention_dp_size * row.prefill_pp_size
    limit_s = 1.0 + row.clients * work / (POOL_PEAK * peak * gpus)
    return bool(row.silicon_ttft_ms * 1e-3 > limit_s)


def each(rows: pd.DataFrame, rule: Callable[[pd.Series], bool]) -> pd.Series:
    """`rule` of every row."""
    return pd.Series([rule(row) for _, row in rows.iterrows()], index=rows.index, dtype=bool)


def recorded_twice(rows: pd.DataFrame) -> pd.Series:
    """Copies of a run that is kept elsewhere."""
    digits = pd.DataFrame(
        {
            name: rows[name].map(lambda value: f"{value:.2e}")
            for name in ("silicon_ttft_ms", "silicon_tpot_ms")
        }
    )
    key = rows[["system", "backend", "family", "precision", "isl", "osl", "clients"]].join(digits)
    # the best copy first: a layout that fits, then one with the data base's number
    order = rows.assign(big=rows.gpus > GPUS_PER_SERVER, anonymous=rows.number == "")
    order = order.sort_values(["big", "anonymous"], kind="stable").index
    return key.loc[order].duplicated().reindex(rows.index)


def with_drafts(rows: pd.DataFrame) -> pd.Series:
    """Rows of series that decode speculatively (see the module's docstring)."""
    series = ["backend_version", "date", "number"]
    group = ["system", "backend", "family"]
    load = [*group, "precision", "tp_size", "attention_dp_size", "isl", "osl", "clients"]
    few = rows[rows.clients <= DRAFT_CLIENTS][[*load, *series, "silicon_ttft_ms", "silicon_tpot_ms"]]
    pairs = few.merge(few, on=load, suffixes=("", "_other"))
    other = [f"{name}_other" for name in series]
    pairs["tpot"] = pairs.silicon_tpot_ms / pairs.silicon_tpot_ms_other
    pairs["ttft"] = pairs.silicon_ttft_ms / pairs.silicon_ttft_ms_other
    pairs = pairs[(pairs[series].to_numpy() != pairs[other].to_numpy()).any(axis=1)]
    both = pairs.groupby([*group, *series, *other])[["tpot", "ttft"]]
    compared = both.median()[both.size() >= DRAFT_TWINS].reset_index()
    fast = compared[(compared.tpot <= DRAFT_TPOT) & (compared.ttft >= DRAFT_TTFT)]
    marked = set(fast[[*group, *series]].itertuples(index=False, name=None))
    keys = rows[[*group, *series]].itertuples(index=False, name=None)
    return pd.Series([key in marked for key in keys], index=rows.index, dtype=bool)


def below_the_floor(row: pd.Series) -> bool:
    """Whether the TPOT is shorter than one reading of the weights takes; False where the model is not known."""
    try:
        shape, sheet = model(row.model_path), sheet_of(row.system)
        traffic = weight_traffic(shape, int(row.tp_size), 1, weight_precision(row), 1)[1]
    except InputError:
        return False
    return bool(row.silicon_tpot_ms * 1e-3 < traffic / sheet.memory_bandwidth)


def waits_without_a_reason(row: pd.Series) -> bool:
    """Whether the TTFT is longer than answers, prompts and memory explain; False where the model is not known."""
    try:
        shape, sheet, precision = model(row.model_path), sheet_of(row.system), weight_precision(row)
        layout = int(row.tp_size), int(row.pp_size)
        tokens = 16 * kv_blocks(shape, sheet, *layout, memory_fraction=WAIT_MEMORY, precision=precision)
        peak = sheet.peak(precision)
    except InputError:
        return False
    answer_s = row.osl * row.silicon_tpot_ms * 1e-3
    prompt_s = 2.0 * shape.active_parameters * row.isl / (WAIT_PEAK * peak * row.tp_size * row.pp_size)
    turns = max(0.0, row.clients * (row.isl + row.osl) / tokens - 1.0)
    limit_s = (1.0 + turns) * answer_s + row.clients / 2 * prompt_s
    return bool(turns <= WAIT_TURNS and row.silicon_ttft_ms * 1e-3 > limit_s)


def contradicted(
    rows: pd.DataFrame,
    name: str,
    within: list[str],
    factor: float,
    excess: float,
    layouts: list[str] = LAYOUT,
) -> pd.Series:
    """Rows of days that a heavier load on the same layout contradicts (see the module's docstring).

    `factor` and `excess` say how much longer than that row's is too long; rows are compared that agree in `within`.
    """
    load = ["isl", "osl", "clients"]
    odd = pd.Series(False, index=rows.index)
    for _, layout in rows.groupby([*GROUP, *within, *layouts]):
        loads, value = layout[load].to_numpy(float), layout[name].to_numpy(float)
        no_less = (loads[None, :, :] >= loads[:, None, :]).all(axis=2)
        longer = value[:, None] > np.maximum(factor * value[None, :], value[None, :] + excess)
        odd[layout.index] = (no_less & longer).any(axis=1)
    days = odd.groupby([rows[name] for name in (*GROUP, "backend_version", "date")])
    return (days.transform("sum") >= ODD_ROWS) & (days.transform("mean") >= ODD_SHARE)


def weight_precision(row: pd.Series) -> Precision:
    """Format of the weights; gpt-oss has one checkpoint, in MXFP4, whatever the row calls it.

    Raises
    ------
    InputError
        If the model or the format is unknown.
    """
    return model(row.model_path).precision if "gpt-oss" in row.model_path else precision_named(row.precision)


def one_per_configuration(rows: pd.DataFrame) -> pd.DataFrame:
    """Repetitions become one row, the first of them, with the medians."""
    key = [
        "system",
        "backend",
        "backend_version",
        "model_path",
        "precision",
        *LAYOUT,
        "isl",
        "osl",
        "clients",
    ]
    group = rows.groupby(key, dropna=False)
    rows = rows.assign(
        silicon_ttft_ms=group.silicon_ttft_ms.transform("median"),
        silicon_tpot_ms=group.silicon_tpot_ms.transform("median"),
    )
    return rows.drop_duplicates(key)
