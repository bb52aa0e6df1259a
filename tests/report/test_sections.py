"""Words of the page that hold a figure."""

from __future__ import annotations

from types import SimpleNamespace

import pandas as pd
import pytest

from simulators.report import sections
from simulators.report.prefix import prefix_cache


@pytest.mark.parametrize(
    ("own", "words"),
    [
        (0.0, "this run emitted 1.2 kg with that, 40.0 % less."),
        (0.3, "this run emitted 1.5 kg with that and its own PV, wind and battery, 25.0 % less."),
        (1.3, "this run emitted 2.5 kg with that and its own PV, wind and battery, 25.0 % more."),
    ],
)
def test_what_a_run_emitted_is_all_that_its_boundary_holds(own, words):
    """Grid power alone was weighed against grid power, though within a life cycle own supply is not free."""
    local = pd.DataFrame({"carbon_intensity_g_per_kwh": [200.0], "facility_mw": [0.01], "import_mw": [0.005]})
    charts = SimpleNamespace(local=local, meta=SimpleNamespace(step_s=3600))
    figures = {"operational": 1.0, "battery_settlement": 0.2, "own_supply": own}
    assert words in sections._emitted(charts, figures)


def test_what_the_prefix_cache_found_is_told() -> None:
    served = {
        "gpu_energy_j": {"prefill": 7.2e6},
        "prefix_cache": {
            "block_tokens": 512, "prompt_blocks": 1000, "hit_blocks": 366, "prompt_tokens": 500_000,
            "hit_tokens": 200_000, "block_hit_ratio": 0.366, "token_hit_ratio": 0.4, "evictions": 12,
            "reading_j": 3.6e6,
        },
    }  # fmt: skip
    section = prefix_cache({"inference": served})
    for words in ("36.6 %", "200,000", "1 kWh", "50.0 % of prefill", "Blocks of 512 tokens"):
        assert words in section
    assert prefix_cache({}) == ""
