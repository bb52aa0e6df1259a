"""Recorded workloads, read as time advances.

`open_trace` hands out requests, `read_lengths` the lengths alone, `read_rates` a rate profile. The formats:

azure
    Azure LLM inference traces 2023 and 2024: CSV with TIMESTAMP, ContextTokens, GeneratedTokens.
burstgpt
    BurstGPT: CSV with Timestamp (s), Request tokens, Response tokens.
mooncake
    Mooncake: JSON lines with timestamp (ms), input_length, output_length, and if wanted hash_ids (one for every 512
    tokens of the prompt), for a prefix cache.
servegen
    ServeGen's client files: chunk-N-trace.csv beside chunk-N-dataset.json, or a folder of them.
table
    CSV or Parquet with arrived_at (s), prefill_tokens, decode_tokens, and if wanted tenant and deadline (s, when
    a request that may be held back must be complete); Vidur's processed traces.

CSV and JSON files may be compressed with gzip. A request without output tokens counts as one output token, the
one that comes with the prompt; BurstGPT marks failed requests that way, so there it is left out.
"""

from simulators.traffic.traces.open import Trace, open_trace, read_lengths, read_rates, trace_files

__all__ = ["Trace", "open_trace", "read_lengths", "read_rates", "trace_files"]
