"""Is this installation whole, what has it to work with, what could be added?

wattloop doctor
"""

from __future__ import annotations

import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import typer
from packaging.requirements import Requirement

from simulators.console import App

GIB = 2**30
LEAST_MEMORY_GIB = 1.0
"""The main scenario takes about half of it."""
EXTRAS = {
    "grid": "SimBench networks and their year profiles",
    "dask": "many runs on a Dask cluster",
    "gym": "a site as an environment for agents that learn",
    "measure": "power of your own GPUs",
    "dev": "tests, linter and types",
}
"""What each extra of the package is for."""
WARM_UP = "python -m simulators.inference.warmup"


class Finding(NamedTuple):
    """One line: what was looked at, what was found, and whether a run fails for it."""

    what: str
    found: str
    fatal: bool = False


def findings() -> Iterator[Finding]:
    """Everything that is looked at."""
    yield Finding(
        "Python", f"{platform.python_version()} on {platform.system()} {platform.machine()}", _too_old()
    )
    yield from machine()
    yield from packages()
    yield compiled_code()
    yield kept_numbers()
    yield data()
    yield from extras()


def _too_old() -> bool:
    return not (3, 11) <= sys.version_info[:2] < (3, 14)


def machine() -> Iterator[Finding]:
    """Cores, memory, room on the disk."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    yield Finding("CPU cores", f"{cores}; sweeps and policies run side by side, one run on one core")
    memory = _memory_gib()
    if memory is not None:
        short = memory < LEAST_MEMORY_GIB
        yield Finding(
            "memory", f"{memory:.1f} GiB{f', expected {LEAST_MEMORY_GIB:g} or more' if short else ''}", short
        )
    here = Path.cwd()
    free = shutil.disk_usage(here).free / GIB
    writable = os.access(here, os.W_OK)
    yield Finding(
        "this folder",
        f"{free:.0f} GiB free{'' if writable else '; cannot be written: say --out'}",
        fatal=free < 0.1,
    )


def _memory_gib() -> float | None:
    """Memory of the machine; None where nobody says."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / GIB
    except (AttributeError, ValueError, OSError):
        return None


def requirements(extra: str = "") -> list[Requirement]:
    """What the package needs here, of itself or for an extra.

    Examples
    --------
    >>> any(entry.name == "mosaik" for entry in requirements())
    True
    """
    found = []
    for text in metadata.requires("wattloop") or ():
        entry = Requirement(text)
        marker = entry.marker
        of_extra = marker is not None and "extra" in str(marker)
        if of_extra == bool(extra) and (marker is None or marker.evaluate({"extra": extra})):
            found.append(entry)
    return found


def lacking(entry: Requirement) -> str:
    """What is wrong with an installed package; empty if it is as required."""
    try:
        version = metadata.version(entry.name)
    except metadata.PackageNotFoundError:
        return "not installed"
    return (
        ""
        if entry.specifier.contains(version, prereleases=True)
        else f"{version}, expected {entry.specifier}"
    )


def packages() -> Iterator[Finding]:
    """The package itself, and what it rests on."""
    try:
        version = metadata.version("wattloop")
    except metadata.PackageNotFoundError:
        yield Finding("wattloop", "not installed, expected pip install . (or make install)", True)
        return
    yield Finding("wattloop", f"{version} in {Path(__file__).resolve().parents[1]}")
    needed = requirements()
    wrong = [(entry, reason) for entry in needed if (reason := lacking(entry))]
    for entry, reason in wrong:
        yield Finding(entry.name, f"{reason}: pip install '{entry.name}{entry.specifier}'", True)
    if not wrong:
        told = ", ".join(
            f"{name} {metadata.version(name)}" for name in ("mosaik", "numpy", "numba", "pandapower")
        )
        yield Finding("packages", f"all {len(needed)} as required: {told}, ...")


def compiled_code() -> Finding:
    """Whether the batch loop is compiled already."""
    what = "compiled code"
    if os.environ.get("NUMBA_DISABLE_JIT", "0") not in ("", "0"):
        return Finding(what, "switched off by NUMBA_DISABLE_JIT: runs take a hundred times as long")
    try:
        from simulators.compiled import cache_folder
        from simulators.inference.compiled import ROOM, SOURCES
    except ImportError as error:
        return Finding(what, f"cannot be loaded ({error})", True)
    own = os.environ.get("NUMBA_CACHE_DIR")
    folder = Path(own) if own else cache_folder(ROOM, SOURCES)
    if folder is None:
        return Finding(
            what, f"no folder that is yours alone to keep it in ({tempfile.gettempdir()}): every run compiles"
        )
    kept = sum(1 for _ in folder.rglob("*.nbi")) if folder.is_dir() else 0
    if kept:
        return Finding(what, f"warm, {kept} functions in {folder}")
    return Finding(what, f"cold: the first run takes some 20 s longer, or now: {WARM_UP}")


def kept_numbers() -> Finding:
    """Whether tables and series that were worked out before are read from disk."""
    what = "kept numbers"
    try:
        from simulators.derived import FOLDER, kept_in
    except ImportError as error:
        return Finding(what, f"cannot be read ({error})", True)
    folder = kept_in()
    if folder is None:
        said = os.environ.get(FOLDER)
        why = f"{FOLDER}={said}" if said else "no folder that is yours alone"
        return Finding(what, f"none ({why}): every run takes some 2 s longer to start")
    sizes = [path.stat().st_size for path in folder.glob("*.npz")]
    return Finding(what, f"{len(sizes)} files of {sum(sizes) / 1e6:.1f} MB in {folder}")


def data() -> Finding:
    """Whether sites, GPUs and models are there."""
    try:
        from simulators.inference.catalogue import gpu_names, model_names
        from simulators.profiles.site import known_sites
    except ImportError as error:
        return Finding("data", f"cannot be loaded ({error})", True)
    counts = [len(names()) for names in (known_sites, gpu_names, model_names)]
    return Finding("data", "{} sites, {} GPUs, {} models".format(*counts), fatal=not all(counts))


def extras() -> Iterator[Finding]:
    """What may be added, and the line that does."""
    try:
        names = metadata.metadata("wattloop").get_all("Provides-Extra") or []
    except metadata.PackageNotFoundError:
        return
    for name in names:
        missing = [entry for entry in requirements(name) if lacking(entry)]
        about = EXTRAS.get(name, "")
        if missing:
            lines = " ".join(f"'{entry.name}{entry.specifier}'" for entry in missing)
            yield Finding(f"extra {name}", f"{about}; pip install {lines}")
        else:
            yield Finding(f"extra {name}", f"{about}; installed")


def _command() -> None:
    """Tell versions, cores, memory, compiled code, data and extras; exit code 1 if a run would fail."""
    found = list(findings())
    width = max(len(entry.what) for entry in found)
    for entry in found:
        print(f"{'PROBLEM' if entry.fatal else 'ok':<7}  {entry.what:<{width}}  {entry.found}")
    problems = sum(entry.fatal for entry in found)
    print("ready: wattloop run" if not problems else f"{problems} to mend before a run")
    raise typer.Exit(1 if problems else 0)


def app() -> App:
    """The command."""
    return App.of(_command)


if __name__ == "__main__":
    app()()
