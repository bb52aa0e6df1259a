"""Where a result is to lie: what may be replaced there, and what earlier runs left undone."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from simulators.errors import InputError
from simulators.recorder import incomplete, manifest, swap
from simulators.recorder.lock import Lock

_OLDER = ("config.json", "summary.json")  # a result from before there were manifests


def heal(out: Path | str) -> None:
    """Put a result right whose writer was killed while it replaced an older one; for readers of results.

    Raises
    ------
    InputError
        If a process is writing there.
    """
    target = Path(os.path.abspath(out))
    with Lock(target):
        mend(target)


def discard_incomplete(target: Path) -> None:
    """Remove incomplete runs of a result that is there whole now; one with something of the user's stays."""
    for folder in incomplete.left(target):
        files = manifest.read(folder)
        if files is not None and not manifest.foreign(folder, files):
            shutil.rmtree(folder)


def mend(target: Path, tell_left: bool = True) -> None:
    """Finish what killed runs left undone, and say which incomplete ones lie there; one that saved nothing goes."""
    check_replaceable(target)
    tell(target, swap.mend(target))
    for folder in incomplete.left(target):
        if manifest.read(folder) is None:
            until = incomplete.settle_killed(folder)
            if until is None and not manifest.foreign(folder, manifest.read(folder) or {}):
                shutil.rmtree(folder)
                continue
            reached = f", until {until}," if until else ""
            tell(target, [f"an earlier run was killed; what it had saved{reached} is in {folder}"])
        elif tell_left:
            tell(target, [f"{folder} is left of an earlier run that did not finish"])


def remove_begun(folder: Path, written: list[str]) -> None:
    """Remove a folder in which nothing was simulated; what the user laid into it stays."""
    manifest.write(folder, [*written, *incomplete.OF_A_RUN])
    files = manifest.read(folder) or {}
    if any(not (folder / name).is_dir() for name in manifest.foreign(folder, files)):
        return
    shutil.rmtree(folder)


def tell(target: Path, lines: list[str]) -> None:
    for line in lines:
        print(f"{target}: {line}", file=sys.stderr)


def check_replaceable(target: Path) -> None:
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
