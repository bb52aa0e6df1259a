"""The same requests on an A100 and on an H100: which takes less energy?

Question. A fast GPU draws more but is done sooner. At a light load, what does the site's meter say?
What to look for. GPU energy and energy at the meter per output token, and the latency they buy: idle power decides at
light load, so the order may turn round when you raise the rate.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # not needed once the package is installed

import pandas as pd

from scenarios import Study, simulate


def main() -> None:
    """One row per GPU and rate."""
    study = Study().changed(days=0.2, step=300, model="meta-llama/Meta-Llama-3-8B", tp=1, replicas=1,
                            without=["pv", "wind", "battery"])  # fmt: skip
    rows = []
    for rate in (0.2, 2.0):
        for gpu in ("a100", "h100"):
            figures = simulate(study.changed(gpu=gpu, rate=rate)).figures
            served = figures.served
            rows.append(
                {
                    "GPU": gpu,
                    "requests/s": rate,
                    "J/token at the GPU": served.energy_j_per_output_token,
                    "J/token at the meter": figures.energy_mwh.facility * 3.6e9 / served.decode_tokens,
                    "TTFT p95 (s)": served.ttft_s.p95,
                    "TPOT p95 (ms)": 1e3 * (served.tpot_s.p95 or 0.0),
                }
            )
    print(pd.DataFrame(rows).round(3).to_string(index=False))


if __name__ == "__main__":
    main()
