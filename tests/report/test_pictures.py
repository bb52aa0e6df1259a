"""Figures and report of a realistic week."""

import re
from html.parser import HTMLParser

import matplotlib.image as mpimg
import numpy as np
import pytest

from simulators.report import figures
from simulators.report.charts import Charts
from simulators.report.report import write_report
from tests.report import synthetic


@pytest.fixture(scope="module")
def week():
    frame = synthetic.timeseries()
    requests = synthetic.requests(frame)
    return frame, requests, synthetic.summary(frame, requests)


def report(folder, frame, requests, summary, **more):
    path = write_report(
        folder / "report.html",
        summary=summary,
        config={"options": {"site": "<california>"}, "versions": {"python": "3"}},
        timeseries=frame,
        requests=requests,
        meta=synthetic.META,
        **more,
    )
    return path.read_text(encoding="utf-8")


def without_plotly(html):
    """The page without the charting library, which mentions addresses it only uses for maps."""
    return re.sub(r"<script>/\*\*.*?</script>", "", html, count=1, flags=re.DOTALL)


def test_a_week_of_pictures_is_drawn(week, tmp_path):
    frame, requests, summary = week
    paths = figures.render_all(synthetic.grid_columns(frame), requests, synthetic.META, tmp_path)
    report(tmp_path, frame, requests, summary)
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
    requests = synthetic.requests(synthetic.timeseries(days=1)).iloc[:rows]
    assert len(figures.render_all(frame, requests, synthetic.META, tmp_path)) == 7
    report(tmp_path, frame, requests, {})


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
    frame, requests, summary = week
    html = report(
        tmp_path,
        synthetic.grid_columns(frame),
        requests,
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
    assert not [
        tag for tag, attrs in tags.found if tag in ("link", "iframe") or "src" in attrs or "href" in attrs
    ]
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
