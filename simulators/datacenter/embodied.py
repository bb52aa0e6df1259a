"""Embodied carbon: what making the hardware cost, spread over its service life."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from simulators.errors import InputError

SERVICE_LIFE_S = 6 * 365.25 * 86400.0
"""Six years: the lifetime Azure plans its servers with (Microsoft GreenSKU open data, 72 months)."""


@dataclass(frozen=True)
class Device:
    """One piece of hardware.

    Attributes
    ----------
    name
        What it is.
    embodied_kg
        Cradle-to-gate footprint of one, kgCO2eq.
    source
        Where the figure comes from.
    """

    name: str
    embodied_kg: float
    source: str


_PAPER = "arXiv 2507.11417"
_GREENSKU = "Microsoft GreenSKU open data (CC-BY 4.0)"

DEVICES: Mapping[str, Device] = MappingProxyType(
    {
        "a100": Device("A100", 150.0, f"{_PAPER}; an LCA finds 127.6 (arXiv 2509.00093)"),
        "a40": Device("A40", 100.0, _PAPER),
        "h100": Device(
            "H100", 164.0, "NVIDIA HGX H100 PCF summary (ISO 14067): 1312 for 8; 180 in " + _PAPER
        ),
        "b200": Device("B200", 284.25, "NVIDIA HGX B200 PCF summary (ISO 14067): 2274 for 8"),
        "gpu-server": Device(
            "8-GPU server without GPUs", 2500.0, "A. S. Luccioni et al., arXiv 2211.02001: HPE Apollo 6500"
        ),
        "cpu": Device("AMD Genoa CPU", 30.7, f"{_GREENSKU}, CPU.yaml"),
        "dram-64gb": Device("64 GB DDR5 module", 105.4, f"{_GREENSKU}, DRAM.yaml"),
        "ssd-4tb": Device("4 TB SSD", 69.3, f"{_GREENSKU}, SSD.yaml"),
        "nic-100g": Device("100 Gbit/s NIC", 58.09, f"{_GREENSKU}, NIC.yaml"),
        "server-2u": Device("2U chassis, board and the rest", 375.0, f"{_GREENSKU}, server.yaml"),
    }
)


def device(name: str) -> Device:
    """The device called `name` (any case).

    Raises
    ------
    InputError
        If it is not in `DEVICES`.
    """
    try:
        return DEVICES[name.lower()]
    except KeyError:
        raise InputError(
            f"embodied carbon: {name!r} is unknown, expected one of {', '.join(DEVICES)}, or give kgCO2eq"
        ) from None


def amortised_kg(
    embodied_kg: float, count: float, reserved_s: float, service_life_s: float = SERVICE_LIFE_S
) -> float:
    """Embodied carbon of `count` devices that falls on the time they were busy or reserved, kgCO2eq.

    ``embodied * count * reserved / service life`` (Software Carbon Intensity specification, ISO/IEC
    21031:2024: time share). A server kept for a service is reserved all the time, idle or not.

    Parameters
    ----------
    embodied_kg
        Footprint of one device, kgCO2eq, >= 0.
    count
        Number of devices, >= 0.
    reserved_s
        How long each was busy or reserved, s, >= 0.
    service_life_s
        Over which its making is spread, s, > 0.
    """
    if not (embodied_kg >= 0 and count >= 0 and reserved_s >= 0):
        raise InputError("embodied carbon: footprint, count and reserved time must be numbers >= 0")
    if not service_life_s > 0:
        raise InputError(f"embodied carbon: service life is {service_life_s} s, expected a positive number")
    return embodied_kg * count * reserved_s / service_life_s


def site_embodied_kg(
    gpu: str | float, gpus: int, nodes: int, reserved_s: float, service_life_s: float = SERVICE_LIFE_S
) -> float:
    """Embodied carbon of a site's GPUs and servers over `reserved_s`, kgCO2eq.

    Parameters
    ----------
    gpu
        A name in `DEVICES`, or the footprint of one GPU in kgCO2eq.
    gpus, nodes
        How many GPUs and how many servers around them (0: GPUs alone).
    """
    each_kg = device(gpu).embodied_kg if isinstance(gpu, str) else gpu
    return amortised_kg(each_kg, gpus, reserved_s, service_life_s) + amortised_kg(
        DEVICES["gpu-server"].embodied_kg, nodes, reserved_s, service_life_s
    )
