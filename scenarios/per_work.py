"""Energy and carbon per unit of work: per output token at GPUs and meter, and the Software Carbon Intensity."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scenarios.plain import Frozen

if TYPE_CHECKING:
    from scenarios.bill import BillFigures
    from scenarios.result import Carbon, Energy
from scenarios.served import Serving


class EnergyPerToken(Frozen):
    """Energy per output token, J: of the GPUs alone, and of the whole site at its meter."""

    gpu: float | None
    meter: float | None


class Sci(Frozen):
    """Software Carbon Intensity, ``(E * I + M) / R`` (ISO/IEC 21031:2024), at the meter; location-based.

    Attributes
    ----------
    energy_kwh
        E: all energy of the facility at its meter, kWh.
    intensity_g_per_kwh
        I: what its supply emitted per kWh, gCO2eq/kWh: the import by the grid's average intensity, own supply within
        the boundary, the battery back at its start. Contracts do not change it.
    grid_g_per_kwh
        The same with all of it from the grid, gCO2eq/kWh.
    embodied_kg
        M, kgCO2eq.
    requests, output_tokens
        R: requests completed, and output tokens.
    g_per_request, g_per_output_token
        gCO2eq.
    g_per_request_grid, g_per_output_token_grid
        With all energy from the grid, gCO2eq: comparable between sites with and without own supply.
    """

    energy_kwh: float
    intensity_g_per_kwh: float | None
    grid_g_per_kwh: float | None
    embodied_kg: float | None
    requests: float
    output_tokens: float
    g_per_request: float | None
    g_per_output_token: float | None
    g_per_request_grid: float | None
    g_per_output_token_grid: float | None


def energy_per_token(served: Serving, energy: Energy) -> EnergyPerToken:
    """Of a run with a cluster; None of both without an output token."""
    tokens = served.decode_tokens
    return EnergyPerToken(
        gpu=served.energy_j_per_output_token, meter=energy.facility * 3.6e9 / tokens if tokens else None
    )


def cost_per_million(served: Serving | None, bill: BillFigures | None) -> float | None:
    """The whole bill per million output tokens, in its currency; None without either."""
    if served is None or bill is None or not served.decode_tokens:
        return None
    return 1e6 * bill.total / served.decode_tokens


def sci_of(served: Serving, energy: Energy, carbon: Carbon) -> Sci:
    """Of a run with a cluster."""
    kwh = energy.facility * 1e3
    supplied = None if carbon.settled is None else carbon.settled + carbon.own_supply
    embodied = carbon.embodied

    def per(work: float, kg: float | None) -> float | None:
        return None if kg is None or embodied is None or not work else 1e3 * (kg + embodied) / work

    def intensity(kg: float | None) -> float | None:
        return None if kg is None or kwh <= 0 else 1e3 * kg / kwh

    requests, tokens, grid = served.requests_completed, served.decode_tokens, carbon.without_own_supply
    return Sci(
        energy_kwh=kwh,
        intensity_g_per_kwh=intensity(supplied),
        grid_g_per_kwh=intensity(grid),
        embodied_kg=embodied,
        requests=requests,
        output_tokens=tokens,
        g_per_request=per(requests, supplied),
        g_per_output_token=per(tokens, supplied),
        g_per_request_grid=per(requests, grid),
        g_per_output_token_grid=per(tokens, grid),
    )
