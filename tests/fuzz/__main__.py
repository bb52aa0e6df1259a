"""Many more wrong inputs than the tests have, drawn at random: `python -m tests.fuzz [CASES] [SEED]`, or `make fuzz`.

Right files with bytes, characters and lines changed, and right command lines with words changed. What is still right is
read to the start of its simulation; everything else must end in one line and exit code 2. A seed draws the same again.
"""

from __future__ import annotations

import random
import sys
import tempfile
from collections import Counter
from pathlib import Path

from .attempt import Outcome, attempt
from .cases import OPTIONS
from .faults import FAULTS
from .files import TAKES, write_all

_WORDS = (
    "", "-1", "0", "1e30", "1e-320", "nan", "inf", "1_000", "１２", "true", "null", "9" * 400, "x", "\x1b[31m", "ä",
    "../..", "/dev/null", "[", '"',
)  # fmt: skip
_BYTES = (
    b"\0", b",", b"\n", b'"', b"9", b"-", b"_", b"\xff", b"[", b"{", b"e", b"=", b"#", b";", b"1e400", b"nan",
)  # fmt: skip


def spoilt(draw: random.Random, raw: bytes) -> bytes:
    """Bytes with one to four places changed, cut out, doubled or filled."""
    made = bytearray(raw)
    for _ in range(draw.choice((1, 1, 1, 2, 4))):
        at = draw.randrange(len(made) + 1)
        upto = min(len(made), at + draw.choice((1, 1, 2, 8, 64)))
        kind = draw.randrange(5)
        if kind == 0 and at < len(made):
            made[at] ^= 1 << draw.randrange(8)
        elif kind == 1:
            del made[at:upto]
        elif kind == 2:
            made[at:at] = made[at:upto]
        else:
            made[at : at + draw.randrange(2)] = draw.choice(_BYTES)
    return bytes(made)


def reworded(draw: random.Random, words: list[str]) -> list[str]:
    """A command line with one word changed, doubled or left out."""
    made = list(words)
    at = draw.randrange(len(made))
    kind = draw.randrange(4)
    if kind == 0:
        made[at] = draw.choice(_WORDS)
    elif kind == 1:
        del made[at]
    elif kind == 2:
        made.insert(at, made[at])
    else:
        letter = draw.randrange(len(made[at]) + 1)
        made[at] = made[at][:letter] + draw.choice("aA0-_:=,. é") + made[at][letter:]
    return made or ["run", ""]


def every_fault(folder: Path, right: dict[str, Path]) -> int:
    """Every fault of every kind of file; how many are not refused."""
    wrong = 0
    for kind, path in right.items():
        for name, made in FAULTS.items():
            (folder / name).mkdir(exist_ok=True)
            given = made(folder / name / kind, path.read_bytes())
            found = attempt([word.replace("FILE", given) for word in TAKES[kind]], folder)
            if found.fault:
                wrong += 1
                print(f"{kind}, {name}: {found.fault}", flush=True)
    print(f"{len(right) * len(FAULTS)} faults of whole files, {wrong} wrong", flush=True)
    return wrong


def main(cases: int, seed: int) -> int:
    """Run so many; how many went wrong."""
    draw = random.Random(seed)
    ends: Counter[str] = Counter()
    wrong = 0
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        right = write_all(folder)
        wrong += every_fault(folder, right)
        for number in range(cases):
            kind = draw.choice(list(TAKES))
            path = folder / f"wrong-{kind}"
            if draw.random() < 0.75:
                path.write_bytes(spoilt(draw, right[kind].read_bytes()))
                words = [word.replace("FILE", str(path)) for word in TAKES[kind]]
            else:
                of_file = [word.replace("FILE", str(right[kind])) for word in TAKES[kind]]
                words = reworded(draw, draw.choice((of_file, *OPTIONS)))
            found: Outcome = attempt(words, folder)
            ends[found.end if found.end in ("refused", "accepted", "returned") else "wrong"] += 1
            if found.fault and found.end not in ("accepted", "returned"):
                wrong += 1
                kept = Path(tempfile.gettempdir()) / f"fuzz-{seed}-{number}-{kind}"
                if path.is_file():
                    kept.write_bytes(path.read_bytes())
                print(
                    f"{number}: {words}: {found.fault} ({found.cpu_s:.1f} s CPU; file kept as {kept})",
                    flush=True,
                )
            elif found.cpu_s > 2:
                print(f"{number}: slow, {found.cpu_s:.1f} s CPU: {words}", flush=True)
    print(f"seed {seed}: {cases} cases, {wrong} wrong; {dict(ends)}")
    return wrong


if __name__ == "__main__":
    told = [int(word) for word in sys.argv[1:]]
    sys.exit(1 if main(*(told + [3000, 1][len(told) :])) else 0)
