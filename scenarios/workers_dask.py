"""Runs on a Dask cluster: one of this machine's own, or any whose scheduler is named."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import dask
from distributed import Client, Future, KilledWorker, LocalCluster, as_completed

from scenarios.shipping import Shipment, fingerprint, received
from scenarios.workers import LOST, Attempt, Job, Outcome, Task, WorkerOptions, attempt_apart, changed
from simulators.errors import InputError
from simulators.threads import VARIABLE

CONNECT_S = 20.0
"""Time that a scheduler has to answer, s."""

AT_A_TIME = 5_000
"""Jobs that a scheduler knows at once: a study of some kilobytes each."""

ONE_THREAD = {"OMP_NUM_THREADS": 1, "MKL_NUM_THREADS": 1, "OPENBLAS_NUM_THREADS": 1}
"""What a worker of this machine begins with. Dask's own list also has memory given back to the system after every small
array, and every study then waits for some ten thousand pages of it again."""


def on_dask(task: Task, jobs: Sequence[Job], count: int, options: WorkerOptions) -> Iterator[Outcome]:
    """Run a task on every job on the workers of `options.scheduler`, or on `count` processes of this machine.

    Raises
    ------
    InputError
        If nothing answers at the scheduler's address.
    """
    with ExitStack() as stack:
        client = _client(count, options, stack)
        ships = options.scheduler is not None
        contents: dict[str, Any] = {}
        todo = iter(range(len(jobs)))
        waiting: dict[Future, tuple[int, int]] = {}
        coming = as_completed()

        def start(at: int, tries: int) -> None:
            job = jobs[at]
            if ships:
                shipment = Shipment(job.argument, job.files, fingerprint())
                parts = _sent(client, job, contents)
                future = client.submit(_afar, task, shipment, parts, pure=False)
            else:
                future = client.submit(attempt_apart, task, job.argument, pure=False)
            waiting[future] = (at, tries)
            coming.add(future)

        for at in todo:
            start(at, 1)
            if len(waiting) == AT_A_TIME:
                break
        for future in coming:
            at, tries = waiting.pop(future)
            outcome = _outcome(future, at, tries)
            if outcome is None and tries <= options.retries:
                start(at, tries + 1)
                continue
            for following in todo:
                start(following, 1)
                break
            yield outcome if outcome is not None else Outcome(at, None, LOST, tries=tries)
            if not waiting:
                return


def _client(count: int, options: WorkerOptions, stack: ExitStack) -> Client:
    for name in ("distributed", "distributed.nanny", "distributed.worker", "distributed.scheduler"):
        logging.getLogger(name).setLevel(logging.CRITICAL)  # a lost worker is told once, by the outcome
    if options.scheduler is not None:
        try:
            client = stack.enter_context(Client(options.scheduler, timeout=CONNECT_S))
        except (OSError, ValueError) as error:
            raise InputError(
                f"--scheduler: {options.scheduler} given, {error}; expected a Dask scheduler that runs there"
            ) from None
        if not client.scheduler_info()["workers"]:
            print(f"{options.scheduler}: no worker yet, waiting for the first", file=sys.stderr)
        return client
    return stack.enter_context(Client(stack.enter_context(local(count, options.retries))))


@contextmanager
def local(count: int, retries: int) -> Iterator[LocalCluster]:
    """Workers on this machine, on its loopback interface alone."""
    settings = {
        "distributed.scheduler.allowed-failures": retries,
        # of many runs a worker holds none but the one it does: another would count as a cause of its death
        "distributed.scheduler.worker-saturation": 1.0,
        "distributed.worker.profile.enabled": False,  # looks at a worker's stack a hundred times a second
        # how often Dask looks at itself and its memory: fifty times a second and ten, which takes cores from the runs
        "distributed.admin.tick.interval": "1s",
        "distributed.admin.system-monitor.interval": "5s",
        "distributed.worker.memory.monitor-interval": "1s",
        "distributed.scheduler.active-memory-manager.start": False,
        "distributed.nanny.pre-spawn-environ": ONE_THREAD,
        "distributed.scheduler.worker-ttl": None,  # one that is silent compiles; one that died is told by its nanny
    }
    with (
        dask.config.set(settings),
        LocalCluster(
            n_workers=count,
            threads_per_worker=1,
            processes=True,
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",
            silence_logs=logging.CRITICAL,
            env={VARIABLE: "1"},
        ) as cluster,  # fmt: skip
    ):
        yield cluster


def _outcome(future: Future, at: int, tries: int) -> Outcome | None:
    """How a try ended for good; None if it is worth another."""
    try:
        tried: Attempt = future.result()
    except KilledWorker as error:  # Dask has repeated it on its own
        return Outcome(at, None, f"{LOST} ({error})", tries=tries)
    finally:
        future.release()
    if tried.passing:
        return None
    return Outcome(at, tried.value, tried.error, tried.wrong_input, tries)


def _sent(client: Client, job: Job, contents: dict[str, Any]) -> dict[str, Future]:
    """The job's files as results of the cluster, each once: a worker that is lost takes none of them along."""
    for path, sha in job.files:
        if sha not in contents:
            if said := changed(path, sha):
                raise InputError(said)
            with open(path, "rb") as file:
                contents[sha] = client.submit(bytes, file.read(), key=f"wattloop-file-{sha}")
    return {sha: contents[sha] for _, sha in job.files}


def _afar(task: Task, shipment: Shipment, contents: dict[str, bytes]) -> Attempt:
    """`attempt` at a worker of another machine, which keeps the files of the job in its cache."""
    try:
        argument = received(shipment, contents)
    except InputError as error:
        return Attempt(error=str(error), wrong_input=True)
    except OSError as error:
        return Attempt(error=f"{type(error).__name__}: {error}", passing=True)
    return attempt_apart(task, argument)
