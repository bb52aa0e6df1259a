"""Predicted against measured TTFT and TPOT of servers that prefill and decode apart.

    python tests/benchmarks/disaggregated_servers.py [--rows FILE.csv.gz] [--json] [--system b200_sxm] [--kernels-alone]
        [--out FILE.csv]

The rows are the disaggregated runs of aiconfigurator's silicon sample (InferenceX and NVIDIA), cleaned by the rules
of `silicon_rows.clean_disaggregated`. What answers them is the project's own pools (`simulators.inference.pools`):
replicas with measured kernels, the KV caches' way, replicas that decode; clients in a closed loop, ten requests each,
all of which start at once, ask again when answered. A row's configuration decides everything, and two constants of each
framework, that `--kernels-alone` leaves out:

- `PROMPTS`: prompts of SGLang take longer than their kernels, as they do on its aggregated servers. No disaggregated
  row had a part in it.
- `HAND_OVER_S`: from one server to the other, beyond the link, best on even rows of GB200. Its odd rows and the other
  systems judge it.

Constants of the servers (time to a first token beyond iterations, format of the KV cache) are those of
`silicon_servers.py`, chosen on aggregated rows of H100.

What is assumed: links of the sheet's network (400 Gb/s a GPU on B200, NVLink on GB200); first tokens come when a
server that decodes takes the request up; prompts are not cut; replicas of a pool in turn. Attention data parallelism is
that of either pool's ranks in lockstep. Rows with kernels nobody measured are left out. How many requests a server
holds at once, how many tokens an iteration has and how a server is laid out are its public recipe's
(`disaggregated_recipes.py`); without one, the row's.

Where the error is large, and why: SGLang's servers agree on every request over the network, round by round of both
loops, and its ranks' prompts wait for the longest one's, which is not simulated: together they double the wait of some
rows. What it waits for besides, where both sides are idle for most of the time, is in no public figure.

Beside them stand the aggregated rows of the same models, systems and frameworks (`silicon_accuracy.py`).
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
import silicon_accuracy
from disaggregated_recipes import Pool, recipe_of
from silicon_accuracy import ROWS, Predictor, summary
from silicon_rows import clean, clean_disaggregated, read, sheet_of
from silicon_servers import REQUESTS_PER_CLIENT, run_of

from simulators.errors import InputError
from simulators.inference.batching.policies import limits_for
from simulators.inference.catalogue import model
from simulators.inference.catalogue.memory import kv_bytes_per_token_per_gpu
from simulators.inference.cluster import Cluster
from simulators.inference.link import Link
from simulators.inference.pools import Pools
from simulators.inference.power.laws import constant_law
from simulators.inference.replica import Replica
from simulators.inference.routing import RoundRobin
from simulators.inference.timing import StageTables
from simulators.quantities.latencies import latencies
from simulators.quantities.requests import RequestBlock

GOALS = {"TPOT": 0.12, "TTFT": 0.30}
LATENCY_S = 100e-6
PROMPTS = {"sglang": 1.5}
"""Times a prompt's kernels: 1.47, 1.53 and 1.75 on the aggregated rows of B200 with SGLang, DeepSeek and 8,192 tokens,
block-scaled FP8, with no more than eight clients, so that nothing waits. The same rows of TensorRT-LLM have 1.23 to
1.27 in FP8 and 0.65 to 0.89 in FP4; it is left at 1."""
HAND_OVER_S = {"sglang": 0.100, "trtllm": 0.025, "vllm": 0.275}
"""Between two servers beyond the link, s: handshake, polling, results handed out. In steps of 25 ms the best on even
rows of GB200. A user's measurement of SGLang has 0.2 s (sgl-project/sglang, issue 22853)."""
CHOSEN_ON = "gb200"
HELD = 2
"""Iterations for which a request holds its place where it prefills: its own, and that in which its KV cache goes."""
STEP_S = 0.1
"""A client asks again so long after its answer, s; an answer takes seconds."""


def pools_of(row: pd.Series) -> tuple[Pool, Pool]:
    """Servers of both pools: the recipe's, or what the row says."""
    prefill, decode = (
        Pool(
            int(row[f"{pool}_tp_size"]),
            int(row[f"{pool}_attention_dp_size"]),
            max(1, int(row[f"{pool}_moe_ep_size"])),
            None,
            None,
        )
        for pool in ("prefill", "decode")
    )
    return recipe_of(row) or (prefill, decode)


def server_row(row: pd.Series, pool: Pool) -> pd.Series:
    """A row as if a replica of one pool were an aggregated server."""
    made = row.copy()
    made["tp_size"], made["pp_size"] = pool.tp, 1
    made["moe_ep_size"], made["attention_dp_size"] = pool.experts, pool.ranks
    # an image of Dynamo's says what routes, not who asked
    made["silicon_data_source"] = str(row.silicon_data_source).replace("dynamo", "")
    return made


def slower_prompts(tables: StageTables, times: float) -> StageTables:
    """The tables of a server whose prompts take so many times as long."""
    prefill_s = tables.prefill_s.copy()
    ranks = prefill_s.shape[1] > len(tables.prefill_kv)
    prefill_s[:, : -1 if ranks else None] *= times  # the last column is the number of ranks
    return tables._replace(
        token_s=tables.token_s * times,
        comm_s=tables.comm_s * times,
        prefill_s=prefill_s,
        prefill_floor_s=tables.prefill_floor_s * times,
    )


class Disaggregated:
    """Predicts a row; tables are built once per deployment.

    Parameters
    ----------
    kernels_alone
        Whether `PROMPTS` and `HAND_OVER_S` are left out.
    """

    def __init__(self, kernels_alone: bool = False) -> None:
        self._prompts, self._hand_over_s = ({}, {}) if kernels_alone else (PROMPTS, HAND_OVER_S)
        self._predictor = Predictor()
        self._built: dict[tuple, tuple | str] = {}

    def _server(self, row: pd.Series, pool: Pool):
        made = server_row(row, pool)
        sheet = sheet_of(row.system)
        run = run_of(made, sheet)
        key = (row.model_path, row.system, row.backend, row.precision, made.tp_size, made.moe_ep_size,
               made.attention_dp_size, run.kv_precision, run.version, run.memory_fraction)  # fmt: skip
        if key not in self._built:
            try:
                self._built[key] = self._predictor.tables(made, run, sheet)
            except InputError as error:
                self._built[key] = str(error).split(": perf database")[0][:90]
        if isinstance(found := self._built[key], str):
            raise InputError(found)
        return run, *found

    def __call__(self, row: pd.Series) -> tuple[float, float] | str:
        """TTFT and TPOT in ms, or why there is no prediction."""
        if max(row.prefill_pp_size, row.decode_pp_size) > 1:
            return "pipeline parallelism"
        try:
            shape = model(row.model_path)
            prefill, decode = pools_of(row)
            run, tables, blocks = self._server(row, prefill)
            prefill_server = slower_prompts(tables, self._prompts.get(row.backend, 1.0)), blocks
            _, *decode_server = self._server(row, decode)
        except InputError as error:
            return str(error)[:90]
        each = max(
            kv_bytes_per_token_per_gpu(shape, gpus, 1, run.kv_precision) for gpus in (prefill.tp, decode.tp)
        )
        link = Link(each / sheet_of(row.system).network_bandwidth, 0.0, each, 0.0, LATENCY_S)
        budget = max(prefill.tokens or run.policy.budget * prefill.ranks, int(row.isl))
        slots = prefill.requests or 2048 * prefill.ranks
        pools = []
        for role, count, (tables, blocks), tokens, most in (
            ("prefill", row.prefill_num_workers, prefill_server, budget, max(1, slots // HELD)),
            ("decode", row.decode_num_workers, decode_server, 16_384, decode.requests or 1024 * decode.ranks),
        ):
            limits = limits_for(
                "vllm_v1", total_blocks=blocks, batch_cap=min(most, blocks), max_batch_tokens=tokens, role=role,
            )  # fmt: skip
            replicas = [Replica(limits, tables, constant_law(1.0, 2.0)) for _ in range(int(count))]
            pools.append(Cluster(replicas, RoundRobin(len(replicas))))
        ttft_s, tpot_s = closed_loop(
            Pools(*pools, [link] * int(row.prefill_num_workers), "decode"), row, run.spread
        )
        return 1e3 * (ttft_s + run.first_token_s + self._hand_over_s.get(row.backend, 0.0)), 1e3 * tpot_s


def closed_loop(pools: Pools, row: pd.Series, spread: tuple[float, float]) -> tuple[float, float]:
    """Mean TTFT and TPOT, s, of clients that each ask again when they are answered."""
    random = np.random.default_rng(0)
    clients = int(row.clients)
    left = REQUESTS_PER_CLIENT * clients

    def asked(at: np.ndarray) -> RequestBlock:
        lengths = [
            random.integers(round(n * (1 - s)), n + 1, len(at))
            for n, s in zip((int(row.isl), int(row.osl)), spread, strict=True)
        ]
        return replace(RequestBlock.of(at, *lengths), request_id=np.arange(len(at)))

    block, until = asked(np.zeros(clients)), 0.0
    left -= clients
    ttft, tpot = [], []
    while len(block) or pools.outstanding:
        until += STEP_S
        done = pools.advance(until, block).finished
        times = latencies(done)
        ttft.append(times["ttft_s"])
        tpot.append(times["tpot_s"])
        again = np.sort(done["completed_at"])[: max(0, left)] + STEP_S
        left -= len(again)
        block = asked(np.maximum(again, until))
    if pools.rejected:
        raise InputError("requests longer than the KV cache")
    return float(np.concatenate(ttft).mean()), float(np.nanmean(np.concatenate(tpot)))


def predict(rows: pd.DataFrame, kernels_alone: bool = False) -> tuple[pd.DataFrame, Counter]:
    """Rows with prediction and relative errors; how many were left out, by reason."""
    predictor = Disaggregated(kernels_alone)

    def answer(row: pd.Series) -> tuple[float, float] | str:
        try:
            return predictor(row)
        except InputError as error:
            return str(error)

    return silicon_accuracy.answered(rows, answer)


def odd_rows(rows: pd.DataFrame) -> pd.DataFrame:
    """Of the system that `HAND_OVER_S` was chosen on, the rows that had no part in it: the odd ones of each framework
    that tell a time to the first token, in the order of their configuration."""
    order = ["backend", "number", "isl", "clients"]
    told = rows[(rows.system == CHOSEN_ON) & rows.silicon_ttft_ms.notna()].sort_values(order, kind="stable")
    return told[told.groupby("backend").cumcount() % 2 == 1]


def beside(rows: pd.DataFrame, path: Path) -> dict[str, dict]:
    """Errors on aggregated rows of the same models, systems and frameworks."""
    aggregated, _ = clean(read(path))
    same = rows[["system", "backend", "model_path"]].drop_duplicates()
    aggregated = aggregated.reset_index().merge(same, on=list(same.columns)).set_index("index")
    if aggregated.empty:
        return {}
    try:
        predicted, _ = silicon_accuracy.predict(aggregated)
    except InputError:
        return {}
    return {f"{system}, aggregated": summary(group) for system, group in predicted.groupby("system")}


def main() -> int:
    """Print the errors by system and model."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--rows", type=Path, default=ROWS)
    options.add_argument("--system", help="only this system, e.g. b200_sxm")
    options.add_argument("--json", action="store_true")
    options.add_argument(
        "--alone", action="store_true", help="without the aggregated rows of the same models"
    )
    options.add_argument(
        "--kernels-alone",
        action="store_true",
        help="without the frameworks' constants PROMPTS and HAND_OVER_S",
    )
    options.add_argument("--out", type=Path, help="write every row and its prediction to this CSV file")
    chosen = options.parse_args()
    try:
        rows = read(chosen.rows, "disagg")
        if chosen.system:
            rows = rows[rows.system == chosen.system]
        count = len(rows)
        rows, dropped = clean_disaggregated(rows)
        rows, left_out = predict(rows, chosen.kernels_alone)
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    if chosen.out:
        rows.to_csv(chosen.out, index=False)
    lines = {
        " ".join(key): summary(group)
        for key, group in rows.groupby(["system", "backend", "model_path", "precision"])
    }
    systems = {f"{system}, disaggregated": summary(group) for system, group in rows.groupby("system")}
    lines |= systems
    if len(odd := odd_rows(rows)):
        lines[f"{CHOSEN_ON}, odd rows"] = summary(odd)
    if not chosen.alone:
        lines |= beside(rows, chosen.rows)
    if chosen.json:
        told = {
            "rows": count,
            "cleaned": dict(dropped),
            "groups": lines,
            "left_out": dict(left_out),
            "goals": GOALS,
        }
        print(json.dumps(told))
        return 0
    silicon_accuracy.report(count, dropped, lines, {}, left_out, "disaggregated")
    for name, line in systems.items():
        for quantity, goal in GOALS.items():
            reached = line[f"{quantity.lower()}_median"]
            verdict = "met" if reached <= goal else "NOT met"
            print(f"{name} {quantity}: median error {reached:.1%}, goal {goal:.0%}: {verdict}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
