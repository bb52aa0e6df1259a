"""Writing fitted prices into a GPU's data sheet and leaving every other line as it is."""

from __future__ import annotations

import json
import re
from pathlib import Path

from simulators.files import read_text
from simulators.inference.power.terms import Coefficients

_MEANING = {
    "active": "W while kernels run",
    "weights": "pJ/B",
    "experts": "pJ/B",
    "kv": "pJ/B",
    "flop16": "pJ/FLOP",
    "flop8": "pJ/FLOP",
    "padded": "pJ/FLOP, FP8 experts over padding",
    "unpacked": "pJ/FLOP, 4-bit experts in whole tiles",
    "logits": "pJ per logit sorted",
}


def prices_table(
    name: str,
    coefficients: Coefficients,
    source: str,
    spread: tuple[float, float],
    spread_from: str,
    comments: list[str],
) -> str:
    """The TOML table of one set of prices, ending in a blank line."""
    lines = [f"[power.energy.{name}] # prices of an iteration's terms, fitted to serving"]
    lines += [f"# {comment}" for comment in comments]
    lines += ['basis = "fitted"', f"source = {json.dumps(source)}"]
    lines += [f"low = {spread[0]:.3f} # factors on power above idle", f"high = {spread[1]:.3f}"]
    lines += [f"interval = {json.dumps(spread_from)}"]
    for term, price in coefficients._asdict().items():
        value = price if term == "active" else 1e12 * price
        lines.append(f"{term} = {value:.4g} # {_MEANING[term]}")
    return "\n".join(lines) + "\n\n"


def with_table(text: str, name: str, table: str) -> str:
    """`text` of a data sheet with the prices called `name` replaced, or added at its end."""
    lines = text.splitlines(keepends=True)
    header = re.compile(rf"\s*\[power\.energy\.{re.escape(name)}\]")
    start = next((i for i, line in enumerate(lines) if header.match(line)), None)
    if start is None:
        return text.rstrip("\n") + "\n\n" + table.rstrip("\n") + "\n"
    end = next((i for i in range(start + 1, len(lines)) if lines[i].lstrip().startswith("[")), len(lines))
    joined = "".join(lines[:start]) + table + "".join(lines[end:])
    return joined.rstrip("\n") + "\n"


def write_prices(path: Path, name: str, table: str) -> None:
    """Put the table of `prices_table` into the data sheet at `path`.

    Raises
    ------
    InputError
        If there is no data sheet to put it into.
    """
    text = read_text(path, f"--out {path}", "an existing data sheet")
    path.write_text(with_table(text, name, table), encoding="utf-8")
