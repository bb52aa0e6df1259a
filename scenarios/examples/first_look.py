"""How much of a small site's load does the sun carry?

Question. One GPU in California serves a few requests while two kilowatts of PV stand on the roof. When is it green?
What to look for. Around noon `pv_mw` passes `facility_mw` and the import falls to zero; after sunset all is import.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # not needed once the package is installed

from scenarios import Study, simulate


def main() -> None:
    """Three lines: a study, its result, a table."""
    study = Study().changed(days=1, step=900, model="meta-llama/Meta-Llama-3-8B", gpu="a100", tp=1, replicas=1,
                            rate=0.3, pv_kw=2.0, without=["wind", "battery"])  # fmt: skip
    result = simulate(study)
    hourly = (
        result.timeseries.set_index("time")[["facility_mw", "pv_mw", "import_mw"]].resample("3h").mean() * 1e3
    )

    print(hourly.round(3).rename(columns=lambda name: name.replace("_mw", " kW")).to_string())
    print(f"load carried by the sun, interval by interval: {result.figures.renewable.matched_ratio:.0%}")


if __name__ == "__main__":
    main()
