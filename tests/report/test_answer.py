"""The first thing on the page and in the terminal."""

from __future__ import annotations

import copy
import re
from html.parser import HTMLParser

import pytest

from simulators.report import answer, page, series
from simulators.report.cards import cards
from simulators.report.charts import Charts
from simulators.report.progress import summary_table
from simulators.report.report import write_report
from tests.report import synthetic

TARGETS = {"ttft_s": 2.0, "tpot_s": 0.1}


@pytest.fixture(scope="module")
def day():
    frame = synthetic.timeseries(days=1.0)
    done = synthetic.requests(frame)
    summary = synthetic.summary(frame, done)
    summary["cost"] = {"total": 12.5, "unit": "USD", "energy": 12.0, "demand": 0.0, "export_revenue": 0.0}
    summary["cost"] |= {"fees": 0.5, "standing": 0.0, "settlement": 0.0, "months": {}}
    summary["cost_per_million_output_tokens"] = 3.25
    summary["inference"] |= {"slo": TARGETS, "slo_kept": True}
    summary["inference"]["saturation"] = saturation("stable", 0.02, 0.4)
    summary["control"] = {"policy": "carbon"}
    summary["uncertainty"] = {"trust": ["time: kernels", "power: a guess"], "stand_ins": ["power: a guess"]}
    return frame, synthetic.latencies(done), summary


def saturation(label, end_s, peak_s):
    return {"label": label, "wait_end_s": end_s, "wait_peak_s": peak_s, "above_share": 0.3, "target_s": 2.0}


def test_a_few_sentences_say_what_carried_the_load_what_it_cost_and_what_the_policy_bought(day):
    _, _, summary = day
    first, second, third = answer.sentences(summary)
    matched = f"{100 * summary['renewable']['matched_ratio']:.1f} %"
    assert f"its own PV, wind and battery carried {matched} of that, the grid the rest. " in first
    assert first.startswith("In 1 day the site used ")
    assert "Electricity cost 12.5 USD; the site emitted" in first
    assert second.startswith("Interactive requests kept their targets: 99 of 100 had the first token within ")
    assert "(target 2 s)" in second
    assert second.endswith(", and the servers kept up throughout.")
    assert (
        third
        == "Policy carbon saved 2.31 kg CO₂eq (4.3 %) and held no request back, with no missed deadline."
    )


def test_what_the_battery_held_at_the_start_is_not_told_as_own_supply_or_grid(day):
    summary = copy.deepcopy(day[2])
    summary["storage"] = {"capacity_wh": 1.0}
    summary["energy_mwh"]["grid_import"] = 0.0
    summary["carbon_kg"] |= {"operational": 0.0, "total": 5.0, "battery_settlement": 4.0}
    first = answer.sentences(summary)[0]
    assert "what the battery held at the start the rest" in first
    assert "0 g of it by grid power and 4 kg for filling the battery up again" in first
    summary["renewable"]["matched_ratio"] = 1.0
    assert "nothing came from the grid" in answer.sentences(summary)[0]


def test_prices_without_a_currency_do_not_read_as_one(day):
    summary = copy.deepcopy(day[2])
    summary["cost"]["unit"] = answer.NO_CURRENCY
    assert "Electricity cost 12.5 in the currency of its prices;" in answer.sentences(summary)[0]


def test_servers_that_kept_up_but_for_a_burst_are_not_said_to_have_done_so_throughout(day):
    summary = copy.deepcopy(day[2])
    summary["inference"]["saturation"] = saturation("stable", 0.02, 78.9)
    assert (
        "kept up but for bursts, in which requests waited 78.9 s on average" in answer.sentences(summary)[1]
    )


def test_an_overloaded_run_never_looks_green(day):
    summary = copy.deepcopy(day[2])
    summary["inference"] |= {"saturation": saturation("overloaded", 900.0, 900.0), "slo_kept": False}
    assert 'class="answer bad"' in answer.section(summary)
    assert 'class="card bad"' in cards(summary)
    assert "good" not in re.findall(r'class="([^"]*)"', answer.section(summary) + cards(summary))
    text = summary_table(summary)
    assert "MISSED their targets" in text
    assert "OVERLOADED: requests came faster" in " ".join(text.split())
    summary["inference"]["saturation"] = saturation("stable", 0.1, 0.2)  # in time to start, too slow a flow
    assert 'class="answer warn"' in answer.section(summary)


def test_a_run_that_turns_requests_away_never_looks_green(day):
    summary = copy.deepcopy(day[2])
    summary["inference"] |= {"requests_arrived": 60, "requests_rejected": 27}
    second = answer.sentences(summary)[1]
    assert second.startswith("27 of 60 requests were REJECTED, ")
    assert "Interactive requests that were served kept their targets" in second
    assert 'class="answer bad"' in answer.section(summary)
    assert "good" not in re.findall(r'class="([^"]*)"', answer.section(summary) + cards(summary))
    assert "Requests REJECTED" in summary_table(summary)
    nobody = {"requests_rejected": 60, "saturation": None, "slo_kept": None}
    summary["inference"] |= nobody
    assert answer.sentences(summary)[1].startswith("All of 60 requests were REJECTED, ")
    assert 'class="answer bad"' in answer.section(summary)


def test_what_is_not_known_is_said(day):
    summary = copy.deepcopy(day[2])
    del summary["cost"], summary["scheduling"]
    summary["carbon_kg"] = {"operational": None, "total": None, "reasons": {"operational": "it was left out"}}
    first, _, third = answer.sentences(summary)
    assert "What electricity cost is not known (no price was given)" in first
    assert "how much CO₂eq it emitted is not known (it was left out)" in first
    assert "What policy carbon saves was not compared (--compare)" in third
    energy = {**summary["energy_mwh"], "pv": 0.0, "wind": 0.0, "battery_discharge": 0.0}
    assert "all of it came from the grid" in answer.sentences({**summary, "energy_mwh": energy})[0]


def test_the_terminal_names_what_only_stands_in_for_a_measurement(day):
    rows = summary_table(day[2]).splitlines()
    assert any(row.split("  ")[1:2] == ["Rests on"] and "time: kernels" in row for row in rows)
    assert any("NOT MEASURED" in row and "power: a guess" in row for row in rows)
    assert any("per million output tokens" in row and "3.25 USD" in row for row in rows)


class Page(HTMLParser):
    """Ids, links to them, and what charts are called."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.charts: dict[str, dict[str, str | None]] = {}
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        if "id" in found and tag != "script":
            self.ids.append(found["id"])
        if tag == "a":
            self.links.append(found["href"])
        if found.get("class") == "plot":
            self.charts[found["id"]] = found


def test_every_section_can_be_reached_and_every_chart_has_a_name(day, tmp_path):
    frame, latencies, summary = day
    write_report(
        tmp_path / "report.html",
        summary=summary,
        config={"options": {"site": "california"}, "versions": {}},
        timeseries=frame,
        latencies=latencies,
        meta=synthetic.META,
        files={"summary.json": "every figure"},
    )
    html = (tmp_path / "report.html").read_text(encoding="utf-8")
    found = Page(re.sub(r"<script>/\*\*.*?</script>", "", html, count=1, flags=re.DOTALL))
    assert len(set(found.ids)) == len(found.ids)  # a chart was drawn into the section of its name
    inside = [link[1:] for link in found.links if link.startswith("#")]
    assert set(inside) <= set(found.ids)
    assert {page.anchor(title) for title in ("Latency", "Battery", "Resolved options")} <= set(inside)
    assert "summary.json" in found.links
    assert found.charts
    for chart in found.charts.values():
        assert chart["role"] == "img"
        assert len(chart["aria-label"]) > 20


def test_targets_are_drawn_in_the_latency_charts_or_told_where_they_are_far(day):
    frame, latencies, _ = day
    meta = type(synthetic.META)(**{**vars(synthetic.META), "targets": TARGETS})
    names = [trace.name for trace in Charts(frame, meta).latency(latencies).data]
    assert {"TTFT target 2 s", "TPOT target 100 ms"} <= set(names)
    over_time = Charts(frame, meta).latency_over_time(latencies)
    assert [axis.title.text for axis in over_time.select_yaxes()] == [
        "TTFT (s)",
        "TPOT (s)",
        "To completion (s)",
    ]
    assert any("target 100 ms" in note.text for note in over_time.layout.annotations)
    near = Charts(frame, type(meta)(**{**vars(meta), "targets": {"ttft_s": 1000.0, "tpot_s": 0.1}}))
    assert any("far above" in note.text for note in near.latency_over_time(latencies).layout.annotations)


def test_what_is_matched_is_one_number_whatever_charged_the_battery():
    frame = synthetic.timeseries(days=1.0)
    local = series.indexed(frame.assign(carried_mw=0.25 * frame["facility_mw"]), synthetic.META)
    assert series.matched_ratio(local) == pytest.approx(0.25)
    assert series.coverage(local).to_numpy() == pytest.approx(0.25)


def test_replicas_that_were_out_stand_in_table_and_cards(day):
    summary = copy.deepcopy(day[2])
    assert "Out of service" not in summary_table(summary)
    assert "Replicas there" not in cards(summary)
    summary["inference"]["failures"] = {
        "failures": 14, "maintenance": 0, "requests_interrupted": 29, "lost_work_j": 68_660.0, "lost_tokens": 5028,
        "out_s": 8985.0, "availability": 0.74,
    }  # fmt: skip
    told = "14 failures, 0 planned; replicas there 74.0 % of the time; 29 requests begun anew"
    assert told in " ".join(summary_table(summary).split())
    assert told in cards(summary).replace("\xa0", " ")
