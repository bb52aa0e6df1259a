"""Who gets what the recorder records: a folder on disk, memory, or whatever has the two methods of a `Sink`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Protocol, runtime_checkable

from numpy.typing import ArrayLike

from simulators.recorder.store import RunFolder


class Sink(Protocol):
    """Takes rows of tables, and hears how far the run is."""

    def rows(self, table: str, columns: Mapping[str, ArrayLike]) -> None:
        """Further rows of a table: arrays of one length, the same columns in every call."""
        ...

    def reached(self, simulated_s: int) -> None:
        """Everything before `simulated_s` (s from the start) is simulated; called after every step."""
        ...


@runtime_checkable
class StoringSink(Sink, Protocol):
    """A sink that outlives an interrupted run and wants whole steps in all its tables."""

    def uninterrupted(self) -> AbstractContextManager[None]:
        """Ctrl-C waits until the block is left."""
        ...

    def before_closing(self, flush: Callable[[], None]) -> None:
        """Register what hands over the rows that are still buffered."""
        ...


class FolderSink:
    """The tables of a `RunFolder` as a sink.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> with RunFolder(Path(tempfile.mkdtemp()) / "night") as folder:
    ...     FolderSink(folder).rows("timeseries", {"hour": [0, 1], "it_mw": [0.25, 0.5]})
    ...     folder.frame("timeseries")["it_mw"].tolist()
    [0.25, 0.5]
    """

    def __init__(self, folder: RunFolder) -> None:
        self._folder = folder

    def rows(self, table: str, columns: Mapping[str, ArrayLike]) -> None:
        """Append rows to ``<table>.parquet``."""
        self._folder.append(table, columns)

    def reached(self, simulated_s: int) -> None:
        """Note how far the run is."""
        self._folder.reached(simulated_s)

    def uninterrupted(self) -> AbstractContextManager[None]:
        """`RunFolder.uninterrupted`."""
        return self._folder.uninterrupted()

    def before_closing(self, flush: Callable[[], None]) -> None:
        """`RunFolder.before_closing`."""
        self._folder.before_closing(flush)
