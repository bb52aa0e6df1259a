"""Values of the grid room that options show before pandapower is imported."""

from __future__ import annotations

DEFAULT_POWER_FACTOR = 0.98
"""Lagging power factor of a site whose reactive power nobody gave. An assumption: it is what pandapower's
mv_oberrhein uses for its own loads (its argument ``cosphi_load``)."""
