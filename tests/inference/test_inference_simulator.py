"""The cluster in a mosaik world: what a step hands out, and what a control changes from then on."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from mosaik.starters import PythonStarter

from simulators.inference.metrics import Metrics
from simulators.inference.simulator import Inference
from simulators.recorder.summary import latencies
from tests.contract.worlds import STEP_S, TinyWorld

from .runs import FLAT, flat_tables
from .test_cluster import busy_jobs, cluster, finish, requests

README = Path(__file__).resolve().parents[2] / "simulators" / "README.md"
JOBS = busy_jobs(11, count=4000, rate_per_s=1.1)
"""About an hour: four steps of the small world."""


def test_everything_the_architecture_promises_is_handed_out():
    line = next(line for line in README.read_text().splitlines() if line.startswith("| `inference` Cluster"))
    promised = set(re.findall(r"`(\w+\[[^\]]*\])`", line))
    assert (
        {"P[MW]", "hold[1]", "ttft_mean[s]"}
        <= promised
        <= set(Inference().meta["models"]["Cluster"]["attrs"])
    )


def run(*attributes, hold=None, rate=None, steps=5):
    with TinyWorld() as tiny:
        c = cluster(JOBS, flat_tables(0.05), law=FLAT, gpus=2, patience_s=1500.0)
        metrics = Metrics()
        entity = tiny.start(Inference, "Inference").Cluster(cluster=c, metrics=metrics)
        if hold:
            tiny.world.connect(tiny.source(hold), entity, ("value", "hold[1]"))
        if rate:
            tiny.world.connect(tiny.source(rate), entity, ("value", "release_rate[1/s]"))
        tiny.record(entity, *attributes)
        return tiny.series(steps), c, metrics


def test_steps_hand_out_what_the_cluster_did():
    names = ("P[MW]", "P_prefill[MW]", "P_decode[MW]", "P_idle[MW]", "completed[1]", "mfu[1]", "ttft_mean[s]")
    series, c, metrics = run(*names)
    alone = cluster(JOBS, flat_tables(0.05), law=FLAT, gpus=2)
    intervals = [alone.advance(900.0 * k) for k in range(1, 6)]
    np.testing.assert_allclose(series["P[MW]"], [i.energy_j / 900 / 1e6 for i in intervals], rtol=1e-12)
    parts = np.sum([series[name] for name in names[1:4]], axis=0)
    np.testing.assert_allclose(parts, series["P[MW]"], rtol=1e-12)
    assert series["completed[1]"] == [i.completed for i in intervals]
    assert series["mfu[1]"] == [i.mfu for i in intervals]
    ttft = [(i.finished["prefill_completed_at"] - i.finished["arrived_at"]).mean() for i in intervals[:4]]
    np.testing.assert_allclose(series["ttft_mean[s]"][:4], ttft, rtol=1e-12)
    assert metrics.summary(c)["requests_completed"] == sum(series["completed[1]"]) == len(JOBS)


def test_a_step_in_which_nothing_finishes_has_no_latency():
    series, _, _ = run("ttft_mean[s]", "e2e_mean[s]", "arrived[1]", steps=7)
    assert series["arrived[1]"][-1] == 0
    assert series["ttft_mean[s]"][-1] is series["e2e_mean[s]"][-1] is None


def test_holding_acts_from_the_step_it_is_decided_in():
    """Held in the second step, released at a rate in the third."""
    series, _, metrics = run(
        "held[1]", "arrived[1]", "completed[1]", hold=lambda n: int(n == 1), rate=lambda n: 0.2, steps=7
    )
    held = series["held[1]"]
    assert held[0] == 0
    assert held[1] == pytest.approx(series["arrived[1]"][1] / 2, abs=1)  # every other request may be held
    assert held[1] - 0.2 * STEP_S - 1 <= held[2] < held[1]
    assert sum(series["completed[1]"]) == len(JOBS)
    assert metrics.record.sketch("held_s").largest <= 1500.0 + 1e-9


def test_finished_requests_come_as_columns_the_recorder_understands():
    import pandas as pd

    series, _, metrics = run("requests", steps=7)
    frame = pd.concat([pd.DataFrame(columns) for columns in series["requests"]]).set_index("request_id")
    alone = requests(finish(cluster(JOBS, flat_tables(0.05), law=FLAT, gpus=2)))
    frame = frame.sort_index()
    assert list(frame["completed_at"]) == list(alone["completed_at"])
    assert frame["deferrable"].dtype == bool
    np.testing.assert_allclose(frame["energy_j"], alone["prefill_j"] + alone["decode_j"], rtol=1e-12)
    # the recorder derives the same latencies as the metrics
    for name in ("ttft_s", "e2e_s", "tpot_s"):
        ours, theirs = latencies(frame)[name].dropna(), metrics.record.sketch(name)
        assert theirs.count == len(ours)
        assert theirs.mean == pytest.approx(ours.mean(), rel=1e-12)


def test_one_cluster_is_one_entity():
    with TinyWorld() as tiny:
        simulator = tiny.world.start(PythonStarter(Inference), sim_id="Inference", step_size=STEP_S)
        with pytest.raises(ValueError, match="one entity"):
            simulator.Cluster.create(2, cluster=cluster([(0.0, 1, 1)]), metrics=Metrics())
