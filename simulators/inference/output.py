"""Run a cluster until nothing is left to do, and put the results into files as it goes on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
from tqdm import tqdm

from simulators.errors import InputError
from simulators.inference.batching.state import ITERATION, REQUEST, Records
from simulators.inference.drive import Driver
from simulators.inference.interval import POOLS, SERIES, Interval, joined
from simulators.inference.metrics import Metrics

REQUEST_COLUMNS = (
    "request_id",
    "arrived_at",
    "prefill_tokens",
    "decode_tokens",
    "scheduled_at",
    "prefill_completed_at",
    "completed_at",
    "restarts",
)

LONGEST_PRELUDE_S = 30 * 86400.0
"""A run whose first request comes later was given something else than times from its start, e.g. Unix times."""

LONGEST_STALL_S = 30 * 86400.0
"""A run in which requests wait for longer, and none is finished, is not waited for: no server may ever come back."""


def run_to_end(
    driver: Driver,
    interval_s: float,
    out: Path,
    *,
    slo_ttft_s: float = 2.0,
    slo_tpot_s: float = 0.1,
    total_requests: int | None = None,
    reached: Callable[[int], None] = lambda simulated_s: None,
) -> dict[str, Any]:
    """Advance interval by interval until every request is done; write requests.csv, power.csv, iterations.csv.

    The files grow with the run and memory does not. requests.csv is in order of arrival: a request is written once all
    that arrived before it are finished or rejected.

    Parameters
    ----------
    driver
        What to run, and its requests, which must end.
    interval_s
        Length of an interval, s.
    out
        Folder for the files; made if need be.
    slo_ttft_s, slo_tpot_s
        For the goodput, s.
    total_requests
        For the progress bar.
    reached
        Called after each interval that has brought requests, with the seconds simulated.

    Returns
    -------
    dict
        The summary. Energy and means end with the last request's completion.

    Raises
    ------
    InputError
        If the workload holds no request, or none within `LONGEST_PRELUDE_S`; if none is finished for
        `LONGEST_STALL_S` although some wait.
    """
    out.mkdir(parents=True, exist_ok=True)
    cluster, metrics, until = driver.cluster, Metrics(slo_ttft_s, slo_tpot_s), 0.0
    served_s = 0.0
    with (
        tqdm(total=total_requests, unit="req", disable=None, delay=3, mininterval=0.5) as bar,
        _Files(out) as files,
    ):
        while not driver.idle or until == 0.0:
            if driver.arrived == 0 and until > LONGEST_PRELUDE_S:
                raise InputError(
                    f"workload: no request in the first {until / 86400:.0f} days, expected arrival times in s from the "
                    "start of the run"
                )
            until += interval_s
            interval = driver.advance(until)
            rows = cluster.bins_per_interval
            if driver.idle:  # nothing happens after the last completion: the run ends there
                interval, rows = driver.cut(interval)
            if interval.completed + interval.rejected or not cluster.outstanding:
                served_s = until
            elif until - served_s > LONGEST_STALL_S:
                raise InputError(
                    f"{cluster.outstanding} requests wait, and none was finished in the {LONGEST_STALL_S / 86400:.0f} "
                    f"days from {served_s:.0f} s on, expected replicas in service (--failures: start and end, s)"
                )
            metrics.add(interval)
            files.add(driver, interval, rows, interval_s / cluster.bins_per_interval)
            if driver.arrived:
                reached(int(interval.ends_at))
            bar.update(interval.completed + interval.rejected)
    if driver.arrived == 0:
        raise InputError("workload: no request in it, expected at least one")
    summary = metrics.summary(cluster)
    summary["simulated_s"] = metrics.span_s
    summary["energy_kwh"] = summary["gpu_energy_j"]["total"] / 3.6e6
    return summary


class _Files:
    """The tables of a run; also of one that is stopped halfway."""

    def __init__(self, out: Path) -> None:
        self._requests = _Csv(out / "requests.csv")
        self._power = _Csv(out / "power.csv")
        self._iterations = _Csv(out / "iterations.csv", lazy=True)
        self._waiting: Records = np.zeros(0, REQUEST)  # finished, but not all that arrived before are
        self._cached = self._apart = self._speculates = False

    def __enter__(self) -> _Files:
        return self

    def add(self, driver: Driver, interval: Interval, rows: int, width_s: float) -> None:
        """Write an interval: its first `rows` bins of `width_s`, its iterations and the requests whose turn it is."""
        cluster = driver.cluster
        self._cached = any(r.capacity.cache for r in cluster.replicas)
        self._apart = interval.pool_w is not None
        self._speculates = any(r.limits.depth for r in cluster.replicas)
        columns = {"time_s": interval.begins_at + width_s * np.arange(rows)}
        columns["power_w"] = interval.power_w[:rows]
        columns |= {name: interval.series[:rows, i] for i, name in enumerate(SERIES)}
        if interval.pool_w is not None:
            columns |= {name: interval.pool_w[:rows, i] for i, name in enumerate(POOLS)}
        self._power.write(columns)
        for number, replica in enumerate(cluster.replicas):
            log = replica.take_log()
            if len(log):
                self._iterations.write(
                    {"replica": np.full(len(log), number)}
                    | {name: log[name] for name in ITERATION.names or ()}
                )
        finished = joined([self._waiting, interval.finished])
        finished = finished[np.argsort(finished["request_id"], kind="stable")]
        first_to_come = min(cluster.unfinished()["request_id"], default=driver.arrived)
        ready = int(np.searchsorted(finished["request_id"], first_to_come))
        self._write_requests(finished[:ready])
        self._waiting = finished[ready:].copy()

    def _write_requests(self, requests: Records) -> None:
        columns = {name: requests[name] for name in REQUEST_COLUMNS}
        columns["energy_j"] = requests["prefill_j"] + requests["decode_j"]
        columns |= {name: requests[name] for name in ("prefill_j", "decode_j", "replica")}
        if self._apart:
            # those that end with their first token are handed over to nobody
            columns["handed_at"] = np.where(requests["handed_at"] > 0, requests["handed_at"], np.nan)
        if self._cached:
            columns |= {name: requests[name] for name in ("cached_tokens", "cached_j")}
        if self._speculates:
            columns |= {name: requests[name] for name in ("draft_j", "rejected_j")}
        self._requests.write(columns)

    def __exit__(self, *_: object) -> None:
        self._write_requests(self._waiting)
        for table in (self._requests, self._power, self._iterations):
            table.close()


class _Csv:
    """A CSV file written in parts, floats in full precision; with `lazy` only made if something is written."""

    def __init__(self, path: Path, lazy: bool = False) -> None:
        self._path = path
        self._writer: pa.csv.CSVWriter | None = None
        if lazy:
            path.unlink(missing_ok=True)

    def write(self, columns: dict[str, Any]) -> None:
        """Append rows."""
        table = pa.table({name: np.ascontiguousarray(values) for name, values in columns.items()})
        if self._writer is None:
            self._writer = pa.csv.CSVWriter(
                str(self._path), table.schema, write_options=pa.csv.WriteOptions(quoting_style="none")
            )
        self._writer.write(table)

    def close(self) -> None:
        """End the file."""
        if self._writer is not None:
            self._writer.close()
