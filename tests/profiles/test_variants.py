"""What editors, spreadsheets and mail programs do to a file changes nothing that is read from it."""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import lzma
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from simulators.errors import InputError
from tests.profiles.cases import CASES, Read, same


def separator(text: str) -> str:
    return max(",;\t", key=text.count)


def quoted(text: str) -> str:
    """Every cell in quotation marks, comments left alone."""
    mark, out = separator(text), []
    for line in text.split("\n"):
        if line.startswith("#") or mark not in line:
            out.append(line)
            continue
        made = io.StringIO()
        writer = csv.writer(made, delimiter=mark, quoting=csv.QUOTE_ALL, lineterminator="")
        writer.writerow(next(csv.reader([line], delimiter=mark)))
        out.append(made.getvalue())
    return "\n".join(out)


def padded(text: str) -> str:
    """An empty cell behind every row, as spreadsheets leave it."""
    mark = separator(text)
    return "\n".join(line + mark if line and line[0] != "#" else line for line in text.split("\n"))


def semicolons(text: str) -> str:
    return "\n".join(
        ";".join(next(csv.reader([line]))) if line and line[0] != "#" else line for line in text.split("\n")
    )


def as_bytes(change: Callable[[str], str]) -> Callable[[str, Path], Path]:
    def write(text: str, path: Path) -> Path:
        path.write_bytes(change(text).encode("utf-8"))
        return path

    return write


def raw(suffix: str, make: Callable[[str], bytes]) -> Callable[[str, Path], Path]:
    def write(text: str, path: Path) -> Path:
        target = Path(f"{path}{suffix}")
        target.write_bytes(make(text))
        return target

    return write


def zipped(text: str, path: Path) -> Path:
    target = Path(f"{path}.zip")
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr(f"folder/{path.name}", text.encode())
        made.writestr(f"__MACOSX/folder/._{path.name}", b"x")
        made.writestr("folder/.DS_Store", b"x")
    return target


# what is done, and whether a JSON survives it
VARIANTS: dict[str, tuple[Callable[[str, Path], Path], bool]] = {
    "byte order mark": (raw("", lambda text: b"\xef\xbb\xbf" + text.encode()), True),
    "CRLF": (as_bytes(lambda text: text.replace("\n", "\r\n")), True),
    "UTF-16 LE": (raw("", lambda text: text.encode("utf-16")), True),
    "UTF-16 BE": (raw("", lambda text: b"\xfe\xff" + text.encode("utf-16-be")), True),
    "Windows-1252": (raw("", lambda text: text.encode("cp1252", "replace")), True),
    "gz": (raw(".gz", lambda text: gzip.compress(text.encode())), True),
    "bz2": (raw(".bz2", lambda text: bz2.compress(text.encode())), True),
    "xz": (raw(".xz", lambda text: lzma.compress(text.encode())), True),
    "zip": (zipped, True),
    "blank lines behind": (as_bytes(lambda text: text + "\n\n  \n"), True),
    "no last line break": (as_bytes(str.rstrip), True),
    "another suffix": (raw(".TXT", str.encode), True),
    "quoted cells": (as_bytes(quoted), False),
    "empty last cells": (as_bytes(padded), False),
    "semicolons": (as_bytes(semicolons), False),
    "sep= line": (as_bytes(lambda text: f"sep={separator(text)}\n{text}"), False),
}

# these are refused: a spreadsheet cannot keep the layout, whose lines have different numbers of cells or none
REFUSED = {
    ("pvgis-hourly", "quoted cells"), ("pvgis-tmy", "quoted cells"), ("pvwatts", "semicolons"),
    ("pvwatts weather", "semicolons"), ("surfrad", "empty last cells"), ("surfrad", "sep= line"),
}  # fmt: skip


LONG = 2_000
"""Lines of a file from which on only changes of its cells are tried: bytes are unpacked and decoded alike for all."""


def tried(text: str) -> list[str]:
    names = [name for name, (_, of_json) in VARIANTS.items() if of_json or text[:1] not in "{["]
    if separator(text) != ",":
        names.remove("semicolons")
    return [n for n in names if not VARIANTS[n][1] or n == "CRLF"] if text.count("\n") > LONG else names


def outcome(read: Read, path: Path, expected: list[Any]) -> str:
    try:
        return "the same" if same(expected, read(path)) else "OTHER VALUES"
    except InputError as error:
        return f"refused: {error}"


@pytest.mark.parametrize("name", CASES)
def test_a_file_reads_the_same_however_it_was_saved(tmp_path, name):
    make, read = CASES[name]
    original = make(tmp_path)
    expected = read(original)
    text = original.read_text(encoding="utf-8").lstrip("\ufeff")
    for variant in tried(text):
        folder = tmp_path / variant.replace(" ", "-").replace("=", "")
        folder.mkdir()
        found = outcome(read, VARIANTS[variant][0](text, folder / original.name), expected)
        if (name, variant) in REFUSED:
            assert found.startswith("refused: ")
            assert "\n" not in found
        else:
            assert found == "the same", variant
