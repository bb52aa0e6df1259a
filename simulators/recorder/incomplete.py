"""What a run that did not finish leaves: a folder ``<name>.incomplete`` that says how far it came, and why no farther.

A run writes into such a folder from the start, so that a process killed outright (SIGKILL, out of memory, power cut)
leaves it too; whoever comes next (`settle`) makes one file of each table and writes down what happened. Folders of
several such runs are numbered, ``<name>.incomplete-2``.
"""

from __future__ import annotations

import json
import os
import re
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from simulators.recorder import manifest
from simulators.recorder.parquet import ParquetStream
from simulators.recorder.whole import whole

NOTE = "INCOMPLETE.txt"
PROGRESS = "progress.json"
CHECKPOINT = "checkpoint.npz"
OF_A_RUN = (NOTE, PROGRESS, CHECKPOINT)
"""What lies in the folder only until the run is finished."""

KILLED = "the process was killed without a chance to say so (SIGKILL, out of memory, power cut)"


def places(target: Path) -> Iterator[Path]:
    """Where incomplete runs of `target` lie, one after the other."""
    yield target.with_name(f"{target.name}.incomplete")
    number = 2
    while True:
        yield target.with_name(f"{target.name}.incomplete-{number}")
        number += 1


def is_free(place: Path) -> bool:
    """Whether a run may begin in a place: nothing is there, or what one left that was killed while it was begun."""
    if not os.path.lexists(place):
        return True
    return (
        place.is_dir()
        and not place.is_symlink()
        and {path.name for path in place.iterdir()} <= {f".{NOTE}.part"}
    )


def left(target: Path) -> list[Path]:
    """The incomplete runs that lie there; folders of somebody else are none."""
    if not target.parent.is_dir():
        return []
    form = re.compile(rf"{re.escape(target.name)}\.incomplete(?:-(\d+))?")
    found = [(form.fullmatch(path.name), path) for path in target.parent.iterdir()]
    runs = [
        (int(match[1] or 1), path)
        for match, path in found
        if match and path.is_dir() and not path.is_symlink() and _is_run(path)
    ]
    return [path for _, path in sorted(runs)]


def _is_run(folder: Path) -> bool:
    return (folder / NOTE).is_file() and not (folder / NOTE).is_symlink()


def progress(folder: Path) -> dict[str, Any]:
    """How far a run was when it last saved; empty if that cannot be told."""
    try:
        content = json.loads((folder / PROGRESS).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def simulated_s(folder: Path) -> int:
    """How far a run came that says so, s; 0 if it does not."""
    reached = progress(folder).get("simulated_s")
    return reached if isinstance(reached, int) else 0


def write_progress(folder: Path, content: Mapping[str, Any]) -> None:
    """Write how far a run is."""
    replace(folder / PROGRESS, json.dumps(content, sort_keys=True, indent=2) + "\n")


def begin(folder: Path) -> None:
    """Mark a folder as that of a run that is going on."""
    lines = [
        "This run is going on, or was killed without a chance to say so.",
        f"Written by: process {os.getpid()} on {socket.gethostname()}",
        f'Read what is saved with: pandas.read_parquet("{folder.name}/timeseries")',
    ]
    replace(folder / NOTE, "\n".join(lines) + "\n")


def settle(folder: Path, until: str, cause: str, troubles: list[str], written: list[str]) -> None:
    """Say in a folder what became of its run, and list what is WattLoop's in it."""
    rows = [f"{name}: {count} rows" for name, count in sorted(progress(folder).get("rows", {}).items())]
    lines = [
        "This run did not finish; what was simulated until then is here.",
        f"Simulated until: {until}",
        f"Stopped by: {cause}",
        *rows,
        *troubles,
    ]
    if (folder / CHECKPOINT).is_file():
        lines.append("The same command with --resume goes on from its last checkpoint.")
    elif reason := progress(folder).get("cannot_resume"):
        lines.append(f"It cannot be gone on with: {reason}")
    replace(folder / NOTE, "\n".join(lines) + "\n")
    manifest.write(folder, [*written, *OF_A_RUN])


def settle_killed(folder: Path) -> str | None:
    """Put right what a killed process left; returns how far it came, None if it had saved nothing."""
    troubles, rows = [], {}
    for table in tables(folder):
        path = folder / f"{table}.parquet"
        try:
            stream = ParquetStream.found(path)
            stream.close()
            rows[path.name] = stream.rows
        except (OSError, ValueError) as error:
            troubles.append(f"{table}: cannot be read ({error})")
    reached = progress(folder)
    if rows:
        write_progress(folder, reached | {"rows": rows})
    until = reached.get("until")
    settle(folder, str(until or "not known"), KILLED, troubles, [*rows, "config.json"])
    return str(until) if until or rows or troubles else None


def tables(folder: Path) -> list[str]:
    """Names of the tables of a run: files, or folders of parts."""
    found = set()
    for path in folder.iterdir():
        parts = path.is_dir() and any(part.stem.isdecimal() for part in path.glob("*.parquet"))
        whole = path.is_file() and path.suffix == ".parquet" and not path.name.startswith(".")
        if not path.is_symlink() and (parts or whole):
            found.add(path.stem if whole else path.name)
    return sorted(found)


def replace(path: Path, text: str) -> None:
    """Write a file so that either the old or the new one is there whole."""
    with whole(path) as made:
        made.write_text(text, encoding="utf-8")
