"""Nothing is ever held."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from simulators.quantities.commands import Command, Release
from simulators.scheduler.observation import Observation


@dataclass(frozen=True)
class NoPolicy:
    """Never holds anything."""

    needs: ClassVar[frozenset[str]] = frozenset({})

    def decide(self, observation: Observation) -> Iterator[Command]:
        yield Release(hold=False)
