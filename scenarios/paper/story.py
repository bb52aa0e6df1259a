"""The words of the report."""

from __future__ import annotations


def _flow(text: str) -> str:
    return " ".join(text.split())


TITLE = "The paper's experiments, reproduced and corrected"
LEAD = _flow("""
Özcan et al., arXiv 2507.11417, simulate the energy and carbon of LLM inference with Vidur and Vessim. Here are their
experiments again: the published number, our model with the same assumptions, the same run with the faults of the
published computation put right, and with power as idle plus the energy of bytes and FLOP.
""")
SAME = _flow("""
Ours here means: the published power law and peak, vLLM's first scheduler, the same random streams, and the A100 kernel
times the published simulator was profiled with. Nothing is fitted to the published results. The energy of bytes and
FLOP is an estimate for the A100: per byte from decoding of single requests (LLM-Inference-Bench), per FLOP from the
board's limit and peak; power above idle is expected within 0.8 to 1.5 times that.
""")
QUICK = _flow("""
Fewer requests and fewer points than published: it shows that everything works, and its numbers are not to be compared.
""")
CHANGES = _flow("""
The published energy is proportional to GPU-hours alone, so it overstates what a quiet server draws. With power times
time the gains shrink and another parallelism wins. Counted by bytes and FLOP, memory-bound decode draws more: batching
gains more than with power times time, and the published order of parallelism comes back, by a margin of some per cent.
""")
AVERAGES = _flow("""
Three ways to average the same iterations. Only the mean over time, idle times at 100 W, gives the published values; the
published series of single iterations follows the last column.
""")
NOTES = {
    "batch": _flow("""
    All requests are drawn from the same random streams as the published runs, so mean batch sizes agree to the last
    digit printed. Published and corrected energy drift apart with the cap, because the published one is proportional to
    time alone.
    """),
    "rate": _flow("""
    The published energy is hours x 400 W x PUE 1.2 at every rate: the law receives MFU in per cent where it expects a
    ratio. The published average power does not have this fault; times the hours it gives the corrected column.
    """),
    "parallelism": _flow("""
    Tensor parallelism over four GPUs crosses PCIe: all-reduce takes 4.3 ms for the activations of 4,096 tokens, 0.4 ms
    within a pair. Sixteen GPUs are four such nodes without a network between them, as published.
    """),
    "requests": _flow("""
    Power does not depend on the number of requests once some hundred are served; published at 65,536. Bytes and
    FLOP and today's kernels are of 4,096 requests, scaled.
    """),
    "lengths": _flow("""
    Largest deviation: 512 tokens at 50 : 1, where we draw 8 % more. The profile of short prompts we use has one point
    between 288 and 576 tokens.
    """),
}
FAULTS = (
    (
        "Total energy is hours x P_max x PUE",
        "MFU in per cent enters a law for ratios. Shown in every energy table above.",
    ),
    (
        "The case study's power is a plain mean over iterations",
        _flow("""
        A decode step of 40 ms counts as much as a prefill of 400 ms. Saturated, that is 236 W where the same iterations
        average 315 W over time.
        """),
    ),
    (
        "Offset counts exports",
        "PV x intensity over load x intensity: what leaves the site at noon is set against the night.",
    ),
    (
        "Idle rows are dropped and the gap is billed at the next row's power",
        "In the per-iteration series: at 0.1 req/s it would be 366 W instead of 107 W.",
    ),
    ("Embodied carbon is charged whole for every GPU-hour", "150 kg per hour of an A100."),
    ("The power of one GPU stands for a replica of several", "In the series handed to the microgrid."),
    ("A TFLOP counts as 2**40", "Every published MFU reads 9 % low, and with it the power of the law."),
    (
        "The marginal carbon rate is summed like an average intensity",
        "WattTime's MOER tells the consequence of a change.",
    ),
)
CASE = _flow("""
20 req/s offered, some 4.4 served, 600 W of PV, a battery of 100 Wh, every step through the whole loop on mosaik.
""")
ORIGINAL = "Original solar and carbon files (Solcast June 2022, WattTime CAISO North June 2023), from their first rows."
BUNDLED = _flow("""
The original files are not here: PV and carbon intensity of the bundled California site, June 2017, stand in, and the
figures are not comparable with the published ones.
""")
BATTERY = _flow("""
Import and export are higher than published at the same load and sun. The published battery counts cells, not
watt-hours: in our run it would take one of 500 Wh to come to 2.91 and 1.11 kWh.
""")
POLICIES = _flow("""
Without a policy the GPU works through the first night and day and idles through the second. Waiting for the sun uses
both days. Waiting for a clean grid gains nothing here: it takes the cleanest hours of the first night, a tenth below
the others, and the first day's sun; the deep lows of the second noon come into its view of 38 hours when the work is
already under way.
""")
TIMES = _flow("""
The published simulator was profiled on A100s in 2024. Two of its profiles, thinned out, come with this project and give
Llama-3-8B and Llama-2-7B their times. In the first, writing a prompt into the KV cache takes 0.55 us per token and
layer, more than its attention; without that the server would saturate at 6.0 instead of 5.05 req/s.
Projections and MLP of prompts took 24 % longer than the kernels measured on A100s today. The other models take today's
kernels for projections and MLP, 24 % longer from 1,024 tokens on (phi-2, whose heads of 80 nobody measured, a
roofline), and attention of the profile with heads grouped alike. The columns of today's kernels show what the same
experiment gives on them, with the host overhead of a server of today.
""")
