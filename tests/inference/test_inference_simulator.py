"""The adapter: plain values in and out, what a step hands out, and what a command changes from then on."""

from __future__ import annotations

import json

import numpy as np
import pytest

from simulators.errors import InputError
from simulators.inference.drive import Driver
from simulators.inference.serving import Serving, build_cluster
from simulators.inference.simulator import Inference
from simulators.quantities.commands import BatchCap, PowerCap
from simulators.quantities.latencies import LatencyRecord
from simulators.quantities.schema import REQUESTS
from simulators.traffic.options import workload_from_options
from simulators.traffic.source import Source

GROUP = {
    "model": "meta-llama/Meta-Llama-3-8B",
    "gpu": "h100",
    "power_law": "auto",
    "iteration_time": "roofline",
}
STEP_S = 60
STEPS = 20


def workload():
    return workload_from_options(rate_per_s=2.0, lengths="fixed:300:60", horizon_s=900.0, seed=3)


def stepped(commands=lambda step: [], steps=STEPS, **parameters):
    """Outputs of every step, through JSON as over a socket; and the adapter."""
    adapter = Inference()
    adapter.init("Inference", step_size=STEP_S)
    adapter.create(1, "Cluster", name="here", groups=[GROUP], **json.loads(json.dumps(parameters)))
    attributes = adapter.meta["models"]["Cluster"]["attrs"]
    outputs = [name for name in attributes if name not in ("requests", "commands")]
    source, rows = Source(workload()), []
    for step in range(steps):
        block = source.advance(STEP_S * step, STEP_S * (step + 1))
        given = {"here": {"requests": {"a": block.to_plain()}, "commands": {"c": commands(step)}}}
        adapter.step(STEP_S * step, json.loads(json.dumps(given)), STEP_S * steps)
        rows.append(json.loads(json.dumps(adapter.get_data({"here": outputs})["here"])))
    return rows, adapter


def test_steps_hand_out_what_the_cluster_did():
    rows, adapter = stepped(bins=4)
    driver = Driver(build_cluster(Serving(**GROUP), bins_per_interval=4)[0], workload())
    intervals = [driver.advance(STEP_S * (k + 1)) for k in range(STEPS)]
    for row, interval in zip(rows, intervals, strict=True):
        assert row["P[MW]"] == interval.energy_j / STEP_S * 1e-6 or row["P[MW]"] == pytest.approx(
            interval.energy_j / STEP_S * 1e-6, rel=1e-15
        )
        assert sum(row[f"P_{part}[MW]"] for part in ("prefill", "decode", "idle")) == pytest.approx(
            row["P[MW]"]
        )
        assert np.mean(row["P_series[MW]"]) == pytest.approx(row["P[MW]"])
        for name in ("received", "completed", "running", "waiting", "mfu", "decode_tokens"):
            assert row[f"{name}[1]"] == getattr(interval, name)
    assert rows[-1]["ttft_mean[s]"] is None  # nothing finishes any more
    assert rows[-1]["finished"] == {}
    finished = [columns for row in rows if (columns := row["finished"])]
    assert all(list(columns) == [c.name for c in REQUESTS] for columns in finished)
    done = np.concatenate([columns["completed_at"] for columns in finished])
    assert done.tolist() == np.concatenate([i.finished["completed_at"] for i in intervals]).tolist()
    summary = json.loads(json.dumps(adapter.summary("here")))
    assert summary["requests_completed"] == len(done)
    assert LatencyRecord.from_plain(summary["latencies"]).sketch("e2e_s").count == len(done)
    assert adapter.facts("here")["gpus"] == 1


def test_commands_hold_from_their_step_on_and_refusals_are_handed_out():
    def commands(step):
        if step == 5:
            return [PowerCap(420.0).to_plain(), BatchCap(0).to_plain(), {"kind": "release", "hold": True}]
        return []

    rows, adapter = stepped(commands)
    cluster = adapter.entities["here"].cluster
    assert cluster.power_cap_w == 420.0
    assert [len(row["refused"]) for row in rows] == [0] * 5 + [1] + [0] * (STEPS - 6)
    assert rows[5]["refused"][0]["kind"] == "batch_cap"


@pytest.mark.parametrize(
    "plain",
    [{"kind": "batch_cap"}, {"kind": "batch_cap", "request": 8}, {"kind": "power_cap", "watts": "low"}],
)
def test_a_command_that_cannot_be_read_is_refused_and_the_run_goes_on(plain):
    rows, _ = stepped(lambda step: [plain] if step == 2 else [])
    assert [len(row["refused"]) for row in rows] == [0, 0, 1] + [0] * (STEPS - 3)
    assert plain["kind"] in rows[2]["refused"][0]["reason"].replace(" ", "_")


def test_copies_are_told_with_every_finished_request():
    rows, _ = stepped(copies=3.0)
    single, _ = stepped()
    for many, one in zip(rows, single, strict=True):
        for name in ("P[MW]", "completed[1]", "decode_tokens[1]", "waiting[1]"):
            assert many[name] == pytest.approx(3 * one[name]), name
        if one["finished"]:
            assert set(many["finished"]["copies"]) == {3.0}
            assert many["finished"]["energy_j"] == one["finished"]["energy_j"]


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"groups": [{"gpu": "h1000"}]}, "gpu: 'h1000'"),
        ({"groups": [{"tp": 0}]}, "here: tp: 0 given"),
        ({"groups": [{"gpux": "h100"}]}, "here: gpux: 'h100' given"),
        ({"router": "robin"}, "--router robin: unknown"),
        ({"copies": 0.0}, "0.0 copies, expected a number above 0"),
    ],
)
def test_wrong_configuration_is_one_line(parameters, message):
    adapter = Inference()
    adapter.init("Inference", step_size=60)
    with pytest.raises(InputError, match=message):
        adapter.create(1, "Cluster", name="here", **({"groups": [GROUP]} | parameters))
