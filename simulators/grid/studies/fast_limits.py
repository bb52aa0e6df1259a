"""What rapid voltage changes and flicker are held against, by the voltage level of the bus."""

from __future__ import annotations

from typing import NamedTuple

from simulators.grid.studies.fast import Fast

LOW_KV, MEDIUM_KV = 1.0, 35.0
"""Highest nominal voltages of the levels (IEC 61000-3-7, 3.26)."""

_EQUIPMENT, _PLANNING = "IEC 61000-3-3:2013, clause 5", "IEC TR 61000-3-7:2008, tables 2 and 6"

_RAPID = {
    "MV": ((4 / 24.0, 5.0), (2.0, 4.0), (10.0, 3.0)),
    "HV": ((4 / 24.0, 3.0), (2.0, 3.0), (10.0, 2.5)),
}
"""Changes per hour up to which so large a rapid voltage change is planned with, %; the cautious end of ranges."""


class Verdict(NamedTuple):
    """One figure against its limit; `value` is None where not measured, `limit` where there is none."""

    name: str
    value: float | None
    unit: str
    limit: float | None
    source: str

    @property
    def kept(self) -> bool | None:
        """Whether the limit is kept; None where that cannot be said."""
        return None if self.value is None or self.limit is None else self.value <= self.limit


def level(vn_kv: float) -> str:
    """LV, MV or HV (which here is everything above).

    Examples
    --------
    >>> level(0.4), level(20.0), level(110.0)
    ('LV', 'MV', 'HV')
    """
    return "LV" if vn_kv <= LOW_KV else "MV" if vn_kv <= MEDIUM_KV else "HV"


def verdicts(found: Fast) -> list[Verdict]:
    """Every figure with its limit at the level of the site's bus."""
    at = level(float(found.network.net.bus.vn_kv[found.network.sites[-1].bus]))
    p_st, p_lt = {"LV": (1.0, 0.65), "MV": (0.9, 0.7), "HV": (0.8, 0.6)}[at]
    source = _EQUIPMENT if at == "LV" else _PLANNING
    moved = found.found
    d_c = None if moved.d_c_percent is None else moved.d_c_percent
    return [
        Verdict("highest flicker (P_st)", found.highest_p_st, "1", p_st, source),
        Verdict("flicker of 2 h (P_lt)", found.p_lt, "1", p_lt, source),
        Verdict("largest change (d_max)", moved.d_max_percent, "%", _largest(at, found), source),
        Verdict("lasting change (d_c)", d_c, "%", 3.3 if at == "LV" else None, source),
        Verdict("time beyond 3.3 % (T_max)", moved.t_max_s, "s", 0.5 if at == "LV" else None, source),
    ]


def _largest(at: str, found: Fast) -> float | None:
    """Of d_max; above medium and high voltage by how often it occurs, and none for what flicker limits judge."""
    if at == "LV":
        return 4.0
    if not found.found.settles:
        return None
    per_hour = found.found.count / (found.power.length_s / 3600.0)
    return next((limit for most, limit in _RAPID[at] if per_hour <= most), None)
