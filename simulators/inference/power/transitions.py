"""How long GPUs take to fall asleep, wake and load a model; data in `data/transitions.toml`, or in a data sheet."""

from __future__ import annotations

import functools
import tomllib
from math import inf
from typing import Any, NamedTuple

from pydantic import BaseModel, ConfigDict, ValidationError, field_validator

from simulators.errors import InputError
from simulators.inference.catalogue import Gpu
from simulators.paths import DATA

FILE = DATA / "transitions.toml"
TRANSITIONS = ("fall_asleep", "wake", "load")


class Span(NamedTuple):
    """A value with the range it was seen or is expected in."""

    low: float
    value: float
    high: float


class Transition(BaseModel):
    """Seconds from the bytes of weights that are moved, and the power drawn meanwhile.

    Attributes
    ----------
    fixed_s
        Whatever the model, s.
    gpu_bytes_per_s
        What one GPU moves at most, B/s.
    replica_bytes_per_s
        What all GPUs of a replica move together at most, B/s: they share a disk or the host's memory.
    drawn
        Power meanwhile, as a share of what a context adds over a GPU without a process, 1.

    Examples
    --------
    >>> wake = Transition(fixed_s=(0.1, 0.2, 0.6), gpu_bytes_per_s=(10e9, 20e9, 40e9))
    >>> wake.seconds(16e9)
    Span(low=0.5, value=1.0, high=2.2)
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    fixed_s: Span
    gpu_bytes_per_s: Span
    replica_bytes_per_s: Span | None = None
    drawn: Span = Span(1.0, 1.0, 1.0)

    @field_validator("fixed_s", "gpu_bytes_per_s", "replica_bytes_per_s", "drawn")
    @classmethod
    def _ascends(cls, span: Span | None) -> Span | None:
        if span is not None and not 0 <= span.low <= span.value <= span.high:
            raise ValueError("expected low, value, high in ascending order, none negative")
        return span

    @field_validator("gpu_bytes_per_s", "replica_bytes_per_s")
    @classmethod
    def _moves(cls, span: Span | None) -> Span | None:
        if span is not None and span.low <= 0:
            raise ValueError("expected more than 0 B/s")
        return span

    @field_validator("drawn")
    @classmethod
    def _is_share(cls, span: Span) -> Span:
        if span.high > 1:
            raise ValueError("expected a share within 0..1")
        return span

    def seconds(self, bytes_per_gpu: float, gpus: int = 1) -> Span:
        """How long it takes for a replica of `gpus` GPUs with so many bytes of weights each, s."""
        together = self.replica_bytes_per_s or Span(inf, inf, inf)

        def moving(one: float, all_: float) -> float:
            return bytes_per_gpu * gpus / min(gpus * one, all_)

        slow, usual, fast = map(moving, self.gpu_bytes_per_s, together)
        return Span(self.fixed_s.low + fast, self.fixed_s.value + usual, self.fixed_s.high + slow)


@functools.cache
def _defaults() -> dict[str, dict[str, Any]]:
    with FILE.open("rb") as file:
        return tomllib.load(file)


def transitions_for(gpu: Gpu) -> dict[str, Transition]:
    """The transitions of a GPU by name, those of `TRANSITIONS`.

    Raises
    ------
    InputError
        If the data sheet has a transition or an entry of one that is unknown or out of range.
    """
    own = gpu.power.get("transitions", {})
    for name in own:
        if name not in TRANSITIONS:
            raise InputError(
                f"{gpu.file}: [power.transitions.{name}] is unknown, expected {', '.join(TRANSITIONS)}"
            )
    found = {}
    for name in TRANSITIONS:
        try:
            found[name] = Transition(**(_defaults()[name] | own.get(name, {})))
        except ValidationError as error:
            first = error.errors()[0]
            field = ".".join(str(part) for part in first["loc"])
            raise InputError(f"{gpu.file}: [power.transitions.{name}] {field}: {first['msg']}") from None
    return found
