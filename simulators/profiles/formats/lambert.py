"""Map coordinates of DWD's test reference years -> degrees."""

from __future__ import annotations

import math

# ETRS89 / LCC Europe (EPSG:3034): two standard parallels, origin, false easting and northing; ellipsoid GRS 80
_PARALLELS = (math.radians(35.0), math.radians(65.0))
_ORIGIN = (math.radians(52.0), math.radians(10.0))
_FALSE_M = (4_000_000.0, 2_800_000.0)
_AXIS_M, _FLATTENING = 6_378_137.0, 1 / 298.257222101


def to_degrees(east_m: float, north_m: float) -> tuple[float, float]:
    """Latitude and longitude of a point in Lambert's conformal conic projection, EPSG:3034.

    Snyder (1987), Map Projections: A Working Manual, USGS Professional Paper 1395, p. 107-109, equations 15-1 to 15-9,
    14-9 to 14-11.

    Examples
    --------
    >>> tuple(round(value, 4) for value in to_degrees(4_000_000.0, 2_800_000.0))
    (52.0, 10.0)
    """
    e = math.sqrt(_FLATTENING * (2 - _FLATTENING))

    def t(latitude: float) -> float:
        sine = e * math.sin(latitude)
        spherical = math.tan(math.pi / 4 - latitude / 2)
        return float(spherical / ((1 - sine) / (1 + sine)) ** (e / 2))

    def m(latitude: float) -> float:
        return math.cos(latitude) / math.sqrt(1 - (e * math.sin(latitude)) ** 2)

    first, second = _PARALLELS
    n = math.log(m(first) / m(second)) / math.log(t(first) / t(second))
    scale = m(first) / (n * t(first) ** n)
    origin_m = _AXIS_M * scale * t(_ORIGIN[0]) ** n
    x, y = east_m - _FALSE_M[0], origin_m - (north_m - _FALSE_M[1])
    angle = math.atan2(x, y)
    ratio = (math.hypot(x, y) / (_AXIS_M * scale)) ** (1 / n)
    latitude = math.pi / 2 - 2 * math.atan(ratio)
    for _ in range(6):  # converges by a factor of a hundred each time
        sine = e * math.sin(latitude)
        latitude = math.pi / 2 - 2 * math.atan(ratio * ((1 - sine) / (1 + sine)) ** (e / 2))
    return math.degrees(latitude), math.degrees(angle / n + _ORIGIN[1])
