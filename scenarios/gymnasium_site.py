"""A site as a Gymnasium environment, for agents that learn; needs the extra ``pip install 'wattloop[gym]'``.

>>> from scenarios import Study
>>> from scenarios.gymnasium_site import GymnasiumSite
>>> study = Study().changed(days=0.005, gpu="h100", rate=0.3, iteration_time="roofline")
>>> site = GymnasiumSite(study)
>>> seen, _ = site.reset(seed=1)
>>> seen, reward, terminated, truncated, info = site.step(site.action_space.sample())
>>> seen.shape == site.observation_space.shape, reward <= 0, terminated
(True, True, False)
>>> site.close()
"""

from __future__ import annotations

from math import isnan, tau
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scenarios.environment import Environment, grams
from scenarios.study import Study
from simulators.errors import InputError
from simulators.inference.power.cap import LOWEST_CLOCK
from simulators.quantities.commands import Awake, ClockLimit, Command, Release
from simulators.scheduler.observation import Observation

try:
    import gymnasium
except ImportError as error:  # pragma: no cover
    raise InputError("gymnasium is not installed, expected pip install 'wattloop[gym]'") from error

NEEDS = frozenset(
    {"carbon", "carbon_forecast", "generation", "load", "charge", "exchange", "queue", "latency", "deadlines"}
)
SEEN = (
    "hour_sine", "hour_cosine", "intensity", "intensity_ahead", "generation", "load", "charge", "held", "due_soon",
    "arrived", "waiting", "running", "awake", "ttft", "tpot",
)  # fmt: skip
"""What the entries of an observation are; each near 0 to 1: intensities over 1000 g/kWh, powers over what all GPUs may
draw, counts over the slots, latencies over their targets."""

SLO_KG = 1.0
"""What a quarter of an hour with twice the latency target costs beside its carbon, kg: an agent must not buy carbon
with broken promises. A choice."""

Vector = NDArray[np.float32]


class GymnasiumSite(gymnasium.Env[Vector, Vector]):  # type: ignore[misc]
    """One site, one step of the run per step.

    An action has three entries within 0 to 1: how fast deferrable requests are let go (0: held; above, a share of the
    free slots in a step), which share of the replicas is awake, and the clock limit (from the lowest to full). The
    reward is the carbon of the step's grid power, kg, negative, less what latencies above their targets cost.

    Parameters
    ----------
    study
        What to simulate, with one site.
    """

    metadata: dict[str, Any] = {"render_modes": []}  # noqa: RUF012

    def __init__(self, study: Study) -> None:
        self._site = Environment(study, NEEDS)
        self.observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (len(SEEN),), np.float32)
        self.action_space = gymnasium.spaces.Box(0.0, 1.0, (3,), np.float32)
        self._before: Observation | None = None

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Vector, dict[str, Any]]:
        """Begin the run anew, with the requests of the seed."""
        super().reset(seed=seed)
        self._before = self._site.reset(seed)
        return vector(self._before), {}

    def step(self, action: Vector) -> tuple[Vector, float, bool, bool, dict[str, Any]]:
        """Act for one step; ends with the run, whose figures are then in ``info``."""
        before = self._before
        if before is None:
            raise InputError("environment: expected reset() before step()")
        after = self._site.step(commands(action, before))
        done = self._site.done
        kg = 0.0 if done else grams(before, after) / 1e3
        self._before = after
        info: dict[str, Any] = {"kg": kg}
        if done:
            info["figures"] = self._site.result.figures
        return vector(after), -kg - _broken(after), done, False, info

    def close(self) -> None:
        """End the run."""
        self._site.close()


def commands(action: Vector, seen: Observation) -> list[Command]:
    """What an action stands for."""
    release, awake, clock = (float(min(max(entry, 0.0), 1.0)) for entry in action)
    facts = seen.facts
    free = max(seen.slots - seen.running - seen.waiting, 0.0)
    found: list[Command] = [Release(release <= 0.0, release * free / seen.step_s, queue=True)]
    if np.isfinite(facts.replica_off_w):
        found.append(Awake(max(1, round(awake * facts.replicas)), "host_off"))
    return [*found, ClockLimit(LOWEST_CLOCK + (1.0 - LOWEST_CLOCK) * clock)]


def vector(seen: Observation) -> Vector:
    """An observation as `SEEN`; what is not known is 0."""
    facts = seen.facts
    most_w = max(facts.gpus * facts.copies * facts.gpu_limit_w * facts.meter_per_gpu_w, 1.0)
    slots = max(seen.slots, 1.0)
    day = tau * (seen.time_s % 86_400) / 86_400
    ahead = seen.ci_forecast_g_per_kwh
    values = (
        np.sin(day), np.cos(day), seen.ci_g_per_kwh / 1e3, float(ahead.mean()) / 1e3 if len(ahead) else 0.0,
        seen.generation_w / most_w, seen.load_w / most_w, seen.soc, seen.held / slots,
        float(seen.held_due[:4].sum()) / slots if len(seen.held_due) else 0.0, seen.arrived / slots,
        seen.waiting / slots, seen.running / slots, seen.awake / facts.replicas,
        seen.ttft_p99_s / facts.slo_ttft_s, seen.tpot_p99_s / facts.slo_tpot_s,
    )  # fmt: skip
    return np.nan_to_num(np.array(values, dtype=np.float32), nan=0.0, posinf=0.0, neginf=0.0)


def _broken(seen: Observation) -> float:
    """What latencies above their targets cost in a step, kg."""
    facts = seen.facts
    over = [
        value / limit - 1.0
        for value, limit in ((seen.ttft_p99_s, facts.slo_ttft_s), (seen.tpot_p99_s, facts.slo_tpot_s))
        if not isnan(value) and value > limit
    ]
    return SLO_KG * seen.step_s / 900.0 * sum(min(each, 10.0) for each in over)
