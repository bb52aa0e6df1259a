"""What WattLoop wrote into a results folder, by hash; everything else in it belongs to the user."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from simulators.recorder.summary import sha256

MANIFEST = "manifest.json"
FORMAT = "WattLoop results 1"  # tells ours from the manifest.json of a web page


class Entry(NamedTuple):
    """A file as it was written: its size, bytes, and its SHA-256."""

    size: int
    sha256: str


def write(folder: Path, written: Iterable[str] = (".",), passing: Iterable[str] = ()) -> str:
    """Write the manifest of what WattLoop wrote into a folder, itself left out; returns the manifest's SHA-256.

    Equal files give equal bytes.

    Parameters
    ----------
    folder
        A finished one.
    written
        Files and folders that were written in it; everything else in it is the user's. ``.``: all of it.
    passing
        Files of it that lie there only until the folder is in its place.
    """
    of_ours, left_out = [Path(name) for name in written], {MANIFEST, *passing}
    files = {
        name: {"size": (folder / name).stat().st_size, "sha256": sha256(folder / name)}
        for name in contents(folder)
        if name not in left_out
        and (folder / name).is_file()
        and not (folder / name).is_symlink()
        and any(Path(name).is_relative_to(one) for one in of_ours)
    }
    text = json.dumps({"format": FORMAT, "files": files}, sort_keys=True, indent=1, ensure_ascii=False)
    (folder / MANIFEST).write_text(text + "\n", encoding="utf-8")
    return digest(folder)


def digest(folder: Path) -> str:
    """SHA-256 of a folder's manifest; empty if it has none."""
    path = folder / MANIFEST
    return sha256(path) if path.is_file() and not path.is_symlink() else ""


def read(folder: Path) -> dict[str, Entry] | None:
    """Files by their path in the folder; None if there is no manifest of ours."""
    path = folder / MANIFEST
    if not path.is_file() or path.is_symlink():
        return None
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["format"] != FORMAT:
            return None
        return {
            name: Entry(int(entry["size"]), str(entry["sha256"])) for name, entry in content["files"].items()
        }
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def contents(folder: Path) -> Iterator[str]:
    """Everything that lies in a folder, by path, in a fixed order: files, links (never followed), empty folders."""
    for place, folders, files in os.walk(folder):
        folders.sort()
        here = Path(place).relative_to(folder)
        linked = [name for name in folders if (Path(place) / name).is_symlink()]
        for name in sorted([*files, *linked]):
            yield (here / name).as_posix()
        if not folders and not files and place != str(folder):
            yield here.as_posix()


def foreign(folder: Path, files: Mapping[str, Entry]) -> list[str]:
    """What in the folder is not ours, or not as we wrote it."""
    return [name for name in contents(folder) if not ours(folder, name, files)]


def ours(folder: Path, name: str, files: Mapping[str, Entry]) -> bool:
    """Whether something in the folder is a file as we wrote it, or a folder our files were in."""
    path = folder / name
    if path.is_symlink():
        return False
    if path.is_dir():
        return any(file.startswith(f"{name}/") for file in files)
    if name == MANIFEST:
        return True
    entry = files.get(name)
    if entry is None or not path.is_file():
        return False
    try:
        return path.stat().st_size == entry.size and sha256(path) == entry.sha256
    except OSError:  # cannot be read: then it cannot be told, and it stays
        return False
