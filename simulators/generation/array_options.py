"""What a study may say of PV arrays: for one, or for all that do not say otherwise."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from simulators.errors import InputError, nearest
from simulators.generation import factors
from simulators.generation.pv_array import MOUNTINGS, PvArray, optimal_tilt_deg
from simulators.quantities.factor import Factor
from simulators.spelling import ODD_NUMBER


def _default(factor: Factor) -> str:
    return f"[default: {factor.value:g}]"


Tracking = Annotated[
    Literal["fixed", "single-axis"] | None,
    Field(description="whether the modules are fixed or turn after the sun about one axis  [default: fixed]"),
]
Tilt = Annotated[
    float | None,
    Field(
        ge=0, le=90, description="tilt of fixed modules, degrees from level  [default: the latitude's best]"
    ),
]
Azimuth = Annotated[
    float | None,
    Field(
        ge=0,
        le=360,
        description="where fixed modules face, degrees clockwise from north  [default: the equator]",
    ),
]
AxisTilt = Annotated[
    float | None, Field(ge=0, le=90, description="tilt of a tracker's axis, degrees from level  [default: 0]")
]
AxisAzimuth = Annotated[
    float | None,
    Field(
        ge=0,
        le=360,
        description="where a tracker's axis points, degrees clockwise from north  [default: the equator]",
    ),
]
MaxAngle = Annotated[
    float | None,
    Field(
        gt=0,
        le=90,
        description=f"how far a tracker turns from level, degrees  {_default(factors.MAX_ANGLE)}",
    ),
]
Backtracking = Annotated[
    bool | None,
    Field(description="a tracker turns back before its rows shade each other  [default: yes]"),
]
GroundCover = Annotated[
    float | None,
    Field(
        ge=0.01,
        le=1,
        description="width of a tracker's rows over the distance between them (ground coverage ratio)  "
        f"{_default(factors.GROUND_COVER)}",
    ),
]
OnMounting = Annotated[
    str | None,
    Field(
        description=f"what the modules are mounted on: {', '.join(MOUNTINGS)}  [default: roof; a tracker open_rack]"
    ),
]
Losses = Annotated[
    float | None,
    Field(ge=0, lt=1, description=f"share of DC power lost before the inverter  {_default(factors.LOSSES)}"),
]
DcAcRatio = Annotated[
    float | None,
    Field(gt=0, le=10, description=f"DC capacity over that of the inverter  {_default(factors.DC_AC_RATIO)}"),
]
InverterEfficiency = Annotated[
    float | None,
    Field(
        gt=0,
        le=1,
        description=f"nominal efficiency of the inverter  {_default(factors.INVERTER_EFFICIENCY)}",
    ),
]
TemperatureCoefficient = Annotated[
    float | None,
    Field(
        ge=-0.01,
        le=0,
        description="change of the modules' power with their temperature, 1/K (-0.35 %/K is -0.0035)  "
        f"{_default(factors.TEMPERATURE_COEFFICIENT)}",
    ),
]
Albedo = Annotated[
    float | None,
    Field(ge=0, le=1, description=f"share of light that the ground reflects  {_default(factors.ALBEDO)}"),
]

OF_FIXED = ("tilt", "azimuth")
OF_TRACKERS = ("axis_tilt", "axis_azimuth", "max_angle", "backtracking", "ground_cover")


class ArrayOptions(BaseModel):
    """One PV array; what it leaves out is as the study says for all, else the default.

    Examples
    --------
    >>> array = ArrayOptions.model_validate("kw=10,tilt=20,azimuth=90,mounting=open_rack")
    >>> array.kw, array.tilt, array.losses
    (10.0, 20.0, None)
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    kw: float = Field(gt=0, le=10**8, description="peak power (DC), kW")
    tracking: Tracking = None
    tilt: Tilt = None
    azimuth: Azimuth = None
    axis_tilt: AxisTilt = None
    axis_azimuth: AxisAzimuth = None
    max_angle: MaxAngle = None
    backtracking: Backtracking = None
    ground_cover: GroundCover = None
    mounting: OnMounting = None
    losses: Losses = None
    dc_ac_ratio: DcAcRatio = None
    inverter_efficiency: InverterEfficiency = None
    temperature_coefficient: TemperatureCoefficient = None
    albedo: Albedo = None

    @model_validator(mode="before")
    @classmethod
    def _text(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        pairs = [part.partition("=") for part in value.split(",")]
        names = [name.strip().replace("-", "_") for name, _, _ in pairs]
        if not all(equals and text.strip() for _, equals, text in pairs) or len(set(names)) < len(names):
            raise ValueError("expected each once: kw=10,tilt=20,azimuth=90,mounting=roof, ...")
        odd = next(
            (text for _, _, text in pairs if ODD_NUMBER.search(text) and any(map(str.isdigit, text))), ""
        )
        if odd:
            raise ValueError(f"expected numbers such as 12 or 0.5, not {odd.strip()[:40]!r}")
        return dict(zip(names, (text.strip() for _, _, text in pairs), strict=True))

    @field_validator("mounting")
    @classmethod
    def _known(cls, value: str | None) -> str | None:
        return known_mounting(value)


def known_mounting(value: str | None) -> str | None:
    """The mounting, if there is such a one."""
    if value is not None and value not in MOUNTINGS:
        raise ValueError(f"expected one of {', '.join(MOUNTINGS)}{nearest(value, list(MOUNTINGS))}")
    return value


def pv_array(said: Mapping[str, Any], latitude: float) -> PvArray:
    """The array of what was said of it (fields of `ArrayOptions`), with the defaults of a latitude for the rest.

    Raises
    ------
    InputError
        If something was said that an array of its kind does not have.

    Examples
    --------
    >>> pv_array({"tracking": "single-axis", "losses": 0.1}, 40.0).mounting
    'open_rack'
    """
    tracked = said.get("tracking") == "single-axis"
    if foreign := [name for name in (OF_FIXED if tracked else OF_TRACKERS) if name in said]:
        kind = "a tracker turns its modules" if tracked else "the modules are fixed"
        instead = "axis_tilt and axis_azimuth" if tracked else "tracking single-axis"
        raise InputError(f"PV: {foreign[0]} given, but {kind}; expected {instead}")
    towards = 180.0 if latitude >= 0 else 0.0
    renamed = {
        "tilt": "tilt_deg",
        "azimuth": "azimuth_deg",
        "axis_tilt": "tilt_deg",
        "axis_azimuth": "azimuth_deg",
        "max_angle": "max_angle_deg",
        "temperature_coefficient": "gamma_per_k",
    }
    given = {renamed.get(name, name): value for name, value in said.items() if name not in ("kw", "tracking")}
    default = {
        "tilt_deg": 0.0 if tracked else optimal_tilt_deg(latitude),
        "azimuth_deg": towards,
        "mounting": "open_rack" if tracked else "roof",
    }
    return PvArray(tracked=tracked, **(default | given))
