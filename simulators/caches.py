"""Folders in which to keep what takes long to make: beside the sources, else in a folder of the user's.

Machine code (`compiled.py`) and numbers that decide results (`derived.py`) are read from there, so a folder counts only
if nobody else can write to it.
"""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path


def private(folder: Path) -> bool:
    """Whether a folder is ours alone to write. Makes it if it is not there.

    On systems without owners and modes of that kind, the user's temporary folder is taken as private.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = folder.lstat()
    except OSError:
        return False
    if not stat.S_ISDIR(found.st_mode) or not os.access(folder, os.W_OK):
        return False
    if not hasattr(os, "getuid"):
        return True
    if not _ours(found):
        return False
    try:
        return all(map(_keeps, folder.resolve().parents)) and all(map(_ours_or_gone, folder.iterdir()))
    except OSError:
        return False


def _ours_or_gone(path: Path) -> bool:
    """Whether what lay in a folder is ours; others of our processes write there too, and rename what they wrote."""
    try:
        return _ours(path.lstat())
    except FileNotFoundError:
        return True


def _ours(found: os.stat_result) -> bool:
    """Whether nobody but us can have written it, nor can."""
    return found.st_uid == os.getuid() and not found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def _keeps(parent: Path) -> bool:
    """Whether others cannot put something else in the place of what is ours in a folder: it is ours or root's, and
    who else may write to it may not rename what others own."""
    found = parent.stat()
    if found.st_uid not in (0, os.getuid()):
        return False
    return not found.st_mode & (stat.S_IWGRP | stat.S_IWOTH) or bool(found.st_mode & stat.S_ISVTX)


def folder_for(room: Path, name: str) -> Path | None:
    """A folder of this name to keep something in for a room; None: nowhere that is safe.

    Parameters
    ----------
    room
        The folder of its sources.
    name
        What the folder is called.
    """
    owner = os.getuid() if hasattr(os, "getuid") else "user"
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") if _has_home() else None
    own = Path(tempfile.gettempdir()) / f"wattloop-{owner}"
    for folder in (room / "__pycache__", home / "wattloop" if home else own, own):
        if private(folder) and private(folder / name):
            return folder / name
    return None


def _has_home() -> bool:
    try:
        return Path.home().is_dir()
    except RuntimeError:
        return False
