"""States a GPU can be parked in, with what entering and leaving them costs; data in `[power.states]` of `data/gpus`."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, NonNegativeFloat, ValidationError

from simulators.errors import InputError
from simulators.inference.catalogue import Gpu

STATES = ("loaded_idle", "context_idle", "sleep", "off")


class State(BaseModel):
    """One state of a GPU that serves nothing.

    Attributes
    ----------
    name
        ``loaded_idle``: a server with its model in memory. ``context_idle``: a process holds the GPU without a model.
        ``sleep``: weights in the host's memory, process alive. ``off``: no process holds the GPU.
    power_w
        Drawn in it, W.
    enter_s, enter_j
        Time and energy from loaded idle into the state.
    leave_s, leave_j
        Time and energy until a model is loaded and can serve again.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    power_w: NonNegativeFloat
    enter_s: NonNegativeFloat = 0.0
    enter_j: NonNegativeFloat = 0.0
    leave_s: NonNegativeFloat = 0.0
    leave_j: NonNegativeFloat = 0.0

    def break_even_s(self, loaded_idle_w: float) -> float:
        """Shortest pause for which this state takes less energy than staying loaded, s; inf if it never does.

        While entering and leaving, which are part of the pause, the GPU would have drawn `loaded_idle_w`.
        """
        saved_w = loaded_idle_w - self.power_w
        if saved_w <= 0:
            return float("inf")
        switching_s = self.enter_s + self.leave_s
        return max(switching_s, (self.enter_j + self.leave_j - self.power_w * switching_s) / saved_w)


def states_for(gpu: Gpu) -> dict[str, State]:
    """The states of a GPU by name.

    Raises
    ------
    InputError
        If the data sheet has none, or a value is missing, unknown or negative.
    """
    tables = gpu.power.get("states")
    if not tables:
        raise InputError(f"data/gpus/{gpu.name}.toml: [power.states] is missing")
    states = {}
    for name, table in tables.items():
        if name not in STATES:
            raise InputError(
                f"data/gpus/{gpu.name}.toml: [power.states.{name}] is unknown, expected {', '.join(STATES)}"
            )
        try:
            states[name] = State(name=name, **table)
        except ValidationError as error:
            first = error.errors()[0]
            field = ".".join(str(part) for part in first["loc"])
            raise InputError(
                f"data/gpus/{gpu.name}.toml: [power.states.{name}] {field}: {first['msg']}"
            ) from None
    return states
