"""Market-based scope 2: what contracts say the imported power was, and the residual mix for the rest.

After the GHG Protocol's Scope 2 Guidance (2015), chapter 6: a power purchase agreement goes before certificates
(guarantees of origin, RECs), and both before the residual mix. Instruments cover the import and nothing else: what they
hold beyond it is of no use here. Without a residual mix the rest has no figure; the grid's average would count green
power twice.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from simulators.carbon.accounting import WS_PER_KWH

NO_RESIDUAL = (
    "no residual mix was given for what contracts do not cover (AIB publishes it for Europe, Green-e for the U.S.; "
    "--residual-mix)"
)
"""Why there is no market-based figure."""
NOTHING = 1e-12
"""Share of the import that counts as none: what is left of a sum in floating point."""


@dataclass(frozen=True)
class Contracts:
    """Contractual instruments of a run.

    Attributes
    ----------
    ppa_share, ppa_kwh, ppa_w
        A power purchase agreement: a share of the import, an energy over the run, kWh, or what the contracted plant
        delivers in every interval, W (covers the import of that interval alone). At most one of them.
    ppa_g_per_kwh
        Its factor, gCO2eq/kWh.
    go_share, go_kwh, go_g_per_kwh
        Guarantees of origin (or RECs), likewise; they cover what the agreement leaves.
    residual_g_per_kwh
        Of the residual mix; None if it is not known.
    """

    ppa_share: float = 0.0
    ppa_kwh: float = 0.0
    ppa_w: ArrayLike | None = None
    ppa_g_per_kwh: float = 0.0
    go_share: float = 0.0
    go_kwh: float = 0.0
    go_g_per_kwh: float = 0.0
    residual_g_per_kwh: float | None = None


@dataclass(frozen=True)
class MarketAccount:
    """The market-based account of the import.

    Attributes
    ----------
    kg
        kgCO2eq; None without a residual mix for what is not covered.
    ppa_kwh, go_kwh, residual_kwh
        What the agreement covers, the guarantees, and neither.
    """

    kg: float | None
    ppa_kwh: float
    go_kwh: float
    residual_kwh: float

    @property
    def import_kwh(self) -> float:
        """All of the import, kWh."""
        return self.ppa_kwh + self.go_kwh + self.residual_kwh

    @property
    def g_per_kwh(self) -> float | None:
        """Mean factor of the import, gCO2eq/kWh; None without a figure or an import."""
        return None if self.kg is None or self.import_kwh <= 0 else 1e3 * self.kg / self.import_kwh


def ppa_covered_w(import_w: ArrayLike, ppa_w: ArrayLike) -> NDArray[np.float64]:
    """What a plant under contract covers of the import in every interval, W; shape (n,)."""
    return np.minimum(np.asarray(import_w, dtype=np.float64), np.asarray(ppa_w, dtype=np.float64))


def market_based(import_w: ArrayLike, step_s: float, contracts: Contracts) -> MarketAccount:
    """The import by its contracts.

    Parameters
    ----------
    import_w, step_s
        Mean power of every interval, W, shape (n,), and its length, s.
    contracts
        What was bought.

    Examples
    --------
    Two intervals of one hour at 1 kW, of which a wind farm covers 0.6 and 1 kWh, and guarantees 0.1 kWh:

    >>> bought = Contracts(ppa_w=[600.0, 2000.0], go_kwh=0.1, residual_g_per_kwh=500.0)
    >>> found = market_based([1000.0, 1000.0], 3600, bought)
    >>> round(found.ppa_kwh, 9), found.go_kwh, round(found.kg, 9)
    (1.6, 0.1, 0.15)
    >>> market_based([1000.0], 3600, Contracts(ppa_share=0.5)).kg is None
    True
    """
    whole = float(np.sum(np.asarray(import_w, dtype=np.float64))) * step_s / WS_PER_KWH
    if contracts.ppa_w is not None:
        ppa = float(np.sum(ppa_covered_w(import_w, contracts.ppa_w))) * step_s / WS_PER_KWH
    else:
        ppa = min(contracts.ppa_share * whole + contracts.ppa_kwh, whole)
    go = min(contracts.go_share * whole + contracts.go_kwh, whole - ppa)
    rest = whole - ppa - go
    if rest <= NOTHING * whole:
        rest = 0.0
    kg: float | None = (ppa * contracts.ppa_g_per_kwh + go * contracts.go_g_per_kwh) / 1e3
    if rest > 0:
        residual = contracts.residual_g_per_kwh
        kg = None if residual is None or kg is None else kg + rest * residual / 1e3
    return MarketAccount(kg, ppa, go, rest)
