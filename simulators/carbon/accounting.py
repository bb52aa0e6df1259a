"""What counts as how much carbon: every definition the project uses, in one place.

- *operational carbon* (location based) = sum over intervals of grid import times the grid's average carbon
  intensity. With a marginal intensity the same sum tells the consequence of a change, and is labelled so.
- *embodied carbon* = per-device footprint times busy-or-reserved time over service life.
- *battery settlement* = energy that brings the battery back to its charge at the start, times the mean intensity of
  the run's import (its mean over time if nothing was imported). What is missing is charged again, losses included, what
  is over would be given; a run neither gains by emptying its battery nor loses by filling it.
- *boundary*: operational, or life cycle; one for grid, PV, wind and battery alike. Within the life cycle the grid's
  series includes fuel chains and plants, and *own supply* has the emissions of `factors`; operational, it has none.
- *total carbon* = operational + battery settlement + own supply (within the boundary) + embodied.
- *gross carbon* = sum of load times intensity: what the load would cause without any generation of its own.
- *offset ratio* = sum(delivered own supply * intensity) / sum(load * intensity). Delivered is what carried load or was
  exported at that moment, directly or out of the battery as far as it was charged from own generation; neither what was
  curtailed, nor what the battery still holds or has lost. It counts exports, so it can exceed 1, but only by them. The
  69.2 % of arXiv 2507.11417 weighs all generation when it is generated (`offset_ratio` of the generation itself).
- *matched ratio* (24/7 carbon-free share) = sum over intervals of min(load, own carbon-free supply) /
  sum(load), where the supply is generation plus the part of the battery's discharge that was charged from own
  generation.
- *market-based carbon* of the import: `contracts`; the share that is free of carbon with contract and grid: `matching`.
- *self-consumption ratio* = share of the generation that is used on the site, through the battery or not.

All functions take arrays with one value per interval, shape (n,): powers in W (means, >= 0), intensities in
g/kWh, and the interval's length `step_s` in s. They are pure; carbon comes out in kg.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]

WS_PER_KWH = 3.6e6
"""Joules in a kilowatt-hour."""


def energy_kwh(power_w: ArrayLike, step_s: float) -> float:
    """Energy of mean powers, kWh."""
    return float(np.sum(_array(power_w)) * step_s / WS_PER_KWH)


def operational_kg(import_w: ArrayLike, ci_g_per_kwh: ArrayLike, step_s: float) -> float:
    """Location-based operational carbon, kgCO2eq: ``sum(import * intensity)``.

    With the load in place of the import it is the gross carbon.
    """
    return float(np.dot(_array(import_w), _array(ci_g_per_kwh)) * step_s / WS_PER_KWH / 1000.0)


def consequence_kg(
    import_before_w: ArrayLike, import_after_w: ArrayLike, marginal_ci_g_per_kwh: ArrayLike, step_s: float
) -> float:
    """What a change of the import causes, kgCO2eq: ``sum((after - before) * marginal intensity)``.

    Negative where the change saves carbon. It says nothing about the total a site is responsible for, and must
    not be mixed with `operational_kg` on average intensities.
    """
    return operational_kg(_array(import_after_w) - _array(import_before_w), marginal_ci_g_per_kwh, step_s)


def embodied_kg(device_kg: ArrayLike, reserved_s: ArrayLike, service_life_s: ArrayLike) -> float:
    """Embodied carbon, kgCO2eq: ``sum(footprint * busy-or-reserved time / service life)`` over devices."""
    return float(np.sum(_array(device_kg) * _array(reserved_s) / _array(service_life_s)))


def delivered_w(
    load_w: ArrayLike, generation_w: ArrayLike, charge_w: ArrayLike, own_discharge_w: ArrayLike
) -> Array:
    """Own supply that carried load or was exported in every interval, W; shape (n,).

    Generation (without what was curtailed) less what of its surplus went into the battery, and what comes out again.
    """
    surplus = np.maximum(_array(generation_w) - _array(load_w), 0.0)
    charged = np.minimum(_array(charge_w), surplus)
    return np.asarray(_array(generation_w) - charged + _array(own_discharge_w))


def mean_of_import(import_w: ArrayLike, per_kwh: ArrayLike) -> float:
    """Mean of an intensity or price, weighted with the import; over time where nothing was imported.

    Examples
    --------
    >>> mean_of_import([3e3, 1e3], [100.0, 500.0]), mean_of_import([0.0, 0.0], [100.0, 500.0])
    (200.0, 300.0)
    """
    weights, values = _array(import_w), _array(per_kwh)
    whole = float(np.sum(weights))
    return float(np.dot(weights, values)) / whole if whole > 0 else float(np.mean(values))


def offset_ratio(generation_w: ArrayLike, load_w: ArrayLike, ci_g_per_kwh: ArrayLike) -> float:
    """``sum(generation * intensity) / sum(load * intensity)``; 0 where the load causes no carbon.

    Exported surplus counts in full, curtailed generation is to be left out of `generation_w`, and the ratio says
    nothing about when it was generated.
    """
    ci = _array(ci_g_per_kwh)
    return _ratio(float(np.dot(_array(generation_w), ci)), float(np.dot(_array(load_w), ci)))


def matched_ratio(load_w: ArrayLike, generation_w: ArrayLike, own_discharge_w: ArrayLike = 0.0) -> float:
    """24/7 carbon-free share: ``sum(min(load, generation + own_discharge)) / sum(load)``; 0 without a load.

    Parameters
    ----------
    own_discharge_w
        What the battery gives of energy it was charged with from own generation, W; see `own_discharge_w`.
    """
    load = _array(load_w)
    supply = _array(generation_w) + _array(own_discharge_w)
    return _ratio(float(np.sum(np.minimum(load, supply))), float(np.sum(load)))


def self_consumption_ratio(
    generation_w: ArrayLike, export_w: ArrayLike, curtailed_w: ArrayLike = 0.0
) -> float:
    """``1 - (export + curtailed) / generation``; 0 without generation.

    Where the battery exports what it took from the grid, that export is no generation: the export counted
    is at most the interval's generation.
    """
    generation = _array(generation_w)
    left = np.minimum(_array(export_w) + _array(curtailed_w), generation)
    total = float(np.sum(generation))
    return _ratio(total - float(np.sum(left)), total)


def own_discharge_w(
    load_w: ArrayLike,
    generation_w: ArrayLike,
    charge_w: ArrayLike,
    discharge_w: ArrayLike,
    stored_wh: ArrayLike,
    initial_wh: float,
    initial_own_share: float = 0.0,
) -> Array:
    """Part of the battery's discharge that it was charged with from own generation, W; shape (n,).

    Generation serves the load first; what the battery takes beyond the surplus is grid power. Inside,
    energy is mixed evenly: every discharge (and every loss) takes own and grid energy in the proportion
    stored.

    Parameters
    ----------
    load_w, generation_w, charge_w, discharge_w
        The site's flows, W; the last two at the battery's terminals.
    stored_wh
        Energy stored at the end of every interval, Wh.
    initial_wh
        Energy stored at the start, Wh.
    initial_own_share
        Own share of that; 0 unless its origin is known.
    """
    load, generation = _array(load_w), _array(generation_w)
    charge, discharge, stored = _array(charge_w), _array(discharge_w), _array(stored_wh)
    own_charge = np.minimum(charge, np.maximum(generation - load, 0.0))
    share_of_charge = np.divide(own_charge, charge, out=np.zeros_like(charge), where=charge > 0)
    before_wh = np.concatenate(([initial_wh], stored[:-1]))
    added_wh = np.where(charge > 0, np.maximum(stored - before_wh, 0.0), 0.0)
    fills = np.flatnonzero(added_wh > 0)  # nothing else changes the share
    shares = np.empty(len(fills) + 1)
    shares[0] = share = initial_own_share
    filled = (series[fills].tolist() for series in (added_wh, stored, share_of_charge))
    for i, (added, total, own) in enumerate(zip(*filled, strict=True), start=1):
        share += (own - share) * added / total
        shares[i] = share
    lasting = np.diff(np.concatenate(([0], fills, [len(charge)])))
    return np.asarray(discharge * np.repeat(shares, lasting))


NO_AVERAGE = (
    "no average carbon intensity was given; a marginal one tells what a change causes, not what a site emits"
)
"""Why a figure that rests on the average intensity is missing."""


@dataclass(frozen=True)
class CarbonAccount:
    """A run's carbon and renewable figures; see the module for their definitions.

    Attributes
    ----------
    embodied_kg
        kgCO2eq; None if it is not known.
    matched_ratio, self_consumption_ratio
        Shares.
    operational_kg, gross_kg
        By the average intensity, kgCO2eq; None without one.
    offset_ratio
        Can exceed 1; None without an average intensity.
    settlement_kg
        Of bringing the battery back to its charge at the start, negative if it holds more; None without an average
        intensity.
    own_supply_kg
        Life-cycle emissions of PV, wind and battery within the boundary, kgCO2eq.
    consequence_marginal_kg
        What the import causes, by the marginal intensity, kgCO2eq; None without one. No emission of the site.
    settlement_marginal_kg
        What the settlement causes, likewise.
    reasons
        Why a figure is None, by the name it has in a summary.
    """

    embodied_kg: float | None
    matched_ratio: float
    self_consumption_ratio: float
    operational_kg: float | None = None
    gross_kg: float | None = None
    offset_ratio: float | None = None
    settlement_kg: float | None = None
    own_supply_kg: float = 0.0
    consequence_marginal_kg: float | None = None
    settlement_marginal_kg: float | None = None
    reasons: Mapping[str, str] = field(default_factory=dict)

    @property
    def total_kg(self) -> float | None:
        """All of it, kgCO2eq; None if the operational or the embodied is not known."""
        if self.operational_kg is None or self.settlement_kg is None or self.embodied_kg is None:
            return None
        return self.operational_kg + self.settlement_kg + self.own_supply_kg + self.embodied_kg


def account(
    *,
    step_s: float,
    load_w: ArrayLike,
    generation_w: ArrayLike,
    import_w: ArrayLike,
    export_w: ArrayLike,
    curtailed_w: ArrayLike,
    charge_w: ArrayLike,
    discharge_w: ArrayLike,
    stored_wh: ArrayLike,
    initial_wh: float,
    ci_g_per_kwh: ArrayLike | None = None,
    marginal_g_per_kwh: ArrayLike | None = None,
    embodied_kg: float | None = 0.0,
    settled_wh: float = 0.0,
    own_supply_kg: float = 0.0,
) -> CarbonAccount:
    """All figures of a run from its flows per interval, shape (n,) each.

    An average intensity (`ci_g_per_kwh`) makes emissions, a marginal one never does: it makes the consequence of the
    import, under a name of its own. `settled_wh` is what the battery's terminals must take to bring it back to its
    charge at the start, Wh; negative: what they would give.

    Examples
    --------
    >>> flows = dict(load_w=[1e3], generation_w=[0.0], import_w=[1e3], export_w=[0.0], curtailed_w=[0.0],
    ...              charge_w=[0.0], discharge_w=[0.0], stored_wh=[0.0], initial_wh=0.0)
    >>> account(step_s=3600, ci_g_per_kwh=[300.0], **flows).operational_kg
    0.3
    >>> marginal = account(step_s=3600, marginal_g_per_kwh=[500.0], **flows)
    >>> marginal.operational_kg, marginal.consequence_marginal_kg
    (None, 0.5)
    """
    made_w = _array(generation_w) - _array(
        curtailed_w
    )  # what is curtailed carries no load and fills no battery
    own = own_discharge_w(load_w, made_w, charge_w, discharge_w, stored_wh, initial_wh)
    average, marginal = ci_g_per_kwh, marginal_g_per_kwh
    missing = ("operational", "battery_settlement", "total", "without_own_supply", "offset_ratio")

    def settled_kg(intensity: ArrayLike) -> float:
        return settled_wh / 1e3 * mean_of_import(import_w, intensity) / 1e3 if settled_wh else 0.0

    zero_w = np.zeros_like(_array(import_w))
    delivered = delivered_w(load_w, made_w, charge_w, own)
    return CarbonAccount(
        embodied_kg=embodied_kg,
        matched_ratio=matched_ratio(load_w, made_w, own),
        self_consumption_ratio=self_consumption_ratio(generation_w, export_w, curtailed_w),
        operational_kg=None if average is None else operational_kg(import_w, average, step_s),
        gross_kg=None if average is None else operational_kg(load_w, average, step_s),
        offset_ratio=None if average is None else offset_ratio(delivered, load_w, average),
        settlement_kg=None if average is None else settled_kg(average),
        own_supply_kg=own_supply_kg,
        consequence_marginal_kg=None
        if marginal is None
        else consequence_kg(zero_w, import_w, marginal, step_s),
        settlement_marginal_kg=None if marginal is None else settled_kg(marginal),
        reasons={} if average is not None else dict.fromkeys(missing, NO_AVERAGE),
    )


def _array(values: ArrayLike) -> Array:
    return np.asarray(values, dtype=np.float64)


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole > 0 else 0.0
