"""The README's example runs as it stands there."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def test_the_example_of_the_readme_runs(tmp_path):
    code = re.search(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    assert code is not None
    script = tmp_path / "example.py"
    script.write_text(code[1], encoding="utf-8")
    done = subprocess.run(
        [sys.executable, str(script)], cwd=ROOT, env=None, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert "p50" in done.stdout


def test_what_the_readme_names_exists():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    named = re.findall(r"(?:scenarios|simulators|data|tests)/[\w./]*\w", text)
    missing = [path for path in named if not (ROOT / path).exists()]
    assert missing == []
