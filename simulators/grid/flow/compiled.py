"""How this room compiles its hot functions."""

from __future__ import annotations

from pathlib import Path

from simulators.compiled import compiler

_HERE = Path(__file__).parent

compiled = compiler(_HERE, sorted(_HERE.glob("*.py")))
