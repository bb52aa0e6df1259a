"""Results on disk: whole or clearly marked as incomplete, never half-written, never at a user's cost.

A run writes into a hidden folder beside its target, `.<name>.partial-XXXXXXXX`. `RunFolder.finish` writes
``manifest.json``, the hash of every file WattLoop wrote, and puts the folder in its place. What of an older result
is unchanged goes; what the user added or changed is in the new folder (`swap` says exactly what is promised). If
the run stops before, by Ctrl-C, SIGTERM or an exception, everything simulated so far is flushed, the Parquet
footers are closed, and the folder becomes `<name>.incomplete` with a note that says how far it came.

A process killed outright (SIGKILL, out of memory, power cut) leaves the hidden folder as it is: the tables in it
lack their footer and cannot be read. The next run of the same name says that it lies there.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import sys
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pandas as pd
from numpy.typing import ArrayLike

from simulators.errors import InputError
from simulators.recorder import manifest, swap
from simulators.recorder.interruptions import Interruptions
from simulators.recorder.lock import Lock
from simulators.recorder.parquet import DESCRIBED, ParquetStream
from simulators.recorder.summary import plain, versions

NOTE = "INCOMPLETE.txt"
_OLDER = ("config.json", "summary.json")  # a result from before there were manifests


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

    Raises
    ------
    InputError
        If the target is a file, a link, a mount point, a folder with something in it that is no result of this
        version, or, on entering, if another process writes there.

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

    def __init__(self, out: Path | str, *, start: datetime | None = None, until_s: int | None = None) -> None:
        self.target = Path(os.path.abspath(out))
        self.start = start
        self.until_s = until_s
        self.simulated_s = 0
        self._folder: Path | None = None
        self._streams: dict[str, ParquetStream] = {}
        self._flushers: list[Callable[[], None]] = []
        self._interruptions = Interruptions()
        self._finished = False
        _check_replaceable(self.target)
        self._lock = Lock(self.target)

    @property
    def folder(self) -> Path:
        """Where the run's files lie at the moment: the hidden folder before `finish`, the target after it."""
        if self._folder is None:
            raise RuntimeError("RunFolder is used outside its with block")
        return self._folder

    def path(self, name: str) -> Path:
        """Path of a file in the run's folder, e.g. ``figures/carbon.png``; its parent is created."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def __enter__(self) -> Self:
        partial = self.target.with_name(f".{self.target.name}.partial-{secrets.token_hex(4)}")
        try:
            partial.parent.mkdir(parents=True, exist_ok=True)
            self._lock.__enter__()
            try:
                _mend(self.target)
                partial.mkdir()
            except BaseException:
                self._lock.__exit__(None, None, None)
                raise
        except OSError as error:
            raise InputError(
                f"{self.target}: cannot create a folder here ({error.strerror}), expected a writable place"
            ) from None
        self._folder = partial
        self._interruptions.watch()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if not self._finished:
                self._interruptions.ignore()  # a second Ctrl-C must not spoil the files
                self._keep_incomplete(error)
        finally:
            self._lock.__exit__(None, None, None)
            self._interruptions.unwatch()

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

    def write_json(self, name: str, content: Mapping[str, Any]) -> None:
        """Write JSON with sorted keys and finite numbers only: equal content gives equal bytes."""
        text = json.dumps(plain(content), sort_keys=True, indent=2, allow_nan=False, ensure_ascii=False)
        self.path(name).write_text(text + "\n", encoding="utf-8")

    def reached(self, simulated_s: int) -> None:
        """Note that everything before `simulated_s` (s from the start) is simulated."""
        self.simulated_s = max(self.simulated_s, simulated_s)

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
            _check_replaceable(self.target)
            self._put(self.target)
            self._finished = True
        return self.target

    def _put(self, target: Path) -> None:
        manifest.write(self.folder)
        _tell(target, swap.put(self.folder, target))
        self._folder = target

    def _flush(self) -> None:
        for flush in self._flushers:
            flush()

    def _keep_incomplete(self, error: BaseException | None) -> None:
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
        if self.simulated_s == 0 and not any(stream.rows for stream in self._streams.values()):
            shutil.rmtree(self.folder)
            return
        signal = self._interruptions.last
        cause = signal.name if signal else repr(error) if error else "finish() was not called"
        lines = [
            "This run did not finish; what was simulated until then is here.",
            f"Simulated until: {self._until()}",
            f"Stopped by: {cause}",
            *(f"{stream.path.name}: {stream.rows} rows" for stream in self._streams.values()),
            *troubles,
        ]
        self.path(NOTE).write_text("\n".join(lines) + "\n", encoding="utf-8")
        kept = self.target.with_name(f"{self.target.name}.incomplete")
        number = 1
        while not _is_incomplete_or_free(kept):
            number += 1
            kept = self.target.with_name(f"{self.target.name}.incomplete-{number}")
        self._put(kept)
        print(f"Stopped early: simulated until {self._until()}, kept in {kept}", file=sys.stderr)

    def _until(self) -> str:
        length = f"{self.simulated_s} s" + (f" of {self.until_s} s" if self.until_s is not None else "")
        if self.start is None:
            return length
        return f"{self.start + timedelta(seconds=self.simulated_s):%Y-%m-%d %H:%M:%S %Z} ({length})"


def heal(out: Path | str) -> None:
    """Put a result right whose writer was killed while it replaced an older one; for readers of results.

    Raises
    ------
    InputError
        If a process is writing there.
    """
    target = Path(os.path.abspath(out))
    with Lock(target):
        _mend(target)


def _mend(target: Path) -> None:
    """Finish what killed runs left undone, and say which of their folders lie there."""
    _check_replaceable(target)
    _tell(target, swap.mend(target))
    form = re.compile(rf"\.{re.escape(target.name)}\.partial-[0-9a-f]{{8}}")
    for path in sorted(target.parent.iterdir()):
        if form.fullmatch(path.name):
            _tell(target, [f"{path} is left of a run that was killed, and may be deleted"])


def _tell(target: Path, lines: list[str]) -> None:
    for line in lines:
        print(f"{target}: {line}", file=sys.stderr)


def _check_replaceable(target: Path) -> None:
    """Refuse a target that holds something else than a result with its manifest."""
    if not target.name:
        raise InputError(f"{target}: is not a name for a results folder, expected e.g. results/solar")
    if target.is_symlink() or (target.exists() and not target.is_dir()):
        raise InputError(f"{target}: is a file or a link, expected a results folder or a new name")
    if not target.is_dir():
        return
    if os.path.ismount(target):
        raise InputError(f"{target}: is a mount point, expected a results folder inside it")
    if any(target.iterdir()) and manifest.read(target) is None:
        if all((target / name).is_file() for name in _OLDER):
            raise InputError(
                f"{target}: holds a result without {manifest.MANIFEST}, of an earlier version or changed by hand; "
                "move or delete the folder, or choose another --out"
            )
        raise InputError(
            f"{target}: holds files that are not a finished result, "
            "expected a new or empty folder or an earlier result"
        )


def _is_incomplete_or_free(kept: Path) -> bool:
    """Whether an incomplete run may be put here: nothing is here, or an earlier one."""
    try:
        _check_replaceable(kept)
    except InputError:
        return False
    return not kept.is_dir() or not any(kept.iterdir()) or (kept / NOTE).exists()
