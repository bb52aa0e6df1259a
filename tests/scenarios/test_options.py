"""Options of a site: what they turn into, and what they refuse."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from scenarios.run_options import RunOptions
from scenarios.study import Study
from simulators.datacenter.options import FacilityOptions
from simulators.errors import InputError
from simulators.inference.serving import Serving
from simulators.leaves import kinds, leaves
from simulators.storage.options import StorageOptions


def changed(**values) -> Study:
    return Study().changed(**values)


@pytest.mark.parametrize(
    ("days", "step", "steps"),
    [(7, 60, 10080), (1, 900, 96), (0.1, 60, 144), (0.0001, 60, 1), (1.003, 3600, 24)],
)
def test_a_run_is_a_whole_number_of_steps(days, step, steps):
    assert changed(days=days, step=step).run.steps == steps


def test_a_start_without_zone_is_local_time():
    default = datetime(2017, 6, 5, tzinfo=UTC)
    assert RunOptions().starts_at(default, "Europe/Berlin") == default
    summer = RunOptions(start="2023-07-01T06:00").starts_at(default, "Europe/Berlin")
    assert summer.astimezone(UTC) == datetime(2023, 7, 1, 4, tzinfo=UTC)
    winter = RunOptions(start="2023-01-01").starts_at(default, "Europe/Berlin")
    assert winter.astimezone(UTC) == datetime(2022, 12, 31, 23, tzinfo=UTC)
    fixed = RunOptions(start="2023-07-01T06:00+00:00").starts_at(default, "Europe/Berlin")
    assert fixed == datetime(2023, 7, 1, 6, tzinfo=UTC)
    with pytest.raises(InputError, match="--start: 'soon' given, expected a date such as"):
        RunOptions(start="soon").starts_at(default, "Europe/Berlin")


def test_the_cluster_is_served_as_the_options_say():
    wanted = {"model": "m", "gpu": "g", "tp": 2, "pp": 3, "replicas": 5, "scheduler": "vllm", "batch_cap": 7,
               "max_batch_tokens": 11, "chunk_size": 13, "iteration_time": "roofline", "precision": "fp8",
               "power_law": "constant"}  # fmt: skip
    serving = changed(**wanted).site.serving
    for name, value in wanted.items():
        assert getattr(serving, name) == value
    assert type(serving) is Serving


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("pv_kw", 0, "expected a number above 0; leave it out with --without pv"),
        ("wind_kw", -3, "expected a number above 0; leave it out with --without wind"),
        ("battery_kwh", "lots", "expected a number above 0; leave it out with --without battery"),
        ("pv_kw", "inf", "expected a number above 0"),
        ("rate", 0, "input should be greater than 0"),
        ("rate", "inf", "input should be a finite number"),
        ("defer_hours", "inf", "input should be a finite number"),
        ("days", 0, "input should be greater than 0"),
        ("days", "nan", "input should be"),
        ("step", 0, "input should be greater than or equal to 1"),
        ("pue", 0.9, "input should be greater than or equal to 1"),
        ("soc_start", 1.2, "input should be less than or equal to 1"),
        ("deferrable_share", 1.5, "input should be less than or equal to 1"),
        ("export_limit_kw", -1, "input should be greater than or equal to 0"),
        ("replicas", 0, "input should be greater than or equal to 1"),
        ("tp", 0, "input should be greater than or equal to 1"),
        ("without", ["roof"], "input should be 'pv', 'wind', 'battery', 'price' or 'carbon'"),
        ("dispatch", "arbitrary", "battery dispatch: 'arbitrary' is unknown, expected one of none"),
        ("precision", "fp7", "precision: 'fp7' is unknown"),
        ("seed", -1, "input should be greater than or equal to 0"),
    ],
)
def test_a_value_out_of_range_names_its_option(name, value, reason):
    with pytest.raises(InputError) as error:
        changed(**{name: value})
    message = str(error.value)
    assert message.startswith(f"--{name.replace('_', '-')}: ")
    assert reason in message
    assert "\n" not in message


def test_every_leaf_has_a_name_of_its_own_and_is_explained():
    found = leaves(Study)
    assert len({leaf.name for leaf in found}) == len(found) > 70
    units = {"_kw": "kW", "_kwh": "kWh", "_hours": " h", "_s": " s", "_w": " W"}
    for leaf in found:
        assert leaf.field.description, leaf.name
        for ending, unit in units.items():
            if leaf.name.endswith(ending):
                assert unit in leaf.field.description.replace(",", " "), leaf.name


@pytest.mark.parametrize(
    ("leaf", "value"),
    [
        (leaf.name, value)
        for leaf in leaves(Study)
        for value in (1e300, -1e300, 1e-320)
        if float in kinds(leaf.field)
    ],
)
def test_no_number_of_a_study_may_have_an_impossible_size(leaf, value):
    """Sums of such numbers are infinite, and a figure that is ended in a traceback."""
    with pytest.raises(InputError):
        changed(**{leaf: value})


def test_a_pue_that_no_building_has_is_refused():
    with pytest.raises(InputError, match=r"--pue: 11\.0 given, input should be less than or equal to 10"):
        changed(pue=11.0)


def test_an_impossible_size_is_found_within_arrays():
    with pytest.raises(InputError, match="less than or equal to 100000000"):
        changed(pv_array=["kw=1e300"])


@pytest.mark.parametrize(
    ("part", "given"),
    [
        (FacilityOptions, {}),
        (FacilityOptions, {"pue_model": "load", "ups": "eco"}),
        (FacilityOptions, {"pue_model": "outdoor-load", "cooling": "wet"}),
        (StorageOptions, {"battery_ageing": "lfp"}),
    ],
)
def test_a_value_of_the_study_has_no_range_even_where_it_is_the_default(part, given):
    """Who names a value stands for it, and the report may not say that it is a usual one."""
    named = {}
    for entry in part(**given).assumptions():
        name = entry.name.removesuffix("_c")
        if name in part.model_fields:
            named[entry.name] = name, entry.factor.value
    assert named
    for told, (option, value) in named.items():
        factors = {entry.name: entry.factor for entry in part(**{**given, option: value}).assumptions()}
        assert factors[told].low == factors[told].high == value, option
        assert factors[told].source == "the study's own", option
