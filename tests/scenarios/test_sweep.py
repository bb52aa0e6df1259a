"""A sweep: its table is that of single runs, what is done is kept, what fails is told."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from scenarios import Study, simulate, sweep
from scenarios.sweep_grid import variants
from scenarios.sweep_record import Kept, row_of
from simulators.errors import InputError
from tests.conftest import Ended, call_app
from tests.scenarios.test_measured import load_file

DAYS = ("--start", "2017-06-05", "--days", "1", "--step", "900", "--workers", "1")


@pytest.fixture(scope="module")
def load(tmp_path_factory) -> Path:
    return load_file(tmp_path_factory.mktemp("load"), days=4)


@pytest.fixture
def call(load, tmp_path):
    def called(*arguments: object) -> Ended:
        return call_app(sweep.app(), "--load", load, *DAYS, "--out", tmp_path / "out", *arguments)

    return called


@pytest.fixture
def simulated(monkeypatch) -> list[dict]:
    """What was simulated, one entry for each study."""
    done: list[dict] = []

    def counted(argument):
        done.append(argument)
        return run(argument)

    run = sweep.run_study
    monkeypatch.setattr(sweep, "run_study", counted)
    return done


def test_the_table_equals_single_runs_and_a_wider_sweep_goes_on(call, load, tmp_path, simulated):
    ended = call("--vary", "pv_kw=0,30", "--vary", "battery-kwh=20,60")
    assert ended.code == 0, ended.err
    table = pd.read_parquet(tmp_path / "out" / "sweep.parquet")
    assert table[["pv_kw", "battery_kwh"]].to_numpy().tolist() == [[0, 20], [0, 60], [30, 20], [30, 60]]
    base = Study().changed(load=load, start="2017-06-05", days=1, step=900)
    for row in table.to_dict("records"):
        sizes = {"pv_kw": row["pv_kw"]} if row["pv_kw"] else {"without": ["pv"]}
        alone = row_of(simulate(base.changed(battery_kwh=row["battery_kwh"], **sizes)))
        assert {name: row[name] for name in alone if name in row} == {
            name: value for name, value in alone.items() if name in row
        }
        assert len(set(alone) & set(row)) > 60
    text = pd.read_csv(tmp_path / "out" / "sweep.csv", keep_default_na=False, na_values={})
    assert text["energy_mwh.facility"].tolist() == table["energy_mwh.facility"].tolist()
    assert "4 studies: 4 simulated, 0 done before" in ended.out
    ended = call("--vary", "battery_kwh=60,100", "--vary", "pv_kw=0,30")
    assert "4 studies: 2 simulated, 2 done before" in ended.out
    wider = pd.read_parquet(tmp_path / "out" / "sweep.parquet")
    assert wider["energy_mwh.facility"].notna().all()
    assert wider.loc[1, "energy_mwh.grid_import"] == table.loc[3, "energy_mwh.grid_import"]
    assert len(simulated) == 6
    call("--vary", "battery_kwh=60,100", "--fresh")
    assert len(simulated) == 8


def test_a_sweep_that_was_stopped_goes_on(call, tmp_path, monkeypatch):
    run, done = sweep.run_study, []

    def stopped(argument):
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(argument)
        return run(argument)

    monkeypatch.setattr(sweep, "run_study", stopped)
    ended = call("--vary", "seed=1,2,3")
    assert ended.code == 130
    assert "stopped: 2 of 3 studies are done and kept" in ended.err
    assert not (tmp_path / "out").exists()
    kept = tmp_path / "out.rows.jsonl"
    kept.write_text(kept.read_text() + '["cut off')
    monkeypatch.setattr(sweep, "run_study", run)
    ended = call("--vary", "seed=1,2,3")
    assert "3 studies: 1 simulated, 2 done before" in ended.out
    assert not kept.exists()
    assert len(Kept(tmp_path / "out").rows) == 3


def test_a_study_that_fails_is_told_and_tried_again_next_time(call, tmp_path, simulated):
    studies = tmp_path / "studies.csv"
    studies.write_text("pv-kw,start\n10,\n20,2031-01-01\n30,2017-06-06\n")
    ended = call("--studies", studies)
    assert ended.code == 1
    assert ended.err.count("\n") == 1
    assert ended.err.startswith("error: study 2: ")
    table = pd.read_csv(tmp_path / "out" / "sweep.csv").set_index("study")
    assert table["energy_mwh.facility"].isna().tolist() == [False, True, False]
    assert "2031" in table.loc[2, "error"]
    assert json.loads((tmp_path / "out" / "summary.json").read_text())["failed"] == 1
    call("--studies", studies)
    assert [argument["study"]["run"]["start"] for argument in simulated[3:]] == ["2031-01-01"]
    before = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    ended = call("--vary", "start=2031-01-01,2031-01-02")
    assert (ended.code, ended.err.count("\n"), ended.err[:15]) == (2, 1, "error: study 1:")
    assert before == {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "studies.csv"]


def test_studies_from_files(tmp_path):
    entries = [{"pv_kw": 5, "policy": "carbon:quantile=0.2,spread=false"}, {"generation": {"pv_kw": 7}}]
    (tmp_path / "list.json").write_text(json.dumps(entries))
    (tmp_path / "lines.jsonl").write_text("\n".join(map(json.dumps, entries)) + "\n")
    for name in ("list.json", "lines.jsonl"):
        found = variants(Study(), ["seed=1,2"], tmp_path / name)
        assert [one.study.site.generation.pv_kw for one in found] == [5, 5, 7, 7]
        assert [one.study.run.seed for one in found] == [1, 2, 1, 2]
        assert found[0].study.site.control.policy == "carbon:quantile=0.2,spread=false"
    assert variants(Study(), ["without=pv;wind"], None)[1].study.site.without == ("wind",)
    (tmp_path / "mac.csv").write_bytes(b"\xef\xbb\xbfseed,pv-kw\r1,\r2,5\r")
    found = variants(Study(), [], tmp_path / "mac.csv")
    assert [one.changes for one in found] == [{"seed": "1"}, {"seed": "2", "pv_kw": "5"}]
    without_both = variants(Study(), ["without=pv", "battery_kwh=0"], None)[0]
    assert without_both.study.site.without == ("pv", "battery")


@pytest.mark.parametrize(
    ("vary", "said"),
    [
        ([], "--vary: nothing given"),
        (["pv_kw"], "'pv_kw' given, expected NAME=VALUE"),
        (["pv_kw=1,,2"], "'pv_kw=1,,2' given, expected NAME=VALUE"),
        (["pv_kv=1"], "did you mean pv_kw"),
        (["pv_kw=-1"], "--pv-kw: '-1' given"),
        (["seed=1,1"], "has a value twice"),
        (["seed=1", "seed=2"], "seed is named twice"),
        (["policy=nonne"], "'nonne' is unknown"),
    ],
)
def test_a_grid_that_cannot_be_is_one_line(vary, said):
    with pytest.raises(InputError, match=said):
        variants(Study(), vary, None)


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.csv", "pv_kw,seed\n1\n", "line 2: expected 2 cells"),
        ("a.csv", "pv_kw,seed\n1,2,3\n", "line 2: expected 2 cells"),
        ("a.csv", "pv_kv\n1\n", "unknown option 'pv_kv'.*did you mean pv_kw"),
        ("a.csv", "seed,seed\n1,2\n", "a column is there twice"),
        ("a.csv", "pv_kw\n1\nabc\n", "^[^ ]*a.csv, study 2: --pv-kw: 'abc' given"),
        ("a.csv", 'seed\n"1\n', "line 2: unexpected end of data, expected comma-separated cells"),
        ("a.json", '[{"pv-kw": 1, "pv_kw": 2}]', "study 1: an option is there twice .'pv_kw'."),
        ("a.json", '[{"seed": null}]', "a.json, study 1: --seed: None given"),
        ("a.csv", "", "no study in it"),
        ("a.json", "[1]", "study 1: 1 given, expected a table"),
        ("a.json", "[{]", "expected a JSON list of tables"),
        ("b.json", None, "no such file"),
    ],
)
def test_a_file_of_studies_that_cannot_be_is_one_line(tmp_path, name, text, said):
    if text is not None:
        (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=said):
        variants(Study(), [], tmp_path / name)
