"""What a GPU costs in an hour where it is rented on demand: list prices with their range."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from simulators.errors import InputError, nearest
from simulators.quantities.factor import Factor
from simulators.spelling import plain_number

CURRENCY = "USD"
"""Of `GPU_HOURS`."""

_CARD = "Hyperstack's rate card, 2026-08-26"


def _price(value: float, low: float, high: float, source: str) -> Factor:
    return Factor(value, low, high, "USD/GPU-hour", f"public list prices on demand: {source}")


GPU_HOURS: Mapping[str, Factor] = MappingProxyType(
    {
        "a100": _price(1.79, 1.39, 3.43, "RunPod Secure and Community; high: AWS p4de over 8 (2026-11-09)"),
        "a100-40gb": _price(1.99, 1.99, 3.40, "Lambda; high: Azure ND96asr A100 v4 over 8 (2026-11-16)"),
        "a100-pcie": _price(
            1.79, 1.19, 3.67, "RunPod Secure and Community; high: Azure NC24ads A100 v4 (2026-11-09)"
        ),
        "h100": _price(
            3.20,
            2.69,
            12.29,
            f"{_CARD}; low: RunPod Community, high: Azure ND96isr H100 v5 over 8 (2026-11-09)",
        ),
        "h100-pcie": _price(2.89, 1.99, 3.29, "RunPod Secure and Community; high: Lambda (2026-09-25)"),
        "h200": _price(3.99, 3.45, 6.31, f"{_CARD}; low: Civo, high: CoreWeave (2026-10-24)"),
        "b200": _price(6.00, 5.00, 6.69, f"{_CARD}; low: Akash, high: Lambda (2026-09-20)"),
        "b300": _price(7.40, 6.00, 7.40, f"{_CARD}; low: Akash (2026-09-20)"),
    }
)
"""By the name of the GPU's data sheet. They move by tens of per cent within months, and contracts are cheaper."""


def gpu_hours(text: str, gpus: list[str]) -> dict[str, Factor]:
    """Prices of an hour of each GPU: the user's own, else those of `GPU_HOURS`; a GPU without either is left out.

    Parameters
    ----------
    text
        ``GPU=PRICE,GPU=PRICE``; empty for none of one's own. If there is any, the table does not count, as its currency
        may be another.
    gpus
        Names that may stand in it.

    Raises
    ------
    InputError
        If it is not that.

    Examples
    --------
    >>> {name: price.value for name, price in gpu_hours("h100=2.5", ["h100", "h200"]).items()}
    {'h100': 2.5}
    >>> gpu_hours("", ["h200"])["h200"].low
    3.45
    """
    if not text.strip():
        return {name: GPU_HOURS[name] for name in gpus if name in GPU_HOURS}
    found: dict[str, Factor] = {}
    for entry in text.split(","):
        name, equals, value = (part.strip() for part in entry.partition("="))
        try:
            price = plain_number(value)
        except ValueError:
            price = -1.0
        if not equals or not 0 <= price < 1e6:
            raise InputError(f"--gpu-hour: {entry.strip()!r} given, expected GPU=PRICE, e.g. h100=2.5,b200=5")
        if name not in gpus:
            raise InputError(
                f"--gpu-hour: {name!r} is none of the GPUs that are tried, expected {', '.join(gpus)}"
                f"{nearest(name, gpus)}"
            )
        if name in found:
            raise InputError(f"--gpu-hour: {name} is given twice, expected each once")
        found[name] = Factor(price, price, price, "1/GPU-hour", "the study's own")
    return found
