"""Writing fitted coefficients into a GPU's data sheet and leaving every other line as it is."""

from __future__ import annotations

import re
from pathlib import Path

from simulators.errors import InputError
from simulators.inference.power.fit import Shares
from simulators.inference.power.laws import COEFFICIENTS

_MEANING = {
    "busy": "whatever is running",
    "memory": "x MBU",
    "compute": "x sqrt(MFU), MFU against the bf16 peak",
    "waiting": "x share of communication, subtracted",
}


def class_table(group: str, shares: Shares, comments: list[str]) -> str:
    """The TOML table of one class of kernels, ending in a blank line."""
    lines = [f"[power.utilisation.{group}] # shares of tdp_w"]
    lines += [f"# {comment}" for comment in comments]
    lines += [f"{name} = {shares[name]:.4f} # {_MEANING[name]}" for name in COEFFICIENTS]
    return "\n".join(lines) + "\n\n"


def with_class_table(text: str, group: str, table: str) -> str:
    """`text` of a data sheet with the table of `group` replaced, or added at its end."""
    lines = text.splitlines(keepends=True)
    header = re.compile(rf"\s*\[power\.utilisation\.{re.escape(group)}\]")
    start = next((i for i, line in enumerate(lines) if header.match(line)), None)
    if start is None:
        return text.rstrip("\n") + "\n\n" + table.rstrip("\n") + "\n"
    end = next((i for i in range(start + 1, len(lines)) if lines[i].lstrip().startswith("[")), len(lines))
    joined = "".join(lines[:start]) + table + "".join(lines[end:])
    return joined.rstrip("\n") + "\n"


def write_shares(path: Path, tables: dict[str, str]) -> None:
    """Put the tables of `class_table` into the data sheet at `path`.

    Raises
    ------
    InputError
        If there is no data sheet to put them into.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(
            f"--out {path}: cannot be read ({error.strerror}), expected an existing data sheet"
        ) from None
    for group, table in tables.items():
        text = with_class_table(text, group, table)
    path.write_text(text, encoding="utf-8")
