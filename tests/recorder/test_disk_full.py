"""A disk that is full, by a real limit: one line, and what was written before can be read."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from simulators.errors import RunStopped, one_line
from simulators.recorder.store import RunFolder

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
def test_on_a_full_disk_one_line_says_so_and_what_was_saved_stays_readable(tmp_path):
    said = tmp_path / "said"
    pid = os.fork()
    if pid == 0:
        import resource

        code = 70
        try:
            with RunFolder(tmp_path / "run", until_s=6000) as run:
                for step in range(100):
                    noise = np.random.default_rng(step).random(1000)
                    run.append("timeseries", {"step": np.full(1000, step), "it_mw": noise})
                    run.reached(60 * (step + 1))
                    if step == 9:
                        run.save()
                        # no file may grow beyond it: like a full disk, and no other user is harmed
                        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
        except RunStopped as error:
            said.write_text(one_line(error))
            code = 1
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 1
    left = tmp_path / "run.incomplete"
    text = said.read_text()
    assert text.startswith(f"{tmp_path / 'run'}: File too large; what was simulated until ")
    assert text.endswith(f" is in {left}")
    assert pd.read_parquet(left / "timeseries")["step"].nunique() == 10
    assert "Lost on closing" in (left / "INCOMPLETE.txt").read_text()
    assert not (tmp_path / ".run.lock").exists()


@pytest.mark.skipif(os.name != "posix", reason="children of a killed process are handed on")
def test_workers_of_a_killed_process_end_with_it(tmp_path):
    script = tmp_path / "pool.py"
    script.write_text(
        "import os, time\n"
        "from concurrent.futures import ProcessPoolExecutor\n"
        "from multiprocessing import get_context\n"
        "from simulators.orphans import end_with_parent\n"
        "def work(_):\n"
        "    print(os.getpid(), flush=True)\n"
        "    time.sleep(60)\n"
        "if __name__ == '__main__':\n"
        "    with ProcessPoolExecutor(2, get_context('spawn'), end_with_parent) as pool:\n"
        "        list(pool.map(work, range(2)))\n"
    )
    process = subprocess.Popen(
        [sys.executable, script], cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE,
        text=True,
    )  # fmt: skip
    assert process.stdout is not None
    assert len({process.stdout.readline() for _ in range(2)}) == 2
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert process.stdout.read() == ""  # ends only once no worker holds the other end any more
