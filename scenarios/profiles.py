"""What a file of carbon intensities, prices, weather or generation holds, before a run uses it.

wattloop profiles inspect my.csv
"""

from __future__ import annotations

import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import inspect
import textwrap
from typing import Annotated, Any

import matplotlib as mpl
import pandas as pd
import typer
from matplotlib.figure import Figure

from simulators.console import App
from simulators.errors import InputError
from simulators.leaves import option_name
from simulators.profiles.fileref import FileRef
from simulators.profiles.inspection import KINDS, Finding, Series, day_means, inspected
from simulators.report.canvas import style
from simulators.report.labels import COLOURS

MOST_POINTS = 700
"""Of a line in the picture: about one per two pixels."""

_READING = (
    "column",
    "unit",
    "timezone",
    "label",
    "fill",
    "kind",
    "format",
    "decimal",
    "implausible",
    "rating",
    "start",
)


def show(path: Path, purpose: str | None, out: Path | None, **reading: str | None) -> None:
    """Print what a file holds, and draw it below `out`."""
    given = {name: value for name, value in reading.items() if value is not None}
    known, findings = inspected(_reference(path, given), purpose)
    print(f"{path}: {known.title}, holds {known.holds}; specified in {known.source}")
    for finding in findings:
        print(f"\nas {finding.kind}")
        width = max(len(name) for name, _ in finding.facts)
        for name, text in (*finding.facts, ("use", finding.use)):
            if text:
                print(f"  {name:<{width}}  {text}")
        if out is not None and finding.series:
            print(f"  {'picture':<{width}}  {_drawn(finding, path, out)}")


def _reference(path: Path, given: dict[str, str]) -> FileRef:
    try:
        return FileRef.model_validate({"path": path, **given})
    except ValueError as error:
        errors: Any = getattr(error, "errors", list)()
        first = errors[0] if errors else {"loc": ("",), "msg": str(error)}
        reason = str(first["msg"]).removeprefix("Value error, ")
        raise InputError(f"{option_name(str(first['loc'][0]))}: {reason[:1].lower()}{reason[1:]}") from None


def _drawn(finding: Finding, path: Path, out: Path) -> Path:
    """The series over its time, and its mean day beside it; returns the file."""
    out.mkdir(parents=True, exist_ok=True)
    target = out / f"{path.name.split('.')[0]}-{finding.kind}.png"
    with mpl.rc_context(style()):
        rows = len(finding.series)
        figure = Figure(figsize=(10.0, 0.6 + 1.9 * rows), layout="constrained")
        axes = figure.subplots(rows, 2, squeeze=False, width_ratios=[3, 1])
        for series, (whole, day) in zip(finding.series, axes, strict=True):
            _draw(series, whole, day)
        figure.suptitle(path.name, fontsize=11)
        figure.savefig(target, metadata={"Software": None})
    return target


def _draw(series: Series, whole: Any, day: Any) -> None:
    per_point = max(1, -(-len(series.values) // MOST_POINTS))
    count = len(series.values) // per_point
    means = series.values[: count * per_point].reshape(count, per_point).mean(axis=1)
    times = pd.date_range(series.start, periods=count, freq=pd.Timedelta(seconds=series.step_s * per_point))
    whole.plot(times, means, color=COLOURS["blue"], linewidth=0.8)
    whole.set_ylabel("\n".join([*textwrap.wrap(series.name, 24), f"({series.unit})"]))
    hours = day_means(series.start, series.step_s, series.values)
    day.plot(hours.index, hours.to_numpy(), color=COLOURS["carbon"])
    day.set_xlabel("hour of the day, UTC")


def _option(name: str, annotation: Any) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)


def _inspect() -> Any:
    """The command: the file, what to take it as, and how to read it."""
    file = Annotated[Path, typer.Argument(metavar="FILE", help="a file, or archive.zip/member.csv")]
    purpose = typer.Option("--as", help=f"one of {', '.join(KINDS)}  [default: what it is]")
    out = typer.Option(help="folder for a picture (PNG)  [default: none]")
    parameters = [
        inspect.Parameter("path", inspect.Parameter.KEYWORD_ONLY, annotation=file),
        _option("purpose", Annotated[str | None, purpose]),
        _option("out", Annotated[Path | None, out]),
    ]
    for name in _READING:
        option = typer.Option(option_name(name), help=FileRef.model_fields[name].description)
        parameters.append(_option(name, Annotated[str | None, option]))

    def command(**given: Any) -> None:
        show(**given)

    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    command.__doc__ = (
        "Print what a profile file holds: range, resolution, gaps, kind, unit, statistics, how to use it."
    )
    return command


def app() -> App:
    """The commands."""
    made = App(__doc__)
    made.callback()(lambda: None)
    made.command("inspect")(_inspect())
    return made


if __name__ == "__main__":
    app()()
