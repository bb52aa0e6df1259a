"""How a finished folder takes the place of an older one without losing either, or anything of the user's.

`put` renames the finished folder to ``.<name>.new-<digest>``, the digest being that of its manifest, links the
user's files of the older result into it, and swaps the two names in one step of the kernel (``renameat2`` with
``RENAME_EXCHANGE`` on Linux, ``renamex_np`` on macOS). What then lies under the hidden name is the old result;
it is emptied of what WattLoop wrote and the user did not change, and only then removed.

What is promised
    At every moment either the old or the new result stands whole under its name, whenever the process is killed.
    What a killed process left undone is done by `mend`, which every run calls first. Nothing is removed but
    files that the old manifest names and whose SHA-256 is as it was. Everything else, a note beside the report or
    a figure somebody drew over, is in the new folder under its own path, or, if the new result has a file there,
    under ``<stem>.kept<suffix>``, ``<stem>.kept-2<suffix>`` ... Links are kept as links and never followed.

What is not
    Where the system or the file system knows no exchange (Windows, some network drives), the old folder is
    renamed to ``.<name>.old-<digest>`` first, and a kill between two renames leaves nothing under the name until
    `mend`. A power cut may take with it what the disk had not written yet. A change to one of WattLoop's own
    files made between its last check and its removal, some microseconds, is lost.
"""

from __future__ import annotations

import ctypes
import errno
import filecmp
import os
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from simulators.recorder import incomplete, manifest

_DIGITS = 16  # of the digest, in names: enough to tell two results of one name apart


def put(folder: Path, target: Path) -> list[str]:
    """Put a folder with a manifest in the place of `target`, which is absent, empty, or holds a manifest too.

    Returns
    -------
    list of str
        One line for each file of the user's that had to give way to one of the new result's.
    """
    waiting = target.with_name(f".{target.name}.new-{manifest.digest(folder)[:_DIGITS]}")
    if waiting != folder:
        os.rename(folder, waiting)
    for name in set(incomplete.OF_A_RUN) - set(manifest.read(waiting) or incomplete.OF_A_RUN):
        (waiting / name).unlink(missing_ok=True)  # only now: without them its old name told nothing
    if not target.exists() or not any(target.iterdir()):
        if target.exists():
            target.rmdir()
        os.rename(waiting, target)
        return []
    told = _carry(target, waiting)
    old = waiting
    if not _exchange(waiting, target):
        old = target.with_name(f".{target.name}.old-{waiting.name[-_DIGITS:]}")
        os.rename(target, old)
        try:
            os.rename(waiting, target)
        except OSError:
            os.rename(old, target)
            raise
    return told + [line for line in _clear(old, target) if line not in told]


def mend(target: Path) -> list[str]:
    """Finish what a killed process left undone around `target`; returns the lines of `put`.

    Call it as the only writer of `target` (`lock.Lock`).
    """
    told: list[str] = []
    for folder in _left(target, "new"):
        if manifest.digest(folder).startswith(folder.name[-_DIGITS:]):
            told += put(folder, target)  # it was whole and only its place was missing
        elif target.exists():
            told += _clear(folder, target)
    for folder in _left(target, "old"):
        if target.exists():
            told += _clear(folder, target)
        else:
            os.rename(folder, target)
    return told


def _left(target: Path, kind: str) -> list[Path]:
    if not target.parent.is_dir():
        return []
    form = re.compile(rf"\.{re.escape(target.name)}\.{kind}-[0-9a-f]{{{_DIGITS}}}")
    return sorted(
        path
        for path in target.parent.iterdir()
        if form.fullmatch(path.name) and path.is_dir() and not path.is_symlink()
    )


def _carry(old: Path, new: Path) -> list[str]:
    """Link what is the user's in `old` into `new` too; what cannot be linked or copied is left to `_clear`."""
    told = []
    for name in manifest.foreign(old, manifest.read(old) or {}):
        goal = _goal(old / name, new, name)
        if goal is None:
            continue
        try:
            _double(old / name, goal)
        except OSError:
            continue
        told += _line(name, goal, new)
    return told


def _clear(old: Path, new: Path) -> list[str]:
    """Remove an old result, after whatever in it is the user's has come to `new`; the manifest goes last."""
    told = []
    files = manifest.read(old)
    if files is None and any(not _is_folder(old / name) for name in manifest.contents(old)):
        return [f"{old} holds files but no manifest, left as it is"]
    try:
        for name in list(manifest.contents(old)) if files is not None else ():
            if not manifest.ours(old, name, files or {}):
                told += _move(old / name, new, name)
            elif name != manifest.MANIFEST and not _is_folder(old / name):
                os.unlink(old / name)
        (old / manifest.MANIFEST).unlink(missing_ok=True)
        for place, _, _ in os.walk(old, topdown=False):
            os.rmdir(place)
    except OSError as error:
        told.append(f"{old}: the older result could not be removed ({error.strerror})")
    return told


def _move(path: Path, new: Path, name: str) -> list[str]:
    goal = _goal(path, new, name)
    if goal is not None:
        goal.parent.mkdir(parents=True, exist_ok=True)
        os.rename(path, goal)
        return _line(name, goal, new)
    if not _is_folder(path):
        os.unlink(path)
    return []


def _goal(path: Path, new: Path, name: str) -> Path | None:
    """Where the user's `path` goes in `new`: its own place, else one beside it; None if it is there already."""
    goal = new
    for part in Path(name).parts[:-1]:
        goal = next(place for place in _places(goal / part) if not _taken(place) or _is_folder(place))
    for place in _places(goal / path.name):
        if not _taken(place):
            return place
        if _same(path, place):
            return None
    raise AssertionError("unreachable: there is always a next place")


def _places(path: Path) -> Iterator[Path]:
    yield path
    yield path.with_name(f"{path.stem}.kept{path.suffix}")
    number = 2
    while True:
        yield path.with_name(f"{path.stem}.kept-{number}{path.suffix}")
        number += 1


def _taken(path: Path) -> bool:
    return os.path.lexists(path)


def _is_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


def _same(one: Path, other: Path) -> bool:
    if one.is_symlink() or other.is_symlink():
        return one.is_symlink() and other.is_symlink() and os.readlink(one) == os.readlink(other)
    if one.is_dir() or other.is_dir():
        return one.is_dir() and other.is_dir()
    if one.samefile(other):
        return True
    return one.is_file() and other.is_file() and filecmp.cmp(one, other, shallow=False)


def _double(path: Path, goal: Path) -> None:
    goal.parent.mkdir(parents=True, exist_ok=True)
    if path.is_symlink():
        os.symlink(os.readlink(path), goal)
    elif path.is_dir():
        goal.mkdir()
    else:
        try:
            os.link(path, goal)
        except OSError:
            if not path.is_file():
                raise
            # a copy cut short by a kill must not pass for the file: it takes its name when it is whole
            part = goal.with_name(f".{goal.name}.part")
            shutil.copy2(path, part)
            os.rename(part, goal)


def _line(name: str, goal: Path, new: Path) -> list[str]:
    now = goal.relative_to(new).as_posix()
    return [f"{name} was not as WattLoop wrote it, kept as {now}"] if now != name else []


def _exchange(one: Path, other: Path) -> bool:
    """Swap two names in one step; False where that is not to be had."""
    paths = os.fsencode(one), os.fsencode(other)
    libc: Any = ctypes.CDLL(None, use_errno=True) if os.name == "posix" else None
    if sys.platform == "linux" and hasattr(libc, "renameat2"):
        here, exchange = -100, 2  # AT_FDCWD (the paths are absolute), RENAME_EXCHANGE
        failed = libc.renameat2(here, paths[0], here, paths[1], exchange)
    elif sys.platform == "darwin" and hasattr(libc, "renamex_np"):
        failed = libc.renamex_np(*paths, 2)  # RENAME_SWAP
    else:
        return False
    if not failed:
        return True
    number = ctypes.get_errno()
    if number in (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP):
        return False
    raise OSError(number, os.strerror(number), str(other))
