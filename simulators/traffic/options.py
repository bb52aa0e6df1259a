"""Workloads from what a user writes: an option each; lengths and daily shapes as `shapes` reads them."""

from __future__ import annotations

from pathlib import Path

from simulators.errors import InputError
from simulators.quantities.requests import Workload
from simulators.traffic.arrivals import Arrivals, Diurnal, Gamma, Modulated, Poisson
from simulators.traffic.lengths import Lengths
from simulators.traffic.shapes import parse_lengths, read_daily_shape
from simulators.traffic.stream import SyntheticWorkload
from simulators.traffic.traces import open_trace, read_rates

DEFAULT_DEFER_WINDOW_S = 3600.0


def workload_from_options(
    *,
    requests: str | Path | None = None,
    format: str = "auto",
    rate_per_s: float | None = None,
    cv: float = 1.0,
    lengths: str | Lengths | None = None,
    diurnal: str | Path | None = None,
    start_of_day_s: float = 0.0,
    num_requests: int | None = None,
    horizon_s: float | None = None,
    time_scale: float = 1.0,
    rate_scale: float = 1.0,
    deferrable_share: float = 0.0,
    defer_window_s: float | tuple[float, float] = DEFAULT_DEFER_WINDOW_S,
    seed: int = 42,
    tenant: int = 0,
) -> Workload:
    """The workload a user asked for: recorded requests, or arrivals at a rate with lengths from a law.

    Parameters
    ----------
    requests, format
        A trace, see `open_trace`; `time_scale` and `rate_scale` go with it.
    rate_per_s, cv
        Mean arrival rate, 1/s, and coefficient of variation of the gaps (1: Poisson, above: bursts).
    lengths
        A specification or a law. May be left out if the daily shape brings lengths.
    diurnal, start_of_day_s
        A daily shape or a rate profile, and the local time of day (s) at which the run starts. A rate
        profile has rates of its own: `rate_per_s` may be left out, otherwise it scales the profile to
        that mean.
    num_requests, horizon_s, deferrable_share, defer_window_s, seed, tenant
        See `SyntheticWorkload`.

    Raises
    ------
    InputError
        If options contradict each other, something is missing, or a file is broken.
    """
    if requests is not None:
        if any(option is not None for option in (rate_per_s, lengths, diurnal)) or cv != 1.0:
            raise InputError("workload: recorded requests go without a rate, cv, lengths or daily shape")
        return open_trace(
            requests,
            format=format,
            time_scale=time_scale,
            rate_scale=rate_scale,
            max_requests=num_requests,
            horizon_s=horizon_s,
            deferrable_share=deferrable_share,
            defer_window_s=defer_window_s,
            seed=seed,
            tenant=tenant,
        )
    if time_scale != 1.0 or rate_scale != 1.0:
        raise InputError("workload: time and rate scaling go with recorded requests; set the rate instead")
    arrivals, shape_lengths = _arrivals(rate_per_s, cv, diurnal, start_of_day_s)
    law = parse_lengths(lengths) if isinstance(lengths, str) else lengths or shape_lengths
    if law is None:
        raise InputError("workload: no lengths; give some such as zipf:1024:4096:0.6:20 or fixed:512:128")
    return SyntheticWorkload(
        arrivals,
        law,
        seed,
        num_requests=num_requests,
        horizon_s=horizon_s,
        deferrable_share=deferrable_share,
        defer_window_s=defer_window_s,
        tenant=tenant,
    )


def _arrivals(
    rate_per_s: float | None, cv: float, diurnal: str | Path | None, start_of_day_s: float
) -> tuple[Arrivals, Lengths | None]:
    """The arrival law, and the lengths that come with a daily shape."""
    if diurnal is not None and str(diurnal).lower().endswith((".csv", ".csv.gz")):
        rates, interval_s = read_rates(diurnal)
        if rate_per_s is not None and rates.any():
            rates = rates * (rate_per_s / rates.mean())
        return Modulated(rates, interval_s, start_offset_s=start_of_day_s, cv=cv), None
    if rate_per_s is None:
        raise InputError("workload: give recorded requests, or a rate in requests per second and lengths")
    if diurnal is None:
        return (Poisson(rate_per_s) if cv == 1.0 else Gamma(rate_per_s, cv)), None
    shape = read_daily_shape(diurnal)
    return Diurnal(rate_per_s, shape.factors, start_of_day_s, cv), shape.lengths
