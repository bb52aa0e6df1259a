"""Replicas in threads do the same, to the last bit, and what fails in one is told."""

from __future__ import annotations

import numpy as np
import pytest

from simulators.errors import InputError
from simulators.inference.batching.policies import POLICIES
from simulators.inference.threads import VARIABLE, in_threads, threads

from .test_cluster import busy_jobs, cluster, finish, requests


@pytest.mark.parametrize("scheduler", sorted(POLICIES))
def test_the_same_bytes_whatever_their_number(monkeypatch, scheduler):
    monkeypatch.setattr("simulators.inference.cluster.WORTH_THREADS", 1)
    jobs = busy_jobs(7, count=400, rate_per_s=4.0)
    runs = []
    for count in ("1", "2", "3"):
        monkeypatch.setenv(VARIABLE, count)
        intervals = finish(cluster(jobs, replicas=5, scheduler=scheduler), step_s=20.0)
        runs.append((requests(intervals), [i.prefill_j + i.decode_j for i in intervals]))
    for table, joules in runs[1:]:
        assert table.to_records().tobytes() == runs[0][0].to_records().tobytes()
        assert joules == runs[0][1]


def test_every_number_has_its_turn(monkeypatch):
    monkeypatch.setenv(VARIABLE, "3")
    done: list[int] = []
    in_threads(done.extend, range(10))
    assert sorted(done) == list(range(10))


@pytest.mark.parametrize("bad", [0, 9])
def test_what_fails_in_a_thread_is_raised(monkeypatch, bad):
    monkeypatch.setenv(VARIABLE, "4")
    done = np.zeros(10, bool)

    def work(numbers):
        for number in numbers:
            if number == bad:
                raise ZeroDivisionError(str(number))
            done[number] = True

    with pytest.raises(ZeroDivisionError, match=str(bad)):
        in_threads(work, range(10))
    assert done[3]


@pytest.mark.parametrize("asked", ["0", "-1", "two", "1.5", "²", "9" * 9])
def test_a_number_that_is_none_is_refused(monkeypatch, asked):
    monkeypatch.setenv(VARIABLE, asked)
    with pytest.raises(InputError, match=f"{VARIABLE}: "):
        threads()
