"""A constant with its range, its unit and where it comes from; what a run assumed is a list of such."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Factor:
    """A constant with its range.

    Attributes
    ----------
    value, low, high
        In `unit`; the range is what the source gives, no interval of a stated probability. A value of the user's own
        has no range: all three are the same.
    unit, source
        Where it comes from, and in which unit.
    """

    value: float
    low: float
    high: float
    unit: str
    source: str

    def __post_init__(self) -> None:
        if not self.low <= self.value <= self.high:
            raise ValueError(f"{self.source}: {self.value} lies outside {self.low} to {self.high}")

    def own(self, value: float | None) -> Factor:
        """The same in the user's own value, if there is one.

        Examples
        --------
        >>> Factor(41.0, 26.0, 60.0, "gCO2eq/kWh", "IPCC AR5").own(30.0).source
        "the study's own"
        """
        if value is None:
            return self
        return replace(self, value=value, low=value, high=value, source="the study's own")


@dataclass(frozen=True)
class Assumption:
    """One value that a run rests on, as `summary.json` lists it under ``assumptions``.

    Attributes
    ----------
    name
        What it is, by the name of its option where it has one, e.g. ``pue``.
    factor
        Its value, unit, source and range.
    """

    name: str
    factor: Factor
