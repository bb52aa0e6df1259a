"""What is no profile, or a damaged one, is named in one line."""

from __future__ import annotations

import gzip
import io
import os
import random
import zipfile
from pathlib import Path

import pandas as pd
import pytest

from simulators.errors import InputError
from simulators.profiles.readers import read_csv_profile

GOOD = "time,price[EUR/MWh]\n" + "".join(
    f"{t:%Y-%m-%d %H:%M},{i}\n" for i, t in enumerate(pd.date_range("2024-01-01", periods=48, freq="h"))
)


def refusal(path: Path | str) -> str:
    with pytest.raises(InputError) as caught:
        read_csv_profile(path, "price")
    line = str(caught.value)
    assert "\n" not in line
    assert len(line) < 500
    return line


def archive(name: str = "a.csv", text: str = GOOD) -> bytearray:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as opened:
        opened.writestr(name, text)
    return bytearray(made.getvalue())


def encrypted() -> bytes:
    raw = archive()
    raw[6] |= 1
    raw[raw.find(b"PK\x01\x02") + 8] |= 1
    return bytes(raw)


def unknown_method() -> bytes:
    raw = archive()
    raw[8] = 99
    raw[raw.find(b"PK\x01\x02") + 10] = 99
    return bytes(raw)


def flipped(raw: bytes, at: int) -> bytes:
    return raw[:at] + bytes([raw[at] ^ 255]) + raw[at + 1 :]


def no_members() -> bytes:
    made = io.BytesIO()
    zipfile.ZipFile(made, "w").close()
    return made.getvalue()


PACKED = gzip.compress(GOOD.encode())
BYTES = {
    "truncated gz": (PACKED[: len(PACKED) // 2], "damaged archive"),
    "flipped gz": (flipped(PACKED, 60), "damaged archive"),
    "garbage behind gz": (PACKED + b"garbage", "damaged archive"),
    "truncated zip": (bytes(archive()[:-30]), "damaged archive"),
    "flipped zip": (flipped(bytes(archive()), 50), "damaged archive"),
    "encrypted zip": (encrypted(), "is encrypted; expected it without a password"),
    "zip of an unknown method": (unknown_method(), "is packed in a way unknown here"),
    "empty zip": (no_members(), "holds 0 files"),
    "zeros": (gzip.compress(b"0" * (200 << 20), 1), "unpacks to more than"),
    "PDF": (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n", "is a PDF"),
    "old Excel": (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), "is an Excel or Word file"),
    "SQLite": (b"SQLite format 3\0" + bytes(200), "is an SQLite database"),
    "HDF5": (b"\x89HDF\r\n\x1a\n" + bytes(200), "is an HDF5 or NetCDF file"),
    "Feather": (b"ARROW1\0\0" + bytes(200), "is a Feather file"),
    "7z": (b"7z\xbc\xaf\x27\x1c" + bytes(40), "is a 7z archive"),
    "zstd": (b"\x28\xb5\x2f\xfd" + bytes(40), "is packed with zstd"),
    "a login page": (b"<!DOCTYPE html>\n<html><body><p>Sign in</p></body></html>\n", "is a web page"),
    "Git LFS": (b"version https://git-lfs.github.com/spec/v1\noid sha256:a\nsize 1\n", "Git LFS holds elsewhere"),
    "NUL inside": (GOOD.encode().replace(b",20\n", b",\x0020\n"), "row 22 (line of the file): is not a text"),
    "NUL behind": (GOOD.encode() + bytes(5000), "row 50 (line of the file): is not a text file there"),
    "a number of five million digits": (GOOD.replace(",20\n", f",{'1' * 5_000_000}\n").encode(), "is not a number"),
    "twenty thousand columns": (
        (",".join(["time", *"c" * 20_000]) + "\n" + ("2024-01-01" + ",1" * 20_000 + "\n") * 2).encode(),
        "has 20001 columns; expected at most 2000",
    ),
    "nested JSON": (b"[" * 100_000, "damaged JSON"),
    "an endless integer in JSON": (b'{"data":[{"point_time":' + b"9" * 5000 + b"}]}", "damaged JSON"),
    "two columns of one name": (GOOD.replace("time,price[EUR/MWh]", "time,price[EUR/MWh],price[EUR/MWh]")
                                .replace(":00,", ":00,7,").encode(), "two columns are called 'price[EUR/MWh]'"),
    "a price below every number": (GOOD.replace(",20\n", ",1e-320\n").encode(), "'1e-320' in column"),
    "underscores": (GOOD.replace(",20\n", ",1_000\n").encode(), "'1_000' in column"),
    "hexadecimal": (GOOD.replace(",20\n", ",0x10\n").encode(), "'0x10' in column"),
    "digits of another script": (GOOD.replace(",20\n", ",١٢\n").encode(), "'١٢' in column"),
    "infinite": (GOOD.replace(",20\n", ",inf\n").encode(), "price inf in column"),
    "the year 1": (GOOD.replace("2024-", "0001-").encode(), "is not a time"),
    "30 February": (GOOD.replace("2024-01-02", "2024-02-30").encode(), "row 26"),
}  # fmt: skip


@pytest.mark.parametrize("name", BYTES)
def test_bytes(tmp_path, name):
    """Flipped, encrypted and unknown archives ended in a traceback; a number of millions of digits was shown."""
    raw, said = BYTES[name]
    path = tmp_path / "file"
    path.write_bytes(raw)
    assert said in refusal(path)


def test_what_is_no_file(tmp_path):
    """A pipe was waited for, for ever."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    assert "is a pipe or a device" in refusal(pipe)
    assert "is a folder" in refusal(tmp_path)
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    assert "no such file" in refusal(tmp_path / "link")
    assert "no such file" in refusal("a\0b.csv")
    assert "cannot be read" in refusal("x" * 300)


def test_a_member_of_a_member(tmp_path):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as made:
        made.writestr("deep/a.csv.gz", PACKED)
        made.writestr("b.csv", GOOD)
    assert len(read_csv_profile(path / "deep" / "a.csv.gz", "price").values) == 48
    assert "holds 2 files; expected one" in refusal(path)


def parquet(folder: Path) -> Path:
    times = pd.date_range("2024-01-01", periods=48, freq="h")
    pd.DataFrame({"time": times, "price[EUR/MWh]": range(48)}).to_parquet(folder / "p.parquet")
    return folder / "p.parquet"


def test_damaged_parquet(tmp_path):
    """Flipped bytes ended in tracebacks: of the metadata, of the times."""
    raw = parquet(tmp_path).read_bytes()
    chance = random.Random(1)
    for _ in range(300):
        broken = bytearray(raw)
        for _ in range(chance.choice((1, 2, 8))):
            broken[chance.randrange(len(raw))] = chance.randrange(256)
        (tmp_path / "broken.parquet").write_bytes(
            broken[: chance.choice((len(raw), chance.randrange(len(raw))))]
        )
        try:
            read_csv_profile(tmp_path / "broken.parquet", "price")
        except InputError as error:
            line = str(error)
        else:
            line = ""
        assert "\n" not in line


def test_a_time_that_is_missing_or_impossible_in_parquet(tmp_path):
    frame = pd.read_parquet(parquet(tmp_path))
    frame.loc[5, "time"] = pd.NaT
    frame.to_parquet(tmp_path / "p.parquet")
    assert "row 6 (record of the file): no time in column 'time'" in refusal(tmp_path / "p.parquet")
    frame.loc[5, "time"] = pd.Timestamp("1700-01-01")
    frame.to_parquet(tmp_path / "p.parquet")
    assert "row 6 (record of the file): 1700-01-01 00:00" in refusal(tmp_path / "p.parquet")
