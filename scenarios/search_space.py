"""Deployments to choose from: every combination of GPU, parallelism, replicas, limits and precision."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from math import prod
from typing import Any, NamedTuple

from pydantic import ValidationError

from scenarios.sweep_grid import axes_of
from simulators.errors import InputError, nearest
from simulators.inference.catalogue import bytes_per_parameter, gpu, model
from simulators.inference.options import Serving
from simulators.inference.sizing import sizing
from simulators.spelling import plain_number

AXES: Mapping[str, tuple[str, ...]] = {
    "tp": ("1", "2", "4", "8"),
    "pp": ("1", "2"),
    "replicas": ("1", "2", "3", "4", "6", "8", "12", "16"),
    "batch_cap": ("64", "256"),
    "max_batch_tokens": ("2048", "8192"),
    "precision": ("checkpoint", "fp8", "fp4"),
    "clock_limit": ("1", "0.8", "0.6"),
    "power_cap_w": ("none",),
}
"""What is tried unless told otherwise, by option of `Serving`. Any other of its options joins with ``--vary``."""

NONE = ("none", "checkpoint")
"""Values that leave an option as it is without one: no cap, the checkpoint's own precision."""

MOST = 200_000
"""Deployments of one search: more are a slip of the hand."""


class Candidate(NamedTuple):
    """One deployment: values of the options that vary, as they were written, and what is served with them."""

    values: dict[str, str]
    serving: Serving

    @property
    def label(self) -> str:
        """What it is called, e.g. ``2 x h100 tp4 fp8 clock 0.8``."""
        serving = self.serving
        told = [f"{serving.replicas} x {serving.gpu}", f"tp{serving.tp}"]
        for name, prefix in SHORT.items():
            value = getattr(serving, name)
            if name in self.values and value not in (None, 1, 1.0):
                told.append(f"{prefix}{value:g}" if isinstance(value, int | float) else f"{prefix}{value}")
        told += [f"{name}={value}" for name, value in self.values.items() if name not in (*SHORT, *NAMED)]
        return " ".join(told)


NAMED = ("gpu", "tp", "replicas")
SHORT = {
    "pp": "pp", "precision": "", "batch_cap": "cap", "max_batch_tokens": "tok", "clock_limit": "clk",
    "power_cap_w": "W",
}  # fmt: skip
"""How a label calls the options that most searches vary."""


def candidates(base: Serving, gpus: Sequence[str], vary: Sequence[str], max_gpus: int) -> list[Candidate]:
    """Every combination, the number of replicas changing fastest; those on more GPUs than there are left out.

    Parameters
    ----------
    base
        What they have in common.
    gpus
        Names of GPUs.
    vary
        ``NAME=VALUE,VALUE,...`` in place of the values of `AXES`, or another option of `Serving`. ``none``: without;
        ``checkpoint``: its precision; a power cap may be a share of the board's limit, such as ``60%``.
    max_gpus
        GPUs of one deployment at most.

    Raises
    ------
    InputError
        If a name is unknown, a value is wrong, or there are none or too many.

    Examples
    --------
    >>> vary = ["tp=1,2", "pp=1", "replicas=1,2", "batch_cap=64", "max_batch_tokens=2048", "clock_limit=1"]
    >>> found = candidates(Serving(), ["h100"], [*vary, "power_cap_w=none,60%", "precision=checkpoint"], 3)
    >>> [one.label for one in found]
    ['1 x h100 tp1 cap64 tok2048', '2 x h100 tp1 cap64 tok2048', '1 x h100 tp1 cap64 tok2048 W420', \
'2 x h100 tp1 cap64 tok2048 W420', '1 x h100 tp2 cap64 tok2048', '1 x h100 tp2 cap64 tok2048 W420']
    """
    own = axes_of(vary)
    known = [name for name in Serving.model_fields if name not in ("gpu", "model")]
    for name in own:
        if name not in known:
            raise InputError(
                f"--vary {name}: no option of a deployment, expected one of {', '.join(known)}{nearest(name, known)}"
            )
    axes: dict[str, Sequence[str]] = {"gpu": list(dict.fromkeys(gpus)), **AXES, **own}
    axes["replicas"] = axes.pop("replicas")
    count = prod(map(len, axes.values()))
    if count > MOST:
        raise InputError(f"--vary: {count} deployments, expected at most {MOST}")
    found = []
    for combination in product(*axes.values()):
        values = dict(zip(axes, combination, strict=True))
        if "precision" not in own and not _lower(base, values):
            continue
        serving = _serving(base, values)
        if serving.gpus <= max_gpus:
            found.append(Candidate(values, serving))
    if not found:
        raise InputError(f"--max-gpus {max_gpus}: no deployment is that small, expected more GPUs")
    return found


def _lower(base: Serving, values: Mapping[str, str]) -> bool:
    """Whether a precision is the checkpoint's, or a lower one that the GPU computes in."""
    name: Any = values["precision"]
    if name in NONE:
        return True
    own = model(base.model).precision
    return name in gpu(values["gpu"]).peak_flops and bytes_per_parameter(name) < bytes_per_parameter(own)


def _serving(base: Serving, values: Mapping[str, str]) -> Serving:
    plain: dict[str, Any] = {name: None if value in NONE else value for name, value in values.items()}
    cap = values.get("power_cap_w", "none")
    if cap.endswith("%"):
        try:
            share = plain_number(cap.removesuffix("%")) / 100.0
        except ValueError:
            raise InputError(
                f"--vary power_cap_w: {cap!r} given, expected W or a share such as 60%"
            ) from None
        plain["power_cap_w"] = share * sizing(base.model_copy(update={"gpu": values["gpu"]})).limit_w
    try:
        return Serving.model_validate(base.model_dump() | plain)
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0]) if first["loc"] else "vary"
        reason = first["msg"].removeprefix("Value error, ")
        raise InputError(
            f"--vary {name}: {values.get(name)!r} given, {reason[0].lower()}{reason[1:]}"
        ) from None
