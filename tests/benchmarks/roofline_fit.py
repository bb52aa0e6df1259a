"""Fits the roofline's factors to the measured kernels and prints how far it is off with the ones in use.

    python tests/benchmarks/roofline_fit.py [--fit]

Iterations compared: decode of 1..256 requests at contexts of 512..8192, prompts of 128..8192, batches of both.
"""

import sys

import numpy as np
from scipy.optimize import least_squares

from simulators.errors import InputError
from simulators.inference.catalogue import gpu, model
from simulators.inference.catalogue.layout import Layout
from simulators.inference.timing import roofline
from simulators.inference.timing.measured import measured_tables
from simulators.inference.timing.seconds import stage_seconds

CASES = [
    *(("meta-llama/Llama-3.1-8B", card, 1) for card in ("a100", "h100", "b200", "l40s")),
    *(("meta-llama/Llama-3.1-70B", card, tp) for card, tp in (("a100", 4), ("h100", 4), ("h200", 2))),
    *(("Qwen/Qwen3-30B-A3B", card, 1) for card in ("h100", "b200")),
]
BATCHES = [
    *(([k] * b, []) for b in (1, 4, 16, 64, 256) for k in (512, 2048, 8192)),
    *(([], [(p, 0)]) for p in (128, 512, 2048, 8192)),
    *(([1024] * b, [(c, 1024)]) for b in (8, 64) for c in (256, 1024)),
]
NAMES = [
    "COMPUTE", "ATTENTION_COMPUTE", "MEMORY", "LAUNCH_S", "DECODE_LAUNCH_S", "PREFILL_LAUNCH_S", "LINK", "ALL_REDUCE_S",
]  # fmt: skip


def predicted(name, card, tp):
    tables = roofline.roofline_tables(model(name), gpu(card), Layout(tp))
    return np.array([stage_seconds(tables, *batch) for batch in BATCHES])


def measured(name, card, tp):
    tables = measured_tables(model(name), gpu(card), Layout(tp))
    return np.array([stage_seconds(tables, *batch) for batch in BATCHES])


def main() -> None:
    truth = {}
    for case in CASES:
        try:
            truth[case] = measured(*case)
        except InputError as error:
            print(error)
    if "--fit" in sys.argv:
        start = np.array([getattr(roofline, name) for name in NAMES])

        def residuals(factors):
            for name, value in zip(NAMES, factors * start, strict=True):
                setattr(roofline, name, value)
            return np.concatenate([np.log(predicted(*case) / truth[case]) for case in truth])

        found = least_squares(residuals, np.ones(len(NAMES)), bounds=(0.2, 3.0), loss="soft_l1", f_scale=0.1)
        for name, value in zip(NAMES, found.x * start, strict=True):
            setattr(roofline, name, value)
            print(f"{name} = {value:.3g}")
    everything = []
    for case, seconds in truth.items():
        error = np.abs(predicted(*case) / seconds - 1)
        everything.extend(error)
        print(
            f"{case[0]:28s} {case[1]:5s} tp{case[2]}  median {np.median(error):6.1%}  worst {error.max():6.1%}"
        )
    print(f"all: median {np.median(everything):.1%}, mean {np.mean(everything):.1%}")


if __name__ == "__main__":
    main()
