"""Results on disk: whole or clearly marked as incomplete, never half-written, never at a user's cost.

A run writes into a folder beside its target, `<name>.incomplete`. `RunFolder.finish` writes ``manifest.json``, the hash
of every file WattLoop wrote, and puts the folder in its place. What of an older result is unchanged goes; what the user
added or changed is in the new folder (`swap` says exactly what is promised).

What can be lost
    A run stopped by Ctrl-C, SIGTERM or an exception loses nothing: everything simulated so far is written, each table
    becomes one file, and a note in the folder says how far the run came. A process killed outright (SIGKILL, out of
    memory, power cut) loses at most what it simulated in the last `SAVE_S` seconds of its life, or in its last
    step, where that takes longer; what is older can be read at once, with
    ``pandas.read_parquet("<name>.incomplete/timeseries")``. The next command that writes to the same place makes one
    file of each table, too, and says so. On a full disk, what was saved before stays readable.
"""

from __future__ import annotations

import errno
import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pandas as pd
from numpy.typing import ArrayLike

from simulators.errors import InputError, RunStopped
from simulators.recorder import incomplete, manifest, swap
from simulators.recorder.interruptions import Interruptions
from simulators.recorder.lock import Lock
from simulators.recorder.parquet import DESCRIBED, ParquetStream
from simulators.recorder.summary import plain, versions
from simulators.recorder.target import check_replaceable, mend, remove_begun, tell

SAVE_S = 10.0
"""Wall-clock seconds between two savings of a run."""

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS)


class RunFolder:
    """The folder of one run, as a context manager.

    Parameters
    ----------
    out
        Target folder, e.g. ``results/solar``. It may exist if it is empty or holds an earlier result.
    start
        Start of the run, for the note in an incomplete folder.
    until_s
        Length of the run, s. If given, `finish` refuses a run that stopped earlier.
    resume
        Open the incomplete run that came farthest, if it has a checkpoint; see `take_up`.

    Attributes
    ----------
    resuming
        Whether such a run was found.
    cannot_resume
        Why this run will have no checkpoint; empty: it may.

    Raises
    ------
    InputError
        If the target is a file, a link, a mount point, a folder with something in it that is no result of this
        version, or, on entering, if another process writes there.
    RunStopped
        On leaving, if the disk is full.

    Examples
    --------
    >>> import tempfile
    >>> out = Path(tempfile.mkdtemp()) / "night"
    >>> with RunFolder(out) as run:
    ...     run.append("timeseries", {"hour": [0, 1], "it_mw": [0.25, 0.5]})
    ...     run.write_json("summary.json", {"it_mwh": 0.75})
    ...     _ = run.finish()
    >>> sorted(path.name for path in out.iterdir())
    ['config.json', 'manifest.json', 'summary.json', 'timeseries.parquet']
    >>> pd.read_parquet(out / "timeseries.parquet")["it_mw"].tolist()
    [0.25, 0.5]
    """

    def __init__(
        self,
        out: Path | str,
        *,
        start: datetime | None = None,
        until_s: int | None = None,
        resume: bool = False,
    ) -> None:
        self.target = Path(os.path.abspath(out))
        self.start = start
        self.until_s = until_s
        self.simulated_s = 0
        self._folder: Path | None = None
        self._streams: dict[str, ParquetStream] = {}
        self._flushers: list[Callable[[], None]] = []
        self._interruptions = Interruptions()
        self._finished = False
        self._written: list[str] = []
        self._saved_at = time.monotonic()
        self._resume = resume
        self.resuming = False
        self.cannot_resume = ""
        check_replaceable(self.target)
        self._lock = Lock(self.target)

    @property
    def folder(self) -> Path:
        """Where the run's files lie at the moment: ``<name>.incomplete`` before `finish`, the target after it."""
        if self._folder is None:
            raise RuntimeError("RunFolder is used outside its with block")
        return self._folder

    def path(self, name: str) -> Path:
        """Path of a file or folder to be written in the run's folder, e.g. ``figures/carbon.png``; makes its parent."""
        path = self.folder / name
        if name not in self._written:
            self._written.append(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def __enter__(self) -> Self:
        self._interruptions.watch()
        try:
            with self._interruptions.guarded():
                self._open()
        except BaseException:
            if self._folder is not None and self._folder.is_dir() and not self.resuming:
                remove_begun(self._folder, [])
            self._lock.__exit__(None, None, None)
            self._interruptions.unwatch()
            raise
        return self

    def _open(self) -> None:
        try:
            self.target.parent.mkdir(parents=True, exist_ok=True)
            self._lock.__enter__()
            mend(self.target, tell_left=not self._resume)
            found = self._left() if self._resume else None
            self.resuming = found is not None
            self._folder = found or next(filter(incomplete.is_free, incomplete.places(self.target)))
            if not self.resuming:
                self._folder.mkdir(exist_ok=True)
                incomplete.begin(self._folder)
        except OSError as error:
            raise InputError(
                f"{self.target}: cannot create a folder here ({error.strerror}), expected a writable place"
            ) from None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if not self._finished and not self.resuming:
                self._interruptions.ignore()  # a second Ctrl-C must not spoil the files
                kept = self._keep_incomplete(error)
                if isinstance(error, OSError) and error.errno in _NO_ROOM:
                    where = (
                        f"what was simulated until {self._until()} is in {kept}"
                        if kept
                        else "nothing is kept"
                    )
                    raise RunStopped(f"{self.target}: {os.strerror(error.errno)}; {where}") from None
        finally:
            self._lock.__exit__(None, None, None)
            self._interruptions.unwatch()

    def _left(self) -> Path | None:
        """The incomplete run to go on with, None if none lies there."""
        runs = sorted(incomplete.left(self.target), key=incomplete.simulated_s, reverse=True)
        for folder in runs:
            if (folder / incomplete.CHECKPOINT).is_file():
                return folder
        for folder in runs:
            if reason := incomplete.progress(folder).get("cannot_resume"):
                raise InputError(f"--resume: {folder} cannot be gone on with: {reason}")
        tell(self.target, ["--resume: no checkpoint lies there, the run begins anew"])
        return None

    def take_up(self, simulated_s: int, rows: Mapping[str, int]) -> None:
        """Go on in the folder of the run that was found, from where its tables had so many rows each, by name.

        Until then that folder is as it was, whatever happens.
        """
        with self.uninterrupted():
            (self.folder / manifest.MANIFEST).unlink(missing_ok=True)
            incomplete.begin(self.folder)
            for name in incomplete.tables(self.folder):
                stream = ParquetStream.found(self.folder / f"{name}.parquet", rows.get(name, 0))
                if name in rows:
                    self._streams[name] = stream
                    self._written.append(stream.path.name)
            if missing := sorted(rows.keys() - self._streams.keys()):
                raise InputError(
                    f"--resume: {self.folder} has no table {missing[0]}, expected what the run saved"
                )
            self.simulated_s = simulated_s
            self.resuming = False

    def so_far(self, table: str) -> pd.DataFrame | None:
        """The rows of a table that were taken up; None if there are none."""
        return self._streams[table].frame() if table in self._streams else None

    @property
    def rows(self) -> dict[str, int]:
        """Rows of the tables so far, by name."""
        return {name: stream.rows for name, stream in self._streams.items()}

    def append(self, table: str, columns: Mapping[str, ArrayLike] | pd.DataFrame) -> None:
        """Append rows to ``<table>.parquet``; every call brings the same columns, arrays of one length."""
        with self.uninterrupted():
            if table not in self._streams:
                path = self.path(f"{table}.parquet")
                self._streams[table] = ParquetStream(path, described=DESCRIBED.get(table))
            self._streams[table].append(columns)

    def frame(self, table: str, columns: list[str] | None = None) -> pd.DataFrame:
        """Close a table for writing and read it back, all of it or some columns."""
        self._flush()
        stream = self._streams[table]
        stream.close()
        return pd.read_parquet(stream.path, columns=columns)

    def read_json(self, name: str) -> dict[str, Any]:
        """Read JSON that a run wrote into the folder.

        Raises
        ------
        InputError
            If it is not there or broken.
        """
        path = self.folder / name
        try:
            content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise InputError(f"{path}: cannot be read ({error}), expected what the run wrote") from None
        return content

    def write_json(self, name: str, content: Mapping[str, Any]) -> None:
        """Write JSON with sorted keys and finite numbers only: equal content gives equal bytes."""
        text = json.dumps(plain(content), sort_keys=True, indent=2, allow_nan=False, ensure_ascii=False)
        self.path(name).write_text(text + "\n", encoding="utf-8")

    def reached(self, simulated_s: int) -> None:
        """Note that everything before `simulated_s` (s from the start) is simulated; saves it if it is time to."""
        self.simulated_s = max(self.simulated_s, simulated_s)
        if time.monotonic() - self._saved_at >= SAVE_S:
            self.save()

    def save(self) -> None:
        """Write everything simulated so far, so that it outlives this process."""
        with self.uninterrupted():
            self._flush()
            for stream in self._streams.values():
                stream.save()
            self._note_progress()
            self._saved_at = time.monotonic()

    def _note_progress(self) -> None:
        rows = {stream.path.name: stream.rows for stream in self._streams.values()}
        content: dict[str, Any] = {
            "simulated_s": self.simulated_s,
            "until_s": self.until_s,
            "until": self._until(),
            "rows": rows,
        }
        if self.cannot_resume:
            content["cannot_resume"] = self.cannot_resume
        incomplete.write_progress(self.folder, content)

    def before_closing(self, flush: Callable[[], None]) -> None:
        """Register a function that hands over what its owner still buffers; called before tables close."""
        self._flushers.append(flush)

    def uninterrupted(self) -> AbstractContextManager[None]:
        """Ctrl-C and SIGTERM wait until the block is left, so that what it writes is whole."""
        return self._interruptions.guarded()

    def finish(self) -> Path:
        """Close everything and put the folder in its place; returns the target.

        Raises
        ------
        RuntimeError
            If the simulation stopped before `until_s`, or no ``summary.json`` was written.
        """
        if self._interruptions.last is not None:
            self._interruptions.stop()  # a library in between swallowed the interruption
        with self.uninterrupted():
            self._flush()
            if self.until_s is not None and self.simulated_s < self.until_s:
                raise RuntimeError(f"the simulation stopped at {self.simulated_s} s of {self.until_s} s")
            for stream in self._streams.values():
                stream.close()
            if not (self.folder / "summary.json").exists():
                raise RuntimeError("summary.json was not written")
            if not (self.folder / "config.json").exists():
                self.write_json("config.json", {"versions": versions()})
            check_replaceable(self.target)
            manifest.write(self.folder, self._written, passing=incomplete.OF_A_RUN)
            self._put(self.target)
            self._finished = True
        return self.target

    def _put(self, target: Path) -> None:
        tell(target, swap.put(self.folder, target))
        self._folder = target

    def _flush(self) -> None:
        for flush in self._flushers:
            flush()

    def _keep_incomplete(self, error: BaseException | None) -> Path | None:
        """Close what can be closed and say how far the run came; returns where it is kept, None if nothing is."""
        troubles = []

        def attempt(step: Callable[[], None]) -> None:
            try:
                step()
            except Exception as trouble:  # save the rest whatever one part's fate
                troubles.append(f"Lost on closing: {trouble!r}")

        for flush in self._flushers:
            attempt(flush)
        for stream in self._streams.values():
            attempt(stream.close)
        if self.simulated_s == 0 and not self._has_results():
            remove_begun(self.folder, self._written)
            return None
        signal = self._interruptions.last
        cause = signal.name if signal else repr(error) if error else "finish() was not called"
        attempt(self._note_progress)
        attempt(lambda: incomplete.settle(self.folder, self._until(), cause, troubles, self._written))
        attempt(self._replace_earlier)
        print(f"Stopped early: simulated until {self._until()}, kept in {self.folder}", file=sys.stderr)
        return self.folder

    def _has_results(self) -> bool:
        """Whether something was written that took work: rows, tables, figures."""
        others = [self.folder / name for name in self._written if name != "config.json"]
        return any(stream.rows for stream in self._streams.values()) or any(map(Path.is_file, others))

    def _replace_earlier(self) -> None:
        """Take the place of an earlier incomplete run that came no farther."""
        for kept in incomplete.left(self.target):
            if kept == self.folder:
                return
            if manifest.read(kept) is not None and incomplete.simulated_s(kept) <= self.simulated_s:
                return self._put(kept)

    def _until(self) -> str:
        length = f"{self.simulated_s} s" + (f" of {self.until_s} s" if self.until_s is not None else "")
        if self.start is None:
            return length
        return f"{self.start + timedelta(seconds=self.simulated_s):%Y-%m-%d %H:%M:%S %Z} ({length})"
