"""Faults that any file may have: of what it is, of its bytes, of its text."""

from __future__ import annotations

import gzip
import io
import os
import zipfile
from collections.abc import Callable
from pathlib import Path


def _written(path: Path, raw: bytes) -> str:
    path.write_bytes(raw)
    return str(path)


def _folder(path: Path, raw: bytes) -> str:
    path.mkdir()
    return str(path)


def _loop(path: Path, raw: bytes) -> str:
    path.symlink_to(path)
    return str(path)


def _pipe(path: Path, raw: bytes) -> str:
    os.mkfifo(path)
    return str(path)


def _zero(path: Path, raw: bytes) -> str:
    path.symlink_to("/dev/zero")
    return str(path)


def _long_name(path: Path, raw: bytes) -> str:
    return str(path.with_name("n" * 300 + path.name))


def _nul_in_name(path: Path, raw: bytes) -> str:
    return str(path.with_name("a\0" + path.name))


def _escape_in_name(path: Path, raw: bytes) -> str:
    return str(path.with_name("a\x1b[31m" + path.name))


def _missing(path: Path, raw: bytes) -> str:
    return str(path)


def _empty(path: Path, raw: bytes) -> str:
    return _written(path, b"")


def _nul(path: Path, raw: bytes) -> str:
    half = len(raw) // 2
    return _written(path, raw[:half] + b"\0" + raw[half:])


def _garbage(path: Path, raw: bytes) -> str:
    return _written(path, bytes(range(1, 256)) * 8)


def _blanks(path: Path, raw: bytes) -> str:
    return _written(path, b" \n" * 40)


def _deep(path: Path, raw: bytes) -> str:
    opening = b"a = " if path.suffix == ".toml" else b"x = " if path.suffix == ".py" else b""
    return _written(path, opening + b"[" * 100_000)


def _digits(path: Path, raw: bytes) -> str:
    number = b"9" * 6000
    start = b"days = " if path.suffix == ".toml" else b'{"days": ' if path.suffix == ".json" else b""
    end = b"}" if path.suffix == ".json" else b""
    if path.suffix in (".csv", ".py"):
        return _written(path, raw + b"\n" + number + b"," + number + b"\n1 +\n")
    return _written(path, start + number + end)


def _flipped_gzip(path: Path, raw: bytes) -> str:
    packed = bytearray(gzip.compress(raw * 2, mtime=0))
    packed[len(packed) // 2] ^= 0x55
    packed[-6] ^= 0xFF
    return _written(path, bytes(packed))


def _cut_gzip(path: Path, raw: bytes) -> str:
    return _written(path, gzip.compress(raw, mtime=0)[:-9])


def _zip(raw: bytes) -> bytearray:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("a.csv", raw)
    return bytearray(held.getvalue())


def _encrypted_zip(path: Path, raw: bytes) -> str:
    packed = _zip(raw)
    packed[6] |= 1
    packed[packed.rindex(b"PK\x01\x02") + 8] |= 1
    return _written(path, bytes(packed))


def _flipped_zip(path: Path, raw: bytes) -> str:
    packed = _zip(raw)
    packed[45] ^= 0x7F
    return _written(path, bytes(packed))


def _utf_16(path: Path, raw: bytes) -> str:
    return _written(path, b"\xff\xfe\x00\xd8" + raw.decode().encode("utf-16-le"))


FAULTS: dict[str, Callable[[Path, bytes], str]] = {
    made.__name__.strip("_"): made
    for made in (
        _folder, _loop, _pipe, _zero, _long_name, _nul_in_name, _escape_in_name, _missing, _empty, _nul, _garbage,
        _blanks, _deep, _digits, _flipped_gzip, _cut_gzip, _encrypted_zip, _flipped_zip, _utf_16,
    )
}  # fmt: skip
"""By name: makes a wrong file at a path out of the bytes of a right one, and gives its name back."""
