"""Machine code: the same numbers without it, and a cache that only its owner can write."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numba
import pytest

from simulators.caches import private
from simulators.compiled import cache_folder, compiler
from simulators.inference.compiled import ROOM, SOURCES
from tests.conftest import ROOT

RUN = """
import numpy as np
from simulators.inference.serving import Serving, build_cluster
from simulators.inference.drive import Driver
from simulators.traffic.options import workload_from_options
cluster, _ = build_cluster(Serving(gpu="a100", iteration_time="roofline", replicas=2), router_name="least_outstanding")
driver = Driver(cluster, workload_from_options(rate_per_s=3.0, lengths="uniform:50:120:4", num_requests=25, seed=5))
until, rows = 0.0, []
while not driver.idle:
    until += 7.0
    interval = driver.advance(until)
    rows += [repr(float(v)) for v in (interval.prefill_j, interval.decode_j, interval.idle_j)]
    rows += [repr(float(v)) for v in interval.finished["completed_at"]]
print(" ".join(rows))
"""


def run(code: str = RUN, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_everything_runs_without_the_compiler_and_says_the_same():
    plain, fast = run(NUMBA_DISABLE_JIT="1").split(), run().split()
    assert len(fast) > 20
    assert plain == fast


def test_a_second_process_takes_the_machine_code_of_the_first():
    """One round trip fills the cache; from then on nothing is compiled again, whichever process asks."""
    count = "\nfrom simulators.inference.batching import loop\n"
    count += (
        "stats = loop.advance.stats\nprint(sum(stats.cache_hits.values()), sum(stats.cache_misses.values()))"
    )
    run()
    hits, misses = (int(n) for n in run(RUN + count).splitlines()[-1].split())
    assert hits > 0
    assert misses == 0


def test_importing_the_room_leaves_numbas_settings_alone():
    code = "import numba; before = numba.config.CACHE_DIR; import simulators.inference.replica; "
    code += "print(numba.config.CACHE_DIR == before)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "True"


def test_a_folder_others_can_write_is_no_cache(tmp_path: Path):
    mine, theirs, linked = tmp_path / "mine", tmp_path / "theirs", tmp_path / "linked"
    assert private(mine)
    theirs.mkdir()
    theirs.chmod(0o777)
    assert not private(theirs)
    linked.symlink_to(mine)
    assert not private(linked)


def test_a_cache_is_ours_from_the_root_down_with_all_that_lies_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    shared = tmp_path / "shared"
    mine = shared / "mine"
    assert private(mine)
    shared.chmod(0o777)
    assert not private(mine), "others could put a folder of theirs in its place"
    shared.chmod(0o1777)
    assert private(mine), "as in /tmp, where others may not rename what is ours"
    shared.chmod(0o755)
    left = mine / "loop.nbc"
    left.write_bytes(b"")
    left.chmod(0o666)
    assert not private(mine), "others could have written the machine code"
    left.chmod(0o644)
    assert private(mine)
    monkeypatch.setattr(os, "getuid", lambda: tmp_path.stat().st_uid + 1)
    assert not private(mine), "made by another user"


def test_it_works_where_there_is_no_getuid(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delattr(os, "getuid")
    assert cache_folder(ROOM, SOURCES) is not None


def _flipped(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 255]) + content[middle + 1 :]


def _tripled(number: float) -> float:
    return 3.0 * number


@pytest.mark.skipif(numba.config.DISABLE_JIT, reason="nothing is compiled")
def test_damaged_machine_code_is_compiled_anew_and_a_full_disk_stops_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """What a power cut leaves, or a disk that loses bits: never a traceback, never other code."""

    def hits() -> int:
        made: Any = compiler(tmp_path, [Path(__file__)])(_tripled)
        assert made(2.0) == 6.0
        return sum(made.stats.cache_hits.values())

    assert (hits(), hits()) == (0, 1)
    damages = (
        lambda content: b"",
        lambda content: content[: len(content) // 2],
        _flipped,
        lambda content: b"x",
    )
    for kind in ("*.nbc", "*.nbi"):
        for damage in damages:
            (file,) = tmp_path.rglob(kind)
            file.write_bytes(damage(file.read_bytes()))
            assert hits() == 0, (kind, damage)
            assert hits() == 1, "and is kept again"

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    for file in tmp_path.rglob("*.nb?"):
        file.unlink()
    monkeypatch.setattr(os, "replace", full)
    assert hits() == 0
    assert not list(tmp_path.rglob("*.nb?"))
