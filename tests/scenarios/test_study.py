"""Studies: composed, written down and read back, changed by leaf; and simulated as a pure function."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pandas as pd
import pytest

from scenarios import SiteStudy, Study, simulate
from simulators.errors import InputError
from simulators.traffic.options import TrafficOptions
from tests.conftest import ROOT
from tests.scenarios.runs import everything

SMALL = Study().changed(
    days=0.02, start="2017-06-05T11:00", model="meta-llama/Meta-Llama-3-8B", gpu="a100", tp=1, replicas=1, rate=0.5,
    pv_kw=2.0, wind_kw=0.5, battery_kwh=0.5, iteration_time="roofline",
)  # fmt: skip


def told(study: Study) -> str:
    """Everything the result of a study says, as one text."""
    return everything(simulate(study, keep_requests=True))


def test_a_study_goes_to_json_and_back():
    study = SMALL.changed(
        carbon={"path": "a.csv", "fill": "previous:3h"}, policy="carbon:quantile=0.2", without=["wind"]
    )
    assert Study.model_validate_json(study.model_dump_json()) == study
    assert study.site.place.carbon is not None
    assert study.site.place.carbon.fill == "previous:3h"


def test_ten_lines_of_toml_are_a_study():
    study = Study.from_toml(
        """
        [run]
        days = 2
        [[sites]]
        place = {site = "germany", carbon = "mine.csv"}
        serving = {model = "meta-llama/Meta-Llama-3-8B", gpu = "a100", tp = 1}
        generation = {pv_kw = 30}
        control = {policy = "carbon:quantile=0.2"}
        """
    )
    site = study.site
    assert (study.run.days, site.place.site, site.generation.pv_kw) == (2.0, "germany", 30.0)
    assert (site.serving.gpu, site.serving.replicas, site.serving.power_law) == ("a100", 2, "auto")
    assert str(site.place.carbon.path) == "mine.csv"
    assert Study.from_toml('carbon = "mine.csv"\npv-kw = 3.0').site.generation.pv_kw == 3.0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("pv_kv = 3", r"unknown option 'pv_kv', .*; did you mean pv_kw\?"),
        ("[[sites]]\ntarif = {energy_price = 0.2}", r"sites: unknown option 'tarif'; did you mean tariff\?"),
        (
            "[[sites]]\nbatteries = {battery_kwh = 2}",
            r"expected one of name, place, measured, traffic, serving, cluster",
        ),
        ("[run]\ndayz = 3", r"run: unknown option 'dayz'; did you mean days\?"),
        ("[[sites]]\ngeneration = {pv = 3}", r"sites\.generation: unknown option 'pv'"),
        ("pv_kw = -3", "--pv-kw: -3 given, expected a number above 0"),
        ("[[sites]]\n[[sites]]\n", "the name 'site' is given twice"),
        ("[routing.here]\nthere = 1.0", "no site 'here'"),
        ("carbon = {column = 'x'}", "--carbon: "),
        ("days = ", "expected TOML"),
    ],
)
def test_what_is_wrong_is_named_in_one_line(text, message):
    with pytest.raises(InputError, match=message) as error:
        Study.from_toml(text)
    assert "\n" not in str(error.value)


def test_unknown_leaves_are_refused_in_python_as_well():
    with pytest.raises(InputError, match="did you mean battery_kwh"):
        Study().changed(batery_kwh=3.0)


def test_simulating_prints_nothing_and_writes_nothing(tmp_path, capfd):
    before, here = set(tmp_path.iterdir()), Path.cwd()
    os.chdir(tmp_path)
    try:
        result = simulate(SMALL)
    finally:
        os.chdir(here)
    assert set(tmp_path.iterdir()) == before
    out, err = capfd.readouterr()
    assert (out, err) == ("", "")
    assert result.requests is None
    assert len(result.timeseries) == SMALL.run.steps
    assert list(result.timeseries.columns[:2]) == ["time", "site"]


def test_from_a_fresh_interpreter_in_ten_lines():
    code = (
        "from scenarios import Study, simulate\n"
        "study = Study().changed(days=0.01, model='meta-llama/Meta-Llama-3-8B', gpu='a100', tp=1, rate=0.5)\n"
        "result = simulate(study)\n"
        "print(result.figures.energy_mwh.facility > 0, result.timeseries.facility_mw.mean() > 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.stdout.split() == ["True", "True"], done.stderr


def test_twenty_studies_over_two_processes_equal_the_same_one_by_one():
    studies = [SMALL.changed(days=0.01, seed=seed, pv_kw=0.5 + seed) for seed in range(20)]
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        together = list(pool.map(told, studies))
    assert together == [told(study) for study in studies]
    assert len(set(together)) == 20


def two_sites(**routing: object) -> Study:
    first = SMALL.site.model_copy(update={"name": "west"})
    second = SiteStudy.model_validate(
        first.model_dump()
        | {"name": "north", "without": ["pv", "battery"], "traffic": TrafficOptions(rate=0.2)}
    )
    return SMALL.model_copy(update={"sites": (first, second), **routing})


def test_two_sites_in_one_world_are_the_two_alone():
    both = simulate(two_sites())
    for name, site in both.sites.items():
        alone = simulate(
            SMALL.model_copy(update={"sites": tuple(s for s in two_sites().sites if s.name == name)})
        )
        assert site == alone.figures
        ours = both.timeseries[both.timeseries["site"] == name].reset_index(drop=True)
        pd.testing.assert_frame_equal(
            ours.dropna(axis=1, how="all"), alone.timeseries.dropna(axis=1, how="all"), check_exact=True
        )
    total, parts = both.figures, list(both.sites.values())
    assert total.energy_mwh.facility == pytest.approx(sum(p.energy_mwh.facility for p in parts))
    assert total.carbon_kg.operational == pytest.approx(sum(p.carbon_kg.operational for p in parts))
    assert total.inference.requests_completed == sum(p.inference.requests_completed for p in parts)
    assert set(both.to_json()["sites"]) == {"west", "north"}


def test_requests_routed_between_sites_are_conserved():
    alone, routed = (
        simulate(two_sites()),
        simulate(two_sites(routing={"west": {"north": 1.0}}), keep_requests=True),
    )
    assert routed.sites["west"].inference.requests_completed == 0
    arrived = alone.figures.inference.requests_arrived
    assert routed.figures.inference.requests_arrived == arrived
    assert routed.sites["north"].inference.requests_completed == pytest.approx(arrived, abs=3)
    assert routed.requests is not None
    assert set(routed.requests["site"]) == {"north"}


def test_a_cap_never_raises_the_power_of_a_site_of_given_size():
    """Copies follow the nameplate of the GPUs, whatever cap is set."""
    free, capped = (
        simulate(SMALL.changed(mw=0.1, power_cap_w=cap)).timeseries.facility_mw.max() for cap in (None, 250.0)
    )
    assert capped <= free
