"""Time of a power-flow step: ours, with everything a step reports, against plain `runpp`, in one run.

python tests/benchmarks/power_flow.py [--networks mv_oberrhein case118] [--steps 500] [--json]

Processor time of one thread: what else the machine does counts little. Every network's steps are also compared.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import warnings
from copy import deepcopy
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np
import pandapower

from simulators.errors import InputError
from simulators.grid.network import Network
from simulators.grid.sources import load_network

NETWORKS = ("mv_oberrhein", "cigre_mv", "1-MV-rural--0-sw", "case118", "case1354pegase")


def measured(name: str, steps: int, oracle_steps: int = 10) -> dict[str, object]:
    """Milliseconds per step of both, and the largest difference of a voltage, p.u."""
    net = load_network(name)
    network = Network(deepcopy(net), name)
    bus = int(net.load.bus.iloc[0])
    network.attach(bus, "site")
    pandapower.create_load(net, bus, 0.0, 0.0)
    p_mw = np.random.default_rng(1).uniform(0.0, 0.5, steps)
    network.step(0.1, 0.0)
    began = time.process_time()
    results = [network.step(p, 0.0) for p in p_mw.tolist()]
    ours_ms = (time.process_time() - began) / steps * 1e3
    furthest, theirs_ms = 0.0, 0.0
    for p, result in zip(p_mw.tolist()[:oracle_steps], results, strict=False):
        net.load.iloc[-1, net.load.columns.get_loc("p_mw")] = p
        began = time.process_time()
        pandapower.runpp(net)
        theirs_ms += (time.process_time() - began) / oracle_steps * 1e3
        furthest = max(furthest, float(np.nanmax(np.abs(result.vm_pu - net.res_bus.vm_pu))))
    return {
        "network": name,
        "buses": len(net.bus),
        "on_arrays": network.solver.flow is not None,
        "ours_ms": ours_ms,
        "runpp_ms": theirs_ms,
        "ratio": ours_ms / theirs_ms,
        "vm_difference_pu": furthest,
    }


def main() -> None:
    """Print one line per network."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--networks", nargs="+", default=list(NETWORKS), help="names, files or SimBench codes"
    )
    parser.add_argument("--steps", type=int, default=500, help="steps of ours")
    parser.add_argument("--json", action="store_true", help="one JSON object per line")
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore")
    for name in arguments.networks:
        try:
            case = measured(name, arguments.steps)
        except InputError as error:
            print(f"{name}: left out ({error})", file=sys.stderr)
            continue
        if arguments.json:
            print(json.dumps(case))
        else:
            print(
                f"{case['network']:<18} {case['buses']:>5} buses: {case['ours_ms']:8.3f} ms a step, runpp "
                f"{case['runpp_ms']:7.2f} ms, ratio {case['ratio']:.4f}, "
                f"voltages within {case['vm_difference_pu']:.0e} p.u."
            )


if __name__ == "__main__":
    main()
