"""Constants of PV and wind that a run takes where nobody said otherwise, each with its range and source."""

from __future__ import annotations

from simulators.quantities.factor import Factor

_PVWATTS = 'A. P. Dobos, "PVWatts Version 5 Manual", NREL/TP-6A20-62641 (2014)'

LOSSES = Factor(
    0.14,
    0.08,
    0.20,
    "share of DC power",
    f"{_PVWATTS}: soiling, shading, wiring, mismatch, outages; the range is a judgement, from a plant kept clean and "
    "unshaded to a dusty, partly shaded one",
)
DC_AC_RATIO = Factor(
    1.2,
    1.0,
    1.5,
    "W DC/W AC",
    "PVWatts' later versions: 1.2 (version 5: 1.1); the range is a judgement, over plants as built",
)
INVERTER_EFFICIENCY = Factor(
    0.96,
    0.937,
    0.979,
    "1",
    f"{_PVWATTS}: nominal efficiency; 5 to 95 % of the California Energy Commission's list of 2019 (3264 inverters)",
)
TEMPERATURE_COEFFICIENT = Factor(
    -0.0047, -0.0047, -0.0020, "1/K", f"{_PVWATTS}: standard module; premium -0.0035, thin film -0.0020"
)
ALBEDO = Factor(
    0.2,
    0.12,
    0.30,
    "1",
    "as pvlib.albedo: grass 0.20, urban 0.18; asphalt 0.12 to concrete 0.30 (fresh snow 0.75)",
)
GROUND_COVER = Factor(
    0.4, 0.3, 0.5, "m2 of module/m2 of ground", f"{_PVWATTS}: 0.4 for trackers; the range is a judgement"
)
MAX_ANGLE = Factor(60.0, 45.0, 60.0, "degrees", f"{_PVWATTS}: 45; today's horizontal trackers turn up to 60")

ROUGHNESS_M = Factor(
    0.1,
    0.03,
    0.5,
    "m",
    "Davenport's classes, WMO-No. 8 (CIMO Guide): open grass 0.03, low crops 0.1, bushes and scattered buildings 0.5",
)
WAKE_EFFICIENCY = Factor(
    0.92,
    0.80,
    0.98,
    "share of the machines' power in free wind",
    "R. J. Barthelmie et al., Wind Energy 12 (2009) 431-444: large farms at sea lose 10 to 20 %; for a few well-spaced "
    "machines on land the value and the upper end are a judgement",
)
LONE = Factor(1.0, 1.0, 1.0, WAKE_EFFICIENCY.unit, "fewer than two machines stand in no wake")
