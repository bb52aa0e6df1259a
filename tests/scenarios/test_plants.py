"""Own plants from the study to the report: arrays, trackers, own turbines."""

import numpy as np
import pytest

from scenarios import Study, simulate
from scenarios.build import build
from scenarios.plants import pv_per_unit
from scenarios.span import Span
from simulators.errors import InputError
from simulators.profiles.site import load_site
from simulators.report import account

SUNNY = Study().changed(
    rate=0.3, start="2017-06-05T11:00", days=0.02, step=300, iteration_time="roofline", without=["battery"]
)

GERMANY = {"site": "germany", "start": "2023-06-05"}


def power_w(study: Study, part: str) -> np.ndarray:
    (entity,) = (one for one in build(study).entities if one.part == part)
    return np.asarray(entity.config["power_w"])


def test_arrays_give_what_each_gives_alone():
    arrays = ["kw=10,tilt=20,azimuth=90", "kw=5,tracking=single-axis", "kw=2,mounting=insulated,losses=0.2"]
    alone = [power_w(SUNNY.changed(pv_array=[array]), "pv") for array in arrays]
    together = power_w(SUNNY.changed(pv_array=arrays), "pv")
    np.testing.assert_allclose(together, np.sum(alone, axis=0), rtol=1e-14)
    assert together.min() > 0


def test_power_is_proportional_to_size():
    one, many = (power_w(SUNNY.changed(pv_kw=kw), "pv") for kw in (1.0, 3000.0))
    np.testing.assert_allclose(many, 3000 * one, rtol=1e-12)


def test_arrays_in_toml_in_a_config_and_on_the_report(tmp_path):
    study = Study.from_toml(
        """
        rate = 0.3
        start = "2017-06-05T11:00"
        days = 0.02
        step = 300
        iteration_time = "roofline"
        without = ["battery"]
        [[sites]]
        generation = {pv_losses = 0.1, arrays = [
            {kw = 10, tilt = 20, azimuth = 90}, {kw = 5, tracking = "single-axis"}]}
        """
    )
    tables = Study.from_toml(
        "pv_losses = 0.1\n[[sites]]\n[[sites.generation.arrays]]\nkw = 10\ntilt = 20\nazimuth = 90\n"
        "[[sites.generation.arrays]]\nkw = 5\ntracking = 'single-axis'"
    )
    assert tables.site.generation == study.site.generation
    result = simulate(study)
    pv = result.figures.plants["pv"]
    assert pv.rated_kw == 15.0
    assert [(one["kw"], one["mounting"], one["tracked"]) for one in pv.arrays] == [
        (10.0, "roof", False),
        (5.0, "open_rack", True),
    ]
    assert ["max_angle_deg" in one for one in pv.arrays] == [False, True]
    page = account.section(result.to_json())
    for words in ("10 kW fixed at 20°, facing 90°, roof", "5 kW tracker, axis at 0°", "backtracking"):
        assert words in page
    again = Study.model_validate_json(study.model_dump_json())
    assert again == study
    assert study.changed(pv_array=["kw=3"]).site.generation.pv_size_kw == 3.0


def test_the_default_is_told_and_what_it_rests_on():
    plan = build(SUNNY).site
    assert plan.plants["pv"].model == "fixed at 28.8°, facing 180°, roof"
    names = [one.name for plant in plan.plants.values() for one in plant.assumptions]
    assert {"pv_losses", "pv_mounting", "wind_roughness"} <= set(names)
    germany = build(Study().changed(site="germany", days=0.02, rate=0.3)).site
    assert [one for plant in germany.plants.values() for one in plant.assumptions] == []


def test_an_own_turbine_is_hashed_and_told(tmp_path):
    curve = tmp_path / "mine.csv"
    curve.write_text("v[m/s],P[kW]\n1,0\n5,30\n25,30\n")
    study = SUNNY.changed(
        wind_power_curve=str(curve), wind_hub_height=20, wind_machines=2, wind_roughness=0.3
    )
    plan = build(study)
    assert [one.what for one in plan.inputs if one.file.endswith("mine.csv")] == [
        "power curve of the wind turbine"
    ]
    wind = plan.site.plants["wind"]
    assert (wind.model, wind.machines, wind.rated_w) == ("own curve mine.csv", 2.0, 60e3)
    assert wind.detail == "roughness 0.3 m, wake efficiency 0.92"
    assert power_w(study, "wind").max() <= 60e3 * 0.92


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"pv_array": ["kw=1,tlt=3"]}, r"arrays: unknown option 'tlt'; did you mean tilt\?"),
        ({"pv_array": ["kw=1,tilt=95"]}, "^--pv-array: tilt=95, input should be less than or equal to 90"),
        ({"pv_array": ["tilt=3"]}, "^--pv-array: kw, field required"),
        ({"pv_array": ["roof"]}, "^--pv-array: 'roof' given, expected each once"),
        ({"pv_kw": 3, "pv_array": ["kw=1"]}, "^--pv-kw: 3 given, but the arrays"),
        ({"pv_mounting": "rack"}, "^--pv-mounting: 'rack' given, expected one of roof"),
        ({"wind_hub_height": 2.0}, "hub height is 2 m, expected more than half the rotor of Excel 10, 7 m"),
        (GERMANY | {"pv_tilt": 3}, r"^--pv-tilt: 3.0 given, but .* gives PV per unit; expected no"),
        (
            GERMANY | {"pv_array": ["kw=3"]},
            r"^--pv-array: 1 of them given, but .* gives PV per unit",
        ),
        (GERMANY | {"wind_machines": 2, "wind_turbine": "E-53/800"}, "gives wind per unit"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(options, message):
    with pytest.raises(InputError, match=message) as caught:
        build(SUNNY.changed(**options))
    assert "\n" not in str(caught.value)


def test_studies_that_differ_in_size_compute_the_sun_once():
    pv_per_unit.cache_clear()
    for kw in (1.0, 2.0, 3.0):
        build(SUNNY.changed(pv_kw=kw))
    assert (pv_per_unit.cache_info().misses, pv_per_unit.cache_info().hits) == (1, 2)
    with pytest.raises(ValueError, match="read-only"):
        kept_w(SUNNY)[0] = 1.0


def kept_w(study: Study) -> np.ndarray:
    """What the studies share."""
    site = load_site(study.site.place.site_name)
    span = Span(study.run.starts_at(site.start, site.timezone), study.run.step, study.steps)
    ((_, array),) = study.site.generation.pv_arrays(site.latitude)
    return pv_per_unit(site.read_weather(), span, array)
