"""From what was asked for to a `Background`, and to the network that it is for."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from simulators.grid.background.background import Background, Part, following
from simulators.grid.background.file import File, covered
from simulators.grid.background.season import season
from simulators.grid.background.simbench import LENGTH_S, START, simbench_series
from simulators.grid.defaults import SEASON, SIMBENCH, background_note
from simulators.grid.network import Network
from simulators.grid.sources import load_network
from simulators.profiles.fileref import FileRef


@dataclass(frozen=True)
class Asked:
    """What a study says of its background.

    Attributes
    ----------
    source
        ``simbench``, ``season``, or a file; None: the network stands still.
    load, generation
        Factors on all loads and static generators of the network.
    timezone
        Whose days ``season`` goes by.
    """

    source: FileRef | None = None
    load: float = 1.0
    generation: float = 1.0
    timezone: str = "Europe/Berlin"


@dataclass(frozen=True)
class Steps:
    """The steps of a run: start (UTC), length of a step, s, and how many."""

    start: datetime
    step_s: int
    steps: int


def whole_span(source: FileRef | None) -> tuple[datetime, int]:
    """Start (UTC) and length, s, of all that a background has: a year where it has no dates."""
    path = None if source is None else str(source.path)
    if source is not None and path not in (SIMBENCH, SEASON):
        return covered(source)
    return (START, LENGTH_S) if path == SIMBENCH else (datetime(2023, 1, 1, tzinfo=UTC), 365 * 86_400)


def open_network(
    source: str | Path | Any, asked: Asked, steps: Steps, **options: Any
) -> tuple[Network, Background]:
    """A network and what its own elements do in a run.

    Parameters
    ----------
    source
        A ``pandapowerNet``, or what `load_network` takes.
    asked, steps
        Its background, and when.
    options
        Of `Network`.

    Raises
    ------
    InputError
        Whatever is wrong with the network or its background.

    Examples
    --------
    >>> from datetime import UTC
    >>> new_year = Steps(datetime(2023, 1, 1, tzinfo=UTC), 3600, 24)
    >>> network, background = open_network("cigre_mv", Asked(FileRef(path="season")), new_year)
    >>> winter = network.step([], powers=background.at(12))
    >>> winter.p_slack_mw / network.step([]).p_slack_mw > 1.2  # households draw a quarter more than in the mean
    True
    """
    name = str(source) if isinstance(source, str | Path) else ""
    net = load_network(source) if isinstance(source, str | Path) else source
    path = None if asked.source is None else str(asked.source.path)
    file = File(net, asked.source) if asked.source is not None and path not in (SIMBENCH, SEASON) else None
    if name:
        options.setdefault("name", Path(name).stem if Path(name).suffix == ".json" else name)
    network = Network(net, **options)
    start, step_s, count = steps.start, steps.step_s, steps.steps
    series, parts = np.zeros((count, 0)), list[Part]()
    if file is not None:
        series, parts = file.series(start, step_s, count), file.parts(network.draws)
    elif path == SIMBENCH:
        series, parts = simbench_series(network.net, network.draws, start, step_s, count)
    elif path == SEASON:
        series = season(start, step_s, count, asked.timezone)[:, None]
        parts = _all_loads(network)
    note = background_note(path, asked.load, asked.generation)
    return network, following(network.draws.own, series, parts, note, asked.load, asked.generation)


def _all_loads(network: Network) -> list[Part]:
    own = network.draws.own["load"]
    rows = np.arange(len(own.p_mw))
    return [Part("load", q, rows, np.zeros(len(rows), np.int64), getattr(own, q)) for q in ("p_mw", "q_mvar")]
