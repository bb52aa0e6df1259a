"""What the figures of configurations rest on, before anything is simulated: for the terminal."""

from __future__ import annotations

from collections.abc import Iterable
from math import inf
from pathlib import Path

from simulators.inference.catalogue import gpu, model
from simulators.inference.grounds import Ground, power_grounds, time_grounds, trust
from simulators.inference.options import Serving
from simulators.inference.serving import power_law_of
from simulators.inference.timing import resolve_kind


def stated(servings: Iterable[Serving]) -> str:
    """Lines that name kernels and power law of every configuration, and what only stands in for a measurement.

    Examples
    --------
    >>> print(stated([Serving(gpu="t4", model="microsoft/phi-2")]))
    NOT MEASURED  t4: iteration time: roofline (measured iteration time: no kernels were measured on t4)
    NOT MEASURED  t4: power: physics, prices estimated from the data sheet; nothing fitted to serving
    """
    told: dict[tuple[str, Ground], None] = {}
    for serving in servings:
        device = gpu(serving.gpu)
        kind, _, folder = serving.iteration_time.partition(":")
        chosen, reason = resolve_kind(
            kind,
            model(serving.model),
            device,
            serving.tp,
            serving.precision,
            kv_precision=serving.kv_precision,
            framework=serving.framework,
            expert_parallel=serving.expert_parallel,
            data_parallel=serving.data_parallel,
        )
        time = time_grounds(device, chosen, reason or Path(folder).name)
        power = power_grounds(device, serving.power_law, power_law_of(serving))
        told |= dict.fromkeys((device.name, ground) for ground in trust(power, time, inf))
    return "\n".join(
        f"{'NOT MEASURED' if ground.stand_in else 'Rests on':<12}  {name}: {ground.text}"
        for name, ground in told
    )
