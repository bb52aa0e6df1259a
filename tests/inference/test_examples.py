"""The examples in the docstrings of the room run and say what is shown."""

from __future__ import annotations

import doctest
import importlib

import pytest

MODULES = ("actuators", "cluster", "replica", "routing", "serving", "sizing")


@pytest.mark.parametrize("name", MODULES)
def test_examples(name: str) -> None:
    result = doctest.testmod(importlib.import_module(f"simulators.inference.{name}"))
    assert result.attempted > 0
    assert result.failed == 0
