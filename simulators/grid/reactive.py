"""Reactive power of a site: a fixed power factor, or what its converters (UPS, inverters) do by a characteristic.

Signs of a characteristic are those of the standards: reactive power that is *supplied* counts positive (over-excited).
A site's own are the network's: what it draws counts positive.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import root

from simulators.errors import InputError
from simulators.spelling import plain_number

Array = NDArray[np.float64]
Kind = Literal["qv", "qp", "cosphi"]
Points = tuple[tuple[float, float], ...]

KNOWN: dict[tuple[Kind, str], Points] = {
    ("qv", "vde4110"): ((0.96, 0.33), (1.04, -0.33)),
    ("qv", "vde4110-limit"): ((0.94, 0.33), (0.96, 0.0), (1.04, 0.0), (1.06, -0.33)),
    ("qv", "ieee1547a"): ((0.9, 0.25), (1.0, 0.0), (1.1, -0.25)),
    ("qv", "ieee1547b"): ((0.92, 0.44), (0.98, 0.0), (1.02, 0.0), (1.08, -0.44)),
    ("qp", "vde4110"): ((0.5, 0.0), (0.6, -0.05), (0.9, -0.33), (1.0, -0.33)),
    ("qp", "ieee1547a"): ((0.5, 0.0), (1.0, -0.25)),
    ("qp", "ieee1547b"): ((0.5, 0.0), (1.0, -0.44)),
    ("cosphi", "vde4105"): ((0.5, 1.0), (1.0, -0.9)),
}
"""Voltage, p.u., or active power fed in per rated power -> reactive power supplied per rated power, or cos phi.

VDE-AR-N 4110:2018-11, 10.2.2.4, as preset in Beckhoff's TF8360 (ReactiveByVoltage, ReactiveByVoltageLim and
ReactiveByActive); the network's operator may set others within +-0.33. IEEE 1547-2018, tables 8 (voltage) and 9
(active power), categories A and B. VDE-AR-N 4105:2018-11, 5.7.2.4, converters above 4.6 kVA. Negative cos phi: reactive
power is drawn (under-excited)."""

_SETTLED_MVAR = 1e-9
_DAMPED = 200


@dataclass(frozen=True)
class Characteristic:
    """Points of a characteristic, straight lines between them and constant beyond.

    Attributes
    ----------
    kind
        ``qv``: reactive power by voltage; ``qp`` and ``cosphi``: reactive power or cos phi by active power fed in. What
        these say of a feed-in holds with the sign turned for a load, which then supplies where a feed-in draws, as
        table 9 of IEEE 1547-2018 has it for storage.
    points
        As in `KNOWN`, ascending.
    rated_mva
        What they are relative to.

    Examples
    --------
    >>> ups = Characteristic("qv", KNOWN["qv", "ieee1547b"], rated_mva=5.0)
    >>> round(ups.drawn_mvar(p_mw=4.0, vm_pu=0.95), 9)  # half way up
    -1.1
    >>> Characteristic("cosphi", ((0.5, 1.0), (1.0, -0.9)), 2.0).drawn_mvar(p_mw=-0.8, vm_pu=1.0)
    0.0
    """

    kind: Kind
    points: Points
    rated_mva: float

    def __post_init__(self) -> None:
        at, values = self._columns
        if not (len(at) and np.isfinite([at, values]).all() and (np.diff(at) > 0.0).all()):
            raise InputError(
                f"characteristic {self.points}: expected numbers, ascending by the first of each"
            )
        if not (math.isfinite(self.rated_mva) and self.rated_mva > 0.0):
            raise InputError(f"rated power {self.rated_mva} MVA: expected a number above 0")
        if self.kind == "cosphi" and not ((np.abs(values) > 0.0) & (np.abs(values) <= 1.0)).all():
            raise InputError(f"characteristic {self.points}: expected cos phi from -1 to 1 and not 0")
        if self.kind == "qv" and (np.diff(values) > 0.0).any():
            raise InputError(
                f"characteristic {self.points}: supplies more at a higher voltage, which no network settles with"
            )

    @property
    def _columns(self) -> tuple[Array, Array]:
        both = np.array(self.points, dtype=np.float64).reshape(-1, 2)
        return both[:, 0], both[:, 1]

    def drawn_mvar(self, p_mw: float, vm_pu: float) -> float:
        """Reactive power drawn, MVar, by a site that draws `p_mw` at a voltage."""
        at, values = self._columns
        if self.kind == "qv":
            return -float(np.interp(vm_pu, at, values)) * self.rated_mva
        share = abs(p_mw) / self.rated_mva
        if self.kind == "qp":
            supplied = float(np.interp(share, at, values)) * self.rated_mva
        else:  # through 1, where over-excited turns into under-excited
            beyond = float(np.interp(share, at, np.sign(values) * (1.0 - np.abs(values))))
            cos_phi = 1.0 - abs(beyond)
            supplied = math.copysign(abs(p_mw) * math.tan(math.acos(cos_phi)), beyond)
        return supplied if p_mw > 0.0 else 0.0 - supplied


def rule_of(text: str | None, rated_mva: float | None) -> Characteristic | None:
    """A characteristic from options; None where none is wanted."""
    return None if text is None or rated_mva is None else characteristic(text, rated_mva)


def characteristic(text: str, rated_mva: float) -> Characteristic:
    """A characteristic as a user types it: ``qv:vde4110``, or its points, ``qv:0.96:0.33,1.04:-0.33``.

    Raises
    ------
    InputError
        If it is neither.

    Examples
    --------
    >>> characteristic("qp:0.5:0,1:-0.3", 1.0).points
    ((0.5, 0.0), (1.0, -0.3))
    """
    kind, _, rest = text.partition(":")
    names = [f"{known}:{name}" for known, name in KNOWN]
    expected = f"expected {', '.join(names)}, or points such as qv:0.96:0.33,1.04:-0.33"
    if kind not in ("qv", "qp", "cosphi"):
        raise InputError(f"--reactive: {text!r} given, {expected}")
    if (kind, rest) in KNOWN:
        return Characteristic(kind, KNOWN[kind, rest], rated_mva)  # type: ignore[arg-type, index]
    try:
        pairs = [point.split(":") for point in rest.split(",")]
        points = tuple((plain_number(at), plain_number(value)) for at, value in pairs)
    except ValueError:
        raise InputError(f"--reactive: {text!r} given, {expected}") from None
    return Characteristic(kind, points, rated_mva)  # type: ignore[arg-type]


def settle(q_of: Callable[[Array], Array], start_mvar: Array) -> Array | None:
    """Reactive powers that a network and its characteristics agree on.

    Parameters
    ----------
    q_of
        What the characteristics ask for, MVar, at the voltages which these reactive powers lead to; NaN where there is
        no solution.
    start_mvar
        Where to begin.

    Returns
    -------
    Array or None
        None if they do not settle.
    """
    q_mvar = start_mvar
    damping = 1.0
    missed = math.inf
    for _ in range(3):  # mostly a characteristic is flat at the voltage, and agrees at once
        asked = q_of(q_mvar)
        if not np.isfinite(asked).all():
            break
        if np.abs(asked - q_mvar).max(initial=0.0) <= _SETTLED_MVAR:
            return asked
        q_mvar = asked
    found = root(lambda q: np.nan_to_num(q_of(q) - q, nan=1e3), start_mvar, method="hybr", tol=_SETTLED_MVAR)
    q_mvar = np.asarray(found.x, dtype=np.float64)
    for _ in range(_DAMPED):
        asked = q_of(q_mvar)
        if not np.isfinite(asked).all():
            q_mvar, damping = start_mvar, damping / 2.0
            continue
        now = float(np.abs(asked - q_mvar).max(initial=0.0))
        if now <= 1e2 * _SETTLED_MVAR:
            return q_mvar
        damping = damping / 2.0 if now >= missed else damping
        missed = now
        q_mvar = q_mvar + damping * (asked - q_mvar)
    return None
