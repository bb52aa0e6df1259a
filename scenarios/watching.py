"""Who looks at a run while it goes on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from simulators.recorder.simulator import Sink


class Watcher(Sink, Protocol):
    """Wants the time series more often than it is stored.

    Attributes
    ----------
    every
        Steps between two hand-overs.
    """

    every: int

    def watching(self, network: Callable[[], dict[str, Any]] | None) -> None:
        """The world is made; `network` tells what the run did to its network so far, None where nobody here knows."""
        ...


class RowsAlone:
    """A watcher as its recorder sees it; how far the run is it hears as every listener does."""

    def __init__(self, watcher: Watcher) -> None:
        self.rows = watcher.rows

    def reached(self, simulated_s: int) -> None:
        """It has heard."""
