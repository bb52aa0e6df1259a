"""Results on disk: whole or clearly marked as incomplete, never half-written.

A run writes into a hidden folder beside its target, `.<name>.partial-XXXXXXXX`. `RunFolder.finish` renames it
to `<name>`; only then is an older result of that name removed. If the run stops before, by Ctrl-C, SIGTERM or
an exception, everything simulated so far is flushed, the Parquet footers are closed, and the folder becomes
`<name>.incomplete` with a note that says how far it came.
"""

from __future__ import annotations

import json
import secrets
import shutil
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, Self

import pandas as pd
from numpy.typing import ArrayLike

from simulators.errors import InputError
from simulators.recorder.parquet import ParquetStream
from simulators.recorder.summary import plain, versions

MARKS = ("config.json", "summary.json")  # what every finished result holds, and how one is recognised
NOTE = "INCOMPLETE.txt"


class RunFolder:
    """The folder of one run, as a context manager.

    Parameters
    ----------
    out
        Target folder, e.g. ``results/solar``. It may exist if it is empty or a finished result.
    start
        Start of the run, for the note in an incomplete folder.
    until_s
        Length of the run, s. If given, `finish` refuses a run that stopped earlier.

    Raises
    ------
    InputError
        If the target is a file, a link, or a folder with something in it that is not a result.
    """

    def __init__(self, out: Path | str, *, start: datetime | None = None, until_s: int | None = None) -> None:
        self.target = Path(out).absolute()
        self.start = start
        self.until_s = until_s
        self.simulated_s = 0
        self._folder: Path | None = None
        self._streams: dict[str, ParquetStream] = {}
        self._flushers: list[Callable[[], None]] = []
        self._handlers: dict[signal.Signals, Any] = {}
        self._guards = 0
        self._signal: signal.Signals | None = None  # the last one that came
        self._pending = False  # it came in a guarded block and is still to be raised
        self._finished = False
        _check_replaceable(self.target)

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
            partial.mkdir(parents=True)
        except OSError as error:
            raise InputError(
                f"{self.target}: cannot create a folder here ({error.strerror}), expected a writable place"
            ) from None
        self._folder = partial
        self._watch_signals()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if not self._finished:
                self._guards += 1  # a second Ctrl-C must not spoil the files; it has nothing left to stop
                self._keep_incomplete(error)
        finally:
            for number, handler in self._handlers.items():
                signal.signal(number, handler)
            self._handlers.clear()

    def append(self, table: str, columns: Mapping[str, ArrayLike] | pd.DataFrame) -> None:
        """Append rows to ``<table>.parquet``; every call brings the same columns, arrays of one length."""
        with self.uninterrupted():
            if table not in self._streams:
                self._streams[table] = ParquetStream(self.path(f"{table}.parquet"))
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
        """Note that everything before `simulated_s` (s from the start) has been handed over."""
        self.simulated_s = max(self.simulated_s, simulated_s)

    def before_closing(self, flush: Callable[[], None]) -> None:
        """Register a function that hands over what its owner still buffers; called before tables close."""
        self._flushers.append(flush)

    @contextmanager
    def uninterrupted(self) -> Iterator[None]:
        """Ctrl-C and SIGTERM wait until the block is left, so that what it writes is whole."""
        self._guards += 1
        try:
            yield
        finally:
            self._guards -= 1
        if self._pending and self._guards == 0:
            self._stop()

    def finish(self) -> Path:
        """Close everything and put the folder in its place; returns the target.

        Raises
        ------
        RuntimeError
            If the simulation stopped before `until_s`, or no ``summary.json`` was written.
        """
        if self._signal is not None:
            self._stop()  # a library in between swallowed the interruption
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
            _replace(self.folder, self.target)
            self._folder = self.target
            self._finished = True
        return self.target

    def _flush(self) -> None:
        for flush in self._flushers:
            flush()

    def _watch_signals(self) -> None:
        if threading.current_thread() is not threading.main_thread():
            return  # Python delivers signals to the main thread alone
        for name in ("SIGINT", "SIGTERM", "SIGHUP"):
            number = getattr(signal, name, None)
            # what the caller ignores (nohup, a shell's background job) stays ignored
            if number is not None and signal.getsignal(number) != signal.SIG_IGN:
                self._handlers[number] = signal.signal(number, self._on_signal)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self._signal = signal.Signals(number)
        self._pending = True
        if self._guards == 0:
            self._stop()

    def _stop(self) -> None:
        self._pending = False
        if self._signal == signal.SIGINT:
            raise KeyboardInterrupt
        if self._signal is not None:
            raise SystemExit(128 + self._signal)  # the shell's convention for a process ended by a signal

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
        cause = self._signal.name if self._signal else repr(error) if error else "finish() was not called"
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
        while kept.exists() and not (kept / NOTE).exists():  # somebody else's folder
            number += 1
            kept = self.target.with_name(f"{self.target.name}.incomplete-{number}")
        _replace(self.folder, kept)
        self._folder = kept
        print(f"Stopped early: simulated until {self._until()}, kept in {kept}", file=sys.stderr)

    def _until(self) -> str:
        length = f"{self.simulated_s} s" + (f" of {self.until_s} s" if self.until_s is not None else "")
        if self.start is None:
            return length
        return f"{self.start + timedelta(seconds=self.simulated_s):%Y-%m-%d %H:%M:%S %Z} ({length})"


def _check_replaceable(target: Path) -> None:
    """Refuse a target whose replacement would destroy something that is not a result."""
    if not target.name:
        raise InputError(f"{target}: is not a name for a results folder, expected e.g. results/solar")
    if target.is_symlink() or (target.exists() and not target.is_dir()):
        raise InputError(f"{target}: is a file or a link, expected a results folder or a new name")
    if target.is_dir() and any(target.iterdir()) and not all((target / mark).is_file() for mark in MARKS):
        raise InputError(
            f"{target}: holds files that are not a finished result (no {' and '.join(MARKS)}), "
            "expected a new or empty folder or an older result"
        )


def _replace(folder: Path, target: Path) -> None:
    """Put `folder` in the place of `target`; the old one is deleted only once the new one stands."""
    if not target.exists():
        folder.rename(target)
        return
    old = target.with_name(f".{target.name}.old-{secrets.token_hex(4)}")
    target.rename(old)
    try:
        folder.rename(target)
    except OSError:
        old.rename(target)
        raise
    shutil.rmtree(old)
