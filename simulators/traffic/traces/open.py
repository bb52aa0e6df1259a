"""Opening a trace: find its format, check it, scale it, stream it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import simulators.traffic.traces.rows as rows
import simulators.traffic.traces.servegen as servegen
import simulators.traffic.traces.tables as tables
from simulators.errors import InputError
from simulators.quantities.requests import RequestBlock, Workload
from simulators.traffic.measured import Rows
from simulators.traffic.stream import Blocks, Merged, Stream, child_seeds, with_deferral
from simulators.traffic.traces.formats import LAYOUTS, SERVEGEN, SERVEGEN_FILE, Layout, detect


@dataclass(frozen=True)
class Trace:
    """A file and the format it is read in."""

    path: Path
    layout: Layout | None

    @property
    def format(self) -> str:
        """Name of the format."""
        return self.layout.name if self.layout else SERVEGEN


def recognise(path: str | Path, format: str = "auto") -> Trace:
    """Find a trace's format from its name and header.

    Raises
    ------
    InputError
        If the file is missing or is no trace, or the format's name is unknown.
    """
    path = Path(path)
    if format not in ("auto", SERVEGEN, *LAYOUTS):
        raise InputError(f"trace format {format}: unknown, expected auto, {', '.join(LAYOUTS)} or {SERVEGEN}")
    if not path.exists():
        raise InputError(f"{path}: no such file")
    if format == SERVEGEN or (format == "auto" and (path.is_dir() or SERVEGEN_FILE.search(path.name))):
        return Trace(path, None)
    if path.is_dir():
        raise InputError(f"{path}: is a folder, expected a file")
    layout = LAYOUTS[format] if format != "auto" else detect(tables.columns(path), str(path))
    return Trace(path, layout)


def trace_files(path: str | Path) -> list[Path]:
    """The files that a trace is read from: itself, or those of ServeGen's clients.

    Raises
    ------
    InputError
        If a folder holds none.
    """
    path = Path(path)
    if not path.is_dir() and not SERVEGEN_FILE.search(path.name):
        return [path]
    return [file for client in servegen.clients(path) for file in (client, servegen.dataset(client))]


def open_trace(
    path: str | Path,
    *,
    time_scale: float = 1.0,
    rate_scale: float = 1.0,
    max_requests: int | None = None,
    horizon_s: float | None = None,
    format: str = "auto",
    seed: int = 0,
    deferrable_share: float = 0.0,
    defer_window_s: float | tuple[float, float] = 3600.0,
    tenant: int = 0,
    check: bool = True,
    hash_tokens: int | None = None,
) -> Workload:
    """Requests from a recorded trace, read while time advances.

    Parameters
    ----------
    path
        The file; a folder for ServeGen's clients.
    time_scale
        Multiplies arrival times: 2 spreads the trace over twice the time, at half the rate. A deadline
        keeps its distance.
    rate_scale
        Multiplies the number of requests and keeps the time: below 1 each request stays with that
        probability; above, it is repeated, the repetitions placed at random between it and the request in
        front of it.
    max_requests, horizon_s
        End after so many requests, or before that time (s, after scaling).
    format
        One of azure, burstgpt, mooncake, servegen, table; ``auto`` looks at the file.
    seed
        Seed of whatever is drawn: deferral, rate scaling, ServeGen's requests.
    deferrable_share, defer_window_s
        See `SyntheticWorkload`.
    tenant
        Index written into requests that have none in the file.
    check
        Read the file once from end to end before the run, so that a bad row is reported at once and not after
        hours.
    hash_tokens
        Tokens that one of a request's hashes stands for: every row must have as many as its prompt needs. None: nobody
        looks at them.

    Raises
    ------
    InputError
        The file is missing, empty or broken (see `rows.requests`), or an option is out of range.

    Examples
    --------
    >>> from simulators.paths import DATA
    >>> block = open_trace(DATA / "traffic" / "sample_trace.csv", max_requests=3).take(until_s=np.inf)
    >>> len(block), bool((block.prefill_tokens >= 1).all())
    (3, True)
    """
    for name, scale in (("time scale", time_scale), ("rate scale", rate_scale)):
        if not (np.isfinite(scale) and scale > 0):
            raise InputError(f"{path}: the {name} must be a positive number, got {scale:g}")
    trace = recognise(path, format)
    # the third child, deferral, is the same as a synthetic workload's
    scale_seed, draw_seed, defer_seed = child_seeds(seed)

    def stream(blocks: Blocks, scaling: np.random.SeedSequence, deferral: np.random.SeedSequence) -> Stream:
        if time_scale != 1.0:
            blocks = _stretched(blocks, time_scale)
        if rate_scale != 1.0:
            blocks = _scaled(blocks, rate_scale, np.random.default_rng(scaling))
        blocks = with_deferral(blocks, deferrable_share, defer_window_s, deferral)
        return Stream(blocks, max_requests=max_requests, horizon_s=horizon_s)

    if trace.layout is not None:
        if check:
            _read_through(rows.requests(trace.path, trace.layout, hash_tokens=hash_tokens), max_requests)
        return stream(rows.requests(trace.path, trace.layout, tenant=tenant), scale_seed, defer_seed)
    files = servegen.clients(trace.path)
    seeds = zip(
        draw_seed.spawn(len(files)), scale_seed.spawn(len(files)), defer_seed.spawn(len(files)), strict=True
    )
    sources = [
        stream(servegen.requests(file, draw), scaling, deferral)
        for file, (draw, scaling, deferral) in zip(files, seeds, strict=True)
    ]
    for source in sources:
        _ = source.exhausted
    return sources[0] if len(sources) == 1 else Stream(_by_time(Merged(sources)), max_requests=max_requests)


def _read_through(blocks: Blocks, max_requests: int | None) -> None:
    count = 0
    for block in blocks:
        count += len(block)
        if max_requests is not None and count >= max_requests:
            return


def _by_time(source: Workload, step_s: float = 600.0) -> Iterator[RequestBlock]:
    """Several sources together as one iterator of blocks."""
    until_s = step_s
    while not source.exhausted:
        yield source.take(until_s)
        until_s += step_s


def _stretched(blocks: Blocks, time_scale: float) -> Iterator[RequestBlock]:
    for block in blocks:
        arrived_at = block.arrived_at * time_scale
        deadline = arrived_at + (block.deadline - block.arrived_at)
        yield replace(block.arriving(arrived_at), deadline=deadline)


def _scaled(blocks: Blocks, rate_scale: float, rng: np.random.Generator) -> Iterator[RequestBlock]:
    """Leave out or repeat requests at random; the order is kept."""
    whole, part = divmod(rate_scale, 1.0)
    before_s = np.inf
    for block in blocks:
        if not len(block):
            continue
        copies = int(whole) + (rng.random(len(block)) < part)
        source = np.repeat(np.arange(len(block)), copies)
        previous_s = np.concatenate(([min(before_s, block.arrived_at[0])], block.arrived_at[:-1]))
        before_s = float(block.arrived_at[-1])
        # the last of the copies is the request itself, the others lie between its predecessor and it
        itself = np.diff(source, append=-1) != 0
        back = np.where(itself, 0.0, rng.random(len(source)))
        gap_s = (block.arrived_at - previous_s)[source]
        arrived_at = block.arrived_at[source] - back * gap_s
        yield block[source].arriving(arrived_at[np.lexsort((arrived_at, source))])


def read_lengths(path: str | Path, format: str = "auto") -> Rows:
    """The lengths of a trace as a law to draw from, row by row.

    Raises
    ------
    InputError
        As `open_trace`; arrival times need not be there.
    """
    trace = recognise(path, format)
    if trace.layout is None:
        raise InputError(
            f"{path}: ServeGen's client files have no rows to draw from, use them as the requests"
        )
    prompts: list[NDArray[np.int32]] = []
    outputs: list[NDArray[np.int32]] = []
    for prefill, decode in rows.lengths(trace.path, trace.layout):
        prompts.append(prefill.astype(np.int32))
        outputs.append(decode.astype(np.int32))
    if not any(len(block) for block in prompts):
        raise InputError(f"{path}: the trace has no requests")
    return Rows(np.concatenate(prompts), np.concatenate(outputs))


def read_rates(path: str | Path) -> tuple[NDArray[np.float64], float]:
    """A rate profile: rates in 1/s and the length of its intervals in s, from the columns t_s, req_per_s.

    Raises
    ------
    InputError
        If the file is missing or broken, or its intervals are not of equal length.
    """
    blocks = list(rows.rates(Path(path)))
    starts_s = np.concatenate([start for start, _ in blocks]) if blocks else np.zeros(0)
    if len(starts_s) < 2:
        raise InputError(f"{path}: a rate profile needs at least two rows")
    steps_s = np.diff(starts_s)
    uneven = np.flatnonzero(np.abs(steps_s - steps_s[0]) > 1e-6 * abs(steps_s[0]))
    if len(uneven) or steps_s[0] <= 0:
        where = tables.row_name(Path(path), int(uneven[0]) + 1 if len(uneven) else 1)
        raise InputError(f"{path}: {where}: t_s must ascend in equal intervals")
    return np.concatenate([rate for _, rate in blocks]), float(steps_s[0])
