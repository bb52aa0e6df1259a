"""The same run under different accounting: what was published, what it leaves out, and which conclusion changes."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import pandas as pd

from scenarios.paper.accounting import embodied_kg, published_embodied_kg
from scenarios.paper.case_study import STEP_S, Case, original_files
from scenarios.paper.published import PUE, published
from simulators.carbon.accounting import operational_kg
from simulators.profiles.site import load_site

AVERAGE_FROM = datetime(2017, 6, 8, 17, 35, tzinfo=ZoneInfo("America/Los_Angeles"))
"""Same date and time of day as the case study, in the year the bundled average intensities cover."""


def _average_gross_kg(case: Case) -> float:
    """What the load would cause on California's average mix instead of the marginal plant, kg."""
    profile = load_site("california").carbon.read("carbon")
    intensity = profile.means(AVERAGE_FROM, STEP_S, len(case.frame))
    return operational_kg(case.frame["facility_mw"] * 1e6, intensity, STEP_S)


def accounting_duel(cases: dict[str, Case]) -> pd.DataFrame:
    """Columns: question, as published, put right, what follows."""
    before, after = cases["published"], cases["corrected"]
    a, b = before.account, after.account
    span_s = len(before.frame) * STEP_S
    net_kg = a.gross_kg * (1 - a.offset_ratio)
    watts = before.frame["facility_mw"].mean() * 1e6, after.frame["facility_mw"].mean() * 1e6
    whole_kg, part_kg = published_embodied_kg(1, span_s), embodied_kg(1, span_s)
    rows = [
        (
            "How much of the load do PV and battery carry?",
            f"offset ratio {a.offset_ratio:.1%}",
            f"matched ratio {a.matched_ratio:.1%}",
            "Two thirds become less than half: what is exported at noon does not serve the night.",
        ),
        (
            "What does the GPU draw?",
            f"{watts[0]:.0f} W, mean over iterations",
            f"{watts[1]:.0f} W, mean over time",
            f"With the law's own power {b.offset_ratio:.1%} are offset and {b.matched_ratio:.1%} matched.",
        ),
        (
            "What does the site emit?",
            f"{net_kg:.2f} kg, exports credited",
            f"{a.operational_kg:.2f} kg of imports; {b.operational_kg:.2f} kg with the power put right",
            "Net emissions are 1.7 to 2.5 times the published ones.",
        ),
        (
            "What does making the GPU add?",
            f"{whole_kg:,.0f} kg for {span_s / 3600:.1f} h: a whole GPU every hour",
            f"{1000 * part_kg:.0f} g, spread over six years",
            f"Manufacture falls from {whole_kg / (whole_kg + a.gross_kg):.1%} of the total to "
            f"{part_kg / (part_kg + b.operational_kg):.1%}.",
        ),
        (
            "What does cooling add?",
            f"PUE 1.0, {a.gross_kg:.2f} kg gross",
            f"PUE {PUE}, {a.gross_kg * PUE:.2f} kg gross",
            f"The offset ratio falls to {a.offset_ratio / PUE:.1%}; the paper's other experiments do count {PUE}.",
        ),
    ]
    four = published("requests").set_index("model").loc["meta-llama/Meta-Llama-3-70B"]
    rows.append(
        (
            "What does a replica on four GPUs draw?",
            f"{four['default_w']:.0f} W: the power of one GPU goes into the site's load",
            f"{4 * four['default_w']:.0f} W",
            "A 70B model would look as if it ran on a quarter of its power.",
        )
    )
    if original_files():
        average = _average_gross_kg(after)
        rows.append(
            (
                "Whose intensity?",
                f"{b.gross_kg:.2f} kg gross with WattTime's marginal rate, added up like an average",
                f"{average:.2f} kg gross with California's average mix (June 2017)",
                "A marginal rate tells what one more kilowatt-hour causes, not what a site is responsible for.",
            )
        )
    return pd.DataFrame(rows, columns=["question", "as_published", "put_right", "what_follows"])


def policy_table(cases: dict[str, Case]) -> pd.DataFrame:
    """The three policies at equal work, one row each."""
    rows = []
    base = cases["policy-none"]
    for name in ("policy-none", "policy-carbon", "policy-solar"):
        case = cases[name]
        scale = base.decode_tokens / case.decode_tokens
        before_kg = base.account.operational_kg
        change = case.account.operational_kg * scale / before_kg - 1 if before_kg else 0.0
        rows.append(
            {
                "policy": case.title,
                "completed": case.completed,
                "held_mean_h": case.wait_mean_s / 3600,
                "load_kwh": case.kwh("facility_mw"),
                "import_kwh": case.kwh("import_mw"),
                "export_kwh": case.kwh("export_mw"),
                "carbon_kg": case.account.operational_kg,
                "change_percent": 100 * change,
                "offset_ratio": case.account.offset_ratio,
                "matched_ratio": case.account.matched_ratio,
            }
        )
    return pd.DataFrame(rows)
