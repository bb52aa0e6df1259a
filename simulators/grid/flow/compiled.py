"""How this room compiles its hot functions."""

from __future__ import annotations

from pathlib import Path

from simulators.machine_code import Compiler

_HERE = Path(__file__).parent

compiled = Compiler(_HERE, sorted(_HERE.glob("*.py")))
