"""What the prefix cache saves: the same requests with and without it, by the command."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from simulators.inference.__main__ import app


def trace(path: Path) -> Path:
    """Three conversations of four turns each, one turn a minute, each beginning with all before it."""
    lines = []
    for turn in range(4):
        for talk in range(3):
            prompt = 1100 + 600 * turn
            full = [0, *(100 * talk + k for k in range(1, prompt // 512))]
            lines.append(
                {
                    "timestamp": 60_000 * turn + 1000 * talk,
                    "input_length": prompt,
                    "output_length": 20,
                    "hash_ids": [*full, 1000 + 10 * turn + talk],  # the last block is not full
                }
            )
    path.write_text("\n".join(map(json.dumps, lines)))
    return path


def test_savings_are_the_difference_of_the_meters(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    requests = trace(tmp_path / "t.jsonl")
    options = ["--requests", str(requests), "--gpu", "a100", "--iteration-time", "roofline"]
    # the GPU holds one request and finds what came before in host memory
    options += ["--prefix-cache", "on", "--kv-blocks", "200", "--host-cache-gib", "20"]
    app()([*options, "--compare-uncached", "--out", str(tmp_path / "out")])
    out = tmp_path / "out"
    summary = json.loads((out / "summary.json").read_text())
    without = json.loads((out / "without_prefix_cache/summary.json").read_text())
    cache = summary["prefix_cache"]
    found = pd.read_csv(out / "requests.csv")
    assert cache["hit_tokens"] == found["cached_tokens"].sum()
    assert cache["token_hit_ratio"] == pytest.approx(
        found["cached_tokens"].sum() / found["prefill_tokens"].sum()
    )
    # the first turn shares the system prompt; later ones the full blocks of the turn before, with their own last ones
    assert (found["cached_tokens"].iloc[1:] >= 512).all()
    assert cache["reading_j"] == pytest.approx(found["cached_j"].sum())
    assert 0 < cache["reading_j"] < found["prefill_j"].sum()
    assert summary["prefill_tokens"] + cache["hit_tokens"] == without["prefill_tokens"]
    saved = cache["saved"]
    assert saved["saved_prefill_j"] > 0.3 * without["gpu_energy_j"]["prefill"]
    difference = without["gpu_energy_j"]["total"] - summary["gpu_energy_j"]["total"]
    assert saved["saved_meter_j"] == difference
    scale = without["gpu_energy_j"]["total"]
    parts = saved["saved_j"] + saved["saved_idle_j"] + saved["saved_transfer_j"]
    assert abs(parts - difference) < 1e-12 * scale
    # eleven requests find what was there, all but the block they have just left there themselves in host memory
    assert 0.5 * cache["block_hit_ratio"] < cache["host_block_hit_ratio"] <= cache["block_hit_ratio"]
    assert 0 < cache["host_fetched_gib"] < cache["host_written_gib"]
    energy = summary["gpu_energy_j"]
    assert energy["transfer"] == cache["host_j"] == -saved["saved_transfer_j"] > 0
    moved_bytes = 2**30 * (cache["host_fetched_gib"] + cache["host_written_gib"])
    assert cache["host_j"] == pytest.approx(2.7e-10 * moved_bytes)
    on_requests_j = (found["prefill_j"] + found["decode_j"]).sum()
    assert on_requests_j + energy["idle"] + energy["transfer"] == pytest.approx(energy["total"], rel=1e-9)
    power = pd.read_csv(out / "power.csv")
    assert power["power_w"].iloc[0] > power[["prefill_w", "decode_w", "idle_w"]].iloc[0].sum()
    assert pd.read_csv(out / "prefix_savings.csv")["saved_j"].sum() == pytest.approx(
        saved["saved_j"], rel=1e-9
    )
    told = capsys.readouterr().out
    assert "of blocks hit" in told
    assert "host_bytes_moved: 2.7e-10" in told
