"""Time per output token and to the first token of real servers, from their configuration alone."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import silicon_accuracy
from silicon_rows import clean, read

from tests.benchmarks.truth.row import Row, row

SOURCE = "InferenceX and NVIDIA (silicon sample)"
NAMES = {"tpot": "TPOT [ms]", "ttft": "TTFT, mean [ms]"}


def rows(path: Path = silicon_accuracy.ROWS) -> list[Row]:
    """One line per system and quantity; the interval is that of the other makers' models on the same system.

    Parameters
    ----------
    path
        The measurements; the sample beside the checkout by default.
    """
    cleaned, dropped = clean(read(path))
    predicted, left_out = silicon_accuracy.predict(cleaned)
    lines = []
    for system, group in predicted.groupby("system"):
        for name, quantity in NAMES.items():
            low, high = group[f"{name}_low"].median(), group[f"{name}_high"].median()
            stated = group[f"{name}_low"].notna().all()
            width = (
                f"90 % interval {low:.2f} to {high:.2f} of the prediction"
                if stated
                else "no other maker's rows"
            )
            lines.append(
                row(
                    SOURCE,
                    quantity,
                    f"{system}, aggregated",
                    group[f"{name}_ms"],
                    group[f"silicon_{name}_ms"],
                    inside=silicon_accuracy.inside(group, name) if stated else None,
                    note=f"{width}; {sum(dropped.values())} rows of the file cleaned away, "
                    f"{sum(left_out.values())} without kernels or out of scope",
                )
            )
    return lines
