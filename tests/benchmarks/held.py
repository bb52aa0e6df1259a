"""Checks against the plain implementation, many random cases each: one JSON line per kind of case."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterable
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tests.inference.random_cases import random_cases


def held(check: Any, cases: int, *given_before: str) -> int:
    """Run a check on random cases; returns how many."""
    done = []

    @random_cases(cases)
    @given(data=st.data())
    def run(data: st.DataObject) -> None:
        check(data, *given_before)
        done.append(1)

    run()
    return len(done)


def named(checks: Iterable[Any]) -> list[tuple[Any, ...]]:
    """Checks as `hold` takes them, by what they are called."""
    return [(check.__name__.removeprefix("check_"), check) for check in checks]


def hold(description: str | None, kinds: Iterable[tuple[Any, ...]]) -> None:
    """Run every kind (its name, its check and what that is given before the data) on `--cases` cases, and print."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cases", type=int, default=60)
    cases = parser.parse_args().cases
    for name, check, *before in kinds:
        began = time.process_time()
        count = held(check, cases, *before)
        spent_s = round(time.process_time() - began, 1)
        print(json.dumps({"case": name, "equal": count, "processor_s": spent_s}), flush=True)
