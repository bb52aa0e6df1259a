"""Fit the `utilisation` power law of a GPU to measurements.

    python -m simulators.inference.calibrate --measurements FILE.csv --gpu h100 --out data/gpus/h100.toml

    python -m simulators.inference.calibrate --power-log smi.csv --bench result.json --gpu h100
    python -m simulators.inference.calibrate --runs runs.csv --gpu h100

FILE.csv has one of the layouts `simulators.inference.power.measurements` describes; `--help` names the columns of each.
Power logs (nvidia-smi, DCGM) and results of `vllm bench serve`, in pairs or in a manifest, become rows of its generic
layout (`power/operator_logs.py`), which are kept beside the picture. The fit, its error on the rows it saw and on
models left out of it are printed; predicted against measured power is drawn; with --out, the fitted tables
`[power.utilisation.*]` of that data sheet are replaced and every other line is kept."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import pandas as pd
import typer

from simulators.errors import InputError
from simulators.inference.catalogue import Gpu, gpu, gpu_names
from simulators.inference.catalogue.gpus import read_gpu
from simulators.inference.power import bench_result, measurements, operator_logs, power_log
from simulators.inference.power.fit import TERMS, Fit, errors, fit, mape
from simulators.inference.power.laws import COEFFICIENTS, loaded_idle_w
from simulators.inference.power.measurements import read_measurements
from simulators.inference.power.operator_logs import Pair, read_manifest
from simulators.inference.power.sheet import class_table, write_shares


def vision_waits() -> dict[str, float]:
    """Host seconds a GPU waits per image or video request, of every GPU whose data sheet has it."""
    sheets = {name: gpu(name).power.get("utilisation", {}) for name in gpu_names()}
    return {name: float(table["vision_wait_s"]) for name, table in sheets.items() if "vision_wait_s" in table}


def organisation(model: str) -> str:
    """Who made a model: the part before the slash, or the first word."""
    return model.split("/")[0] if "/" in model else model.split("-")[0]


def calibrate(measured: Path, sheet: Gpu, *more: Path) -> Fit:
    """The fit of `sheet`'s GPU to a measurement file, or to several.

    Raises
    ------
    InputError
        If the file is bad, has no rows of this GPU, or too few.
    """
    points = pd.concat(
        [read_measurements(file, vision_waits()) for file in (measured, *more)], ignore_index=True
    )
    try:
        return fit(points, sheet.name, loaded_idle_w(sheet))
    except InputError as error:
        raise InputError(f"{measured}: {error}") from None


def report(found: Fit) -> str:
    """Coefficients and errors as text."""
    lines = ["class     " + "".join(f"{name:>10}" for name in COEFFICIENTS) + "   shares of the limit"]
    for group, shares in found.shares.items():
        lines.append(f"{group:<10}" + "".join(f"{shares[name]:10.4f}" for name in COEFFICIENTS))
    lines += ["", "mean absolute error, %", errors(found.points).round(1).to_string(index=False)]
    return "\n".join(lines)


def draw(found: Fit, path: Path) -> None:
    """Predicted against measured power, one colour per class, a hollow mark where the model was left out."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.5, 5.5), layout="constrained")
    axes = figure.subplots()
    for i, group in enumerate(found.shares):
        rows = found.points[found.points["kernel_class"] == group]
        axes.scatter(rows["power_w"], rows["in_sample_w"], s=14, color=f"C{i}", label=group)
        axes.scatter(
            rows["power_w"], rows["left_out_w"], s=18, facecolors="none", edgecolors=f"C{i}", linewidths=0.6
        )
    ends = [0.0, 1.05 * float(found.points["power_w"].max())]
    axes.plot(ends, ends, color="0.4", linewidth=0.8)
    axes.set(
        xlim=ends, ylim=ends, xlabel="measured [W per GPU]", ylabel="predicted [W per GPU]",
        title=f"{found.gpu}: filled in sample, hollow model left out",
    )  # fmt: skip
    axes.legend()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150)


def tables(found: Fit, source: str) -> dict[str, str]:
    """The tables for the data sheet, with where they come from and what they are worth."""
    made = {}
    for group, rows in found.points.groupby("kernel_class", sort=True):
        measured = rows["power_w"].to_numpy(float)
        error = mape(rows["in_sample_w"].to_numpy(float), measured)
        out = mape(rows["left_out_w"].to_numpy(float), measured)
        held = "leave-one-model-out not possible" if out != out else f"{out:.1%} leave-one-model-out"
        terms = ", ".join(TERMS[str(group)])
        comments = [
            f"fitted by simulators.inference.calibrate to {source}: {len(rows)} rows, {rows['model'].nunique()} models",
            f"mean absolute error {error:.1%} in sample, {held}; terms {terms}",
        ]
        made[str(group)] = class_table(str(group), found.shares[str(group)], comments)
    return made


app = typer.Typer(add_completion=False, rich_markup_mode=None)


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
    out: Annotated[
        Path | None, typer.Option(help="Data sheet whose [power.utilisation.*] tables to replace.")
    ] = None,
    plot: Annotated[Path | None, typer.Option(help="PNG; default results/calibration/GPU.png.")] = None,
    source: Annotated[
        str | None, typer.Option(help="What the file is, for the data sheet; default its name.")
    ] = None,
) -> None:
    """Fit, report, draw and, if asked to, write."""
    try:
        sheet = gpu(gpu_name)
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
        found = calibrate(files[0], sheet, *files[1:])
        typer.echo(report(found))
        draw(found, picture)
        typer.echo(f"\npredicted against measured: {picture}")
        if out is not None:
            write_shares(out, tables(found, source or ", ".join(file.name for file in files)))
            typer.echo(f"coefficients written to {out}")
    except InputError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(2) from None


if __name__ == "__main__":
    app()
