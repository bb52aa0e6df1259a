"""The few lines of ACCURACY.md that the README shows: chosen here, copied from there, never typed."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[3]
ACCURACY = ROOT / "tests" / "benchmarks" / "ACCURACY.md"
BEGIN, END = "<!-- from ACCURACY.md -->", "<!-- end -->"


class Shown(NamedTuple):
    """A line of the README: what it says, and which rows of ACCURACY.md it is made from."""

    what: str
    against: str
    quantity: str
    groups: tuple[tuple[str, str], ...]
    """What to call it, and the row's group."""


POWER = "GPU power at measured throughput [W]"
SHOWN = (
    Shown("time per output token", "servers of InferenceX and NVIDIA", "TPOT [ms]",
          (("H100", "h100_sxm, aggregated"), ("B200, nothing fitted to it", "b200_sxm, aggregated"))),
    Shown("time to first token", "the same", "TTFT, mean [ms]",
          (("H100", "h100_sxm, aggregated"), ("B200", "b200_sxm, aggregated"))),
    Shown("GPU power, dense models, the model left out of the fit", "ML.ENERGY v3", POWER,
          (("H100", "h100, dense, mlenergy_v3"), ("B200", "b200, dense, mlenergy_v3"))),
    Shown("GPU power, mixtures of experts, the model left out", "ML.ENERGY v3", POWER,
          (("H100", "h100, MoE, mlenergy_v3"), ("B200", "b200, MoE, mlenergy_v3"))),
    Shown("GPU power, nothing fitted to serving (`physics`)", "another laboratory's vLLM",
          POWER,
          (("H100", "h100, vLLM, physics"), ("A100", "a100, vLLM, physics"))),
    Shown("GPU power by the published MFU law", "ML.ENERGY v3", POWER,
          (("H100", "h100, dense, mfu"), ("B200, mixtures", "b200, MoE, mfu"))),
    Shown("energy per output token from configuration alone", "ML.ENERGY v3, all makers",
          "energy per output token, configuration alone [J]", (("H100 and B200", "all"),)),
)  # fmt: skip


def rows(text: str) -> list[list[str]]:
    """The cells of a Markdown table's rows."""
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[1:]]


def block(text: str | None = None) -> str:
    """The README's table, from the text of ACCURACY.md; of rows of several sources the one with most measurements.

    Raises
    ------
    LookupError
        If a row that is shown is not there.
    """
    found = rows(ACCURACY.read_text(encoding="utf-8") if text is None else text)
    lines = [
        "| what | against | measurements | median error | inside the stated 90 % interval |",
        "|---|---|---:|---|---|",
    ]
    for shown in SHOWN:
        counts, errors, inside = 0, [], []
        for name, group in shown.groups:
            matching = [row for row in found if row[1] == shown.quantity and row[2] == group]
            if not matching:
                raise LookupError(f"{ACCURACY.name}: no row for {shown.quantity}, {group}")
            row = max(matching, key=lambda cells: int(cells[3]))
            counts += int(row[3])
            errors.append(f"{row[4]} ({name})")
            inside.append(row[7] or "-")
        lines.append(
            f"| {shown.what} | {shown.against} | {counts} | {', '.join(errors)} | {', '.join(inside)} |"
        )
    return "\n".join([BEGIN, *lines, END])


def written_into(readme: str) -> str:
    """The README with the table as it is now."""
    before, _, rest = readme.partition(BEGIN)
    return before + block() + rest.partition(END)[2]


if __name__ == "__main__":
    path = ROOT / "README.md"
    path.write_text(written_into(path.read_text(encoding="utf-8")), encoding="utf-8")
