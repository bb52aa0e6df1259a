"""What figures are made of, and how JSON has them."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict


class Frozen(BaseModel):
    """A group of figures: cannot be changed, and knows no others."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def plain_figures(figures: BaseModel) -> dict[str, Any]:
    """Figures for JSON: whole numbers as such, empty extras and a single tenant left out."""
    entries = figures.model_dump(mode="json")
    for name in (
        *(
            "import_cost",
            "control",
            "storage",
            "facility",
            "scope2",
            "cost",
            "cost_per_million_output_tokens",
            "energy_j_per_output_token",
            "sci",
        ),
    ):
        if entries.get(name) is None:
            entries.pop(name, None)
    served = entries.get("inference") or {}
    if len(served.get("tenants", {})) < 2:
        served.pop("tenants", None)
    if not entries.get("reasons"):
        entries.pop("reasons", None)
    carbon = entries.get("carbon_kg", {})
    for name in ("consequence_marginal", "settlement_marginal"):
        if carbon.get(name) is None:
            carbon.pop(name, None)
    if not carbon.get("reasons"):
        carbon.pop("reasons", None)
    whole: dict[str, Any] = _whole(entries)
    return whole


COUNTS = ("requests", "batches", "tokens", "replicas", "gpus", "completed", "deadlines")


def _whole(value: Any, name: str = "") -> Any:
    """Counts that are whole numbers as integers; copies of a cluster can make them fractions."""
    if isinstance(value, dict):
        return {key: _whole(item, key) for key, item in value.items()}
    counted = any(word in name for word in COUNTS) and not name.endswith(("_s", "_mean", "_token"))
    if counted and isinstance(value, float) and value.is_integer():
        return int(value)
    return value
