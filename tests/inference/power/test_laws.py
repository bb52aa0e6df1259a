"""Power laws: values, bounds, the same numbers compiled and as plain Python, errors."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulators.errors import InputError
from simulators.inference.catalogue import gpu, gpu_names, model
from simulators.inference.power.law import ENERGY, busy_power_w
from simulators.inference.power.laws import (
    BEND_SHARE,
    constant_law,
    energy_law,
    law_for,
    mfu_law,
    table_law,
    without_waiting,
)
from simulators.inference.power.prices import loaded_idle_w, prices
from simulators.inference.power.terms import Joules, amounts, joules
from simulators.inference.serving import Serving, build_cluster
from simulators.inference.timing import stage_tables
from simulators.inference.timing.seconds import stage_seconds
from simulators.quantities.requests import RequestBlock

LLAMA = model("meta-llama/Llama-3.1-8B")


def test_mfu_law_gives_the_published_points():
    law = mfu_law(100.0, 400.0)
    assert busy_power_w(law, 0.45, 0.0, 0.0) == pytest.approx(400.0)
    assert busy_power_w(law, 0.9, 0.0, 0.0) == 400.0
    # batch cap 1 of the paper's sweep: MFU 7.31 %, 153.6 W with its MFU read 9 % low, so between both readings
    assert busy_power_w(law, 0.0731, 0.0, 0.0) == pytest.approx(100 + 300 * (0.0731 / 0.45) ** 0.7)


EACH = Joules(np.array([0.0, 2.0, 3.0, 3.5]), 0.2, 1e-3, 1e-4)


def test_energy_law_adds_its_terms_far_below_the_limit():
    law = energy_law(100.0, 1000.0, 60.0, EACH)
    assert (law.active_w, law.sequence_j, law.pair_j, law.cached_j) == (60.0, 0.2, 1e-3, 1e-4)
    assert list(law.tokens_j) == list(EACH.per_tokens)
    for above_w in (0.0, 1.0, 250.0):
        assert busy_power_w(law, 0.9, 0.9, above_w) == pytest.approx(100 + above_w, abs=1e-3)


def test_near_the_limit_it_bends_and_never_passes():
    """Measured averages come within 1-4 % of the limit, not onto it."""
    law = energy_law(100.0, 1000.0, 60.0, EACH)
    assert busy_power_w(law, 0.0, 0.0, 900.0) == pytest.approx(1000 - BEND_SHARE * 1000 * math.log(2))
    assert 0.98 * 1000 < busy_power_w(law, 0.0, 0.0, 1100.0) < 1000
    assert busy_power_w(law, 0.0, 0.0, 1e9) == 1000.0


@settings(deadline=None)  # the first call compiles
@given(st.floats(-200.0, 5000.0), st.floats(0.0, 5000.0))
def test_energy_law_stays_between_idle_and_limit_and_never_falls_with_work(above_w: float, more_w: float):
    law = energy_law(115.0, 700.0, 0.0, EACH)
    low, high = busy_power_w(law, 0.0, 0.0, above_w), busy_power_w(law, 0.0, 0.0, above_w + more_w)
    assert 115.0 <= low <= 700.0
    assert low <= high + 1e-9


@pytest.mark.parametrize("kind", ["mfu", "physics", "auto", "constant"])
def test_compiled_and_plain_python_agree_bit_for_bit(kind: str):
    law = law_for(gpu("h100"), kind, LLAMA)
    for mfu, mbu, share in np.random.default_rng(5).random((50, 3)):
        above_w = 1500.0 * share
        assert busy_power_w(law, mfu, mbu, above_w) == busy_power_w.py_func(law, mfu, mbu, above_w)


def decoding_w(kind: str, host_s: float = 0.0, batch: int = 8, context: int = 500) -> tuple[float, float]:
    """Duration (s) and power (W) of a decode iteration of Llama-3.1-8B on H100 as its law is written down."""
    law = law_for(gpu("h100"), kind, LLAMA, sampling="sorted", version="0.11.1")
    size = {"max_tokens": 256, "max_batch": 16, "max_context": 1024}
    tables = stage_tables(
        "roofline", LLAMA, gpu("h100"), sampling="sorted", version="0.11.1", overhead_s=host_s, **size
    )
    seconds = stage_seconds(tables, [context] * batch, [])
    mbu, energy = 16e9 / seconds / 3350e9, 0.0
    if law.kind == ENERGY:
        energy = law.active_w * (seconds - host_s) + law.tokens_j[batch] + law.sequence_j * batch
        energy += batch * context * (law.pair_j + law.cached_j)
    return seconds, busy_power_w(law, 0.02, mbu, energy / seconds)


def test_what_active_would_draw_while_a_gpu_waits_is_taken_off_once():
    """The energies of the loop's law are those of the terms, less active times waiting and communication."""
    plain = law_for(gpu("h100"), "auto", LLAMA, tp=2, max_tokens=64)
    comm_s = 1e-6 * np.arange(65)
    waiting = without_waiting(plain, comm_s, (2e-3, 1e-5))
    expected = plain.tokens_j[1:] - plain.active_w * (comm_s[1:] + 2e-3)
    np.testing.assert_allclose(waiting.tokens_j[1:], expected)
    assert waiting.tokens_j[0] == 0.0
    assert waiting.sequence_j == pytest.approx(plain.sequence_j - plain.active_w * 1e-5)
    assert (waiting.active_w, waiting.pair_j, waiting.cached_j) == (
        plain.active_w,
        plain.pair_j,
        plain.cached_j,
    )
    published = law_for(gpu("h100"), "mfu", LLAMA)
    assert without_waiting(published, comm_s, (2e-3, 0.0)) is published


def test_a_replica_s_dynamic_energy_does_not_depend_on_how_long_its_gpus_wait():
    """The same decode through the batch loop at 1 and 20 ms of host time: energy above idle stays."""
    above_j = []
    for host_s in (1e-3, 20e-3):
        cluster, facts = build_cluster(Serving(gpu="h100", iteration_time="roofline", overhead_s=host_s))
        full = np.ones(8, dtype=np.int64)
        interval = cluster.advance(60.0, RequestBlock.of(np.zeros(8), full, 200 * full))
        assert interval.completed == 8
        busy_s = interval.busy * 60.0
        above_j.append(interval.prefill_j + interval.decode_j - facts["gpu_idle_w"] * busy_s)
    assert above_j[0] == pytest.approx(above_j[1], rel=5e-3)


def test_waiting_for_the_host_costs_idle_power_and_nothing_else():
    idle_w = loaded_idle_w(gpu("h100"))
    once, thrice = decoding_w("auto", 10e-3), decoding_w("auto", 30e-3)
    dynamic = [seconds * (watts - idle_w) for seconds, watts in (once, thrice)]
    assert thrice[0] - once[0] == pytest.approx(20e-3)
    assert dynamic[0] == pytest.approx(dynamic[1], rel=2e-3)  # the bend takes the rest


def test_memory_bound_decode_draws_far_more_than_the_published_law_says():
    """Llama-3.1-8B at batch 8; ML.ENERGY v3 measured 486 W."""
    assert decoding_w("auto", 0.8e-3)[1] == pytest.approx(486, rel=0.12)
    assert decoding_w("physics", 0.8e-3)[1] == pytest.approx(486, rel=0.35)
    assert decoding_w("mfu", 0.8e-3)[1] < 200


def test_precision_and_placement_reach_the_energies():
    wide, narrow, split = (
        law_for(gpu("h100"), "physics", LLAMA, **how) for how in ({}, {"precision": "fp8"}, {"tp": 2})
    )
    # the LM head stays in 16 bit
    assert 0.5 < narrow.tokens_j[1] / wide.tokens_j[1] < 0.56
    assert split.tokens_j[1] == pytest.approx(wide.tokens_j[1] / 2)
    assert (split.cached_j, split.pair_j) == (wide.cached_j / 2, wide.pair_j / 2)
    assert law_for(gpu("h100"), "physics", LLAMA, kv_precision="fp8").cached_j == wide.cached_j / 2
    shared = law_for(gpu("h100"), "physics", LLAMA, ranks=2, max_tokens=64)
    assert (shared.cached_j, shared.pair_j) == (wide.cached_j / 2, wide.pair_j / 2)
    assert len(shared.tokens_j) == 65


@pytest.mark.parametrize("kind", ["physics", "mlenergy_v3"])
def test_the_law_carries_the_prices_times_the_units(kind: str):
    how = {"sampling": "sorted", "version": "0.11.1", "max_tokens": 64}
    law = law_for(gpu("h100"), kind, LLAMA, **how)
    found = prices(gpu("h100"), kind).coefficients
    each = joules(found, amounts(LLAMA, gpu("h100"), 1, **how))
    np.testing.assert_array_equal(law.tokens_j, each.per_tokens)
    numbers = (law.active_w, law.sequence_j, law.pair_j, law.cached_j)
    assert numbers == (found.active, each.per_sequence, each.per_pair, each.per_cached)


def test_table_law_reads_the_busier_of_compute_and_memory(tmp_path):
    path = tmp_path / "curve.csv"
    path.write_text("utilisation,power_w\n0,100\n0.5,300\n1,400\n")
    law = table_law(path)
    assert law.idle_w == 100.0
    assert busy_power_w(law, 0.1, 0.25, 0.0) == pytest.approx(200.0)
    assert busy_power_w(law, 0.75, 0.25, 0.0) == pytest.approx(350.0)
    assert busy_power_w(law_for(gpu("t4"), f"table:{path}", LLAMA), 0.0, 1.0, 0.0) == 400.0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("load,power_w\n0,1\n1,2\n", "column 'utilisation' is missing"),
        ("utilisation,power_w\n0,1\n", "1 rows"),
        ("utilisation,power_w\n0,1\n1,x\n", "data row 2"),
        ("utilisation,power_w\n0.5,1\n0.5,2\n", "data row 2"),
        ("utilisation,power_w\n0,1\n1.2,2\n", "data row 2"),
    ],
)
def test_bad_curves_are_named_with_their_row(tmp_path, text: str, message: str):
    path = tmp_path / "curve.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        table_law(path)


@pytest.mark.parametrize("full_w", [0.4, 40_000])
def test_a_curve_in_another_unit_is_refused(tmp_path, full_w):
    path = tmp_path / "curve.csv"
    path.write_text(f"utilisation,power_w\n0,0.1\n1,{full_w}\n")
    with pytest.raises(InputError, match=rf"curve.csv: power_w is at most {full_w:g} W.*h100: 700 W"):
        law_for(gpu("h100"), f"table:{path}", LLAMA)


def test_a_missing_curve_is_an_input_error(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        table_law(tmp_path / "none.csv")


def test_every_data_sheet_has_the_published_law_and_energies():
    for name in gpu_names():
        for kind in ("mfu", "physics", "auto", "constant"):
            law = law_for(gpu(name), kind, LLAMA)
            assert 0 < law.idle_w < law.limit_w, (name, kind)
    for name, ends in (("a100", (100, 400)), ("h100", (60, 700)), ("a40", (30, 300))):
        law = law_for(gpu(name), "mfu", LLAMA)
        assert (law.idle_w, law.limit_w) == ends
    bare = gpu("t4").model_copy(update={"power": {}})
    for kind, missing in (("mfu", "power.mfu"), ("constant", "loaded_idle"), ("physics", "loaded_idle")):
        with pytest.raises(InputError, match=missing):
            law_for(bare, kind, LLAMA)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("linear", "'linear' is unknown for h100, expected auto, physics, mlenergy_v3, mfu, constant, table"),
        ("utilisation", "'utilisation' is unknown"),
        ("", "'' is unknown"),
        ("mfu:x", "expected table:FILE.csv or a name without a colon"),
        ("table", "table needs a file"),
    ],
)
def test_unknown_kinds_are_refused_in_one_line(kind: str, message: str):
    with pytest.raises(InputError, match=message) as caught:
        law_for(gpu("h100"), kind, LLAMA)
    assert str(caught.value).startswith("power law: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("idle_w", [700.0, 800.0, -1.0, math.nan])
def test_idle_has_to_lie_below_the_limit(idle_w: float):
    with pytest.raises(InputError, match="expected 0 <= idle < limit"):
        energy_law(idle_w, 700.0, 0.0, EACH)


def test_constant_law():
    assert busy_power_w(constant_law(50.0, 250.0), 0.3, 0.9, 0.0) == 250.0
