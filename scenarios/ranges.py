"""How far figures can be off, as plain figures: ranges, what moves them, what they rest on."""

from __future__ import annotations

from scenarios.plain import Frozen


class Range(Frozen):
    """A figure with the ends of its 90 % interval."""

    low: float
    value: float
    high: float

    def over(self, by: float) -> Range:
        """All three divided by a number."""
        return Range(low=self.low / by, value=self.value / by, high=self.high / by)


class Driver(Frozen):
    """An input with a range: what its ends alone do to the energy at the meter, relative to it."""

    name: str
    low: float
    high: float


class Uncertainty(Frozen):
    """How far the headline figures can be off (`scenarios.uncertainty`).

    Attributes
    ----------
    j_per_output_token_gpu, j_per_output_token_meter
        At the GPUs and at the meter, J.
    facility_mwh, operational_kg, import_cost
        Of the site; kg and cost as far as its import changes.
    drivers
        The largest, largest first.
    reason
        Why there are no ranges.
    trust
        What a reader must know before quoting a figure.
    """

    j_per_output_token_gpu: Range | None = None
    j_per_output_token_meter: Range | None = None
    facility_mwh: Range | None = None
    operational_kg: Range | None = None
    import_cost: Range | None = None
    drivers: tuple[Driver, ...] = ()
    reason: str | None = None
    trust: tuple[str, ...] = ()
