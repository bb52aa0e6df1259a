"""The five parameter studies: each a list of runs, and one table of published and own figures."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

import pandas as pd
from tqdm import tqdm

from scenarios.paper.accounting import energy_kwh, published_energy_kwh
from scenarios.paper.engine import Outcome, Point, run_point
from scenarios.paper.kernels import source_of
from scenarios.paper.published import GPU, PARALLEL, RATE_PER_S, SINGLE, published
from scenarios.paper.workloads import DEFAULT, STARVED, SYNTHETIC, FixedLengths
from simulators.inference.catalogue import gpu, model

STARVED_BLOCKS = 512
"""KV blocks of the number-of-requests experiment, in both of its settings."""


@dataclass
class Experiment:
    """One study.

    Attributes
    ----------
    name, title, setting
        Short name; heading; what was run, in one sentence.
    keys
        Columns that tell the rows apart.
    table
        Keys, then published and own figures: see `_figures`.
    extra
        Further tables by name.
    """

    name: str
    title: str
    setting: str
    keys: list[str]
    table: pd.DataFrame
    extra: dict[str, pd.DataFrame] = field(default_factory=dict)


def _bar(items: list[Any], name: str) -> Iterable[Any]:
    return tqdm(items, desc=name, unit="run", disable=None, delay=3, leave=False)


def _figures(
    point: Point, row: Any, *, averages: bool = False, few: int | None = None
) -> tuple[dict[str, Any], Outcome]:
    """Published and own figures of one point.

    ``published_*`` and ``own_*`` (kernels and law of the paper); ``wrong_kwh`` the published formula on our makespan,
    ``published_wrong_kwh`` on the published one; ``corrected_kwh`` mean power times time; ``physics_*`` idle
    power and the energy of bytes and FLOP (estimated for the A100); ``today_*`` the kernels measured today, under the
    published law. The last two serve `few` requests if given, and are scaled up where power no longer depends on the
    number. ``saturation`` says whether requests were served as they came, with kernels and law of the paper.
    """
    own = run_point(point, averages=averages)
    less = replace(point, requests=min(few or point.requests, point.requests))
    scale = point.requests / less.requests
    physics = run_point(less, "physics")
    today = run_point(less, kernels="today")
    makespan_s = getattr(row, "makespan_s", float("nan"))
    mfu_percent = getattr(row, "mfu_percent", float("nan"))
    published_kwh = getattr(row, "energy_kwh", float("nan"))
    return {
        "published_w": getattr(row, "power_w", float("nan")),
        "own_w": own.power_w,
        "published_mfu_percent": mfu_percent,
        "own_mfu_percent": 100 * own.mfu,
        "published_makespan_s": makespan_s,
        "own_makespan_s": own.makespan_s,
        "published_kwh": published_kwh,
        "published_wrong_kwh": published_energy_kwh(makespan_s, point.gpus, 100 * own.mfu),
        "wrong_kwh": published_energy_kwh(own.makespan_s, point.gpus, 100 * own.mfu),
        "corrected_kwh": own.energy_kwh,
        "published_corrected_kwh": energy_kwh(getattr(row, "power_w", float("nan")), makespan_s, point.gpus),
        "physics_w": physics.power_w,
        "physics_kwh": physics.energy_kwh * scale,
        "today_w": today.power_w,
        "today_makespan_s": today.makespan_s * scale,
        "saturation": own.saturation,
    }, own


def batch(quick: bool = False) -> Experiment:
    """Largest batch from 1 to 128."""
    rows = list(published("batch").itertuples())
    rows = [row for row in rows if row.cap in (1, 8, 128)] if quick else rows
    table = []
    for row in _bar(rows, "batch"):
        point = Point(SINGLE, 256 if quick else 1024, RATE_PER_S, batch_cap=row.cap)
        figures, own = _figures(point, row)
        mean = {"published_mean_batch": row.mean_batch, "own_mean_batch": own.mean_batch}
        table.append({"cap": row.cap} | mean | figures)
    return Experiment(
        "batch",
        "Batch cap",
        "Llama-3-8B on one A100, 1,024 requests at 6.45 req/s, Zipf lengths 1,024 to 4,096 tokens.",
        ["cap"],
        pd.DataFrame(table),
    )


def rate(quick: bool = False) -> Experiment:
    """Offered rate from 0.1 req/s to beyond saturation."""
    rows = list(published("rate").itertuples())
    rows = [row for row in rows if row.rate_per_s in (0.10, 0.37, 5.0)] if quick else rows
    table, ways = [], []
    for row in _bar(rows, "rate"):
        # the published plateau is the mean of all rates above saturation: all of them give the same
        rate_per_s = 50.0 if row.rate_per_s >= 5 else row.rate_per_s
        point = Point(SINGLE, 1024 if quick else 16384, rate_per_s)
        figures, own = _figures(point, row, averages=True)
        table.append({"rate_per_s": row.rate_per_s} | figures)
        ways.append(
            {
                "rate_per_s": row.rate_per_s,
                "published_w": row.power_w,
                "over_time_w": own.power_w,
                "over_iterations_w": own.row_mean_w,
                "gaps_at_next_row_w": own.gap_billed_w,
            }
        )
    return Experiment(
        "rate",
        "Request rate",
        "Llama-3-8B on one A100, 16,384 requests, the same lengths; 5.0 stands for every rate above saturation.",
        ["rate_per_s"],
        pd.DataFrame(table),
        {"averaging": pd.DataFrame(ways)},
    )


def parallelism(quick: bool = False) -> Experiment:
    """Tensor and pipeline parallelism from 1 x 1 to 4 x 4."""
    rows: list[Any] = list(published("parallelism").itertuples())
    rows = [row for row in rows if row.tp * row.pp in (1, 2)] if quick else rows
    table = []
    for row in _bar(rows, "parallelism"):
        point = Point(PARALLEL, 128 if quick else 1024, RATE_PER_S, SYNTHETIC, row.tp, row.pp)
        figures, _ = _figures(point, row)
        if pd.isna(row.makespan_s):  # the published energy is hours x 480 W x GPUs, which tells the makespan
            figures["published_makespan_s"] = row.energy_kwh / (0.480 * point.gpus) * 3600
            figures["published_wrong_kwh"] = row.energy_kwh
            figures["published_corrected_kwh"] = energy_kwh(
                row.power_w, figures["published_makespan_s"], point.gpus
            )
        table.append({"tp": row.tp, "pp": row.pp} | figures)
    return Experiment(
        "parallelism",
        "Parallelism",
        "CodeLlama-34B on 1 to 16 A100 in NVLink pairs, 1,024 requests of 2,048 prompt and 512 output tokens, 6.45 "
        "req/s.",
        ["tp", "pp"],
        pd.DataFrame(table),
    )


def requests(quick: bool = False) -> Experiment:
    """Number of requests, eight models, two settings of the lengths."""
    rows = list(published("requests").itertuples())[: 2 if quick else None]
    counts = [256, 1024] if quick else [256, 1024, 4096, 16384, 65536]
    settings = {"starved": STARVED, "default": DEFAULT}
    todo = [(row, name, count) for row in rows for name in settings for count in counts]
    table, curve = [], []
    for row, name, count in _bar(todo, "requests"):
        point = Point(row.model, count, RATE_PER_S, settings[name], row.tp, row.pp, blocks=STARVED_BLOCKS)
        key = {"model": row.model, "setting": name, "gpus": point.gpus}
        if count == counts[-1]:
            figures, own = _figures(point, row, few=4096)
            figures["published_w"] = getattr(row, f"{name}_w")
            source = source_of(model(row.model), gpu(GPU), row.tp)
            table.append(key | figures | {"iteration_times": source})
        else:
            own = run_point(point)
        curve.append(key | {"requests": count, "own_w": own.power_w, "corrected_kwh": own.energy_kwh})
    return Experiment(
        "requests",
        "Number of requests",
        f"Eight models, 256 to {counts[-1]:,} requests at 6.45 req/s, 512 KV blocks; starved: Zipf 16 to 4,096 tokens, "
        "theta 1.1, two output tokens per prompt token; default: Zipf 1,024 to 4,096, theta 0.6, 20 prompt tokens per "
        "output token. W per GPU.",
        ["model", "setting", "gpus"],
        pd.DataFrame(table),
        {"by_count": pd.DataFrame(curve)},
    )


def lengths(quick: bool = False) -> Experiment:
    """Length of a request and its share of output."""
    rows = list(published("lengths").itertuples())
    rows = [row for row in rows if row.total_tokens in (128, 2048)] if quick else rows
    table = []
    for row in _bar(rows, "lengths"):
        total, ratio = row.total_tokens, row.prefill_to_decode
        prefill = max(1, round(total * ratio / (1 + ratio)))
        point = Point(SINGLE, 256 if quick else 1024, RATE_PER_S, FixedLengths(prefill, total - prefill))
        figures, _ = _figures(point, row)
        table.append({"prefill_to_decode": ratio, "total_tokens": total} | figures)
    return Experiment(
        "lengths",
        "Request length",
        "Llama-3-8B on one A100, 1,024 requests of one length at 6.45 req/s, three ratios of prompt to output.",
        ["prefill_to_decode", "total_tokens"],
        pd.DataFrame(table),
    )


EXPERIMENTS: dict[str, Callable[[bool], Experiment]] = {
    "requests": requests,
    "lengths": lengths,
    "batch": batch,
    "rate": rate,
    "parallelism": parallelism,
}


def consequences(done: dict[str, Experiment]) -> pd.DataFrame:
    """What a reader would conclude from the published energy, and what follows from power times time.

    Columns: question, then the answer from the published energy (published and own figures), from the published power,
    from ours, and under the law of bytes and FLOP.
    """
    rows: list[dict[str, Any]] = []

    def ratio(name: str, question: str) -> None:
        if name in done:
            table = done[name].table
            first, last = table.iloc[0], table.iloc[-1]
            rows.append(
                {"question": question}
                | {
                    label: f"{first[column] / last[column]:.1f} x"
                    for label, column in (
                        ("published", "published_kwh"),
                        ("published power, right formula", "published_corrected_kwh"),
                        ("ours, published formula", "wrong_kwh"),
                        ("ours, corrected", "corrected_kwh"),
                        ("ours, bytes and FLOP", "physics_kwh"),
                    )
                    if column in table
                }
            )

    ratio("batch", "Energy saved by batches of up to 128 instead of 1")
    ratio("rate", "Energy saved by full load instead of 0.1 req/s")
    if "parallelism" in done:
        table = done["parallelism"].table
        best = {"question": "Parallelism with the least energy"}
        for label, column in (
            ("published", "published_kwh"),
            ("published power, right formula", "published_corrected_kwh"),
            ("ours, published formula", "wrong_kwh"),
            ("ours, corrected", "corrected_kwh"),
            ("ours, bytes and FLOP", "physics_kwh"),
        ):
            row = table.iloc[int(table[column].argmin())]
            best[label] = f"TP{row['tp']:.0f},PP{row['pp']:.0f}"
        rows.append(best)
    return pd.DataFrame(rows)
