"""What a controller knows of its site from the start: sizes, limits, what waking takes, the end of the run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from math import inf
from typing import Any

from simulators.quantities.load_curve import LoadCurve

DUE_S, DUE_SPANS = 900, 96
"""Held requests are told apart by when they must leave, in so many spans of so many seconds: a day in all."""


@dataclass(frozen=True)
class BatteryFacts:
    """A battery: energy inside, power at its terminals.

    Attributes
    ----------
    capacity_wh, charge_w, discharge_w
        Its size and limits.
    charge_efficiency, discharge_efficiency
        Stored per taken in, given per drawn from the store.
    soc_min, soc_max
        State of charge it is kept within, 0 to 1.
    """

    capacity_wh: float
    charge_w: float
    discharge_w: float
    charge_efficiency: float
    discharge_efficiency: float
    soc_min: float = 0.0
    soc_max: float = 1.0


@dataclass(frozen=True)
class SiteFacts:
    """A site as its controller knows it; powers, rates and counts are of all copies of the cluster but for `curve`.

    Attributes
    ----------
    end_s, arrivals_end_s
        End of the run, and of the time in which requests arrive, s from its start.
    copies
        How many times the simulated cluster stands there.
    replicas, gpus, replicas_per_host
        Of one copy; replicas that fill a server.
    least_replicas
        Of them, those that must stay awake: one of each pool where prefill and decode are apart.
    gpu_limit_w, gpu_idle_w
        Power limit of a GPU, and what it draws loaded and idle, W.
    replica_off_w
        GPUs of a parked replica whose server is on, W; inf where nothing is known of parking.
    wake_s, boot_s
        Until a parked replica serves, s; and more if its server must start first.
    meter_per_gpu_w
        W at the meter for each W of a GPU.
    host_w, host_busy_w
        At the meter for each server that is on, and the more when it is fully busy, W.
    import_limit_w, export_limit_w
        Of the connection to the grid, W.
    serve_s, defer_window_s
        A held request leaves so long before its deadline, s; how long it may wait in all, s.
    forecast_step_s
        What one value of a forecast is the mean of, s; 0: a step.
    slo_ttft_s, slo_tpot_s
        Targets of interactive requests, s.
    battery
        None: there is none.
    curve
        Power and latency of a replica against its load (`Policy.needs` has ``load_curve``), else None.
    """

    end_s: float = inf
    arrivals_end_s: float = inf
    copies: float = 1.0
    replicas: int = 1
    least_replicas: int = 1
    gpus: int = 1
    replicas_per_host: int = 1
    gpu_limit_w: float = inf
    gpu_idle_w: float = 0.0
    replica_off_w: float = inf
    wake_s: float = 0.0
    boot_s: float = 0.0
    meter_per_gpu_w: float = 1.0
    host_w: float = 0.0
    host_busy_w: float = 0.0
    import_limit_w: float = inf
    export_limit_w: float = inf
    serve_s: float = 0.0
    defer_window_s: float = 0.0
    forecast_step_s: float = 0.0
    slo_ttft_s: float = inf
    slo_tpot_s: float = inf
    battery: BatteryFacts | None = None
    curve: LoadCurve | None = None

    def to_plain(self) -> dict[str, Any]:
        """As plain values.

        Examples
        --------
        >>> SiteFacts.from_plain(SiteFacts(replicas=4).to_plain()).replicas
        4
        """
        plain = {entry.name: getattr(self, entry.name) for entry in fields(self)}
        plain["battery"] = asdict(self.battery) if self.battery else None
        plain["curve"] = self.curve.to_plain() if self.curve else None
        return plain

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> SiteFacts:
        """What `to_plain` gave."""
        given = dict(plain)
        battery, curve = given.pop("battery", None), given.pop("curve", None)
        return cls(
            **given,
            battery=BatteryFacts(**battery) if battery else None,
            curve=LoadCurve.from_plain(curve) if curve else None,
        )
