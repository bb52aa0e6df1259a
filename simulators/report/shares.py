"""What tenants had of the replicas that they share by weight."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from simulators.report import page
from simulators.report.labels import share


def tenant_shares(summary: Mapping[str, Any]) -> str:
    """A section with service by tenant; nothing where who comes first is served first.

    Examples
    --------
    >>> tenant_shares({"inference": {"tenant_shares": None}})
    ''
    """
    found = (summary.get("inference") or {}).get("tenant_shares")
    if not found or not found["tenants"]:
        return ""
    rows = [
        (
            "all other tenants" if tenant == "-1" else f"tenant {tenant}",
            "–" if one["weight"] is None else f"{one['weight']:g}",
            f"{one['service_tokens']:,.0f}",
            "–" if one["service_share"] is None else share(one["service_share"]),
        )
        for tenant, one in found["tenants"].items()
    ]
    note = (
        "Service is a token for each of a prompt that was computed and two for each of an output. While tenants wait "
        "they get it in proportion to their weights; who sends less than its share gets what it sends."
    )
    return page.section(
        "Shares of tenants",
        page.text(note, "note"),
        page.text(unseen_text(found), "note"),
        page.table(("", "Weight", "Service, tokens", "Share"), rows, ("", *["number"] * 3), narrow=True),
    )


def shares_text(found: Mapping[str, Any]) -> str:
    """The same in one line.

    Examples
    --------
    >>> shares_text({"tenants": {"4": {"weight": 2.0, "service_tokens": 9, "service_share": 0.75}}, "unseen": [7]})
    'tenant 4 (weight 2) 75.0 %; no request came from tenant 7, which has a weight'
    """
    each = ", ".join(
        ("all others" if tenant == "-1" else f"tenant {tenant}")
        + ("" if one["weight"] is None else f" (weight {one['weight']:g})")
        + ("" if one["service_share"] is None else f" {share(one['service_share'])}")
        for tenant, one in found["tenants"].items()
    )
    return "; ".join(filter(None, (each, unseen_text(found))))


def unseen_text(found: Mapping[str, Any]) -> str:
    """Which tenants have a weight and sent nothing."""
    unseen = found.get("unseen") or ()
    if not unseen:
        return ""
    several = len(unseen) > 1
    named = f"tenant{'s' if several else ''} {', '.join(map(str, unseen))}"
    return f"no request came from {named}, which {'have weights' if several else 'has a weight'}"
