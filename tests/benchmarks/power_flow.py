"""Time of a power-flow step: ours, with everything a step reports, against plain `runpp`, in one run.

python tests/benchmarks/power_flow.py [--networks mv_oberrhein case118] [--steps 500] [--json]
python tests/benchmarks/power_flow.py --taps [--networks mv_oberrhein 1-MV-rural--0-sw] [--steps 500]

Processor time of one thread: what else the machine does counts little. Every network's steps are also compared:
voltages, loading, losses, slack. With --taps loads follow a day's course (a SimBench network its own profiles), tap
changers hold a voltage, and the other side is pandapower's ``DiscreteTapControl``; positions are compared too.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import warnings
from copy import deepcopy
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np
import pandapower
from pandapower.control import DiscreteTapControl

from simulators.errors import InputError
from simulators.grid.background.reading import Asked, Steps, open_network
from simulators.grid.network import Network
from simulators.grid.result import Result
from simulators.grid.sources import load_network
from simulators.profiles.fileref import FileRef

NETWORKS = ("mv_oberrhein", "cigre_mv", "1-MV-rural--0-sw", "case118", "case1354pegase")
TAPPED = ("mv_oberrhein", "cigre_mv", "1-MV-rural--0-sw", "case118")

TOLERANCE_MVA = 1e-10
"""Of pandapower here; its default leaves small lines 1e-6 % away from where they end."""

SET_POINT_PU = 1.0
RATIO = {
    "tap_side": "hv",
    "tap_neutral": 0.0,
    "tap_min": -9.0,
    "tap_max": 9.0,
    "tap_step_percent": 1.5,
    "tap_pos": 0.0,
    "tap_changer_type": "Ratio",
}
"""For networks whose transformers come without tap changers."""


def measured(name: str, steps: int, oracle_steps: int = 10) -> dict[str, object]:
    """Milliseconds per step of both, and the largest difference of what they say."""
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
    apart, theirs_ms = Apart(), 0.0
    for p, result in zip(p_mw.tolist()[:oracle_steps], results, strict=False):
        net.load.iloc[-1, net.load.columns.get_loc("p_mw")] = p
        began = time.process_time()
        pandapower.runpp(net, tolerance_mva=TOLERANCE_MVA)
        theirs_ms += (time.process_time() - began) / oracle_steps * 1e3
        apart.see(result, net)
    return case(name, network, ours_ms, theirs_ms, apart)


def with_taps(name: str, steps: int, oracle_steps: int = 10) -> dict[str, object]:
    """The same where tap changers hold a voltage while loads follow a day."""
    net = load_network(name)
    if "tap_min" not in net.trafo or net.trafo.tap_min.isna().all():
        for column, value in RATIO.items():
            net.trafo[column] = value
        net.trafo["oltc"] = True
    own = "autoTapSetp" in net.trafo
    span = Steps(datetime(2016, 6, 6, tzinfo=UTC), 900, steps)
    asked = Asked(FileRef(path=Path("simbench"))) if own else Asked()
    network, background = open_network(net, asked, span, tap_control="own" if own else SET_POINT_PU)
    hour = np.arange(steps) / 4.0
    factor = np.ones(steps) if own else 0.65 + 0.35 * np.sin((hour - 8.0) / 24.0 * 2.0 * np.pi)
    network.step([], load_scaling=float(factor[0]), powers=background.at(0))
    results, took, moved, before = [], np.zeros(steps), np.zeros(steps, bool), network.taps.position
    for step in range(steps):
        powers = background.at(step)
        began = time.process_time_ns()
        results.append(network.step([], load_scaling=float(factor[step]), powers=powers))
        took[step] = (time.process_time_ns() - began) / 1e6
        moved[step], before = (network.taps.position != before).any(), network.taps.position
    theirs = deepcopy(network.net)
    theirs.trafo.iloc[network.taps.rows, theirs.trafo.columns.get_loc("tap_pos")] = results[0].tap_pos
    for at, index in enumerate(theirs.trafo.index[network.taps.rows]):
        middle = 0.5 * float(network.taps.low_pu[at] + network.taps.high_pu[at])
        DiscreteTapControl.from_tap_step_percent(theirs, index, middle)
    for table in ("load", "sgen", "storage"):
        theirs[table]["scaling"] = 1.0
    apart, theirs_ms = Apart(), 0.0
    for step, result in enumerate(results[:oracle_steps]):
        for table, power in network.draws.scaled(float(factor[step]), None, background.at(step)).items():
            theirs[table]["p_mw"] = power.p_mw
            if "q_mvar" in theirs[table]:
                theirs[table]["q_mvar"] = power.q_mvar
        began = time.process_time()
        pandapower.runpp(theirs, run_control=True, tolerance_mva=TOLERANCE_MVA)
        theirs_ms += (time.process_time() - began) / oracle_steps * 1e3
        apart.see(result, theirs)
        apart.taps = max(
            apart.taps, float(np.abs(result.tap_pos - theirs.trafo.tap_pos.iloc[network.taps.rows]).max())
        )
    still_ms = float(took[~moved].mean())
    moving = {"moves": int(moved.sum()), "moving_ms": float(took[moved].mean()) if moved.any() else None}
    return case(name, network, still_ms, theirs_ms, apart) | moving | {"tap_difference": apart.taps}


class Apart:
    """How far what we say is from what pandapower says, at most."""

    def __init__(self) -> None:
        self.vm_pu = self.loading_percent = self.loss_mw = self.slack_mw = self.taps = 0.0

    def see(self, result: Result, net: Any) -> None:
        """Compare one power flow."""
        loading = np.concatenate([net[f"res_{t}"].loading_percent for t in ("line", "trafo", "trafo3w")])
        ours = np.concatenate([result.line_loading_percent, result.trafo_loading_percent])
        lossy = (
            net[f"res_{t}"].pl_mw.sum() for t in ("line", "trafo", "trafo3w", "impedance") if len(net[t])
        )
        slack = net.res_ext_grid.p_mw.sum() + net.res_gen.p_mw[net.gen.slack & net.gen.in_service].sum()
        self.vm_pu = max(self.vm_pu, float(np.nanmax(np.abs(result.vm_pu - net.res_bus.vm_pu))))
        self.loading_percent = max(self.loading_percent, float(np.nanmax(np.abs(ours - loading))))
        self.loss_mw = max(self.loss_mw, abs(result.p_loss_mw - float(sum(lossy))))
        self.slack_mw = max(self.slack_mw, abs(result.p_slack_mw - float(slack)))


def case(name: str, network: Network, ours_ms: float, theirs_ms: float, apart: Apart) -> dict[str, object]:
    """What one network came to."""
    return {
        "network": name,
        "buses": len(network.buses),
        "on_arrays": network.solver.flow is not None,
        "ours_ms": ours_ms,
        "runpp_ms": theirs_ms,
        "ratio": ours_ms / theirs_ms,
        "vm_difference_pu": apart.vm_pu,
        "loading_difference_percent": apart.loading_percent,
        "loss_difference_mw": apart.loss_mw,
        "slack_difference_mw": apart.slack_mw,
    }


def main() -> None:
    """Print one line per network."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--networks", nargs="+", help="names, files or SimBench codes")
    parser.add_argument("--steps", type=int, default=500, help="steps of ours")
    parser.add_argument("--taps", action="store_true", help="tap changers hold a voltage")
    parser.add_argument("--json", action="store_true", help="one JSON object per line")
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore")
    for name in arguments.networks or (TAPPED if arguments.taps else NETWORKS):
        try:
            found = (with_taps if arguments.taps else measured)(name, arguments.steps)
        except InputError as error:
            print(f"{name}: left out ({error})", file=sys.stderr)
            continue
        if arguments.json:
            print(json.dumps(found))
            continue
        print(
            f"{found['network']:<18} {found['buses']:>5} buses: {found['ours_ms']:8.3f} ms a step, runpp "
            f"{found['runpp_ms']:7.2f} ms, ratio {found['ratio']:.4f}, within {found['vm_difference_pu']:.0e} p.u., "
            f"{found['loading_difference_percent']:.0e} % loading, {found['loss_difference_mw']:.0e} MW losses, "
            f"{found['slack_difference_mw']:.0e} MW slack"
        )
        if arguments.taps:
            moving = "" if found["moving_ms"] is None else f", {found['moving_ms']:.3f} ms each"
            print(
                f"{'':<18} taps moved in {found['moves']} steps{moving}; positions apart {found['tap_difference']:g}"
            )


if __name__ == "__main__":
    main()
