"""The bytes of a file, out of whatever it is packed in; and what it is if it is no profile at all."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import io
import lzma
import re
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import IO

from simulators.errors import InputError

MOST_BYTES = 1 << 29
"""A profile of a minute's values over ten years in twenty columns has less."""

_BOMB_BYTES, _BOMB_RATIO = 1 << 26, 100
"""What unpacks to more than the first and to that many times its size is no table of measurements."""

_CHUNK = 1 << 24
_BRACED = re.compile(r"(.+\.zip)\{(.+)\}", re.IGNORECASE)
# what file managers add by themselves is no file of the user's
_HIDDEN = re.compile(r"(^|/)(__MACOSX/|\._|\.DS_Store$|Thumbs\.db$|desktop\.ini$)")
_OTHERS = (
    (b"%PDF", "a PDF"), (b"7z\xbc\xaf\x27\x1c", "a 7z archive"), (b"Rar!", "a RAR archive"),
    (b"\x28\xb5\x2f\xfd", "packed with zstd"), (b"\xd0\xcf\x11\xe0", "an Excel or Word file"),
    (b"SQLite format 3", "an SQLite database"), (b"\x89HDF", "an HDF5 or NetCDF file"), (b"CDF\x01", "a NetCDF file"),
    (b"CDF\x02", "a NetCDF file"), (b"GRIB", "a GRIB file"), (b"ARROW1", "a Feather file"), (b"\x89PNG", "a picture"),
    (b"version https://git-lfs", "a pointer to a file that Git LFS holds elsewhere"),
)  # fmt: skip


_PACKED: tuple[tuple[bytes, Callable[[io.BytesIO], gzip.GzipFile | bz2.BZ2File | lzma.LZMAFile]], ...] = (
    (b"\x1f\x8b", lambda held: gzip.GzipFile(fileobj=held)),
    (b"BZh", bz2.BZ2File),
    (b"\xfd7zXZ\x00", lzma.LZMAFile),
)


def on_disk(path: Path) -> Path:
    """The file a path means on disk: that of an archive for a member of it."""
    braced = _BRACED.fullmatch(str(path))
    if braced:
        return Path(braced[1])
    archive = next((parent for parent in path.parents if parent.suffix.lower() == ".zip"), None)
    return archive if archive is not None and archive.is_file() else path


def read_bytes(path: Path) -> tuple[bytes, str]:
    """Read a file, or a zip's member, named ``a.zip/b.csv`` or ``a.zip{b.csv}``; (content, sha256 of the file).

    Raises
    ------
    InputError
        If there is none, it is damaged, encrypted, too large, or something else than a profile.
    """
    there = on_disk(path)
    raw = _on_disk_bytes(there, path)
    digest = hashlib.sha256(raw).hexdigest()
    try:
        for _ in range(2):  # a member of an archive may be packed once more
            raw = _unpacked(raw, there, path)
    except InputError:
        raise
    except (OSError, EOFError, ValueError, zipfile.BadZipFile, zlib.error, lzma.LZMAError) as error:
        raise InputError(f"{path}: damaged archive ({error})") from error
    except NotImplementedError as error:
        raise InputError(
            f"{path}: is packed in a way unknown here ({error}); expected it unpacked"
        ) from error
    except RuntimeError as error:
        raise InputError(f"{path}: is encrypted; expected it without a password") from error
    if not raw.strip():
        raise InputError(f"{path}: the file is empty; expected a header and at least two rows")
    other = next((name for magic, name in _OTHERS if raw.startswith(magic)), None)
    if other is None and re.match(rb"\s*(<!DOCTYPE html|<html)", raw[:200], re.IGNORECASE):
        other = "a web page (a login, or an error in place of the download)"
    if other is not None:
        raise InputError(f"{path}: is {other}; expected CSV, JSON or parquet")
    return raw, digest


def _on_disk_bytes(there: Path, path: Path) -> bytes:
    try:
        if not there.exists():
            raise InputError(f"{path}: no such file")
        if there.is_dir():
            raise InputError(f"{path}: is a folder; expected a file")
        if not there.is_file():
            raise InputError(f"{path}: is a pipe or a device; expected a file")
        if there.stat().st_size > MOST_BYTES:
            raise InputError(
                f"{path}: has more than {MOST_BYTES >> 20} MiB; expected the part that is needed"
            )
        return there.read_bytes()
    except InputError:
        raise
    except ValueError as error:
        raise InputError(f"{str(path)!r}: no such file ({error})") from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error


def _unpacked(raw: bytes, there: Path, path: Path) -> bytes:
    """What is packed, if it is; else the bytes themselves."""
    if raw[:2] == b"PK" and raw[2:4] in (b"\x03\x04", b"\x05\x06"):
        return _zip_member(raw, there, path)
    for magic, opened in _PACKED:
        if raw.startswith(magic):
            with opened(io.BytesIO(raw)) as packed:
                return _all_of(packed, len(raw), path)
    return raw


def _all_of(packed: io.BufferedIOBase | IO[bytes], size: int, path: Path) -> bytes:
    """Unpack piece by piece, so that a small file cannot fill the memory."""
    parts: list[bytes] = []
    total = 0
    while part := packed.read(_CHUNK):
        parts.append(part)
        total += len(part)
        if total > MOST_BYTES or (total > _BOMB_BYTES and total > _BOMB_RATIO * size):
            raise InputError(
                f"{path}: unpacks to more than {total >> 20} MiB; expected a table of measurements"
            )
    return b"".join(parts)


def _zip_member(raw: bytes, archive: Path, path: Path) -> bytes:
    with zipfile.ZipFile(io.BytesIO(raw)) as opened:
        members = [name for name in opened.namelist() if not name.endswith("/") and not _HIDDEN.search(name)]
        if "xl/workbook.xml" in members:
            raise InputError(f"{path}: is an Excel workbook; expected its sheet saved as CSV")
        braced = _BRACED.fullmatch(str(path))
        wanted = braced[2] if braced else path.relative_to(archive).as_posix() if path != archive else ""
        if not wanted and len(members) == 1:
            wanted = members[0]
        if wanted not in members:
            listed = f"{', '.join(members[:10])}{' ...' if len(members) > 10 else ''}"
            raise InputError(
                f"{path}: holds {len(members)} files; expected one, or name it as "
                f"{archive}/{members[0] if members else 'FILE'} (there are {listed or 'none'})"
            )
        with opened.open(wanted) as member:
            return _all_of(member, opened.getinfo(wanted).compress_size, path)
