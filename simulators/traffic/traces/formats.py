"""The layouts of trace files, and which one a file has."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from simulators.errors import InputError


@dataclass(frozen=True)
class Layout:
    """Names and units of a format's columns.

    Attributes
    ----------
    arrival, prefill, decode, tenant, deadline, hashes
        Names a column may have; the first one found counts. The last three may be missing. A request with a
        deadline (same clock as the arrivals; empty for none) is deferrable.
    unit_s
        Seconds per unit of the arrival column; None where it holds calendar times, which are then counted
        from the first request.
    drops_failures
        Rows without prompt or output are requests that failed: they are left out. Elsewhere a row without
        prompt is an error, and one without output counts as one output token, which a served prompt always
        yields.
    """

    name: str
    arrival: tuple[str, ...]
    prefill: tuple[str, ...]
    decode: tuple[str, ...]
    tenant: tuple[str, ...] = ()
    deadline: tuple[str, ...] = ()
    hashes: tuple[str, ...] = ()
    unit_s: float | None = 1.0
    drops_failures: bool = False


# Azure/AzurePublicDataset, AzureLLMInferenceDataset2023.md: time of the invocation, 100 ns resolution
AZURE = Layout("azure", ("TIMESTAMP",), ("ContextTokens",), ("GeneratedTokens",), unit_s=None)
# HPMLL/BurstGPT, README: seconds from 0:00 on the first day; "some failure that Response tokens are 0s"
BURSTGPT = Layout("burstgpt", ("Timestamp",), ("Request tokens",), ("Response tokens",), drops_failures=True)
# kvcache-ai/Mooncake, FAST25-release: timestamp in ms from the trace's start; a hash for every 512 tokens of the prompt
MOONCAKE = Layout(
    "mooncake", ("timestamp",), ("input_length",), ("output_length",), hashes=("hash_ids",), unit_s=1e-3
)
# the names of the inference command's own files, and those of microsoft/vidur's data/processed_traces
TABLE = Layout(
    "table",
    ("arrived_at", "arrived_at_s"),
    ("prefill_tokens", "num_prefill_tokens"),
    ("decode_tokens", "num_decode_tokens"),
    ("tenant", "client"),
    ("deadline",),
)
LAYOUTS = {layout.name: layout for layout in (AZURE, BURSTGPT, MOONCAKE, TABLE)}
SERVEGEN = "servegen"
SERVEGEN_FILE = re.compile(r"chunk-(\d+)-trace\.csv(\.gz)?$")


def detect(columns: Sequence[str], source: str) -> Layout:
    """The layout whose columns are there, or the nearest one, whose reader then says what is missing.

    Raises
    ------
    InputError
        If no column has a name that any layout knows.
    """
    known = False
    best = TABLE
    for layout in LAYOUTS.values():
        found = [
            any(n in columns for n in names) for names in (layout.arrival, layout.prefill, layout.decode)
        ]
        if all(found):
            return layout
        if any(found[1:]) and not known:
            best = layout
        known = known or any(found)
    if not known:
        raise InputError(
            f"{source}: not a request trace, found the columns {listed(columns)}; expected arrived_at, "
            "prefill_tokens, decode_tokens, or the columns of an Azure, BurstGPT or Mooncake trace"
        )
    return best


def find(columns: Sequence[str], names: tuple[str, ...], source: str, *, why: str = "") -> str:
    """The first of `names` that the file has.

    Raises
    ------
    InputError
        If it has none of them.
    """
    for name in names:
        if name in columns:
            return name
    raise InputError(f"{source}: no column {' or '.join(names)}{why}; found {listed(columns)}")


def listed(columns: Sequence[str], limit: int = 12) -> str:
    """The first columns' names, for a message."""
    shown = ", ".join(str(c)[:40] for c in columns[:limit])
    return (shown + (", ..." if len(columns) > limit else "")) or "none"
