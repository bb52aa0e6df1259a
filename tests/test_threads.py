"""What is done beside: once, by whoever comes first; what fails in it is told where it is wanted."""

from __future__ import annotations

from threading import Event, current_thread, main_thread

import numpy as np
import pytest

from simulators.errors import InputError
from simulators.inference.metrics import Metrics
from simulators.inference.serving import Serving, build_cluster
from simulators.kept import keep
from simulators.quantities.requests import RequestBlock
from simulators.restored import restore
from simulators.threads import VARIABLE, Beside, settle
from simulators.traffic.options import workload_from_options
from simulators.traffic.stream import Stream


def test_a_helper_does_it_while_the_caller_goes_on(monkeypatch):
    monkeypatch.setenv(VARIABLE, "2")
    begun, go_on = Event(), Event()

    def work():
        begun.set()
        assert go_on.wait(timeout=60)
        return current_thread()

    first = Beside(work)
    assert begun.wait(timeout=60)  # though nobody has asked for it
    # the only helper is busy: who wants the next has to do it, and it is done once
    done: list[int] = []
    second = Beside(lambda: done.append(1))
    second.result()
    assert done == [1]
    go_on.set()
    assert first.result() is not main_thread()
    settle()
    assert done == [1]


def test_with_one_thread_it_is_done_at_once(monkeypatch):
    monkeypatch.setenv(VARIABLE, "1")
    done: list[int] = []
    beside = Beside(lambda: done.append(1))
    assert done == [1]
    beside.result()
    assert done == [1]


@pytest.mark.parametrize("count", ["1", "2"])
def test_what_fails_is_raised_where_it_is_wanted(monkeypatch, count):
    monkeypatch.setenv(VARIABLE, count)
    beside = Beside(lambda: 1 // 0)
    settle()
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            beside.result()


def blocks(count, fails_after):
    for number in range(count):
        if number == fails_after:
            raise InputError(f"row {number}: broken")
        yield RequestBlock.of(10.0 * number + np.arange(10.0), np.full(10, number + 1), np.full(10, 5))


@pytest.mark.parametrize("fails_after", [3, 4, 99])
def test_requests_drawn_ahead_are_the_same_and_so_is_what_is_wrong_with_them(monkeypatch, fails_after):
    taken = []
    for count in ("1", "2"):
        monkeypatch.setenv(VARIABLE, count)
        stream, parts = Stream(blocks(7, fails_after)), []
        try:
            for until in (25.0, 25.0, 31.0, 39.5, 39.6, 90.0):
                parts.append(stream.take(until).to_plain())
                if count == "2":
                    settle()  # whatever is drawn ahead is there
        except InputError as error:
            parts.append(str(error))
        taken.append(parts)
    assert taken[0] == taken[1]
    assert len(taken[0]) == (6 if fails_after == 99 else 3 if fails_after == 3 else 4)


def test_a_stream_and_what_is_counted_go_on_from_where_they_were_kept(monkeypatch):
    monkeypatch.setenv(VARIABLE, "2")
    monkeypatch.setattr("simulators.inference.metrics._TOGETHER", 50)

    def world():
        # a chunk of arrivals is some four thousand: three of them in the first interval
        workload = workload_from_options(rate_per_s=40.0, lengths="fixed:64:4", seed=5)
        serving = Serving(
            model="meta-llama/Meta-Llama-3-8B", gpu="h100", iteration_time="roofline", replicas=2
        )
        return {"workload": workload, "cluster": build_cluster(serving)[0], "metrics": Metrics()}

    def on(world, until):
        block = world["workload"].take(until)
        world["metrics"].add(world["cluster"].advance(until, block))

    one = world()
    on(one, 300.0)
    kept = keep(one, {})  # a block is drawn ahead, requests are being counted
    two = restore(world(), kept)
    for each in (one, two):
        on(each, 500.0)
    found, expected = (each["metrics"].summary(each["cluster"]) for each in (two, one))
    assert found == expected
    assert found["requests_completed"] > 19_000
