"""How close the power laws come to measured GPU power, and what a power cap does.

    python tests/benchmarks/power_accuracy.py [--measurements FILE.csv] [--json]

1. Law x GPU x architecture: mean absolute percentage error of mean power from measured throughput, with the prices
   shipped in `data/gpus`; nothing is refitted. For the default file, which the fitted set is from, beside it the error
   on models left out of the fit, on whole makers left out, and how many rows lie in the 90 % interval then.
2. Energy per output token from the configuration alone, through the batch loop (`power_end_to_end.py`).
3. A cap of 60 % of the limit on H100: what it does to prefill and to decode, beside a measured sweep.

Exit code 1 if a goal is missed, 2 if the input is bad.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from simulators.errors import InputError
from simulators.inference.catalogue import gpu, model
from simulators.inference.power.cap import capped, compute_share
from simulators.inference.power.fit import fit, mape, predict_w
from simulators.inference.power.law import busy_power_w
from simulators.inference.power.laws import law_for, mfu_law
from simulators.inference.power.measurements import read_measurements
from simulators.inference.power.prices import PHYSICS, loaded_idle_w, price_sets, prices
from simulators.inference.serving import Serving, build_cluster
from simulators.quantities.requests import RequestBlock
from tests.benchmarks.power_end_to_end import end_to_end

MEASUREMENTS = (
    Path(__file__).resolve().parents[2] / ".." / "shared" / "data" / "gpu_power" / "mlenergy_v3_give.csv"
)
FITTED = "mlenergy_v3"
GOALS = {"dense": 0.065, "MoE": 0.09, "hybrid": 0.12}
PER_TOKEN_GOALS = {
    ("h100", "dense"): 0.08, ("b200", "dense"): 0.11, ("h100", "MoE"): 0.18, ("b200", "MoE"): 0.18,
}  # fmt: skip
BIAS_GOAL = 0.08
CAP_SHARE = 0.6
# LLM Garage, "Tokens-per-Second Test Bench: Power Limit Sweep", February 2026: llama.cpp on 350 W cards, 200 W beside
# 350 W
SWEEP = {"cap": 200 / 350, "prefill": 5941 / 9893, "decode": 68.3 / 72.6}
SWEEP_SOURCE = "LLM Garage power limit sweep, 2026: llama.cpp on RTX 3090 (350 W), capped at 200 W"


def published_w(points: pd.DataFrame) -> np.ndarray:
    """What the published law says of each operating point, W: MFU counted against the peak of the format in use."""
    watts = np.full(len(points), np.nan)
    for name in points["gpu"].unique():
        own = (points["gpu"] == name).to_numpy()
        sheet = gpu(name)
        law = mfu_law(float(sheet.power["mfu"]["idle_w"]), sheet.tdp_w)
        mfu = points["flop16"][own] / sheet.peak("bf16") + points["flop8"][own] / sheet.peak("fp8")
        watts[own] = [busy_power_w(law, float(value), 0.0, 0.0) for value in mfu]
    return watts


def shipped_w(points: pd.DataFrame, kind: str) -> np.ndarray:
    """What a set of prices in the data sheets says, W; NaN where a sheet has none of that name."""
    known = {
        name: prices(gpu(name), kind).coefficients
        for name in points["gpu"].unique()
        if kind in price_sets(gpu(name))
    }
    return predict_w(points, known)


def coverage(points: pd.DataFrame, predicted_w: np.ndarray, kind: str) -> np.ndarray:
    """Whether each measurement lies in the interval a set of prices states around its prediction."""
    inside = np.zeros(len(points), bool)
    for i, (name, measured, watts) in enumerate(
        zip(points["gpu"], points["power_w"], predicted_w, strict=True)
    ):
        if not np.isfinite(watts):
            continue
        sheet = gpu(name)
        stated, idle_w = prices(sheet, kind), loaded_idle_w(sheet)
        low, high = (idle_w + factor * (watts - idle_w) for factor in (stated.low, stated.high))
        inside[i] = low <= measured <= min(high, sheet.tdp_w)
    return inside


def accuracy(points: pd.DataFrame, refit: bool) -> list[dict[str, Any]]:
    """One row per law, GPU and architecture; with `refit` also for models and makers left out of the fit."""
    points = points.reset_index(drop=True)
    predicted = {"mfu": published_w(points)} | {kind: shipped_w(points, kind) for kind in (PHYSICS, FITTED)}
    found = fit(points).points if refit else None
    rows = []
    for kind, watts in predicted.items():
        for (name, architecture), part in points.groupby(["gpu", "architecture"]):
            measured, ours = part["power_w"].to_numpy(float), watts[part.index]
            if not np.isfinite(ours).any():
                continue
            row = {
                "law": kind, "gpu": name, "architecture": architecture, "rows": len(part),
                "models": part["model"].nunique(), "error": mape(ours, measured),
                "bias": float(np.median(ours / measured - 1)),
            }  # fmt: skip
            if kind != "mfu":
                row["inside"] = float(coverage(part, ours, kind).mean())
            if found is not None and kind == FITTED:
                left = found.loc[part.index]
                row["model_out"] = mape(left["left_out_w"].to_numpy(float), measured)
                row["maker_out"] = mape(left["maker_out_w"].to_numpy(float), measured)
                row["inside"] = float(((measured >= left["low_w"]) & (measured <= left["high_w"])).mean())
            rows.append(row)
    return rows


def cap_effect() -> list[dict[str, float | str]]:
    """Speed under a cap of 60 % of the limit: an H100 prefilling, and decoding at several batches (Llama-3.1-8B)."""
    sheet = gpu("h100")
    law = law_for(sheet, "auto", model("meta-llama/Llama-3.1-8B"))
    cap_w = CAP_SHARE * sheet.tdp_w
    # MFU 0.55 is what measured GEMM and attention kernels reach on long prompts; decode points are rows of the
    # measured file; (MFU, MBU, W)
    cases = {
        "prefill": (0.55, 0.03, 690.0),
        "decode, batch 8": (0.020, 0.65, 486.0),
        "decode, batch 32": (0.064, 0.54, 560.0),
        "decode, batch 64": (0.097, 0.44, 610.0),
    }
    rows: list[dict[str, float | str]] = []
    for name, (mfu, mbu, full_w) in cases.items():
        duration, watts = capped(law, cap_w, 1.0, full_w, compute_share(mfu, mbu, 0.0))
        rows.append(
            {
                "phase": name,
                "uncapped_w": full_w,
                "capped_w": watts,
                "speed": 1 / duration,
            }
        )
    return rows


def cap_in_the_loop() -> list[dict[str, float | str]]:
    """The same cap in the batch loop: Llama-3-8B on one H100, requests that only prefill and that only decode."""
    base = Serving(gpu="h100")
    cases = {
        "loop: 64 prompts of 4,000 tokens": (64, 4000, 1),
        "loop: 16 answers of 1,000 tokens": (16, 1, 1000),
        "loop: 64 answers of 1,000 tokens": (64, 1, 1000),
    }
    rows: list[dict[str, float | str]] = []
    for name, (count, prompt, output) in cases.items():
        seconds, watts = [], []
        for cap_w in (None, CAP_SHARE * gpu("h100").tdp_w):
            full = np.ones(count, dtype=np.int64)
            block = RequestBlock.of(np.zeros(count), prompt * full, output * full)
            cluster, _ = build_cluster(base.model_copy(update={"power_cap_w": cap_w}))
            interval = cluster.advance(1000.0, block)
            busy_s = interval.busy * 1000.0
            seconds.append(busy_s)
            watts.append((interval.prefill_j + interval.decode_j) / busy_s)
        rows.append(
            {
                "phase": name,
                "uncapped_w": watts[0],
                "capped_w": watts[1],
                "speed": seconds[0] / seconds[1],
            }
        )
    return rows


def per_token(path: Path, every: int = 1) -> list[dict[str, Any]]:
    """Energy per output token from the configuration alone, of every n-th run; one row per GPU and architecture."""
    rows = []
    for device in ("H100", "B200"):
        runs = end_to_end(path, device, ("dense", "moe", "hybrid"), every)
        if runs.empty:
            continue
        for kind, part in runs.groupby("architecture"):
            size = part["error"].abs()
            worst = part.loc[size.sort_values(ascending=False).index].head(3)
            rows.append(
                {
                    "gpu": device.lower(), "architecture": {"moe": "MoE"}.get(str(kind), str(kind)),
                    "rows": len(part), "median": float(size.median()), "mean": float(size.mean()),
                    "bias": float(part["error"].median()), "time_bias": float(part["time_error"].median()),
                    "power_bias": float(part["power_error"].median()), "worst": worst.to_dict("records"),
                }
            )  # fmt: skip
    return rows


def missed_goals(rows: list[dict[str, Any]], runs: list[dict[str, Any]], default: bool) -> list[str]:
    """Goals not met, as text. For the default file the error on left-out models counts, not the one in sample."""
    missed = []
    for row in rows:
        goal = GOALS.get(row["architecture"]) if row["law"] == FITTED else None
        error = row.get("model_out" if default else "error")
        if goal is not None and error is not None and not error <= goal:
            missed.append(f"{FITTED}, {row['gpu']} {row['architecture']}: {error:.1%} > {goal:.1%}")
    for row in runs:
        goal = PER_TOKEN_GOALS.get((row["gpu"], row["architecture"]))
        if goal is not None and not row["median"] <= goal:
            missed.append(
                f"energy per token, {row['gpu']} {row['architecture']}: {row['median']:.1%} > {goal:.0%}"
            )
        for part in ("time", "power"):
            if goal is not None and not abs(row[f"{part}_bias"]) <= BIAS_GOAL:
                missed.append(
                    f"energy per token, {row['gpu']} {row['architecture']}: {part} {row[f'{part}_bias']:+.1%}, "
                    f"goal within {BIAS_GOAL:.0%}"
                )
    return missed


def percent(value: float | None) -> str:
    return f"{'':>9}" if value is None or np.isnan(value) else f"{value:9.1%}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--measurements", type=Path, default=MEASUREMENTS)
    parser.add_argument("--every", type=int, default=1, help="run only every n-th row through the batch loop")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    default = options.measurements == MEASUREMENTS
    try:
        points = read_measurements(options.measurements)
        rows = accuracy(points, refit=default)
        runs = per_token(options.measurements, options.every)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    cap = cap_effect() + cap_in_the_loop()
    # the goals are those of all runs: a few of them say nothing about the median
    missed = missed_goals(rows, runs if options.every == 1 else [], default)
    if options.json:
        answer = {"accuracy": rows, "per_token": runs, "cap": cap, "missed": missed}
        print(json.dumps(answer, default=float))
        return 1 if missed else 0
    print(f"1. Mean power from measured throughput: mean absolute error ({options.measurements.name})\n")
    print(
        f"{'law':<12} {'gpu':<5} {'architecture':<12} {'rows':>5} {'models':>6} "
        f"{'shipped':>9} {'bias':>9} {'model out':>9} {'maker out':>9} {'inside':>9}"
    )
    for row in rows:
        print(
            f"{row['law']:<12} {row['gpu']:<5} {row['architecture']:<12} {row['rows']:>5} {row['models']:>6} "
            + " ".join(percent(row.get(key)) for key in ("error", "bias", "model_out", "maker_out", "inside"))
        )
    print(
        "\nshipped: prices in data/gpus. model out, maker out: fitted without that model, without any of its maker's.\n"
        "inside: rows in the 90 % interval, of the fitted set around the prediction with the maker left out. Terms\n"
        "and prompt lengths were chosen looking at this file, so even the left-out errors are a little kind."
    )
    if runs:
        print("\n2. Energy per output token from the configuration alone, through the batch loop\n")
        print(
            f"{'gpu':<5} {'architecture':<12} {'rows':>5} "
            + " ".join(f"{name:>9}" for name in ("median", "mean", "bias", "time", "power"))
        )
        for row in runs:
            keys = ("median", "mean", "bias", "time_bias", "power_bias")
            print(
                f"{row['gpu']:<5} {row['architecture']:<12} {row['rows']:>5} "
                + " ".join(percent(row[key]) for key in keys)
            )
            for run in row["worst"]:
                print(
                    f"      {run['model'].split('/')[-1]:<34} {run['task']:<15} tp {run['tp']} "
                    f"clients {run['clients']:>4}: {run['predicted_j']:.3f} J, measured {run['measured_j']:.3f} J "
                    f"({run['error']:+.0%}): {run['why']}"
                )
    print(
        f"\n3. A cap of {CAP_SHARE:.0%} of the limit on H100: single iterations, and whole runs of the batch loop\n"
    )
    for entry in cap:
        print(
            f"  {entry['phase']:<33} {entry['uncapped_w']:6.0f} W -> {entry['capped_w']:4.0f} W, "
            f"runs at {entry['speed']:.0%} of its speed"
        )
    print(
        f"  measured direction: at {SWEEP['cap']:.0%} prefill {SWEEP['prefill']:.0%}, decode {SWEEP['decode']:.0%} "
        f"({SWEEP_SOURCE})"
    )
    print("  and on H200 no cap slows decode at all (Ma et al. 2026, arXiv:2605.11999)")
    for goal in missed:
        print(f"\nMISSED {goal}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
