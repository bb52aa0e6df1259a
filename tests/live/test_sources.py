"""Values that come in while a run goes on."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from simulators.errors import InputError
from simulators.live.simulator import Follow
from simulators.live.sources import GrowingCsv, Prometheus, first_value, source
from simulators.profiles.quantities import quantity_named

CARBON = quantity_named("carbon")
HEAD = "time,forecast[gCO2eq/kWh],intensity[gCO2eq/kWh]\n"


def grow(path: Path, text: str) -> None:
    with path.open("a") as file:
        file.write(text)


def test_the_newest_whole_row_counts_and_holds(tmp_path: Path):
    path = tmp_path / "now.csv"
    path.write_text(HEAD)
    followed = GrowingCsv(path, CARBON)
    assert followed.latest() is None
    grow(path, "a,1,250\nb,2,3")
    assert (followed.latest(), followed.heard) == (250.0, 1)
    grow(path, "00\r\n\n")
    assert (followed.latest(), followed.heard) == (300.0, 2)
    assert (followed.latest(), followed.heard) == (300.0, 2)
    grow(path, "".join(f"x,0,{value % 900}\n" for value in range(50_000)))
    assert (followed.latest(), followed.heard) == (49_999 % 900, 50_002)
    path.unlink()  # whoever writes it puts a new one in its place
    assert followed.latest() == 49_999 % 900
    (tmp_path / "new.csv").write_text("CI[kgCO2eq/kWh]\n0.1\n")
    os.replace(tmp_path / "new.csv", path)
    assert followed.latest() == 100.0
    assert GrowingCsv(path, CARBON, "CI").latest() == 100.0


@pytest.mark.parametrize(
    ("text", "column", "reason"),
    [
        ("time,value\n", None, "names no unit of a carbon intensity"),
        ("time,CI[EUR/kWh]\n", None, "names no unit of a carbon intensity"),
        (HEAD, "intens", "has no column 'intens'"),
        (HEAD + "a,1,b\n", None, "line 2: 'b' given, expected a carbon intensity from"),
        (HEAD + "a,1,2\na,1\n", None, "line 3: '' given"),
        (HEAD + "a,1,nan\n", None, "'nan' given"),
        (HEAD + "a,1,-3\n", None, "'-3' given"),
        (HEAD + "a,1,1_0\n", None, "'1_0' given"),
        (HEAD + "a,1,1e30\n", None, "'1e30' given"),
        (HEAD + "a" * 200_000, None, "longer than"),
    ],
)
def test_a_row_that_is_none_is_one_line(tmp_path: Path, text: str, column: str | None, reason: str):
    path = tmp_path / "now.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=r"now\.csv") as error:
        GrowingCsv(path, CARBON, column).latest()
    assert reason in str(error.value)
    assert "\n" not in str(error.value)


def test_what_is_no_file_is_one_line(tmp_path: Path):
    os.mkfifo(tmp_path / "fifo")
    for path, reason in (
        (tmp_path / "none.csv", "No such file"),
        (tmp_path, "no file"),
        (tmp_path / "fifo", "no file"),
    ):
        with pytest.raises(InputError, match=reason):
            source(str(path), CARBON).latest()
    (tmp_path / "empty.csv").write_text(HEAD)
    with pytest.raises(InputError, match="no value within 0 s"):
        first_value(GrowingCsv(tmp_path / "empty.csv", CARBON), 0.0)


@pytest.fixture
def prometheus() -> Iterator[dict[str, Any]]:
    """A server that answers as Prometheus does, and what it says."""
    says: dict[str, Any] = {"path": []}

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            says["path"].append(self.path)
            body = says["body"].encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None: ...

    server = HTTPServer(("127.0.0.1", 0), Answer)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    says["url"] = f"http://127.0.0.1:{server.server_port}/api/v1/query?query=ci"
    says["stop"] = lambda: (server.shutdown(), server.server_close(), thread.join())
    yield says
    says["stop"]()


def answered(*values: tuple[float, str]) -> str:
    result = [{"metric": {"zone": "DE"}, "value": list(value)} for value in values]
    return json.dumps({"status": "success", "data": {"resultType": "vector", "result": result}})


def test_a_query_of_prometheus(prometheus: dict[str, Any]):
    prometheus["body"] = answered((1.0, "312.5"), (1.0, "1"))
    followed = source(prometheus["url"], CARBON)
    assert isinstance(followed, Prometheus)
    assert (followed.latest(), followed.latest(), followed.heard) == (312.5, 312.5, 1)
    assert prometheus["path"][0] == "/api/v1/query?query=ci"
    prometheus["body"] = answered((2.0, "300"))
    assert (followed.latest(), followed.heard) == (300.0, 2)
    prometheus["body"] = answered()
    assert followed.latest() == 300.0  # nothing new
    for body, reason in (("<html>", "answers something else"), (answered((3.0, "NaN")), "'NaN' given")):
        prometheus["body"] = body
        with pytest.raises(InputError, match=reason):
            followed.latest()
    prometheus["stop"]()
    assert followed.latest() == 300.0  # it may come back
    with pytest.raises(InputError, match="does not answer"):
        source(prometheus["url"], CARBON).latest()
    with pytest.raises(InputError, match="no address"):
        Prometheus("ftp://127.0.0.1/x", CARBON)


def test_the_adapter_holds_and_counts(tmp_path: Path):
    path = tmp_path / "now.csv"
    path.write_text("power[kW]\n1.5\n")
    follow = Follow()
    follow.init("Follow", step_size=60)
    follow.create(1, "Newest", name="load", source=str(path), attribute="P[MW]")
    seen = []
    for step in range(4):
        if step == 2:
            grow(path, "2.5\n")
        follow.step(60 * step, {}, 60)
        seen.append(follow.get_data({"load": ["P[MW]"]})["load"]["P[MW]"])
    assert seen == pytest.approx([0.0015, 0.0015, 0.0025, 0.0025])
    assert follow.summary("load") == {"values": 2, "steps_held": 2}
    with pytest.raises(InputError, match="expected one of CI"):
        follow.create(1, "Newest", source=str(path), attribute="Q[MVar]")
