"""Results of finished runs side by side: what differs between them, and what it changed.

wattloop compare results/tp4 results/tp2x2
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import typer

from scenarios.finished import Finished, differing, other_work, read_finished
from scenarios.side_by_side import figure, lined_up, terminal, write_page
from simulators.console import App
from simulators.errors import InputError
from simulators.recorder.store import RunFolder
from simulators.recorder.summary import sha256, versions

MOST = 12
"""Results that a table still has room for."""
MOST_TOLD = 20
"""Differing options on the terminal."""


def read_all(folders: Sequence[Path]) -> list[Finished]:
    """The results in their folders, under names that tell them apart.

    Raises
    ------
    InputError
        Too few, too many, the same twice, or one that is no result.
    """
    if not 2 <= len(folders) <= MOST:
        raise InputError(f"compare: {len(folders)} results given, expected 2 to {MOST} results folders")
    real = [folder.resolve() for folder in folders]
    for place, folder in enumerate(real):
        if folder in real[:place]:
            raise InputError(f"compare: {folders[place]} is given twice, expected results that differ")
    names = [folder.name for folder in real]
    if len(set(names)) < len(names):
        names = [str(folder) for folder in folders]
    return [read_finished(folder, name) for folder, name in zip(folders, names, strict=True)]


def lay_side_by_side(folders: Sequence[Path], different_requests: bool, out: Path) -> None:
    """Compare results and write table.csv, comparison.png and report.html below `out`; tell the user.

    Raises
    ------
    InputError
        If one cannot be read, or they saw different requests and that is not asked for.
    """
    results = read_all(folders)
    notes = []
    for other in results[1:]:
        reason = other_work(results[0], other)
        if reason and not different_requests:
            raise InputError(
                f"compare: not the same requests: {reason}; expected results of the same work, or --different-requests"
            )
        if reason:
            notes.append(f"These results did not do the same work: {reason}. Totals cannot be compared.")
    differences, table = differing(results), lined_up(results)
    names = [result.name for result in results]
    with RunFolder(out) as folder:
        table.to_csv(folder.path("table.csv"), index=False)
        picture = folder.path("comparison.png")
        figure(table, names).savefig(picture, metadata={"Software": None})
        write_page(folder.path("report.html"), table, results, differences, picture, notes)
        inputs = [
            {"what": "result", "file": str(result.folder), "sha256": sha256(result.folder / "summary.json")}
            for result in results
        ]
        options = {"results": [str(one) for one in folders], "different_requests": different_requests}
        folder.write_json("config.json", {"options": options, "versions": versions(), "inputs": inputs})
        folder.write_json("summary.json", {"differences": differences, "notes": notes})
        target = folder.finish()
    print(terminal(table, names))
    print("differs in:" if differences else "differs in nothing that was asked for")
    for name, values in list(differences.items())[:MOST_TOLD]:
        print(f"  {name}: {' / '.join(values)}")
    if len(differences) > MOST_TOLD:
        print(f"  and {len(differences) - MOST_TOLD} more, see the report")
    for note in notes:
        print(f"note: {note}")
    print(f"report: {target / 'report.html'}")


def _command(
    results: Annotated[
        list[Path],
        typer.Argument(metavar="RESULT RESULT...", help="results folders; changes are against the first"),
    ],
    different_requests: Annotated[
        bool, typer.Option("--different-requests", help="compare results that did not see the same requests")
    ] = False,
    out: Annotated[Path, typer.Option(help="folder for the comparison")] = Path("results/compare"),
) -> None:
    """Line up finished results: what differs between them, their figures, ranges and changes.

    Refuses what did not see the same requests (seed, length, traffic, files; then what was recorded), unless told.
    """
    lay_side_by_side(results, different_requests, out)


def app() -> App:
    """The command."""
    return App.of(_command)


if __name__ == "__main__":
    app()()
