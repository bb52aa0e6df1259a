"""Can other people's mosaik components stand in the loop?

Question. An office next door draws from the same grid connection; its load is a CSV file that OFFIS's mosaik-csv
replays. What the site exchanges with the grid goes to a database of OFFIS's mosaik-hdf5 (Python 3.12 or later; else to
mosaik's own output simulator). Neither knows anything of this project: attributes with their unit are all they share.
What to look for. The import is higher by the office's load, minute for minute.
"""

from __future__ import annotations

import importlib.util
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # not needed once the package is installed

from mosaik.basic_simulators import OutputSimulator
from mosaik.starters import PythonStarter

from scenarios import Study, simulate
from scenarios.world import World

STEP_S, HOURS, OFFICE_KW = 900, 6, 3.0


def office_load(folder: Path) -> Path:
    """A CSV file as mosaik-csv reads it: three kilowatts, all the time."""
    file = folder / "office.csv"
    rows = [
        f"2017-06-05 {s // 3600:02d}:{s // 60 % 60:02d}:00,{OFFICE_KW / 1e3}"
        for s in range(0, HOURS * 3600 + 1, STEP_S)
    ]
    file.write_text("Office\nDate,P[MW]\n" + "\n".join(rows) + "\n")
    return file


def recorder(world: World, file: Path) -> Any:
    """A database entity: mosaik-hdf5 where it can be installed, else mosaik's own."""
    if importlib.util.find_spec("mosaik_hdf5") is None:
        return world.mosaik.start(PythonStarter(OutputSimulator), sim_id="Database").Dict()
    import mosaik_hdf5

    starter = PythonStarter(mosaik_hdf5.MosaikHdf5)
    database = world.mosaik.start(starter, sim_id="Database", step_size=STEP_S, duration=HOURS * 3600)
    return database.Database(filename=str(file))


def main() -> None:
    """The site alone, and with its neighbour."""
    study = Study().changed(start="2017-06-05", days=HOURS / 24, step=STEP_S, gpu="a100", tp=1, replicas=1, rate=0.3,
                            model="meta-llama/Meta-Llama-3-8B", without=["pv", "wind", "battery"])  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:

        def attach(world: World) -> None:
            import mosaik_csv

            file = str(office_load(Path(folder)))
            starter = PythonStarter(mosaik_csv.CSV)
            csv = world.mosaik.start(starter, sim_id="Office", sim_start="2017-06-05 00:00:00", datafile=file)
            storage = world.entities["site", "storage"]
            world.mosaik.connect(csv.Office(), storage, ("P[MW]", "P_load[MW]"))
            world.mosaik.connect(storage, recorder(world, Path(folder) / "exchange.hdf5"), "P_import[MW]")

        alone, shared = simulate(study), simulate(study, attach=attach)
    more = 1e3 * (shared.timeseries.import_mw - alone.timeseries.import_mw)
    print(f"the office adds {more.min():.3f} to {more.max():.3f} kW to the import")


if __name__ == "__main__":
    main()
