"""Predicted against measured TTFT and TPOT of real servers.

    python tests/benchmarks/silicon_accuracy.py [--rows FILE.csv.gz] [--json] [--system h100_sxm] [--no-overhead]
        [--graph-padding]

The rows are aggregated serving runs of aiconfigurator's silicon sample: InferenceX dumps and NVIDIA's own runs of vLLM,
SGLang and TensorRT-LLM. They are cleaned first (`silicon_rows.py` says by which rules, the output how many rows went by
each). Nothing measured goes in but a row's configuration: model, GPU, format, parallelism, framework and its version,
ISL, OSL, the number of clients and whose run it is (`silicon_servers.py` says what follows from that).

What is assumed of every server: a closed loop, ten requests per client, all clients start at once; TTFT and TPOT are
means. vLLM v1: chunked prompts join decodes, preemption by recompute. SGLang: prompts first. TensorRT-LLM: whole
prompts, a request's full KV cache is reserved.

Rows are left out where kernels were not measured, the row uses pipelines, or the model does not fit. Data-parallel
ranks run in lockstep, each with the policy's budget. Of the rows with attention data parallelism none had a part in
any constant. `odd rows` are the rows of odd position: the constants to the first token, the front end, the spread of
NVIDIA's lengths and the host's time were chosen on even H100 rows alone. Nothing was fitted to another GPU. The split
is a weak one, for causes were looked for in samples of all H100 and B200 rows.

The interval is that of the other makers' rows of the same system: quantiles of measured over predicted, 5 and 95 %,
every maker weighing the same, applied to a maker's rows that had no part in them.

Where the error is large, and why: TTFT of NVIDIA's TensorRT-LLM runs of Llama-3.1-8B grows with answer length over
the number of clients, as if one slot of the batch were never used, which no option of the row explains. vLLM's scripts
ask for Marlin kernels for gpt-oss on H100, whose prompts take twice the table's time. MiniMax-M2.5's prompts of a
thousand tokens take up to twice the kernels' time on B200, Qwen3.5's a third more. Kernels of TensorRT-LLM 1.3 and
vLLM 0.24 stand for servers of 1.0 and 0.10 to 0.19. Runs behind Dynamo are off by tens of percent.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).resolve().parent))
from closed_loop import Cost, closed_loop
from silicon_rows import clean, read, sheet_of, weight_precision
from silicon_servers import REQUESTS_PER_CLIENT, run_of

from simulators.errors import InputError
from simulators.inference.catalogue import kv_blocks, model
from simulators.inference.timing import stage_tables
from simulators.inference.timing.engine import FRAMEWORKS
from simulators.inference.timing.host import host_overhead_s

ROWS = (
    Path(__file__).resolve().parents[2]
    / ".."
    / "shared"
    / "data"
    / "gpu_latency"
    / "aic_silicon_sample_give.csv.gz"
)
GOALS = {"TPOT": 0.06, "TTFT": 0.18}
MAX_CLIENTS = 1024
CAPTURED = np.array([1, 2, 4, *range(8, 257, 8), *range(272, 513, 16)])
"""Tokens for which vLLM captures CUDA graphs by default; SGLang and TensorRT-LLM capture nearly the same."""


class Predictor:
    """Predicts a row; tables are built once per deployment."""

    def __init__(self, with_overhead: bool = True, pad: bool = False):
        self.with_overhead, self.pad = with_overhead, pad
        self.built: dict[tuple, tuple | str] = {}

    def deployment(self, row, run, sheet):
        key = (
            row.model_path, row.system, row.backend, row.precision, row.tp_size, row.attention_dp_size, row.moe_ep_size,
            run.kv_precision, run.memory_fraction, run.version, run.stream_every,
        )  # fmt: skip
        if key not in self.built:
            try:
                self.built[key] = self._build(row, run, sheet)
            except InputError as error:
                self.built[key] = str(error).split(": perf database")[0][:90]
        return self.built[key]

    def _build(self, row, run, sheet):
        tables, blocks = self.tables(row, run, sheet)
        return Cost(tables), blocks * 16

    def tables(self, row, run, sheet):
        """Iteration times of a server, and its KV blocks."""
        shape, tp, ranks = model(row.model_path), row.tp_size, row.attention_dp_size
        precision = weight_precision(row)
        host = host_overhead_s(row.backend, run.version) if self.with_overhead else (0.0, 0.0)
        tables = stage_tables(
            "measured", shape, sheet, tp, 1, precision, max_tokens=9216 * ranks, max_batch=512 * ranks,
            max_context=32768, kv_precision=run.kv_precision, framework=row.backend, data_parallel=ranks,
            expert_parallel=row.moe_ep_size if shape.moe_layers else 1,
            overhead_s=(host[0] / run.stream_every, host[1] / run.stream_every),
        )  # fmt: skip
        if self.pad:
            tables = padded(tables, ranks)
        blocks = kv_blocks(
            shape, sheet, tp, 1, precision=precision, kv_precision=run.kv_precision,
            memory_fraction=run.memory_fraction, ranks=ranks,
        )  # fmt: skip
        return tables, blocks

    def __call__(self, row) -> tuple[float, float] | str:
        """TTFT and TPOT in ms, or why there is no prediction."""
        if row.pp_size > 1:
            return "pipeline parallelism"
        if row.clients > MAX_CLIENTS:
            return f"more than {MAX_CLIENTS} clients"
        if row.backend not in FRAMEWORKS:
            return f"framework {row.backend}"
        try:
            sheet = sheet_of(row.system)
            weight_precision(row)
            model(row.model_path)
            run = run_of(row, sheet)
        except InputError as error:
            return str(error)[:90]
        found = self.deployment(row, run, sheet)
        if isinstance(found, str):
            return found
        cost, kv_tokens = found
        policy = run.policy.of_ranks(int(row.attention_dp_size))
        ttft, tpot = closed_loop(
            cost, policy, run.clients, int(row.isl), int(row.osl), kv_tokens,
            run.clients * REQUESTS_PER_CLIENT, run.spread,
        )  # fmt: skip
        return 1e3 * (ttft.mean() + run.first_token_s), 1e3 * tpot.mean()


def padded(tables, ranks: int):
    """Tables of a server whose batches run as the next larger one that a CUDA graph was captured for."""
    own = -(-np.arange(len(tables.token_s)) // ranks)
    at = np.minimum(np.searchsorted(CAPTURED, own), len(CAPTURED) - 1)
    runs = np.where(own <= CAPTURED[-1], np.maximum(own, CAPTURED[at]), own) * ranks
    token_s = tables.token_s[np.minimum(runs, len(own) - 1)]
    token_s[0] = 0.0
    return tables._replace(token_s=token_s)


def predict(
    rows: pd.DataFrame, with_overhead: bool = True, pad: bool = False
) -> tuple[pd.DataFrame, Counter]:
    """Rows with prediction, its interval and relative errors; how many were left out, by reason."""
    rows, left_out = answered(rows, Predictor(with_overhead, pad))
    for name in ("ttft", "tpot"):
        rows[f"{name}_low"], rows[f"{name}_high"] = interval(rows, name)
    rows["odd"] = rows.index % 2 == 1
    return rows, left_out


def answered(
    rows: pd.DataFrame, predictor: Callable[[pd.Series], tuple[float, float] | str]
) -> tuple[pd.DataFrame, Counter]:
    """Rows with what a predictor says of them and relative errors; how many it has no answer for, by reason."""
    left_out, found = Counter(), {}
    for index, row in rows.iterrows():
        answer = predictor(row)
        if isinstance(answer, str):
            left_out[answer] += 1
        else:
            found[index] = answer
    if not found:
        raise InputError(f"no row is covered by measured kernels: {dict(left_out)}")
    rows = rows.loc[list(found)].copy()
    rows[["ttft_ms", "tpot_ms"]] = list(found.values())
    for name in ("ttft", "tpot"):
        rows[f"{name}_error"] = rows[f"{name}_ms"] / rows[f"silicon_{name}_ms"] - 1
    return rows, left_out


def interval(rows: pd.DataFrame, name: str) -> tuple[pd.Series, pd.Series]:
    """Measured over predicted, 5 and 95 %, of the other makers' rows of the same system; NaN where there are none.

    Every maker weighs the same, however many rows there are of its models: the next maker is none of them.
    """
    ratio = rows[f"silicon_{name}_ms"] / rows[f"{name}_ms"]
    maker = rows.model_path.map(maker_of)
    low, high = (pd.Series(np.nan, index=rows.index) for _ in range(2))
    for (system, left), group in rows.groupby([rows.system, maker]):
        others = (rows.system == system) & (maker != left)
        if others.any():
            weight = 1 / maker[others].groupby(maker[others]).transform("size")
            low[group.index], high[group.index] = weighted_quantiles(ratio[others], weight, (0.05, 0.95))
    return low, high


def maker_of(name: str) -> str:
    """Who made a model; NVIDIA's checkpoints are others' models in another format."""
    owner, _, short = name.partition("/")
    makers = {"DeepSeek": "deepseek-ai", "Qwen": "Qwen", "Llama": "meta-llama", "Kimi": "moonshotai"}
    known = [maker for prefix, maker in makers.items() if short.startswith(prefix)]
    return known[0] if owner == "nvidia" and known else owner


def weighted_quantiles(values: pd.Series, weights: pd.Series, shares: tuple[float, ...]) -> np.ndarray:
    """Quantiles of `values`, between the middles of their weights; shape (shares,)."""
    order = np.argsort(values.to_numpy())
    weight = weights.to_numpy()[order]
    middle = (np.cumsum(weight) - weight / 2) / weight.sum()
    return np.interp(shares, middle, values.to_numpy()[order])


def inside(rows: pd.DataFrame, name: str) -> pd.Series:
    """Whether each measured value lies in its interval."""
    ratio = rows[f"silicon_{name}_ms"] / rows[f"{name}_ms"]
    return (ratio >= rows[f"{name}_low"]) & (ratio <= rows[f"{name}_high"])


def summary(group: pd.DataFrame) -> dict:
    found: dict = {"rows": len(group)}
    for name in ("tpot", "ttft"):
        error = group[f"{name}_error"].abs()
        found |= {
            f"{name}_median": round(float(error.median()), 4),
            f"{name}_mean": round(float(error.mean()), 4),
            f"{name}_bias": round(float(group[f"{name}_error"].median()), 4),
        }
    return found


def coverage(group: pd.DataFrame) -> dict:
    """Of one system: share inside the 90 % interval, the median of its ends, the quantiles of all makers."""
    found: dict = {}
    maker = group.model_path.map(maker_of)
    weight = 1 / maker.groupby(maker).transform("size")
    for name in ("tpot", "ttft"):
        with_interval = group[group[f"{name}_low"].notna()]
        ratio = group[f"silicon_{name}_ms"] / group[f"{name}_ms"]
        ends = weighted_quantiles(ratio, weight, (0.05, 0.95))
        found |= {f"{name}_all_low": round(float(ends[0]), 4), f"{name}_all_high": round(float(ends[1]), 4)}
        if len(with_interval):
            found |= {
                f"{name}_coverage": round(float(inside(with_interval, name).mean()), 4),
                f"{name}_low": round(float(with_interval[f"{name}_low"].median()), 4),
                f"{name}_high": round(float(with_interval[f"{name}_high"].median()), 4),
            }
    return found


def main() -> int:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--rows", type=Path, default=ROWS)
    options.add_argument("--system", help="only this system, e.g. h100_sxm")
    options.add_argument("--json", action="store_true")
    options.add_argument("--out", type=Path, help="write every row and its prediction to this CSV file")
    options.add_argument(
        "--no-overhead", action="store_true", help="kernels only, without the server's own work"
    )
    options.add_argument(
        "--graph-padding", action="store_true", help="batches padded to the sizes of CUDA graphs"
    )
    chosen = options.parse_args()
    try:
        rows = read(chosen.rows)
        if chosen.system:
            rows = rows[rows.system == chosen.system]
        count = len(rows)
        rows, dropped = clean(rows)
        rows, left_out = predict(rows, not chosen.no_overhead, chosen.graph_padding)
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    if chosen.out:
        rows.to_csv(chosen.out, index=False)
    lines = {
        " ".join(key): summary(group)
        for key, group in rows.groupby(["system", "backend", "model_path", "precision"])
    }
    for system, group in rows.groupby("system"):
        lines[f"{system} all"] = summary(group)
        lines[f"{system} odd rows"] = summary(group[group.odd])
    intervals = {system: coverage(group) for system, group in rows.groupby("system")}
    if chosen.json:
        print(
            json.dumps(
                {
                    "rows": count,
                    "cleaned": dict(dropped),
                    "groups": lines,
                    "intervals": intervals,
                    "left_out": dict(left_out),
                    "goals_h100": GOALS,
                }
            )
        )
        return 0
    report(count, dropped, lines, intervals, left_out)
    return 0


def report(
    count: int, dropped: Counter, lines: dict, intervals: dict, left_out: Counter, kind: str = "aggregated"
) -> None:
    """Print the tables."""
    print(f"{count} {kind} rows; cleaned away:")
    for why, number in dropped.most_common():
        print(f"  {number:5d}  {why}")
    head = f"{'rows':>5s}{'TPOT median':>13s}{'mean':>8s}{'bias':>8s}{'TTFT median':>13s}{'mean':>8s}{'bias':>8s}"
    print(f"\n{'':58s}{head}")
    for name, line in lines.items():
        print(
            f"{name:58s}{line['rows']:5d}{line['tpot_median']:13.1%}{line['tpot_mean']:8.1%}{line['tpot_bias']:+8.1%}"
            f"{line['ttft_median']:13.1%}{line['ttft_mean']:8.1%}{line['ttft_bias']:+8.1%}"
        )
    if intervals:
        print("\n90 % interval from the other makers' rows, measured over predicted; all makers' quantiles:")
    for system, found in intervals.items():
        for name in ("tpot", "ttft"):
            covered = found.get(f"{name}_coverage")
            text = "no other maker" if covered is None else (
                f"covers {covered:.0%}, {found[f'{name}_low']:.2f} to {found[f'{name}_high']:.2f}"
            )  # fmt: skip
            ends = f"{found[f'{name}_all_low']:.2f} to {found[f'{name}_all_high']:.2f}"
            print(f"  {system} {name.upper()}: {text}; all {ends}")
    print(f"\nleft out: {sum(left_out.values())} rows")
    for reason, number in left_out.most_common():
        print(f"  {number:5d}  {reason}")
    h100 = lines.get("h100_sxm all")  # of aggregated rows
    if h100:
        for name, goal in GOALS.items():
            reached = h100[f"{name.lower()}_median"]
            verdict = "met" if reached <= goal else "NOT met"
            print(f"H100 {name}: median error {reached:.1%}, goal {goal:.0%}: {verdict}")


if __name__ == "__main__":
    sys.exit(main())
