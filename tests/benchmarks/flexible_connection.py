"""7.5 MW at bus 100 of mv_oberrhein for two days: hours of violation without an answer and with several.

    python tests/benchmarks/flexible_connection.py [--days 2] [--policies P1 P2 ...]

One JSON line for each policy: hours in which the network violates a limit, the highest loading of a line, energy at the
meter, output tokens, latencies of interactive requests. Exit code 1: a budget kept ahead leaves an hour of violation or
draws more than without.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from scenarios.grid_integration import STUDY
from scenarios.simulation import simulate
from scenarios.study import Study

FIRM_W = 4.82e6
"""What bus 100 hosts (`wattloop grid hosting --network mv_oberrhein --bus 100`)."""
AHEAD = f"watt:budget_w={FIRM_W:g},of=import,ahead=true"
POLICIES = ("none", AHEAD, f"watt:budget_w={0.95 * FIRM_W:g},of=import", "droop")


def case(study: Study, policy: str) -> dict[str, float | str]:
    """One run."""
    started = time.process_time()
    result = simulate(study.changed(policy=policy))
    served, network = result.figures.served, result.network
    interactive = served.classes.interactive
    return {
        "policy": policy,
        "violation_hours": network["violation_hours"],
        "line_loading_max_percent": network["line_loading_percent_max"]["value"],
        "facility_mwh": result.figures.energy_mwh.facility,
        "output_tokens": served.decode_tokens,
        "ttft_p50_s": interactive.ttft_s.p50,
        "ttft_p99_s": interactive.ttft_s.p99,
        "tpot_p99_s": interactive.tpot_s.p99,
        "cpu_s": time.process_time() - started,
    }


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--days", type=float, default=2.0)
    parser.add_argument("--policies", nargs="+", default=POLICIES)
    given = parser.parse_args()
    study = STUDY.changed(mw=7.5, bus="100", days=given.days, drain_hours=0.0).at_its_network()
    found = {}
    for policy in given.policies:
        found[policy] = case(study, policy)
        print(json.dumps(found[policy]), flush=True)
    if AHEAD not in found or "none" not in found:
        return 0
    kept, without = found[AHEAD], found["none"]
    return int(kept["violation_hours"] > 0 or kept["facility_mwh"] > without["facility_mwh"])


if __name__ == "__main__":
    sys.exit(main())
