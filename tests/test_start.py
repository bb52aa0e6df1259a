"""What is imported for `--help`: modules are counted, not seconds."""

from __future__ import annotations

import json
import subprocess
import sys

HEAVY = {
    *("numba", "scipy", "pandas", "pyarrow", "mosaik", "mosaik_api_v3", "simpy", "networkx"),
    *("pvlib", "windpowerlib", "pandapower", "matplotlib", "plotly", "aiconfigurator_core", "dask"),
}
"""Only a run needs them; together they take two seconds."""

MOST = 700
"""Modules; 1,750 more came with what is heavy."""

CODE = """
import json, sys
sys.argv = ["wattloop", "run", "--help"]
from scenarios.cli import main
try:
    main()
except SystemExit as ended:
    assert not ended.code
print(json.dumps(sorted(sys.modules)))
"""


def test_help_imports_nothing_heavy():
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
    *told, last = done.stdout.splitlines()
    modules = json.loads(last)
    assert any("--pv-kw" in line for line in told)
    assert set(modules) & HEAVY == set()
    assert len(modules) <= MOST
