"""Prices of the terms of an iteration's energy, by GPU and by whose servers they were measured on.

A data sheet holds named sets, `[power.energy.NAME]`. `physics` is there for every GPU: nothing in it is fitted to
serving; a sheet without one gets `estimated_physics`. Others are fitted to one laboratory's servers; they fit those
better, and need not hold on another's node, so none is ever carried from one GPU to another.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from simulators.errors import InputError
from simulators.inference.catalogue import Gpu
from simulators.inference.power.terms import Coefficients

PHYSICS = "physics"
AUTO = "auto"
LAWS = ("mfu", "constant", "table")
"""Power laws that are no sets of prices."""

_Price = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Prices(BaseModel):
    """One set of prices, as a data sheet has it: W for `active`, pJ per byte, FLOP or logit for the others.

    Attributes
    ----------
    name
        ``physics`` or whose servers it was fitted to.
    basis
        ``measured``: single kernels or runs on this GPU, none of them serving. ``estimated``: by a rule from other
        GPUs. ``fitted``: to serving rows of this GPU.
    source
        Whose measurements, or the rule.
    low, high
        Factors on power above idle within which 90 % of unseen servers are expected.
    interval
        Where `low` and `high` are from.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    basis: Literal["measured", "estimated", "fitted"]
    source: str
    low: Annotated[float, Field(gt=0, le=1)]
    high: Annotated[float, Field(ge=1, allow_inf_nan=False)]
    interval: str
    active: _Price = 0.0
    weights: _Price
    experts: _Price
    kv: _Price
    flop16: _Price
    flop8: _Price
    padded: _Price = 0.0
    unpacked: _Price = 0.0
    logits: _Price = 0.0

    @property
    def coefficients(self) -> Coefficients:
        """In W and J."""
        pico = {name: 1e-12 * float(getattr(self, name)) for name in Coefficients._fields if name != "active"}
        return Coefficients(active=self.active, **pico)


PJ_PER_BYTE = 125.0
"""Read from memory through the caches: 107 to 124 pJ/B measured on H200 and B200 (efficient-ai), whose memory is HBM.
GDDR costs a few pJ per bit more; the range below covers that."""
KV_SHARE = 1.67
"""Price of a byte of KV cache over one of weights: attention reads it in small pieces. 2.3 and 3.1 measured on B200 and
H200 (efficient-ai), the arithmetic of attention included, which is priced apart here."""
FLOP_SHARE = 1.4
"""Energy of the peak's FLOP/s over the room between idle and limit: 1.40 on H100, 1.36 on H200 (0.83 and 0.79 pJ per
FLOP), 1.48 on B200 (0.50); above 1 because no kernel reaches the peak within the limit."""
ESTIMATED_LOW, ESTIMATED_HIGH = 0.7, 1.5
"""A judgement, twice as wide as between laboratories on one GPU: `FLOP_SHARE` holds within 6 % on three GPUs of two
generations, the price of a byte was measured on none of the others."""


def loaded_idle_w(gpu: Gpu) -> float:
    """Drawn with a model in memory and nothing running, W; from `[power.states.loaded_idle]`.

    Raises
    ------
    InputError
        If the data sheet has no such table.
    """
    state = gpu.power.get("states", {}).get("loaded_idle")
    if state is None:
        raise InputError(
            f"{gpu.file}: [power.states.loaded_idle] is missing, expected power_w, range_w and basis: what a GPU draws "
            "with a model in memory and no request, W"
        )
    return float(state["power_w"])


def estimated_physics(gpu: Gpu) -> Prices:
    """Prices of a GPU nobody measured kernels on, from its data sheet alone.

    Examples
    --------
    >>> from simulators.inference.catalogue import gpu
    >>> estimated_physics(gpu("a100")).basis
    'estimated'
    """
    flop = 1e12 * FLOP_SHARE * (gpu.tdp_w - loaded_idle_w(gpu)) / gpu.peak("bf16")
    return Prices(
        name=PHYSICS,
        basis="estimated",
        source="price of a byte as on H200 and B200, of a FLOP by the board's limit; see power/prices.py",
        low=ESTIMATED_LOW,
        high=ESTIMATED_HIGH,
        interval="judgement",
        weights=PJ_PER_BYTE,
        experts=PJ_PER_BYTE,
        kv=KV_SHARE * PJ_PER_BYTE,
        flop16=flop,
        flop8=flop / 2,
    )


def price_sets(gpu: Gpu) -> list[str]:
    """Names of the sets a GPU has: `physics`, and what its data sheet adds."""
    table: Any = gpu.power.get("energy", {})
    return list(dict.fromkeys([PHYSICS, *table]))


def default_prices(gpu: Gpu) -> str:
    """What ``auto`` stands for: the set fitted to this GPU's serving rows if there is one, else ``physics``."""
    fitted = [name for name in price_sets(gpu) if name != PHYSICS]
    return fitted[0] if fitted else PHYSICS


def prices(gpu: Gpu, name: str = AUTO) -> Prices:
    """The set called `name` of a GPU.

    Raises
    ------
    InputError
        If the data sheet has none of that name, or a value is missing, unknown or out of range.

    Examples
    --------
    >>> from simulators.inference.catalogue import gpu
    >>> prices(gpu("h200")).name, prices(gpu("h100")).name
    ('physics', 'mlenergy_v3')
    """
    chosen = default_prices(gpu) if name == AUTO else name
    table = gpu.power.get("energy", {}).get(chosen)
    if table is None and chosen == PHYSICS and "loaded_idle" in gpu.power.get("states", {}):
        return estimated_physics(gpu)
    if table is None:
        if chosen == PHYSICS:
            loaded_idle_w(gpu)  # says what is missing
        known = ", ".join([AUTO, *price_sets(gpu), "mfu", "constant", "table:FILE.csv"])
        raise InputError(f"power law: {name!r} is unknown for {gpu.name}, expected {known}")
    try:
        return Prices(name=chosen, **table)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        raise InputError(f"{gpu.file}: [power.energy.{chosen}] {field}: {first['msg']}") from None
