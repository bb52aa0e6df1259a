"""Whether the irradiance of a file is where the sun is, and how far it is off.

Two tests, neither of which needs to know the weather. *Closure*: global irradiance is the beam on the horizontal plus
the diffuse part, GHI = DNI cos(zenith) + DHI, with the sun of the time the values belong to. *Symmetry*: on clear days
the irradiance is centred on solar noon. The first tells which sun the publisher reckoned with, the second where the
irradiance itself is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from simulators.errors import InputError
from simulators.profiles.formats.base import RawWeather
from simulators.profiles.formats.checks import IRRADIANCE

Array = NDArray[np.float64]

CLOSES_W_M2 = 5.0
"""Root mean square of the closure's error up to which times count as right: files that are right have 0.4 to 1.4."""

DISAGREES_W_M2 = 30.0
"""... from which on the components do not belong together, whatever the sun; files that were moved have up to 14."""

ODD = 0.005
"""Share of the values, those that fit worst, that closure leaves out: one slip of 1500 W/m2 among a year's 4000 adds
20 W/m2 to the root mean square, and would hide where the sun is."""
SHIFTS_MIN = range(-90, 91, 5)
APART_MIN = 10.0
"""How far closure and symmetry may differ; the afternoons' clouds alone move the second by a few minutes."""

WRONG_ZONE_MIN = 90.0
"""A lag from which on a plain table is said to be in another time zone."""

CLEAR = 0.5
"""Least clearness of a day, its irradiance over that outside the atmosphere, that counts as clear; and
the share of them, at least `CLEAR_DAYS`, that are the clearest."""
CLEAREST, CLEAR_DAYS = 0.1, 5

_SOLAR_CONSTANT_W_M2 = 1361.0  # Kopp and Lean (2011), Geophys. Res. Lett. 38, L01706
NIGHT, DIFFUSE = 0.01, 0.01
"""Shares of the energy at night and of diffuse values above the global one from which on a file is refused: files that
are right have 0 to 0.0002 of the first, and none of the second."""

_BELOW = (
    -0.17
)  # cosine of the zenith with the sun 10 degrees below the horizon: no hour's mean holds any of it
_DIFFUSE_W_M2 = 10.0
_LOW_SUN = 0.15
"""Cosine of the zenith below which an hour's mean says nothing about the sun at its middle."""


class Place(NamedTuple):
    """Degrees, north and east positive; None if unknown."""

    latitude: float | None
    longitude: float | None


def on_time(raw: RawWeather, place: Place, components: bool) -> tuple[RawWeather, str]:
    """The weather with its irradiance where the sun is; and a note on what was moved.

    Parameters
    ----------
    raw
        With all of ghi, dni, dhi, or none of them.
    place
        Where it is; nothing is tested without.
    components
        Whether all three were in the file: closure tells nothing of those computed by it.

    Raises
    ------
    InputError
        If a plain table's irradiance is hours away from the sun.
    """
    if (
        place.latitude is None
        or place.longitude is None
        or "ghi" not in raw.columns
        or "dni" not in raw.columns
    ):
        return raw, ""
    off_min = centre_min(raw, place)
    if off_min is not None and abs(off_min) > WRONG_ZONE_MIN:
        hours = f"{abs(off_min) / 60:.1f} h {'before' if off_min < 0 else 'after'} the sun"
        if not raw.settled:
            raise InputError(
                f"{raw.path}: its irradiance is {hours} at {place.latitude:g}, {place.longitude:g}; expected the zone "
                "of its times, --weather-timezone Europe/Berlin, or the file of another place"
            )
        return raw, f" (irradiance is {hours}: wrong place or time zone)"
    _check_night(raw, place)
    if not components:
        return raw, ""
    here = closure_w_m2(raw, place, (0,))[0]
    if here < CLOSES_W_M2:
        return raw, ""
    errors = closure_w_m2(raw, place)
    best = min(errors, key=lambda shift: errors[shift])
    if errors[best] > DISAGREES_W_M2:
        return raw, f" (ghi and dni cos(zenith) + dhi differ by {here:.0f} W/m2: they do not belong together)"
    if errors[best] > here / 2:
        return raw, ""
    return _moved(raw, place, best, off_min)


def _check_night(raw: RawWeather, place: Place) -> None:
    """Refuse sunshine while the sun is well below the horizon."""
    ghi = raw.columns["ghi"]
    night = _cosine(_midpoints(raw), place) < _BELOW
    if ghi[night].sum() > NIGHT * ghi.sum():
        at = _midpoints(raw)[int(np.argmax(np.where(night, ghi, 0.0)))]
        raise InputError(
            f"{raw.path}: {ghi[night].max():.0f} W/m2 of sun at {at:%Y-%m-%d %H:%M} UTC, when it is night at "
            f"{place.latitude:g}, {place.longitude:g}; expected the zone of its times, or its own place"
        )


def check_diffuse(raw: RawWeather) -> None:
    """Refuse diffuse light above the global irradiance it is a part of."""
    if not {"ghi", "dhi"} <= set(raw.columns):
        return
    ghi, dhi = raw.columns["ghi"], raw.columns["dhi"]
    over = dhi > 1.05 * ghi + _DIFFUSE_W_M2
    if over.sum() > DIFFUSE * max(int((dhi > _DIFFUSE_W_M2).sum()), 1):
        first = int(np.argmax(over))
        raise InputError(
            f"{raw.path}: diffuse irradiance {dhi[first]:.0f} W/m2 is above the global one of {ghi[first]:.0f} W/m2 at "
            f"{_midpoints(raw)[first]:%Y-%m-%d %H:%M} UTC ({int(over.sum())} times); expected global to hold diffuse: "
            "are the columns exchanged?"
        )


def closure_w_m2(raw: RawWeather, place: Place, shifts_min: Sequence[int] = SHIFTS_MIN) -> dict[int, float]:
    """Root mean square of GHI - DNI cos(zenith) - DHI with a sun so many minutes later, W/m2; without the `ODD`."""
    times = _midpoints(raw)
    errors = {}
    for shift in shifts_min:
        cosine = _cosine(times + pd.Timedelta(minutes=shift), place)
        error = raw.columns["ghi"] - raw.columns["dni"] * cosine - raw.columns["dhi"]
        squares = np.sort(error[cosine > _LOW_SUN] ** 2)
        kept = squares[: len(squares) - int(ODD * len(squares))]
        errors[shift] = float(np.sqrt(kept.mean())) if len(kept) else 0.0
    return errors


def centre_min(raw: RawWeather, place: Place) -> float | None:
    """How much later than the sun the irradiance of clear days is, min; None if there are too few of them."""
    if 86400 % raw.step_s or place.longitude is None:
        return None
    times = _midpoints(raw)
    per_day = 86400 // raw.step_s
    # whole days from midnight to midnight of the sun
    solar = times + pd.Timedelta(hours=place.longitude / 15)
    first = int(np.argmax(solar.normalize() != solar.normalize()[0])) if len(solar) > per_day else 0
    days = (len(times) - first) // per_day
    if days < 1:
        return None
    inside = slice(first, first + days * per_day)
    shape = (days, per_day)
    irradiance = raw.columns["ghi"][inside].reshape(shape)
    outside = (_SOLAR_CONSTANT_W_M2 * np.maximum(_cosine(times[inside], place), 0.0)).reshape(shape)
    total = outside.sum(axis=1)
    clearness = np.divide(irradiance.sum(axis=1), total, out=np.zeros(days), where=total > 0)
    count = max(CLEAR_DAYS, round(CLEAREST * days))
    clearest = np.argsort(clearness)[::-1][:count]
    clearest = clearest[clearness[clearest] > CLEAR]
    if len(clearest) < CLEAR_DAYS:
        return None
    # on the circle of a day, so that light on both sides of midnight has its centre between
    turn = np.exp(2j * np.pi * (np.arange(per_day) + 0.5) / per_day)
    apart = np.angle((irradiance[clearest] @ turn) / (outside[clearest] @ turn))
    return float(np.median(apart) * 1440 / (2 * np.pi))


def _moved(raw: RawWeather, place: Place, closure_min: int, off_min: float | None) -> tuple[RawWeather, str]:
    """Move the times by what the sun tells; air temperature, wind and pressure stay where they were."""
    shift_min, columns, note = float(closure_min), dict(raw.columns), ""
    if off_min is not None and abs(-off_min - closure_min) > APART_MIN:
        shift_min = 5.0 * round(-off_min / 5.0)
        note = f", dni made anew of ghi and dhi, whose sun was {closure_min:+d} min away"
    seconds = round(shift_min * 60)
    steps = len(columns["ghi"])
    old = (np.arange(steps) + 0.5) * raw.step_s
    period = {"period": steps * raw.step_s} if raw.cyclic else {}
    for name, values in columns.items():
        if name not in IRRADIANCE:
            columns[name] = np.interp(old + seconds, old, values, **period)
    moved = replace(raw, start=raw.start + timedelta(seconds=seconds), columns=columns)
    if note:
        cosine = _cosine(_midpoints(moved), place)
        beam = np.maximum(columns["ghi"] - columns["dhi"], 0.0)
        columns["dni"] = np.where(
            cosine > _LOW_SUN,
            beam / np.maximum(cosine, _LOW_SUN),
            np.minimum(columns["dni"], beam / _LOW_SUN),
        )
    return moved, f" (irradiance moved by {shift_min:+.0f} min to where the sun is{note})"


def _midpoints(raw: RawWeather) -> pd.DatetimeIndex:
    first = pd.Timestamp(raw.start) + pd.Timedelta(seconds=raw.step_s / 2)
    return pd.date_range(first, periods=len(raw.columns["ghi"]), freq=pd.Timedelta(seconds=raw.step_s))


def _cosine(times: pd.DatetimeIndex, place: Place) -> Array:
    from pvlib import solarposition

    found = solarposition.get_solarposition(times, place.latitude, place.longitude)
    return np.asarray(np.cos(np.radians(found["zenith"].to_numpy())))
