"""A few figures of a run of the standalone command for the terminal, and what they rest on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from simulators.inference.grounds import trust
from simulators.inference.offload import assumptions as host_assumptions
from simulators.inference.speculation import assumptions as draft_assumptions
from simulators.quantities.saturation import label_text
from simulators.report.shares import shares_text
from simulators.report.speculation import drafts_text

Row = tuple[str, str]
"""A name, and what is to be told."""


def figures_text(summary: dict[str, Any], facts: dict[str, Any]) -> str:
    """Lines for the terminal.

    Parameters
    ----------
    summary
        What ``summary.json`` says of the run.
    facts
        Of its replicas, or of their groups (`serving.build_replicas`, `fleet.build_fleet`).
    """
    groups = facts.get("groups") or [facts]
    rows = [
        *_requests(summary),
        *_served(summary),
        *_beside(summary, any(group.get("host_cache") for group in groups)),
        *(("assumed", text) for text in _assumed(groups)),
    ]
    if shared := summary["tenant_shares"]:
        rows.append(("service", shares_text(shared)))
    grounds = dict.fromkeys(
        ground
        for group in groups
        for ground in trust(group["power"], group["time"], summary["batch_size_mean"])
    )
    rows += [("NOT MEASURED" if ground.stand_in else "rests on", ground.text) for ground in grounds]
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"{name:<{width}}  {value}" for name, value in rows)


def _figure(value: float | None, unit: str) -> str:
    return "-" if value is None else f"{value:.4g} {unit}"


def _requests(summary: dict[str, Any]) -> Iterator[Row]:
    """How many were served, and whether the replicas kept up."""
    s = summary
    why = (
        "REJECTED: no replica can hold them or serves their tenant" if s["requests_rejected"] else "rejected"
    )
    yield (
        "requests",
        f"{s['requests_completed']} of {s['requests_arrived']} completed, {s['requests_rejected']} {why}",
    )
    if found := s["saturation"]:
        waits = (
            f"{_figure(found['wait_peak_s'], 's')} at most, {_figure(found['wait_end_s'], 's')} at the end"
        )
        yield "saturation", f"{label_text(found['label'])}: mean wait for a first batch {waits}"
    yield "simulated", _figure(s["simulated_s"], "s")


def _served(summary: dict[str, Any]) -> Iterator[Row]:
    """Latency, output, power and energy."""
    ttft, tpot, energy_j = summary["ttft_s"], summary["tpot_s"], summary["gpu_energy_j"]["total"]
    yield "TTFT p50 / p99", f"{_figure(ttft['p50'], 's')} / {_figure(ttft['p99'], 's')}"
    yield "TPOT p50 / p99", f"{_figure(tpot['p50'], 's')} / {_figure(tpot['p99'], 's')}"
    yield "output", _figure(summary["output_tokens_per_s"], "tokens/s")
    yield "mean batch", _figure(summary["batch_size_mean"], "requests")
    yield "GPU power", _figure(summary["gpu_power_w_mean"], "W per GPU")
    each = _figure(summary["energy_j_per_output_token"], "J per output token")
    yield "GPU energy", f"{energy_j / 3.6e6:.4g} kWh, {each}"


def _beside(summary: dict[str, Any], host_memory: bool) -> Iterator[Row]:
    """Pools, prefix cache, failures and drafts, where there are any."""
    if pools := summary["pools"]:
        each = ", ".join(
            f"{name} {_figure(pools[name]['power_w_mean'], 'W')}" for name in ("prefill", "decode")
        )
        moved = pools["transfer"]
        yield (
            "pools",
            f"{each}; KV caches {_figure(moved['bytes'] / 1e9, 'GB')}, {_figure(moved['energy_j'], 'J')}",
        )
    if cache := summary["prefix_cache"]:
        yield from _cache(cache, host_memory)
    if out := summary["failures"]:
        lost_j = out["lost_work_j"]
        work = _figure(lost_j, "J") if lost_j < 1e6 else _figure(lost_j / 3.6e6, "kWh")
        lost = f"{out['requests_interrupted']} requests begun anew, {work} of work lost"
        yield "out of service", f"{out['failures']} failures, {out['maintenance']} times maintenance: {lost}"
    if spec := summary["speculation"]:
        yield "speculation", drafts_text(spec, summary["gpu_energy_j"]["total"])


def _cache(cache: dict[str, Any], host_memory: bool) -> Iterator[Row]:
    """What a prefix cache, and host memory behind it, had of the prompts."""
    blocks, tokens = (cache[name] or 0.0 for name in ("block_hit_ratio", "token_hit_ratio"))
    yield "prefix cache", f"{blocks:.1%} of blocks hit, {tokens:.1%} of prompt tokens"
    if host_memory:
        share = cache["host_block_hit_ratio"] or 0.0
        moved = ", ".join(
            f"{_figure(cache[f'host_{way}_gib'], 'GiB')} {way}" for way in ("written", "fetched")
        )
        yield (
            "host memory",
            f"{share:.1%} of blocks hit there; {moved}, {_figure(cache['host_j'], 'J')} (not measured)",
        )
    if "saved" in cache:
        yield "saved by it", f"{cache['saved']['saved_meter_j'] / 3.6e6:.4g} kWh of GPU energy"


def _assumed(groups: list[dict[str, Any]]) -> list[str]:
    """What speculation and host memory rest on, each once."""
    found = [one for group in groups for one in (*draft_assumptions(group), *host_assumptions(group))]
    return list(
        dict.fromkeys(
            f"{one.name}: {one.factor.value:.3g} ({one.factor.low:.3g} to {one.factor.high:.3g}); {one.factor.source}"
            for one in found
        )
    )
