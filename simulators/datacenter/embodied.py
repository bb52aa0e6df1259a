"""Embodied carbon: what making the hardware cost, spread over its service life."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from simulators.errors import InputError
from simulators.quantities.factor import Factor

YEAR_S = 365.25 * 86400.0
SERVICE_LIFE_S = 6 * YEAR_S
"""Six years: the lifetime Azure plans its servers with (Microsoft GreenSKU open data, 72 months)."""
HARDWARE_LIFE = Factor(
    6.0,
    4.0,
    8.0,
    "years",
    "Microsoft GreenSKU open data (CC-BY 4.0): 72 months; the range is a judgement, from accelerators written off "
    "early to servers kept on",
)
BUILDING = Factor(
    180.0,
    90.0,
    360.0,
    "kgCO2eq/kW of IT capacity",
    "Microsoft GreenSKU open data (CC-BY 4.0), data_center.yaml: 9,000 t for 50 MW, a lump estimate; the range, half "
    "to twice, is a judgement",
)
BUILDING_LIFE = Factor(
    20.0,
    15.0,
    40.0,
    "years",
    "Microsoft GreenSKU open data (CC-BY 4.0), data_center.yaml: 240 months; the range is a judgement",
)
GPU_RANGE = (0.7, 1.3)
"""Ends over the value for a GPU, a judgement: two published figures of one GPU differ by 10 to 18 % (A100 127.6 and
150 kg, H100 164 and 180 kg), and none states its error."""


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


SERVER = Factor(
    DEVICES["gpu-server"].embodied_kg,
    2181.0,
    3880.0,
    "kgCO2eq/server without GPUs",
    f"{DEVICES['gpu-server'].source}; range: Dell's life-cycle assessments of rack servers (2023), 2181 to 3880",
)


def gpu_factor(embodied_kg: float, source: str, own_kg: float | None = None) -> Factor:
    """Making of one GPU with its range (`GPU_RANGE`).

    Parameters
    ----------
    embodied_kg, source
        As its sheet in ``data/gpus`` has it.
    own_kg
        The user's own value, without a range.
    """
    low, high = (embodied_kg * end for end in GPU_RANGE)
    return Factor(
        embodied_kg, low, high, "kgCO2eq/GPU", f"{source}; the range, 0.7 to 1.3 of it, is a judgement"
    ).own(own_kg)


@dataclass(frozen=True)
class EmbodiedPart:
    """What the making of one kind of hardware comes to in a run.

    Attributes
    ----------
    count
        How many of what `each` is per.
    each, life
        Making of one, kgCO2eq, and years over which it is spread.
    reserved_s
        How long it was busy or reserved, s.

    Examples
    --------
    >>> part = EmbodiedPart(2.0, SERVER, HARDWARE_LIFE, YEAR_S)
    >>> round(part.kg, 1), round(part.low_kg, 1), round(part.high_kg, 1)
    (833.3, 545.2, 1940.0)
    """

    count: float
    each: Factor
    life: Factor
    reserved_s: float

    def at(self, each_kg: float, life_years: float) -> float:
        """What it comes to with another footprint or life, kgCO2eq."""
        return amortised_kg(each_kg, self.count, self.reserved_s, life_years * YEAR_S)

    @property
    def kg(self) -> float:
        """kgCO2eq."""
        return self.at(self.each.value, self.life.value)

    @property
    def low_kg(self) -> float:
        """With the low footprint and the long life, kgCO2eq."""
        return self.at(self.each.low, self.life.high)

    @property
    def high_kg(self) -> float:
        """With the high footprint and the short life, kgCO2eq."""
        return self.at(self.each.high, self.life.low)


def site_parts(
    gpu: Factor | None,
    gpus: float,
    servers: float,
    reserved_s: float,
    *,
    server: Factor = SERVER,
    life: Factor = HARDWARE_LIFE,
    building_kw: float = 0.0,
    building: Factor = BUILDING,
    building_life: Factor = BUILDING_LIFE,
) -> dict[str, EmbodiedPart]:
    """What a site is made of: GPUs, servers, and the building if its capacity is given.

    Parameters
    ----------
    gpu
        Making of one GPU; None where nobody published any.
    gpus, servers, building_kw
        How many of them there are (0 servers: GPUs alone), and the building's IT capacity, kW (0: not counted).
    reserved_s
        Length of the run, s.

    Examples
    --------
    Two servers of eight GPUs in a year:

    >>> parts = site_parts(gpu_factor(164.0, "a data sheet"), 16, 2, YEAR_S)
    >>> {name: round(part.kg, 1) for name, part in parts.items()}
    {'gpu': 437.3, 'server': 833.3}
    """
    found = {} if gpu is None else {"gpu": EmbodiedPart(gpus, gpu, life, reserved_s)}
    if servers:
        found["server"] = EmbodiedPart(servers, server, life, reserved_s)
    if building_kw:
        found["building"] = EmbodiedPart(building_kw, building, building_life, reserved_s)
    return found
