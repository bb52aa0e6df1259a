"""Nobody's rack gets a solar roof that is not there."""

from __future__ import annotations

import pytest

from scenarios import Study
from scenarios.own_supply import with_own_supply
from simulators.errors import InputError
from simulators.paths import DATA

from .runs import QUICK, main_scenario


def own_site(folder, *lines):
    """A site of the user's own, on the files of California."""
    bundled = (DATA / "sites" / "california.toml").read_text().replace("../", f"{DATA}/")
    kept = [line for line in bundled.splitlines() if not line.startswith(("pv_kw", "wind_kw", "battery_kwh"))]
    head = kept.index("[carbon]")
    path = folder / "texas.toml"
    path.write_text("\n".join([*kept[:head], *lines, *kept[head:]]) + "\n")
    return str(path)


def sizes(study):
    site = with_own_supply(study).site
    generation = {
        "pv": site.generation.pv_kw,
        "wind": site.generation.wind_kw,
        "battery": site.storage.battery_kwh,
    }
    return {part: size for part, size in generation.items() if part not in site.without}


BUNDLED = {"pv": 20.0, "wind": 5.0, "battery": 40.0}


def test_what_is_said_counts_and_a_bundled_site_keeps_its_own(tmp_path):
    load, texas = Study().changed(load="meter.csv"), Study().changed(site=own_site(tmp_path))
    assert (
        sizes(Study())
        == sizes(Study().changed(site="germany"))
        == sizes(load.changed(own_supply="site"))
        == BUNDLED
    )
    assert sizes(load) == sizes(texas) == sizes(Study().changed(own_supply="none")) == {}
    assert sizes(texas.changed(pv_kw=7.0)) == {"pv": 7.0}
    assert sizes(texas.changed(pv_array=["kw=3", "kw=4,tilt=0"])) == {"pv": None}  # its arrays add up
    # a rule for the battery is said of a battery: the site's file knows how large
    assert sizes(load.changed(dispatch="none")) == {"battery": 40.0}
    assert sizes(Study().changed(pv_kw=7.0, without=["wind"])) == {"pv": 7.0, "battery": 40.0}


def test_a_site_of_ones_own_may_say_it(tmp_path):
    texas = Study().changed(site=own_site(tmp_path, "pv_kw = 9", "battery_kwh = 3.5"))
    assert sizes(texas) == sizes(texas.changed(load="meter.csv")) == {"pv": 9.0, "battery": 3.5}


def test_a_resolved_study_stays_as_it_is(tmp_path):
    for study in (Study(), Study().changed(load="m.csv", pv_kw=2.0), Study().changed(own_supply="none")):
        once = with_own_supply(study)
        assert with_own_supply(once) == once == Study.model_validate_json(once.model_dump_json())


@pytest.mark.parametrize(
    ("leaves", "message"),
    [
        (
            {"own_supply": "none", "pv_kw": 3.0},
            "--own-supply none: --pv-kw given as well, expected one of them",
        ),
        ({"pv_tilt": 20.0}, "--pv-tilt: given, but not how large; expected --pv-kw as well"),
        ({"soc_start": 0.9}, "--soc-start: given, but not how large; expected --battery-kwh as well"),
        (
            {"own_supply": "site"},
            "texas.toml says nothing of own supply, expected pv_kw, wind_kw or battery_kwh there",
        ),
    ],
)
def test_a_contradiction_is_one_line(tmp_path, leaves, message):
    with pytest.raises(InputError, match=message):
        with_own_supply(Study().changed(site=own_site(tmp_path), **leaves))


def test_console_report_and_summary_say_what_is_the_case(tmp_path):
    ended = main_scenario(
        *(
            "--model",
            "meta-llama/Meta-Llama-3-8B",
            "--gpu",
            "a100",
            "--tp",
            "1",
            "--replicas",
            "1",
            "--rate",
            "0.3",
        ),
        *("--days", "0.02", "--site", own_site(tmp_path), *QUICK, "--out", tmp_path / "run"),
    )
    assert ended.code == 0, ended.err
    assert "none: a site of your own has none but what is said" in ended.out
    assert "all of it came from the grid" in ended.out
