"""A page on loopback that shows a run while it goes on: a small server in a thread, read-only, nothing from outside.

It answers GET of three addresses and nothing else. A page of another origin can neither read it (there is no header
that would allow that) nor reach it under a name of its own (the Host header must be a loopback address).
"""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Callable
from html import escape
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, NamedTuple, Protocol, Self
from urllib.parse import parse_qs, urlsplit

from plotly.offline import get_plotlyjs

from simulators.errors import InputError
from simulators.report import page

POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src 'self' data: blob:; "
    "connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)
LOOPBACK = "127.0.0.1"
TIMEOUT_S = 10.0
"""A client that says nothing for so long is let go, s."""

# Asks for what is new, makes a section for every chart it has not had, and lets the report's own script draw.
SCRIPT = """
const main = document.querySelector("main"), said = document.getElementById("said");
const bar = document.getElementById("bar");
let seen = -1, heard = false;
function section(name, title) {
  if (document.getElementById(name)) return;
  const made = document.createElement("section"), head = document.createElement("h2");
  head.textContent = title;
  const place = document.createElement("div");
  place.className = "plot"; place.id = name;
  made.append(head, place); main.append(made);
}
function picture(version) {
  let image = document.getElementById("network_map");
  if (!image) {
    const made = document.createElement("section"), head = document.createElement("h2");
    head.textContent = "The network so far";
    image = document.createElement("img");
    image.id = "network_map"; image.alt = "Highest loadings and lowest voltages of the network so far";
    made.append(head, image); main.append(made);
  }
  image.src = "network.png?seen=" + version;
}
async function ask() {
  let wait = 1000;
  try {
    const began = performance.now();
    const answer = await fetch("now.json?seen=" + seen);
    const now = await answer.json();
    heard = true;
    said.textContent = now.said;
    bar.value = now.done;
    if (now.charts) {
      for (const [name, title] of Object.entries(now.titles)) section(name, title);
      Object.assign(charts, now.charts);
      draw(night.matches);
      if (now.map) picture(now.seen);
      seen = now.seen;
    }
    wait = Math.max(wait, 8 * (performance.now() - began));
  } catch (error) {
    if (heard) { said.textContent = main.dataset.after; bar.remove(); return; }
  }
  setTimeout(ask, wait);
}
ask();
"""


class Now(NamedTuple):
    """How a run stands.

    Attributes
    ----------
    seen
        Number of the state; the same for the same charts.
    said
        A line of text.
    done
        Share of the run that is simulated, 1.
    charts
        Charts as JSON with their titles, by name; None: as they were.
    map
        Whether there is a map of a network.
    """

    seen: int
    said: str
    done: float
    charts: dict[str, tuple[str, str]] | None
    map: bool


class Shown(Protocol):
    """What a page shows; asked in threads of the server."""

    def now(self, seen: int) -> Now:
        """The state, with charts if it is not `seen`."""
        ...

    def network_png(self) -> bytes | None:
        """The map of the network so far; None without one."""
        ...


class LiveServer:
    """Serves one page until it is closed.

    Parameters
    ----------
    shown
        What it shows.
    title, after
        Of the page; what it says once the run is over.
    port
        On loopback; 0: any that is free.

    Raises
    ------
    InputError
        If the port is taken.
    """

    def __init__(self, shown: Shown, title: str, after: str, port: int = 0) -> None:
        html = _page(title, after).encode()

        class Handler(_Handler):
            answers: dict[str, Callable[[int], tuple[str, bytes] | None]] = {  # noqa: RUF012
                "/": lambda seen: ("text/html; charset=utf-8", html),
                "/now.json": lambda seen: ("application/json", _json(shown.now(seen))),
                "/network.png": lambda seen: _image(shown.network_png()),
            }

        try:
            self._server = _Server((LOOPBACK, port), Handler)
        except OSError as error:
            raise InputError(
                f"--live-port: {port} given, cannot listen there ({error.strerror}), expected a free port (0: any)"
            ) from None
        self.port = int(self._server.server_address[1])
        Handler.hosts = frozenset(f"{host}:{self.port}" for host in (LOOPBACK, "localhost"))
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.1,), daemon=True, name="live"
        )
        self._thread.start()

    @property
    def address(self) -> str:
        """Where it is."""
        return f"http://{LOOPBACK}:{self.port}/"

    def close(self) -> None:
        """Stop answering."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _Server(ThreadingHTTPServer):
    """Ends with the program, and keeps to itself what goes wrong between it and one of its clients."""

    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no news; anything else is told in a line, and the run goes on."""
        error = sys.exception()
        if not isinstance(error, ConnectionError | TimeoutError):
            print(f"live: cannot answer ({type(error).__name__}: {error})", file=sys.stderr)


class _Handler(BaseHTTPRequestHandler):
    """GET of known addresses under a loopback name; everything else is refused."""

    protocol_version = "HTTP/1.1"
    server_version, sys_version = "WattLoop", ""
    timeout = TIMEOUT_S
    hosts: frozenset[str] = frozenset()
    answers: dict[str, Callable[[int], tuple[str, bytes] | None]] = {}  # noqa: RUF012

    def do_GET(self) -> None:
        """Answer, if it is asked from here."""
        if self.headers.get("Host", "") not in self.hosts or self._from_elsewhere():
            self._refuse(HTTPStatus.FORBIDDEN)
            return
        asked = urlsplit(self.path)
        answer = self.answers.get(asked.path)
        seen = parse_qs(asked.query).get("seen", ["-1"])[0]
        found = None
        if answer is not None:
            found = answer(int(seen) if seen.isdecimal() and len(seen) < 12 else -1)
        if found is None:
            self._refuse(HTTPStatus.NOT_FOUND)
            return
        kind, body = found
        self._send(HTTPStatus.OK, kind, body)

    def _from_elsewhere(self) -> bool:
        """Whether a browser says that another site asks."""
        origin = self.headers.get("Origin")
        if origin is not None and origin not in {f"http://{host}" for host in self.hosts}:
            return True
        return self.headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin")

    def _refuse(self, status: HTTPStatus) -> None:
        self.close_connection = True
        self._send(status, "text/plain; charset=utf-8", f"{status.phrase}\n".encode())

    def _send(self, status: HTTPStatus, kind: str, body: bytes) -> None:
        self.send_response(status)
        for name, value in (
            ("Content-Type", kind),
            ("Content-Length", str(len(body))),
            ("Content-Security-Policy", POLICY),
            ("X-Content-Type-Options", "nosniff"),
            ("Cross-Origin-Resource-Policy", "same-origin"),
            ("Referrer-Policy", "no-referrer"),
            ("Cache-Control", "no-store"),
        ):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """What is no GET, or no HTTP: refused without repeating what was said."""
        self._refuse(
            HTTPStatus.METHOD_NOT_ALLOWED if code == HTTPStatus.NOT_IMPLEMENTED else HTTPStatus(code)
        )

    def log_message(self, format: str, *args: Any) -> None:
        """The terminal belongs to the run."""


def _json(now: Now) -> bytes:
    told: dict[str, Any] = {"seen": now.seen, "said": now.said, "done": now.done, "map": now.map}
    text = json.dumps(told)
    if now.charts is not None:
        titles = json.dumps({name: title for name, (title, _) in now.charts.items()})
        charts = ",".join(f"{json.dumps(name)}:{chart}" for name, (_, chart) in now.charts.items())
        text = f'{text[:-1]}, "titles": {titles}, "charts": {{{charts}}}}}'
    return text.encode()


def _image(png: bytes | None) -> tuple[str, bytes] | None:
    return None if png is None else ("image/png", png)


def _page(title: str, after: str) -> str:
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)}</title>
<link rel="icon" href="data:,">
<style>{page.STYLE}
progress {{ width:100%; accent-color:var(--accent); }}</style>
</head>
<body>
<main data-after="{escape(after)}">
<header><h1>{escape(title)}</h1><p class="lead" id="said" aria-live="off">Reading files</p>
<progress id="bar" max="1" value="0" aria-label="Share of the run that is simulated"></progress></header>
</main>
<noscript><main><p>The charts need JavaScript.</p></main></noscript>
<script>{get_plotlyjs()}</script>
<script type="application/json" id="charts">{{}}</script>
<script>{page.SCRIPT}</script>
<script>{SCRIPT}</script>
</body>
</html>
"""
