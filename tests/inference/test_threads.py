"""Replicas in threads do the same, to the last bit, and what fails in one is told."""

from __future__ import annotations

from threading import Barrier, current_thread
from time import sleep

import pytest

from simulators.errors import InputError
from simulators.inference.batching.policies import POLICIES
from simulators.threads import VARIABLE, in_threads, threads

from .test_cluster import busy_jobs, cluster, finish, requests


@pytest.mark.parametrize("scheduler", sorted(POLICIES))
def test_the_same_bytes_whatever_their_number(monkeypatch, scheduler):
    monkeypatch.setattr("simulators.inference.cluster.WORTH_THREADS", 1)
    monkeypatch.setattr(
        "simulators.inference.cluster.WORTH_LETTING_IN", 5
    )  # so that there are intervals of both kinds
    jobs = busy_jobs(7, count=400, rate_per_s=4.0)
    runs = []
    for count in ("1", "2", "3"):
        monkeypatch.setenv(VARIABLE, count)
        intervals = finish(cluster(jobs, replicas=5, scheduler=scheduler), step_s=20.0)
        runs.append((requests(intervals), [i.prefill_j + i.decode_j for i in intervals]))
    for table, joules in runs[1:]:
        assert table.to_records().tobytes() == runs[0][0].to_records().tobytes()
        assert joules == runs[0][1]


def test_every_number_has_its_turn_once(monkeypatch):
    monkeypatch.setenv(VARIABLE, "3")
    for _ in range(200):  # also where the helpers wake late, or not at all
        done: list[int] = []
        in_threads(done.append, range(10))
        assert sorted(done) == list(range(10))


def test_work_that_lasts_is_shared(monkeypatch):
    monkeypatch.setenv(VARIABLE, "4")
    by: dict[int, str] = {}
    met = Barrier(4)

    def work(number):
        by[number] = current_thread().name
        met.wait(timeout=60)  # goes on once four are at it at the same time

    in_threads(work, range(8))
    assert len(by) == 8
    assert len(set(by.values())) == 4


@pytest.mark.parametrize("bad", [0, 5, 9])
def test_what_fails_in_a_thread_is_raised(monkeypatch, bad):
    monkeypatch.setenv(VARIABLE, "4")
    running: set[int] = set()

    def work(number):
        running.add(number)
        try:
            if number == bad:
                raise ZeroDivisionError(str(number))
            sleep(0.001)
        finally:
            running.remove(number)

    with pytest.raises(ZeroDivisionError, match=str(bad)):
        in_threads(work, range(10))
    assert not running
    in_threads(lambda number: None, range(10))  # and the helpers are there again


@pytest.mark.parametrize("asked", ["0", "-1", "two", "1.5", "²", "9" * 9])
def test_a_number_that_is_none_is_refused(monkeypatch, asked):
    monkeypatch.setenv(VARIABLE, asked)
    with pytest.raises(InputError, match=f"{VARIABLE}: "):
        threads()
