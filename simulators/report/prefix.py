"""What the prefix cache found, and what reading it took."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from simulators.report import page
from simulators.report.labels import J_PER_MWH, energy_text, share


def prefix_cache(summary: Mapping[str, Any]) -> str:
    """A section with hits and joules; nothing where no replica keeps prefixes.

    Examples
    --------
    >>> prefix_cache({"inference": {"prefix_cache": None}})
    ''
    """
    served = summary.get("inference") or {}
    found = served.get("prefix_cache")
    if not found or not found["prompt_blocks"]:
        return ""
    prefill_j = served["gpu_energy_j"]["prefill"]
    reading = energy_text(found["reading_j"] / J_PER_MWH)
    of_prefill = share(found["reading_j"] / prefill_j) if prefill_j else "–"
    rows = [
        ("Prompt tokens found", f"{found['hit_tokens']:,.0f}", share(found["token_hit_ratio"])),
        (
            f"Blocks of {found['block_tokens']} tokens found",
            f"{found['hit_blocks']:,.0f}",
            share(found["block_hit_ratio"]),
        ),
        ("Blocks overwritten", f"{found['evictions']:,.0f}", ""),
        ("Energy of attention to tokens found", reading, f"{of_prefill} of prefill"),
    ]
    if found.get("host_fetched_gib") or found.get("host_written_gib"):
        hit = f"{found['host_hit_blocks']:,.0f}"
        moved = f"{found['host_written_gib']:,.0f} and {found['host_fetched_gib']:,.0f} GiB"
        moving = energy_text(found["host_j"] / J_PER_MWH)
        rows += [
            ("of them in host memory", hit, share(found["host_block_hit_ratio"])),
            ("Written to and fetched from host memory", moved, ""),
            ("Energy of that, estimated", moving, ""),
        ]
    note = (
        "Counted when a request is first admitted. What hits save is the difference to the same run with "
        "--prefix-cache off."
    )
    return page.section(
        "Prefix cache",
        page.text(note, "note"),
        page.table(("", "", "Share"), rows, ("", "number", "number"), narrow=True),
    )
