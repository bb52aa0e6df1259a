"""States of GPUs: powers that boards draw, times that grow with the weights, energies that follow from both."""

from __future__ import annotations

import math
import tomllib

import pytest

from simulators.errors import InputError
from simulators.inference.catalogue import gpu, gpu_names
from simulators.inference.catalogue.gpus import gpu_file
from simulators.inference.power.states import STATES, State, states_for
from simulators.inference.power.transitions import Transition, transitions_for

GB = 1e9
WEIGHTS = {"Qwen3-0.6B": (1.19 * GB, 1), "Qwen3-Coder-30B": (61.1 * GB, 1), "Qwen3-235B fp8": (59.1 * GB, 4)}
"""Bytes per GPU and GPUs of the models timed on A100 (vLLM 0.11)."""


def with_power(name: str, **tables):
    """A data sheet with other tables under [power]."""
    sheet = gpu(name)
    return sheet.model_copy(update={"power": sheet.power | tables})


def test_every_gpu_has_every_state_within_its_range():
    for name in gpu_names():
        sheet = gpu(name)
        states = states_for(sheet, 16 * GB)
        assert set(states) == set(STATES)
        for state in states.values():
            assert state.range_w is not None
            assert 0 < state.range_w[0] <= state.power_w <= state.range_w[1] < sheet.tdp_w, (name, state.name)
        assert states["off"].power_w < states["loaded_idle"].power_w
        assert states["off"].leave_s > states["sleep"].leave_s > 0


def test_what_the_text_says_of_a_power_is_what_the_mark_says():
    for name in gpu_names():
        lines = gpu_file(name).read_text().splitlines()
        for table, state in tomllib.loads("\n".join(lines))["power"]["states"].items():
            at = next(i for i, line in enumerate(lines) if line.startswith(f"[power.states.{table}]"))
            assert f"W, {state['basis']}: " in lines[at + 1], (name, table)


def test_no_transition_draws_more_than_the_board_or_less_than_off():
    """A 70 W board does not draw 91 W while it loads."""
    for name in gpu_names():
        states = states_for(gpu(name), 16 * GB)
        held_w = states["context_idle"].power_w
        for state in (states["context_idle"], states["sleep"], states["off"]):
            for joules, seconds in ((state.enter_j, state.enter_s), (state.leave_j, state.leave_s)):
                if seconds:
                    assert states["off"].power_w <= joules / seconds <= held_w * (1 + 1e-12), (
                        name,
                        state.name,
                    )


@pytest.mark.parametrize(
    ("name", "state", "low", "high"),
    [
        ("h100", "loaded_idle", 111, 121),
        ("h100", "context_idle", 121, 122),
        ("h100", "off", 71, 73),
        ("h200", "loaded_idle", 116, 118),
        ("b200", "loaded_idle", 237, 242),
        ("b300", "loaded_idle", 237, 242),
        ("a100-pcie", "context_idle", 79.9, 80.1),
        ("l40s", "context_idle", 102.2, 102.4),
    ],
)
def test_measured_states(name: str, state: str, low: float, high: float):
    assert low <= states_for(gpu(name), 16 * GB)[state].power_w <= high


@pytest.mark.parametrize(
    ("model", "wake_s", "load_s"),
    [("Qwen3-0.6B", 0.26, 37.6), ("Qwen3-Coder-30B", 2.87, 47.4), ("Qwen3-235B fp8", 5.4, 97.7)],
)
def test_times_measured_on_a100(model: str, wake_s: float, load_s: float):
    states = states_for(gpu("a100"), *WEIGHTS[model])
    assert states["sleep"].leave_s == pytest.approx(wake_s, rel=0.1)
    assert states["off"].leave_s == pytest.approx(load_s, rel=0.1)
    assert 2.8 <= states["sleep"].enter_s <= 5.9


@pytest.mark.parametrize(
    ("name", "gigabytes", "wake_s", "load_s"),
    [("a100", 8.3, 0.82, 58.1), ("l40s", 16.1, None, 82.0), ("h100", 15.2, None, 29.7)],
)
def test_times_measured_elsewhere_lie_in_the_range(
    name: str, gigabytes: float, wake_s: float | None, load_s: float
):
    """Phi-3-vision on A100, Llama-3.1-8B on L40S with warm caches, Qwen2.5-7B on H100."""
    states = states_for(gpu(name), gigabytes * GB)
    low, high = states["off"].leave_range_s or (0, 0)
    assert low <= load_s <= high
    if wake_s is not None:
        low, high = states["sleep"].leave_range_s or (0, 0)
        assert low <= wake_s <= high


def test_gpus_that_load_together_share_what_feeds_them():
    move = Transition(fixed_s=(1, 1, 1), gpu_bytes_per_s=(10, 10, 10), replica_bytes_per_s=(20, 20, 20))
    assert move.seconds(100, 1).value == move.seconds(100, 2).value == pytest.approx(11)
    assert move.seconds(100, 4).value == pytest.approx(21)


def test_a_data_sheet_overrides_single_entries():
    sheet = with_power("a100", transitions={"load": {"fixed_s": [10, 12, 20]}})
    ours, default = transitions_for(sheet), transitions_for(gpu("a100"))
    assert ours["load"].fixed_s.value == 12
    assert ours["load"].replica_bytes_per_s == default["load"].replica_bytes_per_s
    assert ours["wake"] == default["wake"]
    assert states_for(gpu("t4"), 2 * GB)["sleep"].leave_s > states_for(gpu("a100"), 2 * GB)["sleep"].leave_s


def test_sleep_saves_nothing_where_the_context_draws_as_much_as_a_loaded_server():
    states = states_for(gpu("h100"), 16 * GB)
    assert states["sleep"].break_even_s(states["loaded_idle"].power_w) == math.inf
    assert states["off"].break_even_s(states["loaded_idle"].power_w) < 120


def test_break_even_counts_switching():
    state = State(name="off", power_w=50.0, leave_s=30.0, leave_j=6000.0)
    pause_s = state.break_even_s(100.0)
    spent = 50.0 * (pause_s - 30.0) + 6000.0
    assert spent == pytest.approx(100.0 * pause_s)
    assert State(name="sleep", power_w=120.0).break_even_s(100.0) == math.inf


@pytest.mark.parametrize(
    ("tables", "message"),
    [
        ({"states": {}}, "missing"),
        ({"states": {"nap": {"power_w": 1.0}}}, "nap"),
        ({"states": {"off": {"power_w": -1.0}}}, "power_w"),
        ({"states": {"off": {}}}, "power_w"),
        ({"states": {"off": {"power_w": 5.0, "basis": "guess"}}}, "basis"),
        ({"states": {"off": {"power_w": 5.0, "leave_s": 3.0}}}, "leave_s.*power.transitions"),
        ({"transitions": {"nap": {}}}, "transitions.nap.*fall_asleep, wake, load"),
        ({"transitions": {"wake": {"fixed_s": [2, 1, 3]}}}, "transitions.wake.*fixed_s.*ascending"),
        ({"transitions": {"wake": {"fixed_s": 2}}}, "transitions.wake.*fixed_s"),
        ({"transitions": {"wake": {"gpu_bytes_per_s": [0, 1, 2]}}}, "gpu_bytes_per_s.*more than 0"),
        ({"transitions": {"load": {"drawn": [0, 1, 2]}}}, "drawn.*share"),
        ({"transitions": {"load": {"speed": 1}}}, "speed"),
    ],
)
def test_bad_tables_are_named_in_one_line(tables, message: str):
    with pytest.raises(InputError, match=message) as caught:
        states_for(with_power("h100", **tables), 16 * GB)
    assert "\n" not in str(caught.value)
