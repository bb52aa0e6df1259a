"""States a GPU can be parked in, with what entering and leaving them costs; data in `[power.states]` of `data/gpus`.

What a state is good for. On most boards a process that holds the GPU keeps its clocks up, whatever lies in memory: a
sleeping or model-less server draws what a loaded one does (H100: 121.6 W in one laboratory, 115.3 W loaded in another),
so parking there saves no energy and `State.break_even_s` is infinite. `sleep` gives the memory back, to another model
for instance, and wakes in seconds where a cold start takes most of a minute; only `off` draws less.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, NonNegativeFloat, ValidationError

from simulators.errors import InputError
from simulators.inference.catalogue import Gpu
from simulators.inference.power.transitions import Span, transitions_for

STATES = ("loaded_idle", "context_idle", "sleep", "off")
STATED = ("power_w", "range_w", "basis")
"""What a data sheet says of a state."""


class State(BaseModel):
    """One state of a GPU that serves nothing.

    Attributes
    ----------
    name
        ``loaded_idle``: a server with its model in memory. ``context_idle``: a process holds the GPU without a model.
        ``sleep``: weights in the host's memory, process alive. ``off``: no process holds the GPU.
    power_w
        Drawn in it, W.
    range_w
        Lowest and highest of what boards of this kind are known or expected to draw in it, W.
    basis
        ``measured`` on this board, or an ``estimate`` by the rule the data sheet names.
    enter_s, enter_j
        Time and energy from loaded idle into the state.
    leave_s, leave_j
        Time and energy until a model is loaded and can serve again.
    leave_range_s
        Shortest and longest time to be expected for that, s.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    power_w: NonNegativeFloat
    range_w: tuple[NonNegativeFloat, NonNegativeFloat] | None = None
    basis: Literal["measured", "estimate"] = "measured"
    enter_s: NonNegativeFloat = 0.0
    enter_j: NonNegativeFloat = 0.0
    leave_s: NonNegativeFloat = 0.0
    leave_j: NonNegativeFloat = 0.0
    leave_range_s: tuple[NonNegativeFloat, NonNegativeFloat] | None = None

    def break_even_s(self, loaded_idle_w: float) -> float:
        """Shortest pause for which this state takes less energy than staying loaded, s; inf if it never does.

        While entering and leaving, which are part of the pause, the GPU would have drawn `loaded_idle_w`.
        """
        saved_w = loaded_idle_w - self.power_w
        if saved_w <= 0:
            return float("inf")
        switching_s = self.enter_s + self.leave_s
        return max(switching_s, (self.enter_j + self.leave_j - self.power_w * switching_s) / saved_w)


def states_for(gpu: Gpu, weight_bytes_per_gpu: float, gpus: int = 1) -> dict[str, State]:
    """The states of a GPU by name.

    Parameters
    ----------
    gpu
        Its data sheet.
    weight_bytes_per_gpu
        Of the model it serves, B (`catalogue.memory.weight_bytes_per_gpu`): what is moved when it sleeps or starts.
    gpus
        GPUs of the replica, which start together.

    Raises
    ------
    InputError
        If the data sheet has none, or a value is missing, unknown or negative.
    """
    tables = gpu.power.get("states")
    if not tables:
        raise InputError(f"{gpu.file}: [power.states] is missing")
    for name in tables:
        if name not in STATES:
            raise InputError(f"{gpu.file}: [power.states.{name}] is unknown, expected {', '.join(STATES)}")
    known = {name: _checked(gpu, name, table) for name, table in tables.items()}
    moves = transitions_for(gpu)
    times = {name: move.seconds(weight_bytes_per_gpu, gpus) for name, move in moves.items()}
    if "sleep" in known:
        asleep = known["sleep"]
        known["sleep"] = _moving(
            asleep, times["wake"], asleep.power_w, times["fall_asleep"].value, asleep.power_w
        )
    if "context_idle" in known:
        known["context_idle"] = _moving(known["context_idle"], times["load"], known["context_idle"].power_w)
    if "off" in known:
        off_w = known["off"].power_w
        held_w = known["context_idle"].power_w if "context_idle" in known else off_w
        drawn_w = off_w + moves["load"].drawn.value * (held_w - off_w)
        known["off"] = _moving(known["off"], times["load"], drawn_w)
    return known


def _moving(state: State, leave: Span, leave_w: float, enter_s: float = 0.0, enter_w: float = 0.0) -> State:
    return state.model_copy(
        update={
            "enter_s": enter_s,
            "enter_j": enter_s * enter_w,
            "leave_s": leave.value,
            "leave_j": leave.value * leave_w,
            "leave_range_s": (leave.low, leave.high),
        }
    )


def _checked(gpu: Gpu, name: str, table: dict[str, Any]) -> State:
    for key in table:
        if key not in STATED:
            raise InputError(
                f"{gpu.file}: [power.states.{name}] {key}: is unknown, expected {', '.join(STATED)}; "
                "times and energies follow from [power.transitions]"
            )
    try:
        return State(name=name, **table)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        raise InputError(f"{gpu.file}: [power.states.{name}] {field}: {first['msg']}") from None
