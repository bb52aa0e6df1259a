"""A battery: energy in, less energy out, nothing lost unaccounted."""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, inf, isfinite, log1p, sqrt

from simulators.errors import InputError

ROUND_TRIP_EFFICIENCY = 0.85
"""AC-to-AC round trip of utility-scale lithium-ion storage.

W. Cole, A. W. Frazier, C. Augustine, "Cost Projections for Utility-Scale Battery Storage: 2021 Update",
NREL/TP-6A20-79236, 2021. Split evenly over charging and discharging here.
"""


@dataclass(frozen=True)
class BatteryConfig:
    """What a battery can do. Power is at its terminals, energy is what is stored inside.

    Attributes
    ----------
    capacity_wh
        Energy stored at a state of charge of 1, Wh.
    max_charge_w, max_discharge_w
        Limits at the terminals, W; None: the capacity in one hour for charging, the same for discharging.
    charge_efficiency, discharge_efficiency
        Energy stored per energy taken in, energy given per energy drawn from the store; above 0, at most 1.
    soc_min, soc_max, soc_initial
        State of charge that dispatch keeps to, and the one at the start; 0 to 1.
    self_discharge_per_day
        Share of the stored energy lost in a day without use; 0 to below 1. It may sink the charge below
        `soc_min`.
    """

    capacity_wh: float
    max_charge_w: float | None = None
    max_discharge_w: float | None = None
    charge_efficiency: float = sqrt(ROUND_TRIP_EFFICIENCY)
    discharge_efficiency: float = sqrt(ROUND_TRIP_EFFICIENCY)
    soc_min: float = 0.0
    soc_max: float = 1.0
    soc_initial: float = 0.5
    self_discharge_per_day: float = 0.0

    def __post_init__(self) -> None:
        for name in ("capacity_wh", "max_charge_w", "max_discharge_w"):
            value = getattr(self, name)
            if value is not None and not (0 < value < inf):
                raise InputError(f"battery: {name} is {value}, expected a positive number")
        for name in ("charge_efficiency", "discharge_efficiency"):
            if not 0 < getattr(self, name) <= 1:
                raise InputError(f"battery: {name} is {getattr(self, name)}, expected above 0 and at most 1")
        if not 0 <= self.soc_min <= self.soc_initial <= self.soc_max <= 1:
            raise InputError(
                f"battery: state of charge is {self.soc_initial} within {self.soc_min} to {self.soc_max}, "
                "expected 0 <= soc_min <= soc_initial <= soc_max <= 1"
            )
        if not 0 <= self.self_discharge_per_day < 1:
            raise InputError(
                f"battery: self_discharge_per_day is {self.self_discharge_per_day}, expected 0 to below 1"
            )

    @property
    def charge_limit_w(self) -> float:
        """Largest charging power, W."""
        return self.capacity_wh if self.max_charge_w is None else self.max_charge_w

    @property
    def discharge_limit_w(self) -> float:
        """Largest discharging power, W."""
        return self.capacity_wh if self.max_discharge_w is None else self.max_discharge_w


class Battery:
    """The state of one battery.

    At every moment ``energy_wh = initial + charged_wh - discharged_wh - lost_wh``, where `charged_wh` and
    `discharged_wh` are measured at the terminals and `lost_wh` holds conversion losses and self-discharge.

    Attributes
    ----------
    config
        What it can do.
    energy_wh
        Stored energy, Wh.
    charged_wh, discharged_wh, lost_wh
        Sums since the start, Wh.

    Examples
    --------
    An hour of charging with as much as fits, an hour of giving half of that back:

    >>> battery = Battery(BatteryConfig(1000.0, charge_efficiency=0.9, discharge_efficiency=0.9))
    >>> low_w, high_w = battery.feasible_range(3600)
    >>> round(low_w, 6), round(high_w, 6)
    (-450.0, 555.555556)
    >>> battery.step(high_w, 3600)
    >>> battery.step(-high_w / 2, 3600)
    >>> round(battery.soc, 4), round(battery.lost_wh, 2)
    (0.6914, 86.42)
    """

    def __init__(self, config: BatteryConfig) -> None:
        self.config = config
        self.energy_wh = config.soc_initial * config.capacity_wh
        self.charged_wh = 0.0
        self.discharged_wh = 0.0
        self.lost_wh = 0.0

    @property
    def soc(self) -> float:
        """State of charge, 0 to 1."""
        return self.energy_wh / self.config.capacity_wh

    def feasible_range(self, dt_s: float) -> tuple[float, float]:
        """Lowest and highest mean terminal power over the coming `dt_s`, W; charging is positive.

        The lowest is at most 0, the highest at least 0.
        """
        config = self.config
        hours = dt_s / 3600.0
        kept_wh = self.energy_wh * self._kept(dt_s)
        room_wh = max(0.0, config.soc_max * config.capacity_wh - kept_wh)
        stock_wh = max(0.0, kept_wh - config.soc_min * config.capacity_wh)
        charge_w = min(config.charge_limit_w, room_wh / config.charge_efficiency / hours)
        discharge_w = min(config.discharge_limit_w, stock_wh * config.discharge_efficiency / hours)
        return -discharge_w, charge_w

    def settled_wh(self, target_wh: float) -> float:
        """What the terminals must take to bring the store to a target, Wh; negative: what they would give.

        Examples
        --------
        >>> battery = Battery(BatteryConfig(1000.0, charge_efficiency=0.9, discharge_efficiency=0.9))
        >>> round(battery.settled_wh(590.0), 6), round(battery.settled_wh(400.0), 6)
        (100.0, -90.0)
        """
        missing_wh = target_wh - self.energy_wh
        config = self.config
        return (
            missing_wh / config.charge_efficiency
            if missing_wh > 0
            else missing_wh * config.discharge_efficiency
        )

    def returning_range(self, target_wh: float, dt_s: float, left_s: float) -> tuple[float, float]:
        """The part of `feasible_range` from which a target can still be reached, W.

        Parameters
        ----------
        target_wh
            Energy to be stored when the time is over, Wh.
        dt_s, left_s
            Length of the coming interval, and of the time after it, s. Self-discharge in the latter is not foreseen.
        """
        low_w, high_w = self.feasible_range(dt_s)
        config, hours, left_h = self.config, dt_s / 3600.0, left_s / 3600.0
        kept_wh = self.energy_wh * self._kept(dt_s)

        def terminal_w(stored_wh: float) -> float:
            added_wh = stored_wh - kept_wh
            factor = 1 / config.charge_efficiency if added_wh > 0 else config.discharge_efficiency
            return added_wh * factor / hours

        least_w = terminal_w(target_wh - config.charge_limit_w * config.charge_efficiency * left_h)
        most_w = terminal_w(target_wh + config.discharge_limit_w / config.discharge_efficiency * left_h)
        return min(max(low_w, least_w), high_w), max(min(high_w, most_w), low_w)

    def step(self, power_w: float, dt_s: float) -> None:
        """Charge (`power_w` > 0) or discharge (< 0) with a constant terminal power for `dt_s`.

        Self-discharge acts first, on the energy at the start.

        Raises
        ------
        ValueError
            If the power lies outside `feasible_range` by more than rounding.
        """
        low_w, high_w = self.feasible_range(dt_s)
        slack_w = 1e-9 * max(-low_w, high_w, 1e-3)
        if not isfinite(power_w) or not low_w - slack_w <= power_w <= high_w + slack_w:
            raise ValueError(f"battery: {power_w} W asked for, {low_w} to {high_w} W possible")
        power_w = min(max(power_w, low_w), high_w)
        hours = dt_s / 3600.0
        config = self.config
        kept_wh = self.energy_wh * self._kept(dt_s)
        self.lost_wh += self.energy_wh - kept_wh
        if power_w > 0:
            terminal_wh = power_w * hours
            stored_wh = terminal_wh * config.charge_efficiency
            self.charged_wh += terminal_wh
            self.lost_wh += terminal_wh - stored_wh
            kept_wh += stored_wh
        elif power_w < 0:
            terminal_wh = -power_w * hours
            drawn_wh = terminal_wh / config.discharge_efficiency
            self.discharged_wh += terminal_wh
            self.lost_wh += drawn_wh - terminal_wh
            kept_wh -= drawn_wh
        # rounding alone may carry the last step to a bound past it
        self.energy_wh = min(max(kept_wh, 0.0), config.capacity_wh)

    def _kept(self, dt_s: float) -> float:
        """Share of the stored energy left after `dt_s` without use."""
        if self.config.self_discharge_per_day == 0.0:
            return 1.0
        return exp(log1p(-self.config.self_discharge_per_day) * dt_s / 86400.0)
