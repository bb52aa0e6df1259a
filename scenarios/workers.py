"""Many runs at once: in this process, in several of its own, or on a Dask cluster; one interface to all of them.

What crosses to a worker is a function by its name and plain values, and plain values come back. Processes of one's own
and Dask exchange them by pickle, so that whoever can reach a scheduler can run code there: a local cluster listens on
the loopback interface alone, and `--scheduler` is for a cluster that you trust.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from importlib.util import find_spec
from multiprocessing import get_context
from threading import RLock
from typing import Any, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, field_validator
from tqdm import tqdm

from simulators.errors import InputError, SimulatorLost
from simulators.files import reason
from simulators.orphans import end_with_parent
from simulators.threads import VARIABLE

PASSING = (MemoryError, OSError, SimulatorLost)
"""What may not happen again when a run is repeated; anything else would."""

LOST = "its worker was lost: killed, or out of memory"

Task = Callable[[Any], Any]


class WorkerOptions(BaseModel):
    """How many runs at a time, and where."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    workers: int | None = Field(
        None, ge=1, le=10_000, description="runs at a time on this machine  [default: one per CPU core]"
    )
    scheduler: str | None = Field(
        None,
        description="a Dask scheduler that you trust, e.g. tcp://10.0.0.5:8786: its workers do the runs, and files "
        "travel to them  [default: processes of this machine]",
    )
    retries: int = Field(
        2, ge=0, le=100, description="how often a run is repeated whose worker was lost or ran out of memory"
    )

    @field_validator("scheduler")
    @classmethod
    def _address(cls, value: str | None) -> str | None:
        if value is not None and value.partition("://")[0] not in ("tcp", "tls", "ws", "wss", "ucx"):
            raise ValueError("expected an address such as tcp://10.0.0.5:8786 or tls://...")
        return value

    def count(self, jobs: int) -> int:
        """Runs at a time of so many, at least one."""
        return max(1, min(self.workers or os.cpu_count() or 1, jobs))


HERE = WorkerOptions(workers=1)
"""One at a time, in this process."""


class Job(NamedTuple):
    """What a task is given: plain values, and the files they name with the SHA-256 of each."""

    argument: Any
    files: tuple[tuple[str, str], ...] = ()


class Outcome(NamedTuple):
    """How a job ended: its place among the jobs, what it gave, or why it failed; and how often it was tried."""

    at: int
    value: Any
    error: str = ""
    wrong_input: bool = False
    tries: int = 1

    def or_raise(self) -> Any:
        """What it gave.

        Raises
        ------
        InputError
            If something the user gave is wrong.
        RuntimeError
            If it failed otherwise.
        """
        if self.wrong_input:
            raise InputError(self.error)
        if self.error:
            raise RuntimeError(f"a run failed {self.tries} times: {self.error}")
        return self.value


class Attempt(NamedTuple):
    """One try of a task: what it gave, or an error that may pass or comes again."""

    value: Any = None
    error: str = ""
    wrong_input: bool = False
    passing: bool = False


def attempt(task: Task, argument: Any) -> Attempt:
    """Try a task once; what goes wrong is told, not raised."""
    try:
        return Attempt(task(argument))
    except InputError as error:
        return Attempt(error=str(error), wrong_input=True)
    except Exception as error:
        return Attempt(error=f"{type(error).__name__}: {error}", passing=isinstance(error, PASSING))


def attempt_apart(task: Task, argument: Any) -> Attempt:
    """`attempt` in a worker's process, which may be ended by a signal: what mosaik's bar of progress (tqdm) shares with
    other processes would then be left behind, and Python says so at the end of a sweep."""
    tqdm.set_lock(RLock())
    return attempt(task, argument)


def each(task: Task, jobs: Sequence[Job], options: WorkerOptions) -> Iterator[Outcome]:
    """Run a task on every job, several at a time.

    Parameters
    ----------
    task
        A function of a module: worker processes import it.
    jobs
        What it is given, one after the other.
    options
        Where it runs. One at a time is this process itself; several are a Dask cluster on this machine, or plain
        processes if Dask is not installed.

    Yields
    ------
    Outcome
        In the order in which they end. A job whose worker is lost is repeated, so that a worker that is killed loses
        nothing; one that fails again and again, or for a reason that would come again, is told as failed, and so is
        one of whose files is no longer what it was: nobody knows which of both the run has read.

    Examples
    --------
    >>> from math import sqrt
    >>> [outcome.value for outcome in each(sqrt, [Job(4.0), Job(9.0)], HERE)]
    [2.0, 3.0]
    """
    return (_sure(outcome, jobs[outcome.at]) for outcome in _each(task, jobs, options))


def _sure(outcome: Outcome, job: Job) -> Outcome:
    said = next((said for path, sha in job.files if (said := changed(path, sha))), "")
    return outcome._replace(value=None, error=said, wrong_input=True) if said else outcome


def changed(path: str, sha: str) -> str:
    """What to say of a file that is not, or no longer, the one with this SHA-256; empty if it is."""
    from simulators.recorder.summary import sha256_as_it_is

    try:
        same = sha256_as_it_is(path) == sha
    except OSError as error:
        return f"{path}: cannot be read any more ({reason(error)}), expected it to stay while runs read it"
    return "" if same else f"{path}: was changed meanwhile, expected it to stay as it is while runs read it"


def _each(task: Task, jobs: Sequence[Job], options: WorkerOptions) -> Iterator[Outcome]:
    if not jobs:
        return iter(())
    count = options.count(len(jobs))
    if options.scheduler is None and count == 1:
        return _here(task, jobs, options.retries)
    if options.scheduler is None and find_spec("distributed") is None:
        return _in_processes(task, jobs, count, options.retries)
    from scenarios.workers_dask import on_dask

    return on_dask(task, jobs, count, options)


@contextmanager
def kept(options: WorkerOptions, jobs: int) -> Iterator[WorkerOptions]:
    """Workers that stay from one call of `each` to the next, for a task in several rounds of up to so many jobs.

    Yields
    ------
    WorkerOptions
        To be used meanwhile. Plain processes, without Dask, are made anew for every round.

    Examples
    --------
    >>> from math import sqrt
    >>> with kept(HERE, 2) as options:
    ...     [all_of(sqrt, [Job(number)], options) for number in (4.0, 9.0)]
    [[2.0], [3.0]]
    """
    count = options.count(jobs)
    if options.scheduler is not None or count == 1 or find_spec("distributed") is None:
        yield options
        return
    from scenarios.workers_dask import local

    with local(count, options.retries) as cluster:
        yield options.model_copy(update={"scheduler": cluster.scheduler_address})


def all_of(
    task: Task, jobs: Sequence[Job], options: WorkerOptions, told: Callable[[int], object] = lambda at: None
) -> list[Any]:
    """What every job gave, in the order of the jobs; as `each`, but the first that fails is raised.

    Parameters
    ----------
    task, jobs, options
        See `each`.
    told
        Hears the place of every job that has ended.

    Raises
    ------
    InputError, RuntimeError
        See `Outcome.or_raise`.

    Examples
    --------
    >>> from math import sqrt
    >>> all_of(sqrt, [Job(4.0), Job(9.0)], HERE)
    [2.0, 3.0]
    """
    found: dict[int, Any] = {}
    for outcome in each(task, jobs, options):
        found[outcome.at] = outcome.or_raise()
        told(outcome.at)
    return [found[at] for at in range(len(jobs))]


def _here(task: Task, jobs: Sequence[Job], retries: int) -> Iterator[Outcome]:
    for at, job in enumerate(jobs):
        tries, tried = 1, attempt(task, job.argument)
        while tried.passing and tries <= retries:
            tries, tried = tries + 1, attempt(task, job.argument)
        yield Outcome(at, tried.value, tried.error, tried.wrong_input, tries)


def _in_processes(task: Task, jobs: Sequence[Job], count: int, retries: int) -> Iterator[Outcome]:
    """Every process is a pool of its own, so that the job of one that is lost is known, and no other is."""
    todo = deque((at, 1) for at in range(len(jobs)))
    pools = [_process() for _ in range(count)]
    free = list(range(count))
    running: dict[Future[Attempt], tuple[int, int, int]] = {}
    try:
        while todo or running:
            while todo and free:
                (at, tries), slot = todo.popleft(), free.pop()
                running[pools[slot].submit(attempt_apart, task, jobs[at].argument)] = (at, tries, slot)
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                at, tries, slot = running.pop(future)
                free.append(slot)
                try:
                    tried = future.result()
                except BrokenProcessPool:
                    _end(pools[slot])
                    pools[slot] = _process()
                    tried = Attempt(error=LOST, passing=True)
                if tried.passing and tries <= retries:
                    todo.append((at, tries + 1))
                else:
                    yield Outcome(at, tried.value, tried.error, tried.wrong_input, tries)
    finally:
        for pool in pools:
            _end(pool)


def _process() -> ProcessPoolExecutor:
    return ProcessPoolExecutor(1, mp_context=get_context("spawn"), initializer=_begin)


def _begin() -> None:
    """One thread in each of several processes; none stays when this one is gone."""
    os.environ.setdefault(VARIABLE, "1")
    end_with_parent()


def _end(pool: ProcessPoolExecutor) -> None:
    """End the processes of a pool; runs of minutes that nobody waits for too."""
    for process in list((pool._processes or {}).values()):
        process.terminate()
    pool.shutdown(wait=True, cancel_futures=True)  # its semaphores go with it
