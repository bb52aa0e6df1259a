"""How close the power laws come to measured GPU power, and what a power cap does.

    python tests/benchmarks/power_accuracy.py [--measurements FILE.csv] [--json]

1. Law x GPU x architecture: mean absolute percentage error of mean power from measured throughput, with the
   coefficients shipped in `data/gpus`; nothing is refitted. For the default file, which the coefficients were fitted
   to, beside it the error on models left out of the fit, and on whole organisations left out (for `utilisation`; the
   published law has nothing fitted to this file).
2. End to end on H100 dense models: energy per output token from the configuration alone (`power_end_to_end.py`).
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

sys.path.insert(0, str(Path(__file__).resolve().parent))
from power_end_to_end import end_to_end

from simulators.errors import InputError
from simulators.inference.calibrate import organisation, vision_waits
from simulators.inference.catalogue import gpu
from simulators.inference.power.cap import capped
from simulators.inference.power.fit import fit, mape, predict_w
from simulators.inference.power.law import PowerLaw, busy_power_w
from simulators.inference.power.laws import law_for, loaded_idle_w, utilisation_law
from simulators.inference.power.measurements import read_measurements
from simulators.inference.serving import Serving, build_cluster
from simulators.quantities.requests import RequestBlock

MEASUREMENTS = (
    Path(__file__).resolve().parents[2] / ".." / "shared" / "data" / "gpu_power" / "mlenergy_v3_give.csv"
)
GOALS = {"dense": 0.08, "MoE": 0.12}
END_TO_END_GOAL = 0.20
CAP_SHARE = 0.6
# LLM Garage, "Tokens-per-Second Test Bench: Power Limit Sweep", February 2026: llama.cpp on 350 W cards, 200 W beside
# 350 W
SWEEP = {"cap": 200 / 350, "prefill": 5941 / 9893, "decode": 68.3 / 72.6}
SWEEP_SOURCE = "LLM Garage power limit sweep, 2026: llama.cpp on RTX 3090 (350 W), capped at 200 W"


def shipped(kind: str):
    """(GPU, class) -> law with the shipped coefficients; None where there are none."""

    def law_of(name: str, group: str) -> PowerLaw | None:
        sheet = gpu(name)
        if kind == "mfu":
            return law_for(sheet, "mfu")
        table = sheet.power.get("utilisation", {}).get(group)
        if table is None:
            return None
        shares = {key: float(table[key]) for key in ("busy", "memory", "compute", "waiting")}
        return utilisation_law(loaded_idle_w(sheet), sheet.tdp_w, **shares)

    return law_of


def accuracy(points: pd.DataFrame, refit: bool) -> list[dict[str, Any]]:
    """One row per law, GPU and architecture."""
    points = points.copy()
    native = points.assign(mfu=points["mfu"] / points["format_speed"])
    points["mfu_w"] = predict_w(native, shipped("mfu"))
    points["utilisation_w"] = predict_w(points, shipped("utilisation"))
    if refit:
        for name in points["gpu"].unique():
            own = points["gpu"] == name
            for column, by in (("model_out", None), ("maker_out", organisation)):
                args = (points, name, loaded_idle_w(gpu(name)))
                found = fit(*args) if by is None else fit(*args, by)
                points.loc[own, column] = found.points["left_out_w"].to_numpy()
    rows = []
    for kind in ("mfu", "utilisation"):
        for (name, architecture), part in points.groupby(["gpu", "architecture"]):
            measured = part["power_w"].to_numpy(float)
            row = {
                "law": kind, "gpu": name, "architecture": architecture, "rows": len(part),
                "models": part["model"].nunique(), "error": mape(part[f"{kind}_w"].to_numpy(float), measured),
            }  # fmt: skip
            if refit and kind == "utilisation":
                for column in ("model_out", "maker_out"):
                    known = part[column].notna().to_numpy()
                    row[column] = mape(part[column].to_numpy(float)[known], measured[known])
            rows.append(row)
    return rows


def cap_effect() -> list[dict[str, float | str]]:
    """Speed under a cap of 60 % of the limit: an H100 prefilling, and decoding at several batches (Llama-3.1-8B)."""
    sheet = gpu("h100")
    law = law_for(sheet, "utilisation")
    cap_w = CAP_SHARE * sheet.tdp_w
    # MFU 0.55 is what measured GEMM and attention kernels reach on long prompts; decode points are rows of the
    # measured file
    cases = {
        "prefill": (0.55, 0.03, 0.0),
        "decode, batch 8": (0.020, 0.65, 0.0),
        "decode, batch 32": (0.064, 0.54, 0.0),
        "decode, batch 64": (0.097, 0.44, 0.0),
    }
    rows: list[dict[str, float | str]] = []
    for name, (mfu, mbu, comm) in cases.items():
        duration, watts = capped(law, cap_w, 1.0, mfu, mbu, comm)
        rows.append(
            {
                "phase": name,
                "uncapped_w": busy_power_w(law, mfu, mbu, comm),
                "capped_w": watts,
                "speed": 1 / duration,
            }
        )
    return rows


def cap_in_the_loop() -> list[dict[str, float | str]]:
    """The same cap in the batch loop: Llama-3-8B on one H100, requests that only prefill and that only decode."""
    base = Serving(gpu="h100", power_law="auto")
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


def missed_goals(rows: list[dict[str, Any]], default: bool, median: float | None) -> list[str]:
    """Goals not met, as text. For the default file the error on left-out models counts, not the one in sample."""
    missed = []
    for row in rows:
        goal = GOALS.get(row["architecture"]) if row["gpu"] in ("h100", "b200") else None
        error = row["model_out" if default else "error"] if row["law"] == "utilisation" else None
        if goal is not None and error is not None and not error <= goal:
            missed.append(f"utilisation, {row['gpu']} {row['architecture']}: {error:.1%} > {goal:.0%}")
    if median is not None and not median <= END_TO_END_GOAL:
        missed.append(f"energy per token end to end: median {median:.1%} > {END_TO_END_GOAL:.0%}")
    return missed


def percent(value: float | None) -> str:
    return f"{'':>9}" if value is None or np.isnan(value) else f"{value:9.1%}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--measurements", type=Path, default=MEASUREMENTS)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    default = options.measurements == MEASUREMENTS
    try:
        points = read_measurements(options.measurements, vision_waits())
        rows = accuracy(points, refit=default)
        runs = end_to_end(options.measurements)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    median = float(runs["error"].abs().median()) if len(runs) else None
    cap = cap_effect() + cap_in_the_loop()
    missed = missed_goals(rows, default, median)
    if options.json:
        worst = (
            runs.reindex(runs["error"].abs().sort_values(ascending=False).index).head(5)
            if len(runs)
            else runs
        )
        answer = {
            "accuracy": rows,
            "end_to_end_median": median,
            "worst": worst.to_dict("records"),
            "cap": cap,
            "missed": missed,
        }
        print(json.dumps(answer, default=float))
        return 1 if missed else 0
    print(f"1. Mean power from measured throughput: mean absolute error ({options.measurements.name})\n")
    print(
        f"{'law':<12} {'gpu':<5} {'architecture':<12} {'rows':>5} {'models':>6} "
        f"{'shipped':>9} {'model out':>9} {'maker out':>9}"
    )
    for row in rows:
        print(
            f"{row['law']:<12} {row['gpu']:<5} {row['architecture']:<12} {row['rows']:>5} {row['models']:>6} "
            f"{percent(row['error'])} {percent(row.get('model_out'))} {percent(row.get('maker_out'))}"
        )
    print(
        "\nshipped: coefficients in data/gpus. model out, maker out: fitted without that model, "
        "without any of its maker's\n(fp8 mixtures of class moe_fp8 are all one maker's: not scored there). Classes, "
        "terms and prompt lengths were\nchosen looking at this file, so even the left-out errors are a little kind."
    )
    print("hybrid: recurrent layers beside attention; no goal is set for them.")
    if len(runs):
        print("\n2. Energy per output token on H100, dense, from the configuration alone\n")
        print(
            f"{len(runs)} runs, median absolute error {median:.1%} (goal {END_TO_END_GOAL:.0%}); the worst five:"
        )
        worst = runs.reindex(runs["error"].abs().sort_values(ascending=False).index).head(5)
        for run in worst.to_dict("records"):
            print(
                f"  {run['model'].split('/')[-1]:<32} {run['task']:<13} tp {run['tp']} clients {run['clients']:>4}: "
                f"{run['predicted_j']:.3f} J, measured {run['measured_j']:.3f} J ({run['error']:+.0%}): {run['why']}"
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
