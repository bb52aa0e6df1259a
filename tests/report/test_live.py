"""The page of a run that goes on: what it answers, and to whom."""

from __future__ import annotations

import http.client
import json
import socket

import numpy as np
import pandas as pd
import pytest

from simulators.errors import InputError
from simulators.report.live import LiveServer, Now
from simulators.report.window import Window


class Shown:
    """A run with one chart, and no network."""

    def now(self, seen: int) -> Now:
        chart = {"chart": ("A </script> title", '{"data": [], "layout": {}}')}
        return Now(7, "half </script> way", 0.5, None if seen == 7 else chart, False)

    def network_png(self) -> bytes | None:
        return None


@pytest.fixture(scope="module")
def server():
    with LiveServer(Shown(), "A <run>", "It is over.") as made:
        yield made


def asked(
    server: LiveServer, path: str, method: str = "GET", **headers: str
) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    try:
        connection.request(
            method, path, headers={name.replace("_", "-"): text for name, text in headers.items()}
        )
        answer = connection.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read()
    finally:
        connection.close()


def test_the_page_needs_nothing_from_outside(server: LiveServer):
    status, headers, body = asked(server, "/")
    assert status == 200
    text = body.decode()
    assert "A &lt;run&gt;" in text
    before_script = text[: text.index("<script>")]
    assert "http" not in before_script
    assert headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert "Access-Control-Allow-Origin" not in headers


def test_charts_are_told_once(server: LiveServer):
    first = json.loads(asked(server, "/now.json?seen=-1")[2])
    assert first["charts"] == {"chart": {"data": [], "layout": {}}}
    assert first["titles"] == {"chart": "A </script> title"}
    again = json.loads(asked(server, "/now.json?seen=7")[2])
    assert (again["seen"], again["done"], "charts" in again) == (7, 0.5, False)


@pytest.mark.parametrize(
    ("path", "method", "headers", "status"),
    [
        ("/", "GET", {"Host": "attacker.example:80"}, 403),
        ("/", "GET", {"Host": "127.0.0.1"}, 403),  # another port
        ("/now.json", "GET", {"Origin": "http://attacker.example"}, 403),
        ("/now.json", "GET", {"Sec_Fetch_Site": "cross-site"}, 403),
        ("/", "POST", {}, 405),
        ("/", "DELETE", {}, 405),
        ("/", "OPTIONS", {}, 405),
        ("/../../etc/passwd", "GET", {}, 404),
        ("/%2e%2e/%2e%2e/etc/passwd", "GET", {}, 404),
        ("//etc/passwd", "GET", {}, 404),
        ("/network.png", "GET", {}, 404),
        ("/now.json?seen=" + "9" * 5000, "GET", {}, 200),
        ("/now.json?seen=x", "GET", {}, 200),
    ],
)
def test_only_known_addresses_and_only_from_here(server: LiveServer, path, method, headers, status):
    found, answer, body = asked(server, path, method, **headers)
    assert found == status
    assert answer["Server"] == "WattLoop "
    if status != 200:
        assert len(body) < 100


def test_nonsense_is_refused_and_the_next_one_served(server: LiveServer):
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        connection.sendall(b"\x16\x03\x01 \x00\xff\r\n\r\n")
        connection.recv(4096)
    assert asked(server, "/")[0] == 200


def test_what_goes_wrong_for_one_is_a_line_and_others_are_served(capfd):
    class Broken(Shown):
        def now(self, seen: int) -> Now:
            raise ValueError("no chart")

    with LiveServer(Broken(), "A run", "") as server:
        with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
            connection.sendall(f"GET /now.json HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n\r\n".encode())
            assert connection.recv(4096) == b""
        assert asked(server, "/")[0] == 200
    assert capfd.readouterr().err == "live: cannot answer (ValueError: no chart)\n"


def test_a_port_that_is_taken_is_one_line(server: LiveServer):
    with pytest.raises(
        InputError, match=rf"^--live-port: {server.port} given, cannot listen there .*expected a free"
    ):
        LiveServer(Shown(), "", "", server.port)


def test_rows_in_memory_are_bounded_and_add_up():
    window, steps = Window(60, most=50), 1237
    rng = np.random.default_rng(3)
    power, arrived = rng.random(steps), rng.integers(0, 9, steps)
    times = pd.date_range("2024-03-01", periods=steps, freq="min", tz="UTC")
    for first in range(0, steps, 7):
        part = slice(first, first + 7)
        count = len(times[part])
        rows = {"time": times[part], "site": ["a"] * count, "pv_mw": power[part], "arrived": arrived[part]}
        window.add(rows | {"running": arrived[part]})
        assert len(window.frame()) <= 50
    frame = window.frame()
    assert window.width_s % 60 == 0
    assert frame["time"].iloc[0] == times[0]
    assert (frame["time"].diff().dropna() == pd.Timedelta(seconds=window.width_s)).all()
    assert frame["arrived"].sum() == arrived.sum()
    assert frame["running"].iloc[-1] == arrived[-1]
    weights = np.full(len(frame), window.width_s // 60)
    weights[-1] = steps - weights[:-1].sum()
    assert np.average(frame["pv_mw"], weights=weights) == pytest.approx(power.mean(), rel=1e-12)
