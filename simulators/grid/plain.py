"""A run's record of a network as plain values, so that it can be drawn in another process than it was made in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from simulators.grid.limits import Violation
from simulators.grid.network import Network
from simulators.grid.record import Extreme, RunRecord
from simulators.grid.spells import Spell, Spells

_SUMS = ("hours", "unsolved_hours", "violation_hours", "losses_mwh", "slack_mwh", "unsupplied_mwh")
_EXTREMES = ("highest_line", "highest_trafo", "lowest_vm", "highest_vm")
_ARRAYS = (
    "line_loading_max",
    "trafo_loading_max",
    "vm_min",
    "vm_max",
    "site_mwh",
    "site_p_max_mw",
    "tap_least",
    "tap_most",
    "tap_moves",
)


def record_to_plain(record: RunRecord) -> dict[str, Any]:
    """The record as numbers, lists and dictionaries, without its series; what nobody could compute is NaN."""
    return {
        "sites": [{"bus": int(site.bus), "name": site.name} for site in record.network.sites],
        **{name: float(getattr(record, name)) for name in _SUMS},
        **{name: asdict(getattr(record, name)) for name in _EXTREMES},
        **{name: getattr(record, name).tolist() for name in _ARRAYS},
        "spells": [asdict(spell) for spell in record.spells.found],
    }


def record_from_plain(network: Network, plain: Mapping[str, Any]) -> RunRecord:
    """The record again, on the same network without its sites: they are attached here."""
    for site in plain["sites"]:
        network.attach(site["bus"], site["name"])
    record = RunRecord(network)
    for name in _SUMS:
        setattr(record, name, plain[name])
    for name in _EXTREMES:
        setattr(record, name, Extreme(**plain[name]))
    for name in _ARRAYS:
        setattr(record, name, np.array(plain[name], dtype=np.float64))
    spells = [Spell(**{**entry, "worst": Violation(**entry["worst"])}) for entry in plain["spells"]]
    record.spells = Spells(spells)
    return record
