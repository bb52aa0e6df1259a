"""The interactive charts of the report, as plotly figures with plain arrays in them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from simulators.quantities.latencies import LatencyRecord
from simulators.report import series
from simulators.report.canvas import FAR, cumulative
from simulators.report.labels import (
    COLOURS,
    LATENCIES,
    SHARE_SCALE,
    intensity_unit,
    label,
    mass_unit,
    power_unit,
    seconds,
)
from simulators.report.plotting import Look, Plotter, axis_title, layout
from simulators.report.series import Kind


class Charts(Plotter):
    """Every chart of one run."""

    def power_balance(self) -> go.Figure:
        """Supply stacked up to the load, the rest below zero."""
        flows = series.means(series.power_flows(self.local), self.width_s)
        factor, unit = power_unit(float(flows.to_numpy().max()))
        flows = flows * factor
        figure = self.figure(430, [f"Power ({unit})"])
        self.stack(figure, flows, series.SUPPLY, unit)
        self.stack(figure, flows, series.SURPLUS, unit, sign=-1.0)
        self.line(figure, flows["load"], "Load", COLOURS["ink"], unit)
        return figure

    def battery(self) -> go.Figure:
        """State of charge over the power in and out."""
        thin = series.means(self.local[["soc", "charge_mw", "discharge_mw"]], self.width_s)
        factor, unit = power_unit(float(thin[["charge_mw", "discharge_mw"]].to_numpy().max()))
        figure = self.figure(400, [f"{label('soc')} (%)", f"Power ({unit})"])
        self.line(
            figure, thin["soc"] * 100, label("soc"), COLOURS["battery"], "%", look=Look("linear", filled=True)
        )
        powers = pd.DataFrame({"battery": thin["discharge_mw"], "charge": thin["charge_mw"]}) * factor
        self.stack(figure, powers, {"battery": label("discharge_mw")}, unit, row=2)
        self.stack(figure, powers, {"charge": label("charge_mw")}, unit, row=2, sign=-1.0)
        figure.update_yaxes(range=[0, 101], row=1)
        return figure

    def carbon(self, kind: Kind = "average") -> go.Figure:
        """Intensity, import times intensity, and its sum with and without own generation."""
        flows = series.means(series.carbon_flows(self.local, self.meta.step_s, kind), self.width_s)
        rate, rate_unit = mass_unit(float(flows["rate_without"].max()))
        total, unit = mass_unit(float(flows["total_without"].max()))
        intensity = series.INTENSITY[kind]
        intensity_in = intensity_unit(intensity)
        figure = self.figure(560, [intensity_in, f"{rate_unit} CO₂eq per hour", f"{unit} CO₂eq in total"])
        self.line(figure, flows["intensity"], label(intensity), COLOURS["blue"], intensity_in)
        without = "Everything from the grid"
        self.line(figure, flows["rate_without"] * rate, without, COLOURS["grid"], f"{rate_unit}/h", row=2)
        self.line(
            figure,
            flows["rate"] * rate,
            "This run",
            COLOURS["carbon"],
            f"{rate_unit}/h",
            row=2,
            look=Look(filled=True),
        )
        for name, colour, text in (
            ("total_without", COLOURS["grid"], without),
            ("total", COLOURS["carbon"], "This run"),
        ):
            self.line(
                figure, flows[name] * total, text, colour, unit, row=3, legend=False, look=Look("linear")
            )
        figure.update_yaxes(rangemode="tozero")
        return figure

    def coverage(self) -> go.Figure:
        """Share of each hour's load covered by own supply."""
        matrix = series.coverage(self.local)
        days = [f"{day:%a %d %b %y}" for day in matrix.columns]
        figure = go.Figure(
            go.Heatmap(
                z=np.round(matrix.to_numpy(dtype=np.float64) * 100, 1),
                x=days,
                y=[f"{hour:02d}:00" for hour in range(24)],
                zmin=0,
                zmax=100,
                colorscale=list(SHARE_SCALE),
                xgap=2 if len(days) <= 31 else 0,
                ygap=1 if len(days) <= 31 else 0,
                hoverongaps=False,
                hovertemplate="%{x}, %{y}<br>%{z:.0f} % covered<extra></extra>",
                colorbar={"ticksuffix": " %", "thickness": 12, "outlinewidth": 0, "title": {"text": ""}},
            )
        )
        figure.update_layout(**layout(400))
        figure.update_yaxes(
            autorange="reversed",
            dtick=3,
            title=axis_title(f"Hour of day ({self.meta.timezone})"),
            automargin=True,
        )
        figure.update_xaxes(nticks=10, showgrid=False, type="category", automargin=True)
        return figure

    def latency(self, latencies: LatencyRecord) -> go.Figure:
        """Distributions of TTFT, TPOT and time to completion, on one logarithmic axis."""
        figure = go.Figure()
        for name, colour in (
            ("tpot_s", COLOURS["battery"]),
            ("ttft_s", COLOURS["blue"]),
            ("e2e_s", COLOURS["carbon"]),
        ):
            times, shares = cumulative(latencies.sketch(name))
            if len(times):
                figure.add_scatter(
                    x=times.astype(np.float32),
                    y=shares.astype(np.float32),
                    name=LATENCIES[name],
                    line={"color": colour, "width": 2},
                    hovertemplate="%{y:.1f} % within %{x:.3g} s",
                )
        for name, short, colour in (("ttft_s", "TTFT", "blue"), ("tpot_s", "TPOT", "battery")):
            if (target := self.meta.targets.get(name)) is not None and len(figure.data):
                figure.add_scatter(
                    x=[target, target],
                    y=[0, 100],
                    name=f"{short} target {seconds(target)}",
                    mode="lines",
                    line={"color": COLOURS[colour], "width": 1.2, "dash": "dash"},
                    hoverinfo="skip",
                )
        figure.update_layout(**layout(340))
        figure.update_xaxes(type="log", title=axis_title("Seconds"), dtick=1, tickformat="~g", showgrid=True)
        figure.update_yaxes(range=[0, 101], title=axis_title("Requests (%)"))
        return figure

    def latency_over_time(self, latencies: LatencyRecord) -> go.Figure:
        """Percentiles of the time to first token, per output token and to completion, by hour or day of arrival."""
        figure = self.figure(560, ["TTFT (s)", "TPOT (s)", "To completion (s)"])
        for row, name in enumerate(("ttft_s", "tpot_s", "e2e_s"), start=1):
            over = series.over_time(latencies, name, self.start)
            for share, colour in (
                ("p99", COLOURS["carbon"]),
                ("p95", COLOURS["pv"]),
                ("p50", COLOURS["blue"]),
            ):
                self.line(
                    figure,
                    over[share],
                    share,
                    colour,
                    "s",
                    row=row,
                    legend=row == 1,
                    width_s=latencies.period_s,
                )
            target, most = self.meta.targets.get(name), float(over["p99"].max())
            if target is not None:
                self._target(figure, target, most, row)
        figure.update_yaxes(rangemode="tozero")
        return figure

    def _target(self, figure: go.Figure, target_s: float, most_s: float, row: int) -> None:
        """A target as a line, or in words where it lies far above what is drawn."""
        words = f"target {seconds(target_s)}"
        shape: dict[str, Any] = {
            "xanchor": "right",
            "yanchor": "bottom",
            "font": {"size": 11},
            "showarrow": False,
        }
        if target_s <= FAR * most_s:
            figure.add_hline(
                target_s, line={"dash": "dash", "width": 1, "color": COLOURS["grid"]}, row=row, col=1
            )
            figure.update_yaxes(range=[0, 1.12 * max(target_s, most_s)], row=row, col=1)
            figure.add_annotation(text=words, x=1, xref="x domain", y=target_s, row=row, col=1, **shape)
        else:
            words = f"{words}, far above"
            figure.add_annotation(
                text=words,
                x=1,
                xref="x domain",
                y=1,
                yref="y domain",
                row=row,
                col=1,
                **(shape | {"yanchor": "top"}),
            )

    def traffic(self) -> go.Figure:
        """Requests coming and going, and those in the system."""
        thin = series.means(self.local[[name for name in series.TRAFFIC if name in self.local]], self.width_s)
        figure = self.figure(440, ["Requests per second", "Requests in the system"])
        rates = {"arrived": COLOURS["grid"], "completed": COLOURS["blue"], "rejected": COLOURS["carbon"]}
        for name, colour in rates.items():
            if name in thin and thin[name].any():
                look = Look(weight=1.0, filled=name == "arrived")
                self.line(figure, thin[name] / self.meta.step_s, label(name), colour, "1/s", look=look)
        colours = {"running": COLOURS["blue"], "waiting": COLOURS["pv"], "held": COLOURS["export"]}
        present = {name: text for name, text in series.IN_SYSTEM.items() if name in thin}
        self.stack(figure, thin, present, "", row=2, colours=colours)
        return figure

    def network(self) -> go.Figure:
        """Lowest and highest voltage, of the network and at the site, and highest loading within each interval."""
        spans = series.network(self.local).resample(pd.Timedelta(seconds=self.width_s), origin="start")
        least, most = spans.min(), spans.max()
        figure = self.figure(420, ["Voltage (p.u.)", "Loading (%)"])
        self.line(figure, most["vm_max_pu"], label("vm_max_pu"), COLOURS["grid"], "p.u.")
        if "vm_pu" in least:
            self.line(figure, least["vm_pu"], label("vm_pu"), COLOURS["battery"], "p.u.")
        self.line(figure, least["vm_min_pu"], label("vm_min_pu"), COLOURS["blue"], "p.u.")
        for name, colour in (("line_loading_max_percent", "carbon"), ("trafo_loading_max_percent", "ink")):
            self.line(figure, most[name], label(name), COLOURS[colour], "%", row=2)
        figure.add_hline(100.0, line={"dash": "dash", "width": 1, "color": COLOURS["grid"]}, row=2, col=1)
        return figure
