"""Where the data that come with the project lie: beside the packages in a checkout, inside them once installed."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent
_INSTALLED = _PACKAGE / "data"

ROOT = _PACKAGE.parent
"""The checkout, or the folder the packages are installed into; file names in reports are told from here."""

DATA = _INSTALLED if _INSTALLED.is_dir() else ROOT / "data"
"""Sites, profiles, GPUs, models, traffic and the paper's tables; sources and licences in its README.md."""


def shown(path: str | Path) -> str:
    """A file's name for reports: bundled ones from the folder `data`, all others as they are.

    Examples
    --------
    >>> shown(DATA / "gpus" / "h100.toml")
    'data/gpus/h100.toml'
    """
    try:
        return (Path("data") / Path(path).resolve().relative_to(DATA)).as_posix()
    except ValueError:
        return str(path)
