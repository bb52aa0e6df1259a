"""The map: that everything is on it, where it belongs, in the colour it should have."""

import json
from io import BytesIO
from itertools import pairwise

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection

from simulators.grid.feeder_plot import distances_km, feeder_figure
from simulators.grid.layout import layout, length_km
from simulators.grid.network import Network
from simulators.grid.plain import record_from_plain, record_to_plain
from simulators.grid.plot import network_figure, opened_lines
from simulators.grid.plot_side import LOADING, furthest_vm, loading_norm, voltage_norm
from simulators.grid.record import RunRecord
from tests.grid.networks import shipped, two_buses


def test_coordinates_of_a_real_network_match_its_line_lengths():
    network = shipped("mv_oberrhein")
    places = layout(network)
    assert places.geographic
    assert len(places.buses) == 179
    assert len(places.lines) == 181
    drawn_km = sum(length_km(course) for course in places.lines.values())
    assert drawn_km == pytest.approx(network.net.line.length_km.sum(), rel=0.02)


def test_a_degree_of_latitude_is_111_km():
    assert length_km(np.array([[8.0, 48.0], [8.0, 49.0]])) == pytest.approx(111.2, abs=0.1)
    assert length_km(np.array([[8.0, 60.0], [9.0, 60.0]])) == pytest.approx(111.2 / 2, abs=0.1)


@pytest.mark.parametrize("name", ["example_multivoltage", "case14"])
def test_every_bus_has_its_own_place(name):
    network = shipped(name)
    places = layout(network)
    assert len(set(places.buses.values())) == len(network.buses)
    assert len(places.lines) == len(network.lines)
    assert not places.geographic


def test_a_bus_without_coordinates_stands_between_its_neighbours():
    network = shipped("mv_oberrhein")
    net = network.net
    bus, given = 100, layout(network).buses
    net.bus.at[bus, "geo"] = None
    lines = net.line[(net.line.from_bus == bus) | (net.line.to_bus == bus)]
    around = np.array([given[b] for b in {*lines.from_bus, *lines.to_bus} - {bus}])
    placed = np.array(layout(network).buses[bus])
    assert (around.min(axis=0) <= placed).all()
    assert (placed <= around.max(axis=0)).all()


def crossed(record: RunRecord, network: Network) -> RunRecord:
    """The record on the same network elsewhere, after a way through JSON."""
    return record_from_plain(network, json.loads(json.dumps(record_to_plain(record))))


def test_the_figure_shows_loadings_voltages_and_violations(tmp_path):
    network = Network(two_buses())
    network.attach("end", "inference site")
    record = RunRecord(network)
    record.add(network.step(20.0), 0, 3600)
    elsewhere = Network(two_buses())
    figure = network_figure(elsewhere, crossed(record, elsewhere), title="Two buses")
    figure.savefig(tmp_path / "network.png")
    collections = [c for c in figure.axes[0].collections if isinstance(c, LineCollection)]
    (loaded,) = [c for c in collections if c.get_array() is not None]
    np.testing.assert_array_equal(loaded.get_array(), record.line_loading_max)
    (buses,) = [c for c in figure.axes[0].collections if c.get_array() is not None and c is not loaded]
    np.testing.assert_array_equal(buses.get_array(), record.vm_min)  # at the source both are 1
    text = "\n".join([t.get_text() for t in (*figure.texts, *figure.axes[0].texts)])
    for expected in (
        "Two buses",
        "inference site",
        "Limits exceeded: 1",
        "feeder: overload",
        "1 h",
        "schematic",
    ):
        assert expected in text
    assert (tmp_path / "network.png").stat().st_size > 20_000


def test_the_scales_show_what_is_beyond_100_percent_and_both_sides_of_1():
    record = RunRecord(Network(two_buses()))
    record.vm_min[:], record.vm_max[:] = [0.97, 0.91], [1.02, 1.0]
    assert furthest_vm(record).tolist() == [0.97, 0.91]
    norm = voltage_norm(record)
    assert (norm.vmin, norm.vmax) == pytest.approx((0.91, 1.09))
    colours = [LOADING(loading_norm()(percent)) for percent in (99.0, 99.9, 101.0, 140.0)]
    apart = [np.abs(np.subtract(a, b)).max() for a, b in pairwise(colours)]
    assert apart[1] > 10.0 * apart[0]
    assert apart[2] > 0.2


def test_no_text_of_the_column_leaves_the_page():
    net = two_buses(max_i_ka=0.01)
    net.line.loc[0, "name"] = (
        "Überlandleitung Sankt Georgen im Schwarzwald – Villingen-Schwenningen, Abschnitt 12" * 2
    )
    net.bus["name"] = ["a bus with a name that goes on and on", "A" * 120]
    network = Network(net)
    network.attach(1, "a site that is called something long")
    record = RunRecord(network)
    record.add(network.step(8.0), 0, 3600)
    figure = network_figure(network, record)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    for text in figure.texts:
        if text.get_position()[0] > 0.5:
            box = text.get_window_extent(canvas.get_renderer())
            assert box.x1 <= figure.bbox.width
            assert box.y0 >= 0.0


def test_feeders_start_at_the_source_and_are_as_long_as_their_lines():
    network = shipped("cigre_mv")
    record = RunRecord(network)
    record.add(network.step([]), 0, 3600)
    distance = distances_km(network)
    lines = network.net.line[~network.net.line.index.isin(opened_lines(network.net))]
    assert distance[[0, 1, 12]].tolist() == [0.0, 0.0, 0.0]
    steps = np.abs(distance[lines.from_bus] - distance[lines.to_bus])
    np.testing.assert_allclose(steps, lines.length_km, rtol=1e-9)
    drawn = [c for c in feeder_figure(network, record).axes[0].collections if isinstance(c, LineCollection)]
    assert [len(c.get_segments()) for c in drawn] == [len(lines)] * 2


def test_a_run_without_a_solved_step_still_draws():
    network = Network(two_buses())
    network.attach("end", "site")
    record = RunRecord(network)
    record.add(network.step(5000.0), 0, 3600)
    elsewhere = Network(two_buses())
    figure = network_figure(elsewhere, crossed(record, elsewhere))
    figure.canvas.draw()
    assert any("the power flow has no solution" in t.get_text() for t in figure.texts)


def test_a_plain_record_draws_the_same_picture():
    network = shipped("mv_oberrhein")
    network.attach(100, "site")
    record = RunRecord(network)
    for number, p_mw in enumerate((1.0, 30.0)):
        record.add(network.step(p_mw), number * 3600, 3600)
    elsewhere = shipped("mv_oberrhein")
    pictures = []
    for drawn, values in ((network, record), (elsewhere, crossed(record, elsewhere))):
        file = BytesIO()
        network_figure(drawn, values).savefig(file)
        pictures.append(file.getvalue())
    assert pictures[0] == pictures[1]
