"""The mosaik world of a site: who is connected to whom."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import mosaik
import numpy as np
from mosaik.starters import PythonStarter

from scenarios.site import Setup
from simulators.carbon.simulator import Carbon
from simulators.datacenter.simulator import DataCenter
from simulators.generation.simulator import Generation
from simulators.inference.simulator import Inference
from simulators.profiles.profile import Profile
from simulators.profiles.simulator import ProfileReplay
from simulators.recorder.simulator import Recorder
from simulators.recorder.store import RunFolder
from simulators.scheduler.simulator import Scheduler
from simulators.storage.dispatch import dispatch
from simulators.storage.simulator import Storage

CLUSTER_POWERS = {
    "P[MW]": "gpu_mw",
    "P_prefill[MW]": "prefill_mw",
    "P_decode[MW]": "decode_mw",
    "P_idle[MW]": "idle_mw",
}
CLUSTER_COLUMNS = {
    "mfu[1]": "mfu",
    "mbu[1]": "mbu",
    "arrived[1]": "arrived",
    "completed[1]": "completed",
    "rejected[1]": "rejected",
    "running[1]": "running",
    "waiting[1]": "waiting",
    "held[1]": "held",
    "prefill_tokens[1]": "prefill_tokens",
    "decode_tokens[1]": "decode_tokens",
}
FACILITY_COLUMNS = {
    "P_it[MW]": "it_mw",
    "P_cooling[MW]": "cooling_mw",
    "P_losses[MW]": "losses_mw",
    "P[MW]": "facility_mw",
}
EXCHANGE_COLUMNS = {
    "P_charge[MW]": "charge_mw",
    "P_discharge[MW]": "discharge_mw",
    "P_import[MW]": "import_mw",
    "P_export[MW]": "export_mw",
    "P_curtailed[MW]": "curtailed_mw",
    "SoC[1]": "soc",
    "E[MWh]": "stored_mwh",
}


class SiteWorld:
    """A mosaik world with one site in it; `run` steps it to its end.

    Parameters
    ----------
    setup
        What to wire.
    run
        Where the results go.
    progress
        Called after each step with the seconds simulated.
    scale
        How many times the simulated cluster stands in the site: its powers, not its requests, are multiplied.
    """

    def __init__(
        self, setup: Setup, run: RunFolder, progress: Callable[[int], None] | None = None, scale: float = 1.0
    ) -> None:
        self.setup = setup
        self.columns: dict[tuple[str, str], str] = {}
        self._recorded: list[tuple[Any, str, Callable[[float], float]]] = []
        self.world = mosaik.World(cache=False, skip_greetings=True, configure_logging=False)
        self._run = run
        self._progress = progress
        self.scaled: Callable[[float], float] = lambda mw: mw * scale
        step = {"step_size": setup.options.step}
        self.carbon = self.start(Carbon, "Carbon", **step).CarbonIntensity(
            ci_g_per_kwh=setup.carbon_g_per_kwh, forecast=setup.forecast
        )
        generation = self.start(Generation, "Generation", **step)
        self.generators = {}
        if setup.pv_w is not None:
            self.generators["pv_mw"] = generation.PV(power_w=setup.pv_w)
        if setup.wind_w is not None:
            self.generators["wind_mw"] = generation.Wind(power_w=setup.wind_w)
        self.controller = self.start(Scheduler, "Scheduler", **step).Controller(policy=setup.policy)
        self.cluster = self.start(Inference, "Inference", **step).Cluster(
            cluster=setup.cluster, metrics=setup.metrics
        )
        self.facility = self.start(DataCenter, "DataCenter", **step).DataCenter(facility=setup.facility)
        self.storage_simulator = self.start(Storage, "Storage", **step)
        limit_kw = setup.options.export_limit_kw
        self.storage = self.storage_simulator.Battery(
            battery=setup.battery,
            dispatch=dispatch(setup.options.dispatch),
            export_limit_w=np.inf if limit_kw is None else limit_kw * 1e3,
        )
        self.price = None if setup.price_per_kwh is None else self._price(setup)
        self._connect()

    def start(self, simulator: type, name: str, **parameters: Any) -> Any:
        """Start a simulator in this process."""
        return self.world.start(PythonStarter(simulator), sim_id=name, **parameters)

    def record(
        self, entity: Any, columns: dict[str, str], transform: Callable[[float], float] | None = None
    ) -> None:
        """Have attributes of an entity, `transform`-ed, written to the named columns of the time series."""
        for attribute, column in columns.items():
            self.columns[(entity.full_id, attribute)] = column
            self._recorded.append((entity, attribute, transform or (lambda value: value)))

    def _price(self, setup: Setup) -> Any:
        options = setup.options
        replay = self.start(
            ProfileReplay,
            "Price",
            start=setup.start,
            step_size=options.step,
            steps=options.steps,
            attributes=["price[1/kWh]"],
        )
        assert setup.price_per_kwh is not None
        profile = Profile("price", setup.price_unit, setup.start, options.step, setup.price_per_kwh, "price")
        return replay.Profile(profile=profile, attribute="price[1/kWh]")

    def _connect(self) -> None:
        connect = self.world.connect
        # what the controller sees: signals of this step, the site's state one step late
        if self.setup.options.policy == "carbon":
            connect(self.carbon, self.controller, "CI[gCO2eq/kWh]", "CI_forecast[gCO2eq/kWh]")
        for generator in self.generators.values():
            connect(generator, self.controller, ("P[MW]", "P_gen[MW]"))
        connect(
            self.facility,
            self.controller,
            ("P[MW]", "P_load[MW]"),
            initial_data={"P[MW]": 0.0},
            time_shifted=True,
            transform=self.scaled,
        )
        soc = self.setup.battery.soc if self.setup.battery else 0.0
        connect(
            self.storage,
            self.controller,
            ("SoC_end[1]", "SoC[1]"),
            initial_data={"SoC_end[1]": soc},
            time_shifted=True,
        )
        counts = {"held[1]": 0, "waiting[1]": 0}
        connect(self.cluster, self.controller, *counts, initial_data=counts, time_shifted=True)
        # what it decides, and what follows from it
        connect(self.controller, self.cluster, "hold[1]", "release_rate[1/s]")
        connect(self.cluster, self.facility, ("P[MW]", "P_gpu[MW]"))
        connect(self.cluster, self.facility, ("busy[1]", "utilisation[1]"))
        connect(self.facility, self.storage, ("P[MW]", "P_load[MW]"), transform=self.scaled)
        for column, generator in self.generators.items():
            connect(generator, self.storage, ("P[MW]", "P_gen[MW]"))
            self.record(generator, {"P[MW]": column})
        connect(self.carbon, self.storage, "CI[gCO2eq/kWh]")
        if self.price is not None:
            connect(self.price, self.storage, "price[1/kWh]")
            connect(self.price, self.controller, "price[1/kWh]")
            self.record(self.price, {"price[1/kWh]": "price_per_kwh"})
        self.record(self.carbon, {"CI[gCO2eq/kWh]": "carbon_intensity_g_per_kwh"})
        self.record(self.controller, {"hold[1]": "hold"})
        self.record(self.cluster, CLUSTER_POWERS, self.scaled)
        self.record(self.cluster, CLUSTER_COLUMNS)
        self.record(self.facility, FACILITY_COLUMNS, self.scaled)
        self.record(self.storage, EXCHANGE_COLUMNS)

    def run(self, keep_requests: bool = True) -> float:
        """Step to the end of the run; returns the largest relative residual of the energy balance."""
        options = self.setup.options
        recorder = self.start(
            Recorder,
            "Recorder",
            run=self._run,
            start=self.setup.start,
            step_size=options.step,
            progress=self._progress,
        ).Recorder(columns=self.columns)
        for entity, attribute, transform in self._recorded:
            self.world.connect(entity, recorder, attribute, transform=transform)
        if keep_requests:
            self.world.connect(self.cluster, recorder, "requests")
        if options.power_resolution_s is not None:
            self.world.connect(self.cluster, recorder, "P_series[MW]")
        with self.world:
            try:
                self.world.run(
                    options.steps * options.step, print_progress=False, lazy_stepping=False, shutdown=False
                )
                return float(self.storage_simulator.max_relative_residual())
            finally:
                # a run that ends with an error leaves mosaik's other simulators waiting
                waiting = asyncio.all_tasks(self.world.loop)
                for task in waiting:
                    task.cancel()
                self.world.loop.run_until_complete(asyncio.gather(*waiting, return_exceptions=True))
