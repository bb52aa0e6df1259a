"""How far figures can be off, as plain figures: ranges, what moves them, what they rest on."""

from __future__ import annotations

from scenarios.plain import Frozen


class Driver(Frozen):
    """An input with a range: what its ends alone do to a figure, relative to it; down and up."""

    name: str
    low: float
    high: float


class Range(Frozen):
    """A figure with its low and high end, and the inputs that drive it most, largest first."""

    low: float
    value: float
    high: float
    drivers: tuple[Driver, ...] = ()


class Uncertainty(Frozen):
    """How far the headline figures can be off (`scenarios.uncertainty`).

    Attributes
    ----------
    j_per_output_token_gpu, j_per_output_token_meter
        At the GPUs and at the meter, J.
    facility_mwh
        Of the site.
    operational_kg, market_kg, total_kg
        Location-based, market-based, and all of it within the boundary.
    import_cost, cost
        Import at the price of its moment, and the whole bill.
    sci_g_per_request, sci_g_per_output_token
        Software Carbon Intensity at the meter.
    drivers
        The largest of the energy at the meter, largest first.
    reason
        Why there are no ranges.
    trust
        What a reader must know before quoting a figure.
    stand_ins
        What of that only stands in for a measurement: a roofline, estimated or carried-over prices.
    """

    j_per_output_token_gpu: Range | None = None
    j_per_output_token_meter: Range | None = None
    facility_mwh: Range | None = None
    operational_kg: Range | None = None
    market_kg: Range | None = None
    total_kg: Range | None = None
    import_cost: Range | None = None
    cost: Range | None = None
    sci_g_per_request: Range | None = None
    sci_g_per_output_token: Range | None = None
    drivers: tuple[Driver, ...] = ()
    reason: str | None = None
    trust: tuple[str, ...] = ()
    stand_ins: tuple[str, ...] = ()
