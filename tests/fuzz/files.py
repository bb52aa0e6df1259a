"""A small right file of every kind that an option takes, and the command lines that take it."""

from __future__ import annotations

import json
from pathlib import Path

import pandapower
import pandapower.networks

from simulators.paths import DATA

HOURS = 30
_DAY = "2017-06-05"
SHORT = ["run", "--days", "0.1", "--start", f"{_DAY}T06:00"]
GRID = ["grid", "run", "--days", "0.1", "--bus", "5", "--network"]

TAKES: dict[str, list[str]] = {
    "carbon.csv": [*SHORT, "--carbon", "FILE"],
    "marginal.csv": [*SHORT, "--marginal", "FILE"],
    "price.csv": [*SHORT, "--price", "FILE"],
    "free.csv": [*SHORT, "--carbon-free", "FILE"],
    "weather.csv": [*SHORT, "--weather", "FILE", "--without", "pv"],
    "pv.csv": [*SHORT, "--pv-profile", "FILE"],
    "wind.csv": [*SHORT, "--wind-profile", "FILE"],
    "load.csv": [*SHORT, "--load", "FILE"],
    "ppa.csv": [*SHORT, "--ppa-profile", "FILE"],
    "trace.csv": [*SHORT, "--trace", "FILE"],
    "lengths.csv": [*SHORT, "--lengths", "trace:FILE"],
    "requests.jsonl": ["inference", "--requests", "FILE"],
    "cdf.json": [*SHORT, "--lengths", "cdf:FILE:20"],
    "shape.json": [*SHORT, "--lengths", "fixed:100:10", "--diurnal", "FILE"],
    "rates.csv": [*SHORT, "--lengths", "fixed:100:10", "--diurnal", "FILE"],
    "curve.csv": [*SHORT, "--wind-power-curve", "FILE", "--wind-hub-height", "30"],
    "outages.csv": [*SHORT, "--outage", "FILE"],
    "failures.csv": [*SHORT, "--failures", "FILE", "--replicas", "2"],
    "model.json": [*SHORT, "--tp", "1", "--model", "FILE"],
    "gpu.toml": [*SHORT, "--gpu", "FILE"],
    "law.csv": [*SHORT, "--power-law", "table:FILE"],
    "policy.py": [*SHORT, "--policy", "FILE:Mine"],
    "rule.py": [*SHORT, "--dispatch", "FILE:Mine"],
    "config.toml": ["run", "--config", "FILE"],
    "config.json": ["run", "--config", "FILE"],
    "site.toml": [*SHORT, "--site", "FILE"],
    "fleet.toml": ["inference", "--rate", "1", "--lengths", "fixed:10:10", "--fleet", "FILE"],
    "net.json": [*GRID, "FILE"],
    "background.csv": [
        *GRID,
        "cigre_mv",
        "--background",
        "FILE",
        "--site",
        "california",
        "--start",
        f"{_DAY}T06:00",
    ],
    "inspected.csv": ["profiles", "inspect", "FILE"],
    "measured.csv": ["calibrate", "--gpu", "h100", "--measurements", "FILE"],
}
"""Kind of file -> command line; FILE stands for its path."""


def hourly(header: str, *values: str) -> str:
    """A table of `HOURS` hours from midnight UTC on; values are repeated."""
    rows = [header]
    for hour in range(HOURS):
        day, clock = divmod(hour, 24)
        rows.append(f"2017-06-{5 + day:02d}T{clock:02d}:00:00Z,{values[hour % len(values)]}")
    return "\n".join(rows) + "\n"


def write_all(folder: Path) -> dict[str, Path]:
    """Every kind of file, by name."""
    plain = {
        "carbon.csv": hourly("time,carbon_intensity[gCO2eq/kWh]", "300.5", "280", "310"),
        "marginal.csv": hourly("time,marginal[gCO2eq/kWh]", "500", "450.5"),
        "price.csv": hourly("time,price[EUR/MWh]", "80.5", "-3", "120"),
        "free.csv": hourly("time,carbon_free[1]", "0.5", "0.25"),
        "weather.csv": "# latitude: 34.1\n# longitude: -117.4\n"
        + hourly("time,temp_air[degC],wind_speed[m/s]", "21.5,3", "25,4.5"),
        "pv.csv": hourly("time,pv[1]", "0", "0.5", "0.25"),
        "wind.csv": hourly("time,wind[1]", "0.125", "0.5"),
        "load.csv": hourly("time,load[kW]", "12.5", "20"),
        "ppa.csv": hourly("time,ppa[kW]", "5", "7.5"),
        "trace.csv": "arrived_at,prefill_tokens,decode_tokens\n0.5,100,20\n1.5,200,10\n9,300,5\n",
        "requests.jsonl": '{"timestamp": 0, "input_length": 100, "output_length": 20}\n' * 3,
        "cdf.json": "[[100, 0.25], [500, 0.75], [1000, 1.0]]",
        "shape.json": json.dumps({"hourly_factor": [1.0] * 12 + [2.0] * 12}),
        "rates.csv": "t_s,req_per_s\n" + "".join(f"{600 * i},{0.5 + i % 3}\n" for i in range(200)),
        "curve.csv": "wind_speed[m/s],power[kW]\n3,0\n5,1.5\n10,9\n15,10\n",
        "outages.csv": f"start,end\n{_DAY}T07:00,{_DAY}T07:30\n",
        "failures.csv": "replica,start,end,kind\n0,600,900,failure\n1,1200.5,1500,maintenance\n",
        "model.json": json.dumps(LLAMA),
        "gpu.toml": (DATA / "gpus" / "h100.toml").read_text(),
        "law.csv": "utilisation,power_w\n0,100\n0.5,400\n1,650\n",
        "policy.py": "class Mine:\n    def decide(self, observation):\n        return []\n",
        "rule.py": "class Mine:\n    def power_w(self, situation):\n        return 0.0\n",
        "config.toml": f'days = 0.1\nstart = "{_DAY}"\npv_kw = 12.5\n[[sites]]\nserving = {{batch_cap = 32}}\n',
        "config.json": json.dumps({"options": {"days": 0.1, "start": _DAY, "rate": 0.5}}),
        "site.toml": 'title = "Here"\nlatitude = 34.1\nlongitude = -117.4\ntimezone = "America/Los_Angeles"\n'
        f'start = {_DAY}T00:00:00-07:00\ncarbon = "carbon.csv"\npv = "pv.csv"\nwind = "wind.csv"\n',
        "fleet.toml": '[[groups]]\ngpu = "h100"\nreplicas = 2\n[[groups]]\ngpu = "a100"\n',
        "background.csv": hourly("time,load P[1]", "0.5", "1"),
        "measured.csv": "gpu,model,mfu,mbu,comm,power_w\n" + "h100,maker/m,0.1,0.5,0,300\n" * 9,
    }
    plain["lengths.csv"] = plain["trace.csv"]
    plain["inspected.csv"] = plain["carbon.csv"]
    for name, text in plain.items():
        (folder / name).write_text(text)
    pandapower.to_json(pandapower.networks.create_cigre_network_mv(), str(folder / "net.json"))
    return {name: folder / name for name in TAKES}


LLAMA = {
    "model_type": "llama", "hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 32,
    "num_attention_heads": 32, "num_key_value_heads": 8, "vocab_size": 128256, "hidden_act": "silu",
    "max_position_embeddings": 8192,
}  # fmt: skip
"""The shape of an eight-billion-parameter model."""
