"""Workloads from what a user writes: an option each; lengths and daily shapes as `shapes` reads them."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypedDict

from pydantic import Field

from simulators.errors import InputError
from simulators.quantities.requests import Workload
from simulators.traffic.arrivals import Diurnal, Gamma, Modelled, Modulated, Poisson
from simulators.traffic.lengths import Lengths
from simulators.traffic.session_options import SessionOptions
from simulators.traffic.sessions import Sessions, session_workload
from simulators.traffic.shapes import lengths_files, parse_lengths, read_daily_shape, shape_files
from simulators.traffic.stream import Merged, Repeated, SyntheticWorkload
from simulators.traffic.traces import open_trace, read_rates, trace_files

DEFAULT_DEFER_WINDOW_S = 3600.0
COMMON_SEED = 1_000_003
"""Added to the seed for what all of several clusters see together."""


class _Common(TypedDict):
    """Options that recorded and synthetic requests share."""

    horizon_s: float | None
    deferrable_share: float
    defer_window_s: float | tuple[float, float]
    tenant: int


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
    defer_window_s: float | Sequence[float] = DEFAULT_DEFER_WINDOW_S,
    seed: int = 42,
    tenant: int = 0,
    clusters: int = 1,
    common_share: float = 0.0,
    sessions: Mapping[str, Any] | None = None,
    hash_tokens: int | None = None,
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
    clusters, common_share
        Clusters that such a workload comes to: a share of it to all at the same time, the rest to each its own.
    sessions
        Requests are turns of conversations; what `sessions.Sessions` is made from. Rate and lengths are of turns.
    hash_tokens
        Tokens that one of a request's hashes stands for; None: nobody will look at them. Otherwise those of
        conversations are made and those of a trace are checked.

    Raises
    ------
    InputError
        If options contradict each other, something is missing, or a file is broken.

    Examples
    --------
    >>> block = workload_from_options(rate_per_s=2.0, lengths="fixed:512:128", seed=1).take(until_s=3600.0)
    >>> 7000 < len(block) < 7400, int(block.prefill_tokens[0])
    (True, 512)
    """
    common = _Common(
        horizon_s=horizon_s,
        deferrable_share=deferrable_share,
        defer_window_s=defer_window_s if isinstance(defer_window_s, int | float) else _pair(defer_window_s),
        tenant=tenant,
    )
    if clusters > 1 and (requests is not None or cv != 1.0 or num_requests is not None):
        raise InputError(
            "workload: independent clusters go with Poisson arrivals, not with a trace, cv or a number"
        )
    if sessions is not None and (requests is not None or clusters > 1):
        raise InputError(
            "workload: conversations (--session-turns) go with a rate, not with a trace or independent clusters"
        )
    if requests is not None:
        if any(option is not None for option in (rate_per_s, lengths, diurnal)) or cv != 1.0:
            raise InputError("workload: recorded requests go without a rate, cv, lengths or daily shape")
        return open_trace(
            requests,
            format=format,
            time_scale=time_scale,
            rate_scale=rate_scale,
            max_requests=num_requests,
            seed=seed,
            hash_tokens=hash_tokens,
            **common,
        )
    if time_scale != 1.0 or rate_scale != 1.0:
        raise InputError("workload: time and rate scaling go with recorded requests; set the rate instead")
    if clusters > 1:
        own, shared = (1.0 - common_share) * clusters, common_share
        parts: list[Workload] = []
        for factor, times, child in ((own, 1, seed), (shared, clusters, seed + COMMON_SEED)):
            if factor > 0.0:
                arrivals, of_shape = _arrivals(_times(rate_per_s, factor), cv, diurnal, start_of_day_s)
                parts.append(
                    Repeated(SyntheticWorkload(arrivals, _law(lengths, of_shape), child, **common), times)
                )
        return Merged(parts)
    each = None if sessions is None else Sessions(**sessions)
    turns = 1.0 if each is None else each.turns
    arrivals, shape_lengths = _arrivals(rate_per_s, cv, diurnal, start_of_day_s, turns)
    law = _law(lengths, shape_lengths)
    if each is not None:
        return session_workload(each, arrivals, law, seed, hash_tokens, num_requests=num_requests, **common)
    return SyntheticWorkload(arrivals, law, seed, num_requests=num_requests, **common)


def _times(rate_per_s: float | None, factor: float) -> float:
    if rate_per_s is None:
        raise InputError("workload: independent clusters, expected a rate in requests per second of each")
    return factor * rate_per_s


def _law(lengths: str | Lengths | None, of_shape: Lengths | None) -> Lengths:
    law = parse_lengths(lengths) if isinstance(lengths, str) else lengths or of_shape
    if law is None:
        raise InputError("workload: no lengths; give some such as zipf:1024:4096:0.6:20 or fixed:512:128")
    return law


def _pair(window_s: Sequence[float]) -> tuple[float, float]:
    if len(window_s) != 2:
        raise InputError(f"workload: {len(window_s)} deferral windows, expected one or (shortest, longest)")
    return float(window_s[0]), float(window_s[1])


def _is_rate_profile(diurnal: str | Path) -> bool:
    return str(diurnal).lower().endswith((".csv", ".csv.gz"))


def _arrivals(
    rate_per_s: float | None,
    cv: float,
    diurnal: str | Path | None,
    start_of_day_s: float,
    turns: float = 1.0,
) -> tuple[Modelled, Lengths | None]:
    """The arrival law, of what brings so many requests each, and the lengths that come with a daily shape."""
    if diurnal is not None and _is_rate_profile(diurnal):
        rates, interval_s = read_rates(diurnal)
        if rate_per_s is not None and rates.any():
            rates = rates * (rate_per_s / rates.mean())
        return Modulated(rates / turns, interval_s, start_offset_s=start_of_day_s, cv=cv), None
    if rate_per_s is None:
        raise InputError("workload: give recorded requests, or a rate in requests per second and lengths")
    rate_per_s /= turns
    if diurnal is None:
        return (Poisson(rate_per_s) if cv == 1.0 else Gamma(rate_per_s, cv)), None
    shape = read_daily_shape(diurnal)
    return Diurnal(rate_per_s, shape.factors, start_of_day_s, cv), shape.lengths


def workload_from_plain(options: Mapping[str, Any]) -> Workload:
    """The workload of a mapping of options, as it crosses mosaik or stands in a file; see `workload_from_options`.

    Raises
    ------
    InputError
        As `workload_from_options`, and if an option is unknown.

    Examples
    --------
    >>> workload_from_plain({"rate_per_s": 2.0, "lengths": "fixed:512:128", "horizon_s": 60}).exhausted
    False
    >>> workload_from_plain({"rate": 2.0})
    Traceback (most recent call last):
        ...
    simulators.errors.InputError: workload: unknown option 'rate', expected requests, format, rate_per_s, cv, ...
    """
    known = list(inspect.signature(workload_from_options).parameters)
    if unknown := sorted(set(options) - set(known)):
        raise InputError(f"workload: unknown option {unknown[0]!r}, expected {', '.join(known[:4])}, ...")
    return workload_from_options(**options)


def workload_files(options: Mapping[str, Any]) -> list[tuple[str, Path]]:
    """The files that a workload is read from: what each is, and its path.

    Examples
    --------
    >>> [(what, path.name) for what, path in workload_files({"rate_per_s": 1.0, "diurnal": "diurnal_day"})]
    [('daily shape of the traffic', 'diurnal_day.json')]
    """
    files: list[tuple[str, Path]] = []
    if (requests := options.get("requests")) is not None:
        return [("request trace", path) for path in trace_files(requests)]
    if (diurnal := options.get("diurnal")) is not None:
        if _is_rate_profile(diurnal):
            files.append(("rate profile", Path(diurnal)))
        else:
            files += [("daily shape of the traffic", path) for path in shape_files(diurnal)]
    if isinstance(lengths := options.get("lengths"), str):
        files += [("lengths of the requests", path) for path in lengths_files(lengths)]
    return files


class TrafficOptions(SessionOptions):
    """What a user may choose about the requests of a site.

    Examples
    --------
    >>> traffic = TrafficOptions(rate=0.5, lengths="fixed:600:250")
    >>> plain = traffic.workload(start_of_day_s=8 * 3600.0, span_s=86_400.0, seed=1)
    >>> plain["rate_per_s"], plain["diurnal"], plain["defer_window_s"]
    (0.5, 'diurnal_day', 28800.0)
    """

    trace: Path | None = Field(
        None,
        description="request trace instead of synthetic traffic (CSV: arrived_at, prefill_tokens, decode_tokens)",
    )
    rate: float = Field(1.5, gt=0, le=10**6, description="mean request rate, 1/s")
    lengths: str | None = Field(
        None,
        description="prompt and output lengths, e.g. zipf:1024:4096:0.6:20  [default: the daily shape's]",
    )
    diurnal: str = Field(
        "diurnal_day", description="daily shape of the request rate: a name in data/traffic or a file"
    )
    deferrable_share: float = Field(
        0.3, ge=0, le=1, description="share of the requests a policy may hold back"
    )
    defer_hours: float = Field(
        8.0, gt=0, le=8760, description="how long after its arrival a deferrable request must be complete, h"
    )
    independent: int = Field(
        1,
        ge=1,
        le=1000,
        description="clusters with requests of their own, each at --rate, that are simulated and that --mw stands for "
        "copies of: their fluctuation falls with the root of their number; 1: all copies see the same requests",
    )
    common_share: float = Field(
        0.0,
        ge=0,
        le=1,
        description="share of the requests that all --independent clusters see at the same time",
    )

    def workload(
        self, start_of_day_s: float, span_s: float, seed: int, hash_tokens: int | None = None
    ) -> dict[str, Any]:
        """Options for `workload_from_plain`.

        Parameters
        ----------
        start_of_day_s
            Local time of day at which the run starts, s after midnight.
        span_s
            Time in which requests arrive, s.
        seed
            Seed of everything that is drawn.
        hash_tokens
            Tokens that a hash of a request stands for where somebody looks at them.
        """
        deferral: dict[str, Any] = {
            "deferrable_share": self.deferrable_share,
            "defer_window_s": self.defer_hours * 3600,
            "seed": seed,
        }
        sessions = self.sessions()
        if sessions is not None:
            deferral["sessions"] = sessions
        if hash_tokens is not None:
            deferral["hash_tokens"] = hash_tokens
        if self.independent > 1:
            deferral |= {"clusters": self.independent, "common_share": self.common_share}
        if self.trace is not None:
            return {"requests": str(self.trace), "horizon_s": span_s, **deferral}
        return {
            "rate_per_s": self.rate,
            "lengths": self.lengths,
            "diurnal": self.diurnal,
            "start_of_day_s": start_of_day_s,
            "horizon_s": span_s,
            **deferral,
        }

    def files(self) -> list[tuple[str, Path]]:
        """The files the requests are read from: what each is, and its path.

        Raises
        ------
        InputError
            If the daily shape is unknown.
        """
        return workload_files(self.workload(0.0, 1.0, 0))
