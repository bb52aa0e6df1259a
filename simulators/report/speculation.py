"""What drafted tokens came to: how many were accepted, and what drafts and rejected ones took."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from simulators.report import page
from simulators.report.labels import J_PER_MWH, energy_text, share


def drafts_text(found: Mapping[str, Any], total_j: float) -> str:
    """Tokens per verification and what of the GPUs' energy went into drafts and rejected tokens, in a line.

    Examples
    --------
    >>> found = {"acceptance_length": 2.4, "depth": 3, "rejected_j": 120.0, "drafting_j": 60.0}
    >>> drafts_text(found, 1200.0)
    '2.4 tokens per verification at depth 3; 10.0 % of the GPU energy on rejected tokens, 5.0 % on drafting'
    """
    seen = "–" if found["acceptance_length"] is None else f"{found['acceptance_length']:.3g}"
    rejected, drafting = (
        share(found[name] / total_j) if total_j else "–" for name in ("rejected_j", "drafting_j")
    )
    return (
        f"{seen} tokens per verification at depth {found['depth']}; {rejected} of the GPU energy on rejected tokens, "
        f"{drafting} on drafting"
    )


def speculation(summary: Mapping[str, Any]) -> str:
    """A section with tokens and joules; nothing where nothing was drafted.

    Examples
    --------
    >>> speculation({"inference": {"speculation": None}})
    ''
    """
    served = summary.get("inference") or {}
    found = served.get("speculation")
    if not found or not found["verifications"]:
        return ""
    total_j, drafted = served["gpu_energy_j"]["total"], found["tokens_drafted"]
    rows = [("Verifications", f"{found['verifications']:,.0f}", "")]
    rows += [
        (f"Tokens {name}", f"{found[f'tokens_{name}']:,.0f}", share(found[f"tokens_{name}"] / drafted))
        for name in ("drafted", "verified", "accepted")
        if drafted
    ]
    rows += [
        (words, energy_text(found[name] / J_PER_MWH), f"{share(found[name] / total_j)} of the GPUs' energy")
        for words, name in (("Energy of drafting", "drafting_j"), ("Energy of rejected tokens", "rejected_j"))
    ]
    note = (
        f"At depth {found['depth']} a verification gains {found['acceptance_length']:.3g} tokens, the model's own with "
        "them. What drafts and rejected tokens take lies within prefill and decode, on the requests they were for."
    )
    return page.section(
        "Speculative decoding",
        page.text(note, "note"),
        page.table(("", "", "Share"), rows, ("", "number", "number"), narrow=True),
    )
