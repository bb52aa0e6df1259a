"""A server whose power is known, and the logs and results an operator would have of it."""

from __future__ import annotations

import datetime
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

BEGINS = datetime.datetime(2026, 11, 24, 10, 0, 0, tzinfo=datetime.UTC)
"""When its log begins, on its wall clock."""


class Wave:
    """Power in steps: `levels[0]` W before `edges[0]` s, and so on."""

    def __init__(self, edges: Sequence[float], levels: Sequence[float]) -> None:
        self.edges, self.levels = np.array(edges, float), np.array(levels, float)

    def joules(self, until: np.ndarray) -> np.ndarray:
        """Energy from long ago up to each time."""
        begins = np.concatenate([[-1e4], self.edges])
        ends = np.concatenate([self.edges, [1e6]])
        inside = np.clip(np.minimum(until[:, None], ends) - begins, 0, None)
        return inside @ self.levels

    def averaged(self, at_s: np.ndarray, window_s: float = 1.0) -> np.ndarray:
        """What NVML's power.draw shows."""
        return (self.joules(at_s) - self.joules(at_s - window_s)) / window_s

    def present(self, at_s: np.ndarray) -> np.ndarray:
        """What power.draw.instant shows."""
        return self.levels[np.searchsorted(self.edges, at_s, side="right")]


def stamp(at_s: float, form: str = "%Y/%m/%d %H:%M:%S.%f", hours: int = 0) -> str:
    """A time of the log as text, to the millisecond."""
    return (BEGINS + datetime.timedelta(hours=hours, seconds=float(at_s))).strftime(form)[
        : -3 if "%f" in form else None
    ]


def smi(
    path: Path, at_s: np.ndarray, watts: dict[str, np.ndarray], column: str = "power.draw", units: bool = True
) -> Path:
    """An nvidia-smi CSV."""
    head, unit = (" [W]", " W") if units else ("", "")
    lines = [f"timestamp, index, {column}{head}, temperature.gpu"]
    for k, at in enumerate(at_s):
        lines += [f"{stamp(at)}, {gpu}, {series[k]:.2f}{unit}, 55" for gpu, series in watts.items()]
    path.write_text("\n".join(lines) + "\n")
    return path


def bench(path: Path, ends_s: float, duration_s: float = 60.0, **fields: object) -> Path:
    """A result of vllm bench serve: 32 clients, 600 tokens in and 400 out, 20 ms a token."""
    output = round(32 / 0.020 * duration_s)
    requests = output // 400
    result = {
        "date": stamp(ends_s, "%Y%m%d-%H%M%S"), "backend": "vllm", "model_id": "meta-llama/Llama-3.1-8B",
        "num_prompts": requests, "request_rate": "inf", "max_concurrency": 32,
        "duration": duration_s, "completed": requests, "failed": 0, "total_input_tokens": 600 * requests,
        "total_output_tokens": output, "request_throughput": requests / duration_s,
        "output_throughput": output / duration_s, "mean_ttft_ms": 80.0, "mean_tpot_ms": 20.0, "mean_itl_ms": 20.0,
    }  # fmt: skip
    path.write_text(json.dumps(result | fields))
    return path
