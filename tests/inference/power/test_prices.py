"""Sets of prices: every GPU has one, none is taken over from another, and what is wrong with one is named."""

from __future__ import annotations

import pytest

from simulators.errors import InputError
from simulators.inference.catalogue import Gpu, gpu, gpu_names
from simulators.inference.power.prices import (
    AUTO,
    KV_SHARE,
    PHYSICS,
    PJ_PER_BYTE,
    default_prices,
    estimated_physics,
    loaded_idle_w,
    price_sets,
    prices,
)
from simulators.inference.power.terms import Coefficients

FITTED = {"h100": ["mlenergy_v3"], "b200": ["mlenergy_v3"]}


def with_energy(name: str, **sets: dict[str, object]) -> Gpu:
    """A data sheet with other sets of prices."""
    sheet = gpu(name)
    return sheet.model_copy(update={"power": sheet.power | {"energy": sets}})


@pytest.mark.parametrize("name", gpu_names())
def test_every_gpu_has_plausible_physics(name: str):
    sheet = gpu(name)
    found = prices(sheet, PHYSICS)
    assert found.low < 1 < found.high
    assert 0.4 < found.flop16 < 3.5  # pJ: 0.50 on B200 to what older processes took
    assert found.flop8 <= found.flop16
    assert (
        100 <= found.weights == found.experts <= 160
    )  # measured: 107 to 124 on Hopper and Blackwell, 149 to 158 on A100
    assert found.kv == pytest.approx(KV_SHARE * found.weights, rel=0.01)  # read in small pieces
    assert found.active == found.padded == found.unpacked == found.logits == 0  # nothing of a server in it
    room_w = sheet.tdp_w - loaded_idle_w(sheet)
    at_peak_w = 1e-12 * found.flop16 * sheet.peak("bf16")
    assert 1.0 < at_peak_w / room_w < 2.0  # no kernel reaches the peak within the limit
    assert 1e-12 * found.weights * sheet.memory_bandwidth < 1.6 * room_w


@pytest.mark.parametrize("name", ["h100", "h200", "b200"])
def test_the_rule_of_estimates_comes_close_to_what_was_measured(name: str):
    sheet = gpu(name)
    measured, estimated = prices(sheet, PHYSICS), estimated_physics(sheet)
    assert (measured.basis, estimated.basis) == ("measured", "estimated")
    assert estimated.flop16 == pytest.approx(measured.flop16, rel=0.06)
    assert estimated.weights == pytest.approx(measured.weights, rel=0.15)
    assert estimated.low < measured.low
    assert estimated.high > measured.high


def test_auto_is_the_fitted_set_of_this_gpu_and_never_another_s():
    for name in gpu_names():
        sheet = gpu(name)
        own = FITTED.get(name, [])
        assert price_sets(sheet) == [PHYSICS, *own]
        assert prices(sheet).name == prices(sheet, AUTO).name == default_prices(sheet) == [PHYSICS, *own][-1]
        if not own:
            with pytest.raises(
                InputError, match=f"'mlenergy_v3' is unknown for {name}, expected auto, physics, mfu"
            ):
                prices(sheet, "mlenergy_v3")
    # the same chip in another board: nobody measured its servers
    assert prices(gpu("h100-pcie")).basis == "estimated"


def test_a_set_of_ones_own_is_chosen_by_name_and_by_auto():
    own = dict(prices(gpu("t4"), PHYSICS).model_dump(exclude={"name"}), basis="fitted", weights=90.0)
    sheet = with_energy("t4", mine=own)
    assert price_sets(sheet) == [PHYSICS, "mine"]
    assert prices(sheet).weights == prices(sheet, "mine").weights == 90.0
    assert prices(sheet, PHYSICS).weights == PJ_PER_BYTE


def test_prices_come_in_watts_and_joules():
    found = prices(gpu("h100"), "mlenergy_v3")
    assert found.coefficients.active == found.active
    for term in Coefficients._fields[1:]:
        assert getattr(found.coefficients, term) == pytest.approx(1e-12 * getattr(found, term))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"weights": -1.0}, "weights: Input should be greater than or equal to 0"),
        ({"weights": "much"}, "weights: Input should be a valid number"),
        ({"weights": float("nan")}, "weights: Input should be"),
        ({"kv": None}, "kv: Input should be"),
        ({"speed": 1.0}, "speed: Extra inputs"),
        ({"basis": "guessed"}, "basis: Input should be 'measured', 'estimated' or 'fitted'"),
        ({"low": 1.2}, "low: Input should be less than or equal to 1"),
        ({"high": 0.5}, "high: Input should be greater than or equal to 1"),
    ],
)
def test_a_bad_value_is_named_with_file_and_set(change: dict[str, object], message: str):
    whole = prices(gpu("t4"), PHYSICS).model_dump(exclude={"name"})
    sheet = with_energy("t4", mine=whole | change)
    with pytest.raises(InputError, match=message) as caught:
        prices(sheet, "mine")
    assert str(caught.value).startswith("data/gpus/t4.toml: [power.energy.mine] ")
    assert "\n" not in str(caught.value)


def test_a_sheet_without_idle_power_has_no_estimate():
    bare = gpu("t4").model_copy(update={"power": {}})
    with pytest.raises(
        InputError, match=r"^data/gpus/t4.toml: \[power.states.loaded_idle\] is missing, expected power_w"
    ):
        prices(bare, PHYSICS)
