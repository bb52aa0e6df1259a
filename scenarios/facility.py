"""What the building around the GPUs did: PUE, losses, water, reused heat."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import pandas as pd

from scenarios.plain import Frozen
from scenarios.plan import SitePlan
from simulators.datacenter.options import FacilityOptions
from simulators.quantities.factor import Factor

AT_METER = "the load is known at the meter alone"


class WaterFigure(Frozen):
    """Water of a run, m3, and with the ends of its factor's range."""

    value: float
    low: float
    high: float


class WaterFigures(Frozen):
    """Water consumed, m3: on the site, where grid power is made, and both; None where it is not known.

    Own PV and wind count as dry: up to 5 gallons per MWh of PV (J. Macknick et al., Environ. Res. Lett. 7 045802, 2012,
    table 2).
    """

    on_site: WaterFigure | None
    off_site: WaterFigure
    total: WaterFigure | None


class FacilityFigures(Frozen):
    """The building of a run; what hangs on the IT power is None where only the meter is known.

    Attributes
    ----------
    it_mwh, cooling_mwh, losses_mwh, facility_mwh
        Energy by where it went, MWh.
    pue
        Facility over IT energy (ISO/IEC 30134-2).
    heat_reused_mwh
        Delivered to others.
    ere
        Energy reuse effectiveness, (facility - reused) over IT energy (The Green Grid, white paper 29).
    wue_l_per_kwh
        Water on site over IT energy (ISO/IEC 30134-9), L/kWh.
    water_m3
        On site and off site.
    reason
        Why figures are None.
    """

    it_mwh: float | None
    cooling_mwh: float | None
    losses_mwh: float | None
    facility_mwh: float
    pue: float | None
    heat_reused_mwh: float | None
    ere: float | None
    wue_l_per_kwh: float | None
    water_m3: WaterFigures
    reason: str | None = None


def facility_of(plan: SitePlan, frame: pd.DataFrame, step_s: int) -> FacilityFigures:
    """The figures of a site's building from its rows of the time series."""
    hours = step_s / 3600
    known = plan.study.facility.factors()
    mwh = {
        name: _energy(frame, column, hours)
        for name, column in (("it", "it_mw"), ("cooling", "cooling_mw"), ("losses", "losses_mw"))
    }
    facility, it = float(frame["facility_mw"].sum() * hours), mwh["it"]
    grid = known["grid_water"]
    bought = float(frame["import_mw"].sum() * hours)
    on_site = _on_site(plan.study.facility, _energy(frame, "water_m3_per_h", hours), it)
    off_site = WaterFigure(value=bought * grid.value, low=bought * grid.low, high=bought * grid.high)
    return _figures(
        mwh,
        facility,
        None if it is None else plan.study.facility.heat_reuse_share * it,
        WaterFigures(on_site=on_site, off_site=off_site, total=_sum([on_site, off_site])),
    )


def _energy(frame: pd.DataFrame, column: str, hours: float) -> float | None:
    """A column of powers (or flows) over the run; None if it is not known throughout."""
    if column not in frame or frame[column].isna().any():
        return None
    return float(frame[column].sum() * hours)


def _on_site(options: FacilityOptions, water_m3: float | None, it_mwh: float | None) -> WaterFigure | None:
    """Water on site with its range: of the WUE, or of how far the water of towers may thicken."""
    if water_m3 is None:
        return None
    known = options.factors()
    if "cycles_of_concentration" not in known:
        wue: Factor = known["wue"]
        it = it_mwh or 0.0
        return WaterFigure(value=water_m3, low=wue.low * it, high=wue.high * it)
    cycles = known["cycles_of_concentration"]
    least, most = (_drawn(n) / _drawn(cycles.value) for n in (cycles.high, cycles.low))
    return WaterFigure(value=water_m3, low=water_m3 * least, high=water_m3 * most)


def _drawn(cycles: float) -> float:
    """Water drawn over water evaporated."""
    return cycles / (cycles - 1.0)


def _sum(parts: Iterable[WaterFigure | None]) -> WaterFigure | None:
    known = list(parts)
    if any(part is None for part in known):
        return None
    return WaterFigure(
        **{name: sum(getattr(part, name) for part in known) for name in ("value", "low", "high")}
    )


def _figures(
    mwh: Mapping[str, float | None], facility_mwh: float, reused_mwh: float | None, water: WaterFigures
) -> FacilityFigures:
    it = mwh["it"]
    runs = it is not None and it > 0
    return FacilityFigures(
        it_mwh=it,
        cooling_mwh=mwh["cooling"],
        losses_mwh=mwh["losses"],
        facility_mwh=facility_mwh,
        pue=facility_mwh / it if runs and it else None,
        heat_reused_mwh=reused_mwh,
        ere=(facility_mwh - (reused_mwh or 0.0)) / it if runs and it else None,
        wue_l_per_kwh=water.on_site.value / it if runs and it and water.on_site else None,
        water_m3=water,
        reason=AT_METER if it is None else None if runs else "no IT power was drawn",
    )


def facilities_together(figures: Iterable[FacilityFigures | None]) -> FacilityFigures | None:
    """Of several sites: sums, and their ratios; None if one has no figures."""
    parts = [part for part in figures if part is not None]
    names = ("it_mwh", "cooling_mwh", "losses_mwh", "heat_reused_mwh")
    sums: dict[str, float | None] = {}
    for name in names:
        values = [getattr(part, name) for part in parts]
        sums[name] = None if None in values else sum(values)
    off_site = _sum(part.water_m3.off_site for part in parts)
    if off_site is None or not parts:
        return None
    water = WaterFigures(
        on_site=_sum(part.water_m3.on_site for part in parts),
        off_site=off_site,
        total=_sum(part.water_m3.total for part in parts),
    )
    return _figures(
        {name.removesuffix("_mwh"): sums[name] for name in names[:3]},
        sum(part.facility_mwh for part in parts),
        sums["heat_reused_mwh"],
        water,
    )
