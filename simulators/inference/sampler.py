"""Readings of a GPU's power, clocks and temperature through NVML while something runs on it."""

from __future__ import annotations

import threading
import time
from typing import Any, NamedTuple

SAMPLE_S = 0.05


class Sample(NamedTuple):
    """One reading: seconds since the window's start, W, MHz, MHz, degrees Celsius."""

    at_s: float
    power_w: float
    sm_clock_mhz: float
    memory_clock_mhz: float
    temperature_c: float


class Sampler:
    """Reads a GPU's power, clocks and temperature in a thread while a block runs."""

    def __init__(self, pynvml: Any, index: int) -> None:
        self.nvml = pynvml
        self.handle = pynvml.nvmlDeviceGetHandleByIndex(index)
        self.samples: list[Sample] = []
        self.stop = threading.Event()

    def name(self) -> str:
        """The device's name as NVML has it."""
        return str(self.nvml.nvmlDeviceGetName(self.handle))

    def driver(self) -> str:
        """The driver's version."""
        return str(self.nvml.nvmlSystemGetDriverVersion())

    def read(self, at_s: float) -> Sample:
        """One reading."""
        nvml, handle = self.nvml, self.handle
        return Sample(
            at_s,
            nvml.nvmlDeviceGetPowerUsage(handle) / 1000.0,
            nvml.nvmlDeviceGetClockInfo(handle, nvml.NVML_CLOCK_SM),
            nvml.nvmlDeviceGetClockInfo(handle, nvml.NVML_CLOCK_MEM),
            nvml.nvmlDeviceGetTemperature(handle, nvml.NVML_TEMPERATURE_GPU),
        )

    def __enter__(self) -> Sampler:
        self.samples = []
        self.stop.clear()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop.set()
        self.thread.join()

    def _run(self) -> None:
        begin = time.monotonic()
        while not self.stop.wait(SAMPLE_S):
            self.samples.append(self.read(time.monotonic() - begin))
