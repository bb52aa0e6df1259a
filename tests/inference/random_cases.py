"""How comparisons with the plain implementation draw their cases, here and in `tests/benchmarks`."""

from __future__ import annotations

from hypothesis import HealthCheck, Phase, settings


def random_cases(count: int) -> settings:
    """So many cases, the same every time; one that differs is told as it was drawn, for smaller ones take minutes."""
    return settings(
        max_examples=count,
        deadline=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
        phases=(Phase.generate,),
    )
