"""The shell of the report: HTML pieces, style, and the script that draws the charts. Everything is inline."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path

import plotly.graph_objects as go
from plotly.offline import get_plotlyjs

STYLE = """
:root { --ink:#1b1f24; --muted:#5d6670; --rule:#e2e6ea; --paper:#fff; --back:#f5f6f8; --accent:#0072b2;
  --grid:#e4e7eb; --alarm:#b23c00; color-scheme: light dark; }
@media screen and (prefers-color-scheme: dark) { :root { --ink:#e8eaed; --muted:#a3abb5; --rule:#31373e;
  --paper:#1a1e23; --back:#121518; --accent:#56b4e9; --grid:#31373e; --alarm:#ff8a4c; } }
* { box-sizing: border-box; }
body { margin:0; background:var(--back); color:var(--ink);
  font:16px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,"Liberation Sans",sans-serif; }
main { max-width:1120px; margin:0 auto; padding:40px 24px 64px; }
h1 { font-size:2rem; line-height:1.2; letter-spacing:-.02em; margin:0 0 6px; }
h2 { font-size:1.22rem; letter-spacing:-.01em; margin:0 0 4px; }
h3 { font-size:1rem; margin:0 0 4px; }
p { margin:0 0 10px; max-width:76ch; }
.lead, .note { color:var(--muted); }
.lead { margin-bottom:24px; }
.note { font-size:.875rem; max-width:92ch; }
section { background:var(--paper); border:1px solid var(--rule); border-radius:12px; padding:22px 24px;
  margin-top:18px; }
.cards { display:grid; grid-template-columns:repeat(auto-fit,minmax(230px,1fr)); gap:14px; }
.card { background:var(--paper); border:1px solid var(--rule); border-radius:12px; padding:16px 18px; }
.card .label { color:var(--muted); font-size:.84rem; }
.card .value { font-size:1.75rem; font-weight:650; letter-spacing:-.02em; line-height:1.3;
  font-variant-numeric:tabular-nums; }
.card .value small { font-size:.95rem; font-weight:500; color:var(--muted); letter-spacing:0; }
.card .detail { color:var(--muted); font-size:.84rem; }
.pair { display:grid; grid-template-columns:repeat(auto-fit,minmax(320px,1fr)); gap:8px 32px; margin-bottom:8px; }
.pair .value { font-size:1.6rem; font-weight:650; letter-spacing:-.02em; }
.plot { width:100%; min-width:0; }
.answer { border-left:6px solid var(--rule); margin:0 0 18px; }
.answer p { font-size:1.06rem; max-width:none; }
.answer p.note { font-size:.875rem; }
.answer p:last-child { margin-bottom:0; }
.good { border-left:6px solid #009e73; }
.warn { border-left:6px solid #e69f00; }
.bad { border-left:6px solid #d55e00; }
.bad .value { color:var(--alarm); }
.toc { margin-top:18px; font-size:.9rem; line-height:1.9; }
.toc a { margin-right:14px; white-space:nowrap; display:inline-block; }
a { color:var(--accent); }
h2 .anchor { color:var(--muted); text-decoration:none; font-weight:400; opacity:0; padding-left:6px; }
h2:hover .anchor, h2 .anchor:focus { opacity:1; }
section { scroll-margin-top:12px; min-width:0; }
.scroll { overflow-x:auto; }
table { border-collapse:collapse; width:100%; font-size:.9rem; font-variant-numeric:tabular-nums; }
th, td { text-align:left; padding:6px 14px 6px 0; border-bottom:1px solid var(--rule); vertical-align:top; }
th { color:var(--muted); font-weight:550; font-size:.82rem; white-space:nowrap; }
.narrow { max-width:600px; }
td.number, th.number { text-align:right; white-space:nowrap; }
tr.sum td { font-weight:650; }
tr.part td:first-child { padding-left:18px; color:var(--muted); }
td.hash { font-family:ui-monospace,Menlo,Consolas,monospace; font-size:.78rem; color:var(--muted);
  word-break:break-all; min-width:200px; }
code { font-family:ui-monospace,Menlo,Consolas,monospace; font-size:.86em; }
details summary { cursor:pointer; font-weight:600; }
details .scroll { margin-top:12px; }
img { max-width:100%; height:auto; border-radius:6px; background:#fff; }
ul { margin:0; padding-left:20px; max-width:80ch; }
.plot .js-line.gridlayer path, .plot .gridlayer path { stroke:var(--grid) !important; }
@page { size:A4; margin:14mm 12mm; }
@media print { html { font-size:12px; } body { background:#fff; font-size:12px; } main { padding:0; max-width:none; }
  section, .card { border-color:#ccc; } section { padding:12px 14px; margin-top:10px; border-radius:0; }
  .cards { grid-template-columns:repeat(4,1fr); gap:6px; } .card { padding:7px 9px; }
  .card .value { font-size:1.15rem; } .card .detail, .card .label { font-size:.76rem; line-height:1.35; }
  .lead, .answer { margin-bottom:10px; } .answer p { font-size:1rem; }
  .card, .plot, tr, img, .answer, .pair > div, p, li, .narrow { break-inside:avoid; }
  h1, h2, h3, h2 + .note { break-after:avoid; } .note, .lead, p { max-width:none; }
  thead { display:table-header-group; }
  table, th { font-size:10px; } th, td { white-space:normal !important; padding-right:8px; }
  td.hash { font-size:8px; min-width:120px; } .scroll { overflow:visible; } .narrow { max-width:none; }
  .pairs .scroll { columns:2; } .pairs td { padding:1px 8px 1px 0; font-size:8.5px; word-break:break-word; }
  .toc, .anchor, .modebar { display:none !important; } details > summary { list-style:none; } }
@media print { details::details-content { content-visibility:visible; display:block; height:auto; } }
@media (max-width:640px) { main { padding:20px 12px 40px; } section { padding:16px 14px; }
  h1 { font-size:1.5rem; } .pair { grid-template-columns:1fr; } .cards { grid-template-columns:1fr 1fr; gap:10px; }
  .card { padding:12px; } .card .value { font-size:1.35rem; } td, th { padding-right:10px; }
  td.number, th.number, th { white-space:normal; } td.hash { min-width:0; }
  .stack thead { display:none; } .stack table, .stack tbody, .stack tr, .stack td { display:block; }
  .stack tr { padding:8px 0; border-bottom:1px solid var(--rule); }
  .stack td { border:0; padding:1px 0; text-align:left !important; }
  .stack td:first-child { font-weight:600; }
  .stack td[data-label]::before { content:attr(data-label) ": "; color:var(--muted); } }
@media (max-width:360px) { .cards { grid-template-columns:1fr; } }
"""

# Text and the one ink-coloured line follow the page's colour scheme; printing is always light.
SCRIPT = """
const charts = JSON.parse(document.getElementById("charts").textContent);
const night = window.matchMedia("(prefers-color-scheme: dark)");
function draw(dark, width) {
  const ink = dark ? "#e8eaed" : "#1b1f24";
  for (const [name, chart] of Object.entries(charts)) {
    const text = JSON.stringify(chart).replaceAll("#1B1F24", ink);
    const { data, layout } = JSON.parse(text);
    layout.font.color = ink;
    if (width) {
      layout.width = width;
      layout.height *= layout.yaxis2 ? 0.85 : 0.72;
      layout.autosize = false;
    }
    layout.hoverlabel = { bgcolor: dark ? "#262b31" : "#ffffff", font: { color: ink } };
    for (const key of Object.keys(layout)) {
      if (/^[xy]axis/.test(key)) {
        Object.assign(layout[key], { gridcolor: dark ? "#31373e" : "#e4e7eb", zerolinecolor: "#8c8f94",
          linecolor: "#8c8f94" });
      }
    }
    Plotly.react(name, data, layout, { displayModeBar: false, responsive: !width });
  }
}
draw(night.matches);
night.addEventListener("change", () => draw(night.matches));
const folded = document.getElementsByTagName("details");
let opened = [];
window.addEventListener("beforeprint", () => {
  opened = [...folded].filter((one) => !one.open);
  opened.forEach((one) => { one.open = true; });
  draw(false, 640);
});
window.addEventListener("afterprint", () => {
  opened.forEach((one) => { one.open = false; });
  draw(night.matches);
});
"""

MANY_COLUMNS = 4
"""A table of so many puts them under each other on a narrow screen."""

# Nothing may be fetched: what the page needs is in it.
POLICY = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:"


def page(
    title: str, lead: str, sections: Iterable[str], charts: Mapping[str, go.Figure], head: str = ""
) -> str:
    """A complete HTML document; `sections` and `head` (above the contents) are HTML, the rest plain text."""
    body = "".join(sections)
    # "<" cannot end the script element early when it is written as an escape
    data = ",".join(f"{json.dumps(name)}:{figure.to_json()}" for name, figure in charts.items())
    data = f"{{{data}}}".replace("<", "\\u003c")
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{POLICY}">
<title>{escape(title)}</title>
<style>{STYLE}</style>
</head>
<body>
<main>
<header><h1>{escape(title)}</h1><p class="lead">{escape(lead)}</p></header>
{head}
{contents(body)}
{body}
</main>
<noscript><main><p>The charts need JavaScript; the same pictures lie beside this file in figures/.</p></main></noscript>
<script>{get_plotlyjs()}</script>
<script type="application/json" id="charts">{data}</script>
<script>{SCRIPT}</script>
</body>
</html>
"""


def anchor(title: str) -> str:
    """Where a section can be linked to.

    Examples
    --------
    >>> anchor("How renewable was it? Two answers")
    'section-how-renewable-was-it-two-answers'
    """
    return "section-" + re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")  # charts have names of their own


def contents(body: str) -> str:
    """Links to the sections of a page; none of a short one."""
    found = re.findall(r'<section id="([^"]+)" aria-label="([^"]+)"', body)
    links = "".join(f'<a href="#{name}">{title}</a> ' for name, title in found)
    return f'<nav class="toc" aria-label="Contents">{links}</nav>' if len(found) > 3 else ""


def section(title: str, *parts: str) -> str:
    """A titled section of ready HTML parts, which can be linked to."""
    return (
        f'{_opened(title)}<h2>{escape(title)}<a class="anchor" href="#{anchor(title)}" aria-label="Link">#</a></h2>'
        f"{''.join(parts)}</section>\n"
    )


def folded(title: str, inside: str) -> str:
    """A section that is opened by its title; `title` is plain text, `inside` HTML."""
    inside = f"<details><summary>{escape(title)}</summary>{inside}</details>"
    return f"{_opened(title.partition(':')[0])}{inside}</section>\n"


def _opened(title: str) -> str:
    return f'<section id="{anchor(title)}" aria-label="{escape(title)}">'


def links(files: Mapping[str, str]) -> str:
    """A list of files beside the page, with what they hold."""
    rows = "".join(
        f'<tr><td><a href="{escape(name)}">{escape(name)}</a></td><td>{escape(words)}</td></tr>'
        for name, words in files.items()
    )
    return f'<div class="scroll"><table><tbody>{rows}</tbody></table></div>'


def text(words: str, kind: str = "") -> str:
    """A paragraph of plain text; `kind` is a style class."""
    return f'<p class="{kind}">{escape(words)}</p>' if kind else f"<p>{escape(words)}</p>"


def plot(name: str, label: str = "") -> str:
    """The place of a chart; `label` says in words what it shows."""
    words = escape(label or f"Chart: {name.replace('_', ' ')}")
    return f'<div class="plot" id="{escape(name)}" role="img" aria-label="{words}"></div>'


def card(label: str, value: str, detail: str, kind: str = "") -> str:
    """A headline number: the unit after the first space is set smaller, in `detail` it stays with its number.

    `kind` colours it: ``good``, ``warn`` or ``bad``.
    """
    figure, _, unit = value.partition(" ")
    return (
        f'<div class="{f"card {kind}".strip()}"><div class="label">{escape(label)}</div>'
        f'<div class="value">{escape(figure)} <small>{escape(unit)}</small></div>'
        f'<div class="detail">{escape(kept_together(detail))}</div></div>'
    )


def kept_together(words: str) -> str:
    """The words with every number on one line with its unit."""
    return re.sub(r"(?<=\d) (?=[^\W\d]|%)", "\u00a0", words)


def table(
    header: Sequence[str],
    rows: Iterable[Sequence[str]],
    kinds: Sequence[str] = (),
    marks: Sequence[str] = (),
    *,
    narrow: bool = False,
) -> str:
    """A table of plain text; `kinds` are the style classes of its columns, `marks` those of its rows."""
    kinds = [*kinds, *[""] * (len(header) - len(kinds))]

    many = len(header) >= MANY_COLUMNS
    names = ["", *header[1:]] if many else [""] * len(header)  # the first names the row

    def cell(tag: str, value: str, kind: str, name: str) -> str:
        style = f' class="{kind}"' if kind else ""
        label = f' data-label="{escape(name)}"' if name and tag == "td" else ""
        return f"<{tag}{style}{label}>{escape(value)}</{tag}>"

    def cells(tag: str, values: Sequence[str]) -> str:
        return "".join(cell(tag, *each) for each in zip(values, kinds, names, strict=True))

    body = "".join(
        f'<tr class="{marks[index] if index < len(marks) else ""}">{cells("td", row)}</tr>'
        for index, row in enumerate(rows)
    )
    head = f"<thead><tr>{cells('th', header)}</tr></thead>" if any(header) else ""
    style = "scroll" + " narrow" * narrow + " stack" * many
    return f'<div class="{style}"><table>{head}<tbody>{body}</tbody></table></div>'


def picture(path: Path | str, caption: str) -> str:
    """A PNG, embedded."""
    data = base64.b64encode(Path(path).read_bytes()).decode("ascii")
    return f'<img alt="{escape(caption)}" src="data:image/png;base64,{data}">'
