"""What a study may say of own generation."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from simulators.errors import InputError
from simulators.generation.assumptions import pv_assumptions, wind_assumptions
from simulators.generation.options import GenerationOptions
from simulators.generation.pv_array import PvArray
from simulators.leaves import leaves
from simulators.profiles.fileref import FileRef


def test_a_profile_may_be_a_path_or_a_table_and_goes_to_json_and_back():
    options = GenerationOptions(pv_profile="pv.csv", wind_profile={"path": "w.csv", "column": "a"})
    assert options.pv_profile == FileRef(path="pv.csv")
    assert options.wind_profile.column == "a"
    assert GenerationOptions.model_validate_json(options.model_dump_json()) == options


def test_only_options_that_work_are_offered():
    names = [leaf.name for leaf in leaves(GenerationOptions) if leaf.name.startswith("pv_profile")]
    expected = [
        "pv_profile",
        *(
            f"pv_profile_{name}"
            for name in (
                "column",
                "unit",
                "timezone",
                "label",
                "fill",
                "format",
                "decimal",
                "implausible",
                "rating",
                "start",
                "align",
            )
        ),
    ]
    assert names == expected


@pytest.mark.parametrize(("entry", "part"), [("pv_kw", "pv"), ("wind_kw", "wind")])
@pytest.mark.parametrize("value", [0, -1.0, float("inf")])
def test_a_plant_has_a_size_or_is_left_out(entry, part, value):
    with pytest.raises(
        ValidationError, match=f"expected a number above 0; leave it out with --without {part}"
    ):
        GenerationOptions(**{entry: value})


def test_a_site_that_says_nothing_has_one_fixed_array_on_its_roof():
    ((kw, array),) = GenerationOptions().pv_arrays(40.0)
    assert kw == GenerationOptions().pv_size_kw == 20.0
    assert (array.mounting, array.tracked, array.azimuth_deg) == ("roof", False, 180.0)
    assert array.tilt_deg == pytest.approx(31.53, abs=0.01)
    ((_, south),) = GenerationOptions().pv_arrays(-40.0)
    assert south.azimuth_deg == 0.0


def test_every_option_of_an_array_reaches_it():
    options = GenerationOptions(
        pv_kw=3.0, pv_tilt=10.0, pv_azimuth=90.0, pv_mounting="insulated", pv_losses=0.1, pv_dc_ac_ratio=1.1,
        pv_inverter_efficiency=0.97, pv_temperature_coefficient=-0.003, pv_albedo=0.3,
    )  # fmt: skip
    expected = PvArray(
        10.0, 90.0, mounting="insulated", losses=0.1, dc_ac_ratio=1.1, inverter_efficiency=0.97,
        gamma_per_k=-0.003, albedo=0.3,
    )  # fmt: skip
    assert options.pv_arrays(50.0) == ((3.0, expected),)
    tracked = GenerationOptions(
        pv_tracking="single-axis", pv_axis_tilt=5.0, pv_axis_azimuth=170.0, pv_max_angle=50.0,
        pv_backtracking=False, pv_ground_cover=0.3,
    )  # fmt: skip
    expected = PvArray(5.0, 170.0, True, 50.0, False, 0.3, mounting="open_rack")
    assert tracked.pv_arrays(50.0) == ((20.0, expected),)


def test_arrays_add_up_and_take_what_they_leave_out_from_the_options_for_all():
    options = GenerationOptions.model_validate(
        {
            "pv_losses": 0.1,
            "pv_tilt": 15,
            "arrays": [
                "kw=6,azimuth=90",
                {"kw": 4, "losses": 0.2},
                "kw=5,tracking=single-axis,backtracking=no",
            ],
        }
    )
    assert options.pv_size_kw == 15.0
    (_, east), (_, south), (_, tracker) = options.pv_arrays(48.0)
    assert (east.tilt_deg, east.azimuth_deg, east.losses) == (15.0, 90.0, 0.1)
    assert (south.tilt_deg, south.azimuth_deg, south.losses) == (15.0, 180.0, 0.2)
    assert (tracker.tilt_deg, tracker.tracked, tracker.backtracking) == (0.0, True, False)
    assert GenerationOptions.model_validate_json(options.model_dump_json()) == options
    twice = options.resized(30.0)
    assert (twice.pv_size_kw, [array.kw for array in twice.arrays]) == (30.0, [12.0, 8.0, 10.0])
    assert GenerationOptions(pv_kw=15.0, arrays=options.arrays).pv_size_kw == 15.0
    assert GenerationOptions().resized(7.0).pv_size_kw == 7.0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"pv_kw": 5, "arrays": ["kw=6"]}, r"--pv-kw: 5 given, but the arrays \(--pv-array\) add up to 6 kW"),
        ({"arrays": ["kw=6,kw=7"]}, "expected each once: kw=10"),
        ({"arrays": ["6"]}, "expected each once: kw=10"),
        ({"arrays": ["tilt=6"]}, "Field required"),
        ({"arrays": ["kw=0"]}, "greater than 0"),
        ({"arrays": ["kw=1,tilt=95"]}, "less than or equal to 90"),
        ({"arrays": ["kw=1,slope=9"]}, "Extra inputs are not permitted"),
        ({"arrays": ["kw=1,mounting=roofs"]}, "expected one of roof, .*; did you mean roof"),
        (
            {"arrays": ["kw=1", "kw=1,axis_tilt=3"]},
            "--pv-array 2: PV: axis_tilt given, but the modules are fixed",
        ),
        (
            {"arrays": ["kw=1,tracking=single-axis,azimuth=3"]},
            "a tracker turns its modules; expected axis_tilt",
        ),
        (
            {"arrays": ["kw=1"], "pv_max_angle": 30},
            "--pv-max-angle: 30.0 given, but no array is of that kind",
        ),
        (
            {"pv_ground_cover": 0.3},
            "ground_cover given, but the modules are fixed; expected tracking single-axis",
        ),
        ({"pv_tracking": "single-axis", "pv_mounting": "roof"}, "a tracker with mounting 'roof'"),
        ({"pv_temperature_coefficient": -0.35}, "greater than or equal to -0.01"),
        ({"pv_losses": 14}, "less than 1"),
        ({"pv_mounting": "rack"}, "expected one of roof"),
        (
            {"wind_turbine": "a", "wind_power_curve": "b.csv", "wind_hub_height": 9},
            "both given, expected one",
        ),
        ({"wind_roughness": 0.1, "wind_shear_exponent": 0.2}, "both given, expected one"),
        ({"wind_power_curve": "b.csv"}, "an own turbine, expected --wind-hub-height METRES"),
        ({"wind_machines": 3}, "of which type"),
        ({"wind_wake_efficiency": 0}, "greater than 0"),
    ],
)
def test_contradictions_are_refused(options, message):
    with pytest.raises(ValidationError, match=message):
        GenerationOptions.model_validate(options)


def test_machines_make_the_rating():
    three = GenerationOptions(wind_machines=3, wind_turbine="E-53/800").wind_plant()
    assert (three.rated_w, three.machines, three.wake_efficiency) == (2.4e6, 3.0, 0.92)
    assert GenerationOptions(wind_machines=3, wind_turbine="E-53/800", wind_kw=2400).wind_plant() == three
    with pytest.raises(
        InputError, match="--wind-kw: 900 given, but --wind-machines 3 of E-53/800 make 2400 kW"
    ):
        GenerationOptions(wind_machines=3, wind_turbine="E-53/800", wind_kw=900).wind_plant()
    assert GenerationOptions(wind_kw=1500, wind_turbine="E-53/800").wind_plant().wake_efficiency == 1.0
    assert GenerationOptions(wind_kw=1500, wind_wake_efficiency=0.9).wind_plant().wake_efficiency == 0.9


def test_an_own_power_curve_is_a_turbine(tmp_path):
    curve = tmp_path / "mine.csv"
    curve.write_text("v[m/s],P[kW]\n3,0\n10,30\n20,30\n")
    options = GenerationOptions(wind_power_curve=curve, wind_hub_height=18.0, wind_machines=2)
    plant = options.wind_plant()
    assert (plant.machine.title, plant.rated_w, plant.hub_height_m) == ("own curve mine.csv", 60e3, 18.0)
    assert options.files() == [("power curve of the wind turbine", curve)]


def test_assumptions_are_what_a_run_rests_on():
    plain = {one.name: one.factor for one in pv_assumptions(GenerationOptions(), 40.0)}
    assert list(plain) == [
        *("pv_mounting", "pv_losses", "pv_dc_ac_ratio", "pv_inverter_efficiency"),
        *("pv_temperature_coefficient", "pv_albedo"),
    ]
    assert all(factor.low <= factor.value <= factor.high and factor.source for factor in plain.values())
    assert plain["pv_losses"].high > plain["pv_losses"].value
    own = GenerationOptions(arrays=["kw=1,losses=0.05", "kw=1,tracking=single-axis"])
    found = {one.name: one.factor for one in pv_assumptions(own, 40.0)}
    assert (found["pv_losses 1"].value, found["pv_losses 1"].source) == (0.05, "the study's own")
    assert found["pv_losses 2"].value == 0.14
    assert {"pv_albedo", "pv_max_angle 2", "pv_ground_cover 2", "pv_mounting 1"} < set(found)
    assert "pv_max_angle 1" not in found


def test_assumptions_of_wind():
    def found(weather_roughness_m=None, **said):
        options = GenerationOptions(wind_kw=5, **said)
        plant = options.wind_plant(weather_roughness_m)
        return {one.name: one.factor for one in wind_assumptions(options, plant, weather_roughness_m)}

    assert (found()["wind_roughness"].value, found()["wind_wake_efficiency"].value) == (0.1, 1.0)
    assert found(0.3)["wind_roughness"].source == "the weather file"
    assert found(0.3, wind_roughness=0.2)["wind_roughness"].source == "the study's own"
    assert list(found(wind_shear_exponent=0.2)) == ["wind_shear_exponent", "wind_wake_efficiency"]
