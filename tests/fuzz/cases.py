"""Wrong options and wrong contents, each of a kind that was once read as something else, crashed or hung."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable, Mapping
from typing import Any

from .files import LLAMA, hourly

OPTIONS = [
    shlex.split(line)
    for line in """
nope
--nope
run --bogus
run --pv_kw 3
run --days
run extra
run --report=3
grid
grid nope
grid rnu
profiles
profiles inspect
profiles inspect x --us 3
paper bla
simulator
simulator inferense
simulator inference --listen nowhere
simulator inference --listen 127.0.0.1:999999
run --days 1_000
run --days 1e9
run --days -1
run --days nan
run --days 3660 --step 1
run --step 0
run --step 1.5
run --step 1e30
run --rate 1e30
run --rate 1_0
run --rate １２
run --rate 1e-320
run --rate inf
run --rate 1e400
run --rate 1e5 --days 365
run --seed -1
run --seed 1e30
run --seed 99999999999999999999999999999
run --power-resolution-s 0.01 --days 3660
run --power-resolution-s 7
run --replicas 1000000000
run --replicas 1_0
run --tp 1000000
run --tp 0
run --tp true
run --pp 1000000
run --data-parallel 1000000
run --batch-cap 1000000000
run --max-batch-tokens 1000000000000
run --chunk-size 1000000000 --scheduler sarathi
run --kv-blocks 1000000000000
run --block-tokens 1000000000
run --max-model-len 100000000000
run --watermark 1
run --clock-limit 1e-320
run --power-cap-w 1e12
run --overhead-s 1e12
run --pue 1e30
run --pue 0.5
run --gpus-per-node 1e9
run --pv-kw 1e12
run --pv-kw 0
run --pv-tilt 91
run --pv-array kw=1_0
run --pv-array kw=1,tlt=3
run --pv-array kw=1e30
run --wind-kw 1e12
run --wind-machines 1e9
run --wind-turbine E-126/42
run --battery-kwh 1e12
run --battery-hours 1e12
run --battery-hours 1e-8
run --soc-start 1.5
run --defer-hours 1e12
run --drain-hours 8761
run --import-limit-kw -1
run --forecast-error nan
run --forecast-error 1e12
run --start 2017-03-12T02:30
run --start 2017-06-05T25:00
run --start 99999-01-01
run --start 0001-01-01
run --start 2017-06-05T06:00+99:00
run --start １２３４-06-05
run --site germany --start 2023-03-26T02:30
run --site germny
run --outage 2017-06-05T14:00/2017-06-05T18:00:30
run --outage 2017-03-12T02:30/2017-03-12T05:00 --start 2017-03-12
run --outage 2017-06-05T18:00/2017-06-05T14:00
run --outage 2017-06-05T1x:00/2017-06-05T18:00
run --out /dev/null
run --out /proc/x
run --model /dev/zero
run --model lama
run --gpu /dev/zero.toml
run --gpu /tmp
run --gpu h1000
run --carbon /dev/stdin
run --trace /dev/stdin
run --site /dev/null
run --config /dev/null
run --config /dev/stdin
run --lengths trace:/dev/zero
run --lengths fixed:1:1e30
run --lengths fixed:0:5
run --lengths fixed:1_000:5
run --lengths fixed:１:5
run --lengths fixed:10
run --lengths zipf:1:1e18:0.6:20
run --lengths zipf:1024:4096:1e30:20
run --lengths uniform:10:100:1e30
run --lengths lognormal:1e30:1:1e30:1
run --lengths lognormal:100:1e30:10:1
run --lengths fixd:1:1
run --diurnal /dev/null
run --diurnal diurnal_dya
run --iteration-time profile:/dev/zero
run --iteration-time measurd
run --power-law table:/tmp
run --power-law phisics
run --policy /tmp:X
run --policy carbn
run --policy carbon:quantil=0.2
run --policy carbon:quantile=1e30
run --policy carbon:quantile=1_0
run --policy carbon:quantile=true
run --dispatch resrve
run --dispatch peak-shaving:import_limit_w=1_000
run --dispatch peak-shaving:import_limit_w=nan
run --router rndom
run --scheduler vlm
run --framework vlm
run --where inference=127.0.0.1:99999
run --where inference=
run --time-of-use "0.4 25-26"
run --time-of-use "0.4 16-21"
run --time-of-use "1_0 16-21" --energy-price 0.2
run --time-of-use "1e30 16-21" --energy-price 0.2
run --energy-price 1_0
run --energy-price 1e30
run --currency 12345
run --without wnd
run --load-scale-to-mw 5
run --carbon-unit g
run --align monthly
run --carbon x.csv --carbon-start 5
run --carbon x.csv --carbon-fill previous:99
run --carbon x.csv --carbon-timezone Europe/Berln
run --carbon x.csv --carbon-format watttim
run --name ../x
grid run --network cigre_mw
grid run --network /tmp
grid run --bus 1000000
grid run --bus 1e30
grid run --power-factor 0
grid run --background-load 1e30
grid run --mw 1e11
grid run --network cigre_mv --background nope.csv
grid hosting --network /dev/stdin
grid hosting --tolerance-mw 0
grid year --mw 1e11 --bus 1
grid n-1 --network case33
inference
inference --rate 1e30 --lengths fixed:10:10
inference --rate 1 --lengths fixed:10:10 --cv 1e12
inference --rate 1e-9 --lengths fixed:10:10
inference --rate 1e-5 --lengths fixed:10:10 --num-requests 1000000
inference --rate 1 --lengths fixed:10:10 --num-requests 1000000000000
inference --rate 1 --lengths fixed:10:10 --power-interval 1e9
inference --rate 1
inference --fleet /dev/zero --rate 1 --lengths fixed:10:10
sizing --pv 1_0
sizing --nope 3
compare-policies --starts 1000000000
compare-policies --apart-days 1e12
compare-policies --workers 1000000
compare-policies --policies carbn
geo --dispatches hom
geo --latency-ms a=b
screen --rate 1e30
attribution --change tp=1000000
attribution --change tpp=2
attribution --change nothing
attribution --seed -1
profiles inspect /dev/stdin
profiles inspect /tmp
profiles inspect /tmp/nope.csv
calibrate --gpu h100
calibrate --gpu h1000 --measurements x.csv
calibrate --gpu h100 --measurements /dev/zero
calibrate --gpu h100 --power-log /dev/zero --bench /dev/zero
calibrate --gpu h100 --runs /dev/zero
calibrate --gpu h100 --measurements x.csv --tp 0
""".strip().splitlines()
]
"""Command lines, each wrong."""


def model(**changes: Any) -> str:
    """A model's configuration with some entries changed; None leaves one out."""
    return json.dumps({name: value for name, value in (LLAMA | changes).items() if value is not None})


def cell(old: str, new: str) -> Callable[[str], str]:
    """A file with the first of a text replaced."""

    def replaced(text: str) -> str:
        assert old in text
        return text.replace(old, new, 1)

    return replaced


def entry(name: str, value: str) -> Callable[[str], str]:
    """A TOML file with one entry changed."""
    return lambda text: re.sub(rf"^{name} = .*$", f"{name} = {value}", text, count=1, flags=re.MULTILINE)


_SUN = "# latitude: 34.1\n# longitude: -117.4\n"
_EXPERTS = {"num_local_experts": 8, "num_experts_per_tok": 2}

CONTENTS: Mapping[str, Mapping[str, str | Callable[[str], str]]] = {
    "carbon.csv": {
        "underscore": cell("280", "1_000"),
        "full-width": cell("280", "２８０"),
        "tiny": cell("280", "1e-320"),
        "huge": cell("280", "1e30"),
        "infinite": cell("280", "inf"),
        "huge exponent": cell("280", "1e400"),
        "not a number": cell("280", "nan"),
        "hexadecimal": cell("280", "0x118"),
        "two conventions": cell("280", "1.234,5"),
        "two columns of one name": cell("time,", "time,time,"),
        "no unit": hourly("time,x", "0.3", "0.31"),
        "unknown unit": cell("gCO2eq/kWh", "m/s"),
        "empty unit": cell("gCO2eq/kWh", ""),
        "header twice": lambda text: text.replace("\n", "\ntime,carbon_intensity[gCO2eq/kWh]\n", 4),
        "row twice": lambda text: text.replace("280\n", "280\n2017-06-05T01:00:00Z,280\n", 1),
        "ragged": cell("280", "280,5"),
        "open quote": cell("280", '"280'),
        "control characters": cell("280", "\x1b[31m280"),
        "bell in the header": cell("carbon_", "carbon\a_"),
    },
    "price.csv": {
        "underscore": cell("80.5", "8_0.5"),
        "per nothing": cell("EUR/MWh", "EUR"),
        "huge": cell("80.5", "1e12"),
    },
    "free.csv": {"above one": cell("0.5", "1.5"), "below none": cell("0.5", "-0.5")},
    "marginal.csv": {"underscore": cell("500", "5_00")},
    "weather.csv": {
        "below absolute zero": cell("21.5", "-300"),
        "kelvin": lambda text: text.replace("21.5", "294.5").replace("25,", "298,"),
        "storm": cell("21.5,3", "21.5,300"),
        "latitude": cell("34.1", "134.1"),
        "sun at night": _SUN + hourly("time,ghi[W/m2],temp_air[degC]", "800,20"),
        "diffuse above global": _SUN + hourly("time,ghi[W/m2],dhi[W/m2],temp_air[degC]", "100,400,20"),
        "negative sun": _SUN + hourly("time,ghi[W/m2],temp_air[degC]", "-50,20"),
    },
    "pv.csv": {
        "above one": cell("0.5", "1.6"),
        "negative": cell("0.5", "-0.5"),
        "underscore": cell("0.25", "0_1"),
    },
    "wind.csv": {"above one": cell("0.125", "12"), "underscore": cell("0.125", "0_1")},
    "load.csv": {
        "no unit": cell("[kW]", ""),
        "negative": cell("12.5", "-12.5"),
        "underscore": cell("20", "2_0"),
    },
    "ppa.csv": {"negative": cell("7.5", "-7.5"), "underscore": cell("7.5", "7_5")},
    "trace.csv": {
        "underscore": cell("100", "1_00"),
        "negative": cell("100", "-100"),
        "half a token": cell("100", "100.5"),
        "too many": cell("100", "1e18"),
        "back in time": cell("9,", "0.1,"),
        "not a time": cell("9,", "nan,"),
        "true": cell("100", "true"),
        "full-width": cell("100", "１００"),
        "two columns of one name": cell("decode_tokens", "decode_tokens,prefill_tokens"),
        "huge exponent": cell("100", "1e99999999999"),
        "more cells": cell("100,20", "100,20,7"),
    },
    "requests.jsonl": {
        "underscore": cell("100", '"1_00"'),
        "twice": cell('"output_length"', '"input_length": 5, "output_length"'),
        "true": cell("100", "true"),
        "a list": cell('{"timestamp": 0, "input_length": 100, "output_length": 20}', "[1, 2]"),
    },
    "cdf.json": {
        "falls": "[[100, 0.5], [500, 0.25], [1000, 1.0]]",
        "text": '[["1_00", 0.5], [500, 1.0]]',
        "true": "[[100, true]]",
        "not to one": "[[100, 0.5], [500, 0.7]]",
        "constant": "[[100, NaN], [500, 1.0]]",
    },
    "shape.json": {
        "23 factors": json.dumps({"hourly_factor": [1.0] * 23}),
        "25 factors": json.dumps({"hourly_factor": [1.0] * 25}),
        "text": json.dumps({"hourly_factor": ["1"] * 24}),
        "true": json.dumps({"hourly_factor": [True] * 24}),
        "nothing": json.dumps({"hourly_factor": [0] * 24}),
        "negative": json.dumps({"hourly_factor": [-1, *[1] * 23]}),
        "constant": '{"hourly_factor": [' + ", ".join(["Infinity"] * 24) + "]}",
        "twice": '{"hourly_factor": [1], "hourly_factor": [2]}',
        "nearly named": json.dumps({"hourly_factor": [1.0] * 24, "lenghts": "fixed:1:1"}),
        "a list": "[1, 2, 3]",
    },
    "rates.csv": {
        "negative": cell("0.5", "-0.5"),
        "underscore": cell("1.5", "1_5"),
        "back in time": cell("1200,", "30,"),
    },
    "curve.csv": {
        "falls": cell("10,9", "4,9"),
        "negative": cell("1.5", "-1.5"),
        "underscore": cell("10,9", "1_0,9"),
    },
    "outages.csv": {
        "turned round": cell("07:30", "06:30"),
        "no such hour": "start,end\n2017-03-12T02:30,2017-03-12T05:00\n",
        "no time": cell("2017-06-05T07:00", "noon"),
        "no columns": "from,to\n1,2\n",
    },
    "model.json": {
        "KV heads do not divide": model(num_key_value_heads=5),
        "more KV heads": model(num_key_value_heads=64),
        "no KV heads": model(num_key_value_heads=0),
        "more experts per token": model(**_EXPERTS | {"num_experts_per_tok": 9}),
        "no experts per token": model(**_EXPERTS | {"num_experts_per_tok": None}),
        "no width": model(intermediate_size=None),
        "no width of experts": model(intermediate_size=None, **_EXPERTS),
        "hidden size 0": model(hidden_size=0),
        "negative layers": model(num_hidden_layers=-3),
        "layers as text": model(num_hidden_layers="32"),
        "layers true": model(num_hidden_layers=True),
        "half a layer": model(num_hidden_layers=31.5),
        "a list of layers": model(num_hidden_layers=[32]),
        "huge layers": model(num_hidden_layers=10**30),
        "no layers": model(num_hidden_layers=None),
        "no vocabulary": model(vocab_size=None),
        "heads do not divide": model(num_attention_heads=33, num_key_value_heads=33),
        "more dense layers than layers": model(**_EXPERTS, first_k_dense_replace=99),
        "a list": "[]",
        "twice": model()[:-1] + ', "hidden_size": 8}',
    },
    "gpu.toml": {
        "no bandwidth": lambda text: "\n".join(
            line for line in text.splitlines() if "memory_bandwidth" not in line
        ),
        "negative": cell("memory_bandwidth = ", "memory_bandwidth = -"),
        "true": entry("tdp_w", "true"),
        "unknown": lambda text: "tpd_w = 3\n" + text,
        "infinite": entry("tdp_w", "inf"),
    },
    "law.csv": {
        "falls": cell("0.5", "1.5"),
        "negative": cell("400", "-400"),
        "underscore": cell("400", "4_00"),
        "no column": cell("power_w", "watts"),
        "twice": cell("power_w\n", "power_w,power_w\n"),
    },
    "policy.py": {
        "no class": "x = 1\n",
        "fails": "raise ValueError('\\x1b[31mred\\nline')\n",
        "no method": "class Mine:\n    pass\n",
        "ends": "import sys\nsys.exit(0)\n",
        "syntax": "class Mine(:\n",
    },
    "rule.py": {
        "no class": "x = 1\n",
        "fails": "1 / 0\n",
        "no method": "class Mine:\n    pass\n",
        "syntax": "def\n",
    },
    "config.toml": {
        "unknown": "dayss = 3",
        "unknown deep": "[[sites]]\nserving = {batch_kap = 3}",
        "list": "days = [1]",
        "true": "days = true",
        "table": "days = {a = 1}",
        "text": 'days = "many"',
        "underscore": 'days = "1_0"',
        "twice": "days = 1\ndays = 2",
        "with both": "pv-kw = 1\npv_kw = 2",
        "control": 'policy = "a\\u0000"',
        "escape": 'site = "\\u001b[31m"',
        "no such hour": 'start = "2017-03-12T02:30"\nsite = "california"',
        "integer": "days = 99999999999999999999999",
        "infinite": "days = inf",
        "no sites": "sites = []",
        "sites of nothing": "sites = 3",
        "date": "start = 2017-06-05",
        "study of a list": "run = [1]",
        "two names": '[[sites]]\nname = "a"\n[[sites]]\nname = "a"',
        "replicas true": "replicas = true",
        "carbon of a number": "carbon = 3",
        "carbon unknown": 'carbon = {path = "x.csv", unitt = "g"}',
        "carbon start": 'carbon = {path = "x.csv", start = 5}',
    },
    "config.json": {
        "unknown": '{"dayss": 3}',
        "list": "[1]",
        "null": "null",
        "twice": '{"days": 1, "days": 2}',
        "constant": '{"days": NaN}',
        "cut": '{"days": 1',
        "number": "3",
        "exponent": '{"days": 1e999}',
        "options": '{"options": [1]}',
        "true": '{"replicas": true}',
        "surrogate": '{"policy": "\\ud800"}',
    },
    "site.toml": {
        "latitude": cell("34.1", "134.1"),
        "latitude true": cell("34.1", "true"),
        "latitude nan": cell("34.1", "nan"),
        "zone": cell("America/Los_Angeles", "America/Los_Angles"),
        "naive start": cell("T00:00:00-07:00", ""),
        "start as a number": cell("2017-06-05T00:00:00-07:00", "5"),
        "unknown": lambda text: "latitdue = 3\n" + text,
        "no carbon": cell('carbon = "carbon.csv"', ""),
        "no file": cell("carbon.csv", "none.csv"),
        "twice": lambda text: text + 'title = "There"\n',
        "list": cell('"carbon.csv"', "[1]"),
    },
    "fleet.toml": {
        "no groups": "x = 1",
        "unknown": "[[groups]]\ngpuu = 'h100'",
        "true": "[[groups]]\nreplicas = true",
        "huge": "[[groups]]\nreplicas = 1000000000",
        "text": "[[groups]]\nreplicas = '1_0'",
        "none": "groups = []",
    },
    "net.json": {
        "other": '{"a": 1}',
        "list": "[]",
        "object": '{"_module": "os", "_class": "system", "_object": "x"}',
        "cut": lambda text: text[: len(text) // 2],
    },
    "background.csv": {
        "unknown": cell("load P[1]", "lod P[1]"),
        "underscore": cell("0.5", "0_5"),
        "no such": cell("load P", "load 999 P"),
        "empty": cell("0.5", ""),
    },
    "inspected.csv": {
        "underscore": cell("280", "1_000"),
        "one row": "time,carbon_intensity[gCO2eq/kWh]\n2017-06-05,3\n",
        "no time": "a,b\n1,2\n3,4\n",
    },
}
"""By kind of file: a name for the fault, and the whole content or what makes it of a right one."""
