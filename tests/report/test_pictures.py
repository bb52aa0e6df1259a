"""Figures and report of a realistic week."""

import re
from html.parser import HTMLParser

import matplotlib.image as mpimg
import numpy as np
import pytest

from simulators.report import figures, series
from simulators.report.charts import Charts
from simulators.report.labels import mass_text
from simulators.report.progress import summary_table
from simulators.report.report import write_report
from tests.report import synthetic


@pytest.fixture(scope="module")
def week():
    frame = synthetic.timeseries()
    requests = synthetic.requests(frame)
    return frame, synthetic.latencies(requests), synthetic.summary(frame, requests)


def report(folder, frame, latencies, summary, inputs=(), **more):
    path = write_report(
        folder / "report.html",
        summary=summary,
        config={"options": {"site": "<california>"}, "versions": {"python": "3"}, "inputs": inputs},
        timeseries=frame,
        latencies=latencies,
        meta=synthetic.META,
        **more,
    )
    return path.read_text(encoding="utf-8")


def without_plotly(html):
    """The page without the charting library, which mentions addresses it only uses for maps."""
    return re.sub(r"<script>/\*\*.*?</script>", "", html, count=1, flags=re.DOTALL)


def test_a_week_of_pictures_is_drawn(week, tmp_path):
    frame, latencies, summary = week
    paths = figures.render_all(synthetic.grid_columns(frame), latencies, synthetic.META, tmp_path)
    report(tmp_path, frame, latencies, summary)
    assert [path.stem for path in paths] == [
        "power_balance",
        "battery",
        "carbon",
        "latency",
        "traffic",
        "renewable",
        "network_operation",
    ]
    for path in paths:
        image = mpimg.imread(path)
        assert image.shape[1] == 1500
        assert len(np.unique(image[..., 0])) > 50  # something is drawn


def test_equal_data_gives_equal_bytes(tmp_path):
    frame = synthetic.timeseries(days=0.1)[["time", "facility_mw", "import_mw", "carbon_intensity_g_per_kwh"]]
    for name in ("a", "b"):
        figures.render_all(frame, None, synthetic.META, tmp_path / name)
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()


def test_run_without_battery_generation_and_requests_has_fewer_pictures(tmp_path):
    frame = synthetic.timeseries(days=1)
    keep = ["time", "facility_mw", "import_mw", "carbon_intensity_g_per_kwh"]
    bare = frame.assign(import_mw=frame["facility_mw"])[keep]
    paths = figures.render_all(bare, None, synthetic.META, tmp_path)
    assert [path.stem for path in paths] == ["power_balance", "carbon"]
    html = report(tmp_path, bare, None, {"energy_mwh": {"facility": 0.1, "grid_import": 0.1}})
    assert 'id="power_balance"' in html
    assert 'id="battery"' not in html
    assert 'id="latency"' not in html


@pytest.mark.parametrize("rows", [1, 61])
def test_very_short_runs_are_drawn(tmp_path, rows):
    frame = synthetic.grid_columns(synthetic.timeseries(days=1)).iloc[720 : 720 + rows].reset_index(drop=True)
    latencies = synthetic.latencies(synthetic.requests(synthetic.timeseries(days=1)).iloc[:rows])
    assert len(figures.render_all(frame, latencies, synthetic.META, tmp_path)) == 7
    report(tmp_path, frame, latencies, {})


def test_voltages_of_the_network_and_of_the_site_are_told_apart(week, tmp_path):
    frame, latencies, summary = week
    frame = synthetic.grid_columns(frame)
    told = {
        "vm_pu_min": {"value": 0.9312, "element": "Bus 58", "index": 58, "at_s": 0},
        "vm_pu_max": {"value": 1.02, "element": "Bus 318", "index": 318, "at_s": 0},
        "sites": [{"name": "site", "bus": 7, "bus_name": "Bus 7", "vm_pu_min": 0.96, "vm_pu_max": 1.01}],
    }
    chart = Charts(frame, synthetic.META).network()
    drawn = {line.name: np.asarray(line.y) for line in chart.data}
    assert drawn["Lowest voltage of the network"].min() == pytest.approx(frame["vm_min_pu"].min())
    assert drawn["Highest voltage of the network"].max() == pytest.approx(1.02)
    assert drawn["Voltage at the site's bus"].min() == pytest.approx(frame["vm_pu"].min())
    html = report(tmp_path, frame, latencies, {**summary, "network": told})
    assert "Lowest voltage of the network: 0.9312 p.u. at Bus 58 (bus 58)." in html
    assert "At site, Bus 7 (bus 7): 0.9600 to 1.0100 p.u." in html


def test_sites_at_different_buses_still_have_a_network(week, tmp_path):
    frame, latencies, _ = week
    frame = synthetic.two_sites(synthetic.grid_columns(frame))
    frame.loc[frame["site"] == "b", "vm_pu"] -= 0.01
    whole = series.all_sites(frame)
    assert "vm_pu" not in whole
    stems = [path.stem for path in figures.render_all(whole, latencies, synthetic.META, tmp_path)]
    assert "network_operation" in stems
    names = [line.name for line in Charts(whole, synthetic.META).network().data]
    assert "Lowest voltage of the network" in names


def test_marginal_series_alone_is_never_told_as_an_emission(week, tmp_path):
    frame, latencies, summary = week
    frame, summary = synthetic.marginal(frame, summary)
    paths = figures.render_all(frame, latencies, synthetic.META, tmp_path)
    assert "carbon_marginal" in [path.stem for path in paths]
    assert "carbon" not in [path.stem for path in paths]
    figure = figures.carbon(frame, synthetic.META, "marginal")
    assert figure.axes[0].get_title() == "Marginal carbon intensity of grid power"
    assert figure.texts[0].get_text() == "What the import causes at the margin"
    page = without_plotly(report(tmp_path, frame, latencies, summary))
    words = " ".join(
        re.sub(r"<script.*?</script>|<style.*?</style>|<[^>]*>", " ", page, flags=re.DOTALL).split()
    )
    assert (
        "Operational carbon – only a marginal carbon intensity was given; embodied 31.2 kg"
        in words.replace("\u00a0", " ")
    )
    assert "Carbon per 1,000 output tokens, at the meter – needs the operational carbon" in words
    cause = mass_text(summary["carbon_kg"]["consequence_marginal"])
    assert f"What the import causes at the margin {cause} CO₂eq, by the marginal intensity" in words
    assert "Operational carbon: –, only a marginal carbon intensity was given." in words
    assert "Offset ratio – No figure: only a marginal" in words
    assert 'id="carbon_marginal"' in page
    assert 'id="carbon"' not in page
    for wrong in ("average carbon intensity, summed", "would have emitted", "Average carbon intensity"):
        assert wrong not in page, wrong
    assert "–, only a marginal" in summary_table(summary)


def test_both_intensities_are_told_apart(week, tmp_path):
    frame, latencies, summary = week
    frame = frame.assign(marginal_intensity_g_per_kwh=500.0)
    summary = {**summary, "carbon_kg": {**summary["carbon_kg"], "consequence_marginal": 123.4}}
    page = without_plotly(report(tmp_path, frame, latencies, summary))
    assert 'id="carbon"' in page
    assert 'id="carbon_marginal"' in page
    assert "In this run: 123.4 kg." in page
    assert "would have emitted" in page


def test_sites_are_drawn_one_by_one_or_as_one(week, tmp_path):
    frame, latencies, summary = week
    both = synthetic.two_sites(frame)
    with pytest.raises(ValueError, match="several sites"):
        figures.render_all(both, latencies, synthetic.META, tmp_path)
    one, two = (series.of_site(both, name) for name in "ab")
    np.testing.assert_array_equal(one["pv_mw"], frame["pv_mw"])
    whole = series.all_sites(both)
    np.testing.assert_allclose(whole["facility_mw"], one["facility_mw"] + two["facility_mw"])
    report(tmp_path, whole, latencies, summary)
    assert 'id="carbon"' in report(tmp_path, whole, latencies, summary)
    apart = both.assign(carbon_intensity_g_per_kwh=np.arange(len(both)))
    page = report(tmp_path, series.all_sites(apart), latencies, summary)
    assert 'id="carbon"' not in page
    assert "carbon intensities differ" in page


def test_axes_name_their_units_and_zone():
    figure = figures.power_balance(synthetic.timeseries(days=1), synthetic.META)
    (axes,) = figure.axes
    assert axes.get_ylabel() == "Power (kW)"
    assert axes.get_xlabel() == "Local time (America/Los_Angeles)"
    assert "Load" in axes.get_legend_handles_labels()[1]


def test_chart_keeps_the_energy(week):
    frame, _, _ = week
    figure = Charts(frame, synthetic.META).power_balance()
    (load,) = [trace for trace in figure.data if trace.name == "Load"]
    assert len(load.y) == 2016
    assert load.x0 == "2016-08-01T00:00:00"
    assert load.dx == 300_000
    np.testing.assert_allclose(np.mean(load.y), frame["facility_mw"].mean() * 1e3, rtol=1e-6)


def test_report_is_whole_small_and_asks_for_nothing(week, tmp_path):
    frame, latencies, summary = week
    html = report(
        tmp_path,
        synthetic.grid_columns(frame),
        latencies,
        summary,
        inputs=[{"what": "Weather", "file": "a.csv", "licence": "MIT", "sha256": "ab" * 32}],
        notes=["Average <intensity>."],
    )
    assert len(html.encode()) < 6_000_000
    assert html.count("plotly.js v") == 1
    page = without_plotly(html)
    assert len(page) < 1_000_000

    class Tags(HTMLParser):
        found: list

        def handle_starttag(self, tag, attrs):
            self.found.append((tag, dict(attrs)))

    tags = Tags()
    tags.found = []
    tags.feed(page)
    assert not [tag for tag, attrs in tags.found if tag in ("link", "iframe") or "src" in attrs]
    assert all(attrs["href"].startswith("#") for _, attrs in tags.found if "href" in attrs)
    assert "default-src 'none'" in page
    for words in ("Matched ratio", "Offset ratio", "2.31 kg", "24.7 min", "3.1e-16", "ab" * 32, "123,010"):
        assert words in page, words
    assert "Average &lt;intensity&gt;." in page
    assert "&lt;california&gt;" in page


def test_names_cannot_break_out_of_the_page(tmp_path):
    frame = synthetic.timeseries(days=0.1)
    picture = figures.render_all(frame, None, synthetic.META, tmp_path)[0]
    html = report(tmp_path, frame, None, {}, pictures={"</script><b>Network": picture})
    assert "</script><b>" not in html
    assert "data:image/png;base64," in html
