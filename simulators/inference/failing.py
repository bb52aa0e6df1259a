"""From what a user says of failures to what fails in a cluster."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from simulators.errors import InputError
from simulators.inference.failures import Failures
from simulators.inference.hosts import BOOT
from simulators.inference.outages import Breakdowns, Timetable, read_outages
from simulators.inference.parking import Parking
from simulators.inference.reliability import Reliability
from simulators.inference.replica import Replica
from simulators.inference.routing import INDEPENDENT, router

AGAIN = ("round_robin", "random", "power_of_two", INDEPENDENT)
"""Routers by which requests are also sent again; under all others the one with the fewest unfinished gets them."""


def failures_for(
    options: Reliability,
    replicas: Sequence[Replica],
    parking: Parking,
    router_name: str,
    seed: int,
    first: int = 0,
    of: int | None = None,
) -> Failures | None:
    """What fails in a cluster; None if nothing can.

    Parameters
    ----------
    options
        What a user says of it.
    replicas, parking
        Of the cluster.
    router_name
        Of its router.
    seed
        Of what fails by chance, and of where those go that are sent again.
    first, of
        Number of the first replica, and how many there are in all, where these are some of several services.

    Raises
    ------
    InputError
        If the file of outages is wrong, nothing is known of what a replica's GPUs draw when they are out, or failures
        come sooner than a replica can load its model.
    """
    if not options.any:
        return None
    for replica in replicas:
        if "off" not in replica.states:
            raise InputError(
                f"--failing, --failures: what {replica.group} draws in the state off is not known"
            )
    listed = [] if options.failures is None else read_outages(options.failures, of or len(replicas))
    own = range(first, first + len(replicas))
    listed = [one._replace(replicas=(one.replicas[0] - first,)) for one in listed if one.replicas[0] in own]
    with_host, breakdowns = options.failing == "host", None
    if options.failing != "none":
        units: list[tuple[int, ...]] = [(number,) for number in range(len(replicas))]
        gpus = [replica.gpu_count for replica in replicas]
        if with_host:
            hosts = parking.hosts
            units = [tuple(n for n, of in enumerate(hosts.of) if host in of) for host in range(hosts.count)]
            gpus = [hosts.gpus_per_host] * hosts.count
        mtbf_s = [3600.0 * options.mtbf_h(count) for count in gpus]
        load_s = max(replica.states["off"].leave_s for replica in replicas) + (
            BOOT.value if with_host else 0.0
        )
        if min(mtbf_s) <= load_s:
            raise InputError(
                f"--mtbf-hours: {min(mtbf_s) / 3600:.3g} h between failures, expected more than the {load_s:.0f} s in "
                "which a replica is back"
            )
        breakdowns = Breakdowns(units, mtbf_s, 3600.0 * options.repair_h, seed, first)
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(1_000_037, first)))
    blind = router_name.partition(":")[0] in AGAIN
    again = router(router_name if blind else "least_outstanding", len(replicas), rng)
    return Failures(Timetable(listed, breakdowns), replicas, parking, again, with_host)
