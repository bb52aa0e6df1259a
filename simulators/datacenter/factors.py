"""Constants of a facility with their ranges and where they come from; what a study does not say is taken from here."""

from __future__ import annotations

from simulators.quantities.factor import Factor

_GREENSKU = "Microsoft GreenSKU open data (CC-BY 4.0)"
_RAPS = "ExaDigiT RAPS (Apache-2.0 or MIT)"
_LBNL = "A. Shehabi et al., 2024 United States Data Center Energy Usage Report, LBNL-2001637"
_WP113 = "N. Rasmussen, Electrical Efficiency Modeling for Data Centers, APC white paper 113, table 2"
_SHEETS = "data sheets of large machines (Eaton 9395XR, Schneider Galaxy VS)"
_ECODESIGN = "Commission Regulation (EU) 548/2014, table I.1, 1000 kVA"

_HOST_IDLE_W = 2 * 90.0 + 74.26 + 4 * 20.0 + 30.0
_HOST_FULL_W = 2 * 280.0 + 360.0 + 4 * 20.0 + 30.0
_HOST_PARTS = (
    f"CPUs, NICs, NVMe: {_RAPS}, Selene (DGX A100); 16 modules of DDR5: {_GREENSKU}; the range, 30 % either way, is a "
    "judgement: the parts are of machines of different generations"
)
HOST_IDLE_W = Factor(_HOST_IDLE_W, 0.7 * _HOST_IDLE_W, 1.3 * _HOST_IDLE_W, "W", f"idle; {_HOST_PARTS}")
HOST_FULL_W = Factor(_HOST_FULL_W, 0.7 * _HOST_FULL_W, 1.3 * _HOST_FULL_W, "W", f"busy; {_HOST_PARTS}")

FAN_SHARE = {
    "fans": Factor(
        0.15,
        0.03,
        0.18,
        "1",
        f"{_GREENSKU}, from ServeTheHome: 0.09 at 320 W to 0.154 at 911 W a server; the range goes from a "
        "liquid-cooled machine with some fans left to just above the highest measured",
    ),
    "liquid": Factor(
        0.03,
        0.0,
        0.06,
        "1",
        "a judgement: cold plates take the heat of GPUs and CPUs, slow fans that of the rest; none to twice that",
    ),
}
"""By how the servers are cooled."""

PSU_EFFICIENCY = Factor(
    0.95,
    0.91,
    0.96,
    "1",
    f"{_GREENSKU}; 80 PLUS, 230 V: Platinum at full to Titanium at half load",
)

PUE = Factor(
    1.2,
    1.1,
    1.4,
    "1",
    "assumed by arXiv 2507.11417; hyperscale operators' annual means (about 1.1) to good colocation sites; the "
    f"industry's mean is 1.56 (Uptime Institute surveys), AI-specialised sites' median 1.14 ({_LBNL}, fig. 4.5)",
)
FIXED_SHARE = Factor(
    15.0 / 41.0,
    0.1,
    0.6,
    "1",
    f"{_WP113}: no-load over all losses of air handlers (9 % + 0 %) and chiller plant (6 % + 26 %); the range, from "
    "variable speed throughout to fixed speed, is a judgement",
)

SUPPLY_C = {
    "fans": Factor(24.0, 18.0, 27.0, "degC", "air; ASHRAE TC 9.9 recommends 18 to 27"),
    "liquid": Factor(32.0, 27.0, 45.0, "degC", "water; ASHRAE TC 9.9 classes W27, W32, W45"),
}
"""Of what is supplied to the servers."""
APPROACH_K = Factor(5.0, 2.0, 8.0, "K", "a designer's choice: large to small heat exchangers")
RETURN_RISE_K = Factor(12.0, 8.0, 20.0, "K", "a designer's choice: the warming through the servers")
CIRCULATION = Factor(
    0.036,
    0.02,
    0.1,
    "W/W of heat",
    "NREL ESIF, yearly mean PUE 1.036: pumps, fans, ventilation, lights, no chillers and no losses of the power chain; "
    "the range is a judgement",
)
CHILLER_COP = (2.96, 6.28)
"""Range of a chiller's coefficient of performance: the least that ASHRAE 90.1-2019, table 6.8.1-3, allows of large
air-cooled (EER 10.1) and of large water-cooled centrifugal ones (0.56 kW per ton of refrigeration)."""
COP_SOURCE = (
    "J. Moore et al., Making Scheduling Cool, USENIX ATC 2005, fig. 1, at the supply temperature (10 to 30 degC); "
    "range: the least that ASHRAE 90.1-2019 allows of air-cooled to water-cooled chillers"
)

POWER_CHAIN_EFFICIENCY = Factor(
    0.96,
    0.90,
    0.99,
    "1",
    f"rectifiers of Frontier ({_RAPS}); range: UPS of hyperscale and AI sites, {_LBNL}, table 4.3",
)
UPS_EFFICIENCY = {
    "double-conversion": Factor(
        0.97, 0.90, 0.982, "1", f"{_SHEETS}: up to 97 %; low end: {_LBNL}, table 4.3; high: silicon carbide"
    ),
    "eco": Factor(0.99, 0.97, 0.992, "1", f"{_SHEETS}: up to 99 %; the range is a judgement"),
}
"""At half of its rating, by how it runs."""
UPS_LOSSES = (0.04, 0.05)
"""No-load and proportional losses of a UPS of 2007 over its rating (APC white paper 113, table 2): the shape of the
curve, which `UPS_EFFICIENCY` scales."""
UPS_CAPACITY = Factor(
    4.0 / 3.0, 1.0, 2.0, "1", "a designer's choice: four for the load of three; from N to 2N"
)
TRANSFORMER_NO_LOAD = {
    "dry": Factor(
        1.395e-3, 0.7e-3, 1.55e-3, "W/W", f"{_ECODESIGN}, dry, tier 2; to tier 1; low: a judgement"
    ),
    "liquid": Factor(
        0.693e-3,
        0.35e-3,
        0.77e-3,
        "W/W",
        f"{_ECODESIGN}, liquid-immersed, tier 2; to tier 1; low: a judgement",
    ),
}
"""Of the core, over the rating, by the kind of transformer."""
TRANSFORMER_LOAD = {
    "dry": Factor(9e-3, 7e-3, 9e-3, "W/W", f"{_ECODESIGN}, dry, tiers 1 and 2; low: a judgement"),
    "liquid": Factor(
        7.6e-3, 5.5e-3, 10.5e-3, "W/W", f"{_ECODESIGN}, liquid-immersed, tier 2; to tier 1; low: a judgement"
    ),
}
"""Of the windings at its rating, over the rating; they go with the square of the load."""

WUE = Factor(
    0.61,
    0.0,
    2.5,
    "L/kWh of IT",
    f"median of AI-specialised sites (10th to 90th percentile 0.52 to 0.73), {_LBNL}, fig. 4.5; the range is that of "
    "designs, from dry coolers to cooling towers all year (fig. 4.4)",
)
WUE_DRY = Factor(
    0.0, 0.0, 0.1, "L/kWh of IT", f"dry coolers and air-cooled chillers: humidification, {_LBNL}, fig. 4.4"
)
CYCLES = Factor(
    4.0,
    2.0,
    6.0,
    "1",
    "US DOE, FEMP Best Management Practice 10: many towers run at 2 to 4 cycles, 6 or more are possible",
)
GRID_WATER = Factor(
    4.35,
    1.287,
    9.501,
    "L/kWh",
    f"US mean, reservoirs' evaporation included, {_LBNL}, p. 57; states from Texas to Washington: P. Li et al., arXiv "
    "2304.03271",
)
