"""Fit the prices of a GPU's power to measured serving runs.

    python -m simulators.inference.calibrate --measurements runs.csv --gpu h100 [--out data/gpus/h100.toml --name mine]

    python -m simulators.inference.calibrate --power-log smi.csv --bench result.json --gpu h100
    python -m simulators.inference.calibrate --runs runs.csv --gpu h100

Measured runs have one of the layouts `simulators.inference.power.measurements` describes; `--help` names the columns of
each. Power logs (nvidia-smi, DCGM) and results of `vllm bench serve`, in pairs or in a manifest, become rows of its
generic layout (`power/operator_logs.py`), which are kept beside the picture. All GPUs of the rows are fitted together
and help each other. Prices, errors on what the fit saw and on models and makers left out of it are printed; predicted
against measured power is drawn; with --out, the table `[power.energy.NAME]` of that data sheet is written and every
other line is kept. A run then uses it as `--power-law NAME`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import pandas as pd
import typer

from simulators.console import App
from simulators.errors import InputError
from simulators.inference.catalogue import gpu
from simulators.inference.catalogue.gpus import read_gpu
from simulators.inference.power import bench_result, measurements, operator_logs, power_log
from simulators.inference.power.fit import TERMS, Fit, errors, fit
from simulators.inference.power.measurements import read_measurements
from simulators.inference.power.operator_logs import Pair, read_manifest
from simulators.inference.power.prices import AUTO, LAWS, PHYSICS
from simulators.inference.power.sheet import prices_table, write_prices


def calibrate(name: str, measured: Path, *more: Path) -> Fit:
    """The fit to measurement files that have rows of the GPU called `name`.

    Raises
    ------
    InputError
        If the file is bad, has no rows of this GPU, or too few.
    """
    points = pd.concat([read_measurements(file) for file in (measured, *more)], ignore_index=True)
    if name not in set(points["gpu"]):
        known = ", ".join(sorted(set(points["gpu"])))
        raise InputError(f"{measured}: no rows of {name}; the file has {known}")
    try:
        return fit(points)
    except InputError as error:
        raise InputError(f"{measured}: {error}") from None


def report(found: Fit) -> str:
    """Prices and errors as text."""
    lines = [f"{'price':<10}" + "".join(f"{name:>12}" for name in found.coefficients)]
    for term in TERMS:
        scale, unit = (1.0, "W") if term == "active" else (1e12, "pJ")
        values = "".join(f"{scale * getattr(c, term):12.4g}" for c in found.coefficients.values())
        lines.append(f"{term:<10}{values}  {unit}")
    low, high = found.spread
    lines += ["", "mean absolute error, and share of rows inside the interval with their maker left out, %"]
    lines += [errors(found.points).round(1).to_string(index=False)]
    return "\n".join(
        [*lines, "", f"interval: {low:.2f} to {high:.2f} times the power above idle ({found.spread_from})"]
    )


def draw(found: Fit, name: str, path: Path) -> None:
    """Predicted against measured power of one GPU, one colour per architecture, hollow where the model was left out."""
    from matplotlib.figure import Figure

    own = found.points[found.points["gpu"] == name]
    figure = Figure(figsize=(5.5, 5.5), layout="constrained")
    axes = figure.subplots()
    for i, (kind, rows) in enumerate(own.groupby("architecture")):
        axes.scatter(rows["power_w"], rows["in_sample_w"], s=14, color=f"C{i}", label=str(kind))
        axes.scatter(
            rows["power_w"], rows["left_out_w"], s=18, facecolors="none", edgecolors=f"C{i}", linewidths=0.6
        )
    ends = [0.0, 1.05 * float(own["power_w"].max())]
    axes.plot(ends, ends, color="0.4", linewidth=0.8)
    axes.set(
        xlim=ends, ylim=ends, xlabel="measured [W per GPU]", ylabel="predicted [W per GPU]",
        title=f"{name}: filled in sample, hollow model left out",
    )  # fmt: skip
    axes.legend()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150)


def table(found: Fit, name: str, label: str, source: str) -> str:
    """The table for the data sheet, with where it comes from and what it is worth."""
    own = found.points[found.points["gpu"] == name]
    comments = [
        f"by simulators.inference.calibrate: {len(own)} rows, {own['model'].nunique()} models of this GPU, "
        f"{len(found.points)} rows in all"
    ]
    for row in errors(own).to_dict("records"):
        out = row["left_out_%"]
        held = "leave-one-model-out not possible" if out != out else f"{out:.1f} % with the model left out"
        comments.append(f"{row['architecture']}: mean absolute error {row['in_sample_%']:.1f} %, {held}")
    return prices_table(label, found.coefficients[name], source, found.spread, found.spread_from, comments)


def _label(label: str) -> str:
    """A name for a set of prices.

    Raises
    ------
    InputError
        If a power law is called so already, or it is no plain name.
    """
    if label in (AUTO, PHYSICS, *LAWS) or not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]{0,39}", label):
        raise InputError(
            f"--name: {label!r}, expected a name of letters, digits and _ other than {AUTO}, {PHYSICS}, "
            + ", ".join(LAWS)
        )
    return label


app = App()


def layouts() -> str:
    """What --help says: the columns of every layout, as the readers describe them."""
    told = [str(module.__doc__).strip() for module in (measurements, operator_logs, power_log, bench_result)]
    paragraphs = "\n\n".join(told).replace("`", "").split("\n\n")
    return "\n\n".join([__doc__.splitlines()[0], *("\b\n" + text for text in paragraphs)])


def given(
    measured: Path | None,
    logs: list[Path],
    results: list[Path],
    manifest: Path | None,
    tp: int | None,
    model: str | None,
) -> tuple[list[Path], list[Pair]]:
    """The measurement files and the pairs of power log and result that the options name.

    Raises
    ------
    InputError
        If logs and results are not in pairs, the manifest is bad, or nothing is named.
    """
    if len(logs) != len(results):
        raise InputError(
            f"--power-log, --bench: {len(logs)} and {len(results)} given, expected as many of each, in pairs"
        )
    pairs = [Pair(log, result, tp=tp, model=model) for log, result in zip(logs, results, strict=True)]
    if manifest is not None:
        pairs += read_manifest(manifest)
    if measured is None and not pairs:
        raise InputError("--measurements, --power-log with --bench, or --runs: none given, expected one")
    return ([measured] if measured is not None else []), pairs


@app.command(help=layouts())
def main(
    gpu_name: Annotated[
        str, typer.Option("--gpu", help="GPU to fit; its data sheet gives limit and idle power.")
    ],
    measured: Annotated[
        Path | None, typer.Option("--measurements", help="CSV with measured runs, a layout below.")
    ] = None,
    logs: Annotated[
        list[Path] | None,
        typer.Option(
            "--power-log", help="Power log of a run: nvidia-smi, DCGM; repeat it in pairs with --bench."
        ),
    ] = None,
    results: Annotated[
        list[Path] | None, typer.Option("--bench", help="Result of vllm bench serve --save-result, JSON.")
    ] = None,
    manifest: Annotated[
        Path | None, typer.Option("--runs", help="CSV that names pairs of power log and result, one per row.")
    ] = None,
    tp: Annotated[
        int | None, typer.Option(min=1, help="GPUs per replica of the pairs.  [default: all of the log]")
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="Model of the pairs.  [default: what the result names]")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Data sheet to write the prices into.")] = None,
    name: Annotated[str, typer.Option(help="What the set of prices is called there.")] = "own",
    plot: Annotated[Path | None, typer.Option(help="PNG; default results/calibration/GPU.png.")] = None,
    source: Annotated[
        str | None, typer.Option(help="What the file is, for the data sheet; default its name.")
    ] = None,
) -> None:
    """Fit, report, draw and, if asked to, write."""
    sheet, label = gpu(gpu_name), _label(name)
    if out is not None:
        read_gpu(out)
    files, pairs = given(measured, logs or [], results or [], manifest, tp, model)
    picture = plot or Path("results") / "calibration" / f"{sheet.name}.png"
    if pairs:
        rows = operator_logs.rows_of(pairs, sheet)
        typer.echo(operator_logs.found(rows) + "\n")
        files.append(picture.with_suffix(".runs.csv"))
        picture.parent.mkdir(parents=True, exist_ok=True)
        rows.to_csv(files[-1], index=False)
    found = calibrate(sheet.name, files[0], *files[1:])
    typer.echo(report(found))
    draw(found, sheet.name, picture)
    typer.echo(f"\npredicted against measured: {picture}")
    if out is not None:
        told = source or ", ".join(file.name for file in files)
        write_prices(out, label, table(found, sheet.name, label, told))
        typer.echo(f"prices written to {out}: use them with --power-law {label}")


if __name__ == "__main__":
    app()
