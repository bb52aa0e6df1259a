"""What a study says about own generation."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from simulators.errors import InputError
from simulators.generation import array_options as of_array
from simulators.generation import factors
from simulators.generation.array_options import OF_FIXED, OF_TRACKERS, ArrayOptions, pv_array
from simulators.generation.power_curve import HEADER, read_power_curve
from simulators.generation.pv_array import PvArray
from simulators.generation.turbines import machine_of
from simulators.generation.wind import WindPlant
from simulators.leaves import option_name
from simulators.profiles.fileref import FileRef

PV_KW, WIND_KW = 20.0, 5.0
"""Sizes of options that say nothing of them and belong to no site, kW."""

OF_PV = tuple(name for name in ArrayOptions.model_fields if name != "kw")
OF_WIND = (
    "turbine",
    "power_curve",
    "hub_height",
    "machines",
    "roughness",
    "shear_exponent",
    "wake_efficiency",
)


class GenerationOptions(BaseModel):
    """PV and wind of a site.

    Examples
    --------
    >>> options = GenerationOptions(pv_losses=0.1, arrays=["kw=6,azimuth=90", "kw=4,azimuth=270,losses=0.2"])
    >>> options.pv_size_kw, [(kw, array.azimuth_deg, array.losses) for kw, array in options.pv_arrays(48.0)]
    (10.0, [(6.0, 90.0, 0.1), (4.0, 270.0, 0.2)])
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    pv_kw: float | None = Field(
        None,
        gt=0,
        le=10**8,
        description="PV peak power (DC), kW  [default: the site's, or what the arrays add up to]",
    )
    arrays: tuple[ArrayOptions, ...] = Field(
        (),
        description="one of several PV arrays, e.g. kw=10,tilt=20,azimuth=90,mounting=roof (repeatable): its peak "
        "power and any --pv-... option below, by its name without pv; what it leaves out is as those options say",
        json_schema_extra={"option": "pv_array"},
    )
    pv_tracking: of_array.Tracking = None
    pv_tilt: of_array.Tilt = None
    pv_azimuth: of_array.Azimuth = None
    pv_axis_tilt: of_array.AxisTilt = None
    pv_axis_azimuth: of_array.AxisAzimuth = None
    pv_max_angle: of_array.MaxAngle = None
    pv_backtracking: of_array.Backtracking = None
    pv_ground_cover: of_array.GroundCover = None
    pv_mounting: of_array.OnMounting = None
    pv_losses: of_array.Losses = None
    pv_dc_ac_ratio: of_array.DcAcRatio = None
    pv_inverter_efficiency: of_array.InverterEfficiency = None
    pv_temperature_coefficient: of_array.TemperatureCoefficient = None
    pv_albedo: of_array.Albedo = None
    wind_kw: float | None = Field(
        None,
        gt=0,
        le=10**8,
        description="rated wind power, kW  [default: the site's, or what --wind-machines add up to]",
    )
    wind_turbine: str | None = Field(
        None,
        description="type of the turbines (`wattloop turbines`)  [default: by size, from 12.6 kW machines up]",
    )
    wind_power_curve: Path | None = Field(
        None, description=f"power curve of your own turbine, a CSV with {HEADER}; needs --wind-hub-height"
    )
    wind_machines: int | None = Field(
        None,
        ge=1,
        le=10_000,
        description="how many turbines of the stated type or curve, in place of --wind-kw",
    )
    wind_hub_height: float | None = Field(
        None, gt=0, le=250, description="hub height of the turbines, m  [default: the turbine's usual one]"
    )
    wind_roughness: float | None = Field(
        None,
        gt=0,
        le=5,
        description="roughness length of the surroundings, m: 0.03 grass, 0.1 low crops, 0.5 scattered buildings  "
        f"[default: the weather's, else {factors.ROUGHNESS_M.value:g}]",
    )
    wind_shear_exponent: float | None = Field(
        None,
        ge=0,
        le=1,
        description="carry wind to hub height by a power law with this exponent (1/7 over open land)  "
        "[default: logarithmic profile over --wind-roughness]",
    )
    wind_wake_efficiency: float | None = Field(
        None,
        gt=0,
        le=1,
        description="share of the turbines' power that is left behind one another  "
        f"[default: {factors.WAKE_EFFICIENCY.value:g}, fewer than two machines 1]",
    )
    pv_profile: FileRef | None = Field(
        None,
        description="PV output per unit of capacity, instead of weather",
        json_schema_extra={"hidden": ["kind", "elsewhere"]},
    )
    wind_profile: FileRef | None = Field(
        None,
        description="wind output per unit of capacity, instead of weather",
        json_schema_extra={"hidden": ["kind", "elsewhere"]},
    )

    @field_validator("pv_kw", "wind_kw", mode="wrap")
    @classmethod
    def _positive(cls, value, handler, info):  # type: ignore[no-untyped-def]
        part = info.field_name.partition("_")[0]
        try:
            return handler(value)
        except ValueError as error:
            raise ValueError(f"expected a number above 0; leave it out with --without {part}") from error

    @field_validator("pv_mounting")
    @classmethod
    def _known(cls, value: str | None) -> str | None:
        return of_array.known_mounting(value)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        total = sum(array.kw for array in self.arrays)
        if self.arrays and self.pv_kw is not None and abs(self.pv_kw - total) > 1e-9 * total:
            raise ValueError(
                f"--pv-kw: {self.pv_kw:g} given, but the arrays (--pv-array) add up to {total:g} kW; expected the "
                "same, or no --pv-kw"
            )
        self.pv_arrays(0.0)
        for one, other in (("turbine", "power_curve"), ("roughness", "shear_exponent")):
            if {one, other} <= set(self.said("wind")):
                names = f"{option_name(f'wind_{one}')} and {option_name(f'wind_{other}')}"
                raise ValueError(f"{names}: both given, expected one of them")
        if self.wind_power_curve is not None and self.wind_hub_height is None:
            raise ValueError("--wind-power-curve: an own turbine, expected --wind-hub-height METRES as well")
        if self.wind_machines is not None and self.wind_turbine is None and self.wind_power_curve is None:
            raise ValueError("--wind-machines: of which type? expected --wind-turbine or --wind-power-curve")
        return self

    def said(self, part: str) -> dict[str, Any]:
        """What was said of how ``pv`` or ``wind`` is built, by name without the part."""
        names = OF_PV if part == "pv" else OF_WIND
        given = {name: getattr(self, f"{part}_{name}") for name in names}
        return {name: value for name, value in given.items() if value is not None}

    @property
    def pv_size_kw(self) -> float:
        """PV peak power of the site, all arrays, kW."""
        return sum(array.kw for array in self.arrays) or self.pv_kw or PV_KW

    @property
    def wind_size_kw(self) -> float:
        """Rated wind power where a file gives it per unit, kW."""
        return self.wind_kw or WIND_KW

    def pv_arrays(self, latitude: float) -> tuple[tuple[float, PvArray], ...]:
        """Peak power, kW, of every array, and how it is built at a latitude.

        Raises
        ------
        InputError
            If something was said that contradicts the rest, or that no array has.
        """
        common = self.said("pv")
        if not self.arrays:
            return ((self.pv_size_kw, pv_array(common, latitude)),)
        made, used = [], {"tracking"}
        for number, array in enumerate(self.arrays, start=1):
            own = array.model_dump(exclude_none=True)
            tracked = own.get("tracking", common.get("tracking")) == "single-axis"
            foreign = OF_FIXED if tracked else OF_TRACKERS
            fits = {name: value for name, value in common.items() if name not in foreign}
            used |= set(fits)
            try:
                made.append((array.kw, pv_array(fits | own, latitude)))
            except InputError as error:
                raise InputError(f"--pv-array {number}: {error}") from None
        if left := [name for name in common if name not in used]:
            raise InputError(
                f"{option_name(f'pv_{left[0]}')}: {common[left[0]]} given, but no array is of that kind"
            )
        return tuple(made)

    def resized(self, pv_kw: float) -> GenerationOptions:
        """The same with another PV peak power, kW: every array in proportion.

        Examples
        --------
        >>> [array.kw for array in GenerationOptions(arrays=["kw=6", "kw=4,tilt=0"]).resized(20.0).arrays]
        [12.0, 8.0]
        """
        by = pv_kw / self.pv_size_kw
        arrays = tuple(array.model_copy(update={"kw": array.kw * by}) for array in self.arrays)
        return self.model_copy(update={"pv_kw": None if arrays else pv_kw, "arrays": arrays})

    def wind_plant(self, weather_roughness_m: float | None = None) -> WindPlant:
        """The turbines, over ground of the weather's roughness, m, unless the options say another.

        Raises
        ------
        InputError
            If the turbine is unknown or has no usual hub height, its curve is none, or sizes contradict.
        """
        own = None if self.wind_power_curve is None else read_power_curve(self.wind_power_curve)
        size_w = self.wind_size_kw * 1e3
        machine, hub_m = machine_of(size_w, own or self.wind_turbine, self.wind_hub_height)
        if self.wind_machines is not None:
            size_w = self.wind_machines * machine.nominal_w
            if self.wind_kw is not None and abs(self.wind_kw * 1e3 - size_w) > 1e-9 * size_w:
                raise InputError(
                    f"--wind-kw: {self.wind_kw:g} given, but --wind-machines {self.wind_machines} of {machine.name} "
                    f"make {size_w / 1e3:g} kW; expected one of them"
                )
        wake = factors.WAKE_EFFICIENCY if size_w >= 2 * machine.nominal_w else factors.LONE
        return WindPlant(
            machine,
            size_w,
            hub_m,
            self.wind_roughness or weather_roughness_m or factors.ROUGHNESS_M.value,
            self.wind_shear_exponent,
            wake.own(self.wind_wake_efficiency).value,
        )

    def files(self) -> list[tuple[str, Path]]:
        """The file of an own power curve."""
        curve = self.wind_power_curve
        return [] if curve is None else [("power curve of the wind turbine", curve)]
