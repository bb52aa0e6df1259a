"""Replacing an older result: nothing of the user's goes, and one whole result stands whenever the process is killed."""

import json
import os
import signal
from pathlib import Path

import pandas as pd
import pytest

from simulators.errors import InputError
from simulators.recorder import manifest, swap
from simulators.recorder.store import RunFolder
from simulators.recorder.target import heal


def write(out: Path, value: int, **figures: bytes) -> Path:
    """A result with figures and no tables, whose value says which run it is of."""
    with RunFolder(out) as run:
        for name, content in figures.items():
            run.path(f"figures/{name}.png").write_bytes(content)
        run.write_json("config.json", {"value": value})
        run.write_json("summary.json", {"value": value})
        return run.finish()


def files(folder: Path) -> set[str]:
    return set(manifest.contents(folder))


def value(out: Path) -> int:
    numbers = {json.loads((out / f"{name}.json").read_text())["value"] for name in ("config", "summary")}
    (number,) = numbers
    return number


OURS = {"config.json", "summary.json", "manifest.json"}


def test_manifest_names_every_file_with_its_size_and_hash(tmp_path):
    out = write(tmp_path / "run", 1, carbon=b"abc")
    entries = json.loads((out / "manifest.json").read_text())["files"]
    assert set(entries) == files(out) - {"manifest.json"}
    assert entries["figures/carbon.png"] == {
        "size": 3,
        "sha256": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
    }


def test_notes_links_and_folders_of_the_user_survive_a_rerun(tmp_path, capsys):
    out = write(tmp_path / "run", 1, old=b"old")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "precious.txt").write_text("not here")
    (out / "notes.md").write_text("the 14 % are wrong")
    (out / "figures" / "mine.svg").write_text("<svg/>")
    (out / "talk").mkdir()
    (out / "link").symlink_to(tmp_path / "elsewhere")
    (out / "dangling").symlink_to("nowhere")
    write(out, 2, new=b"new")
    assert value(out) == 2
    assert files(out) == OURS | {
        "notes.md", "figures/mine.svg", "figures/new.png", "talk", "link", "dangling",
    }  # fmt: skip
    assert (out / "notes.md").read_text() == "the 14 % are wrong"
    assert (out / "link").is_symlink()
    assert (tmp_path / "elsewhere" / "precious.txt").read_text() == "not here"
    assert {path.name for path in tmp_path.iterdir()} == {"run", "elsewhere"}
    assert capsys.readouterr().err == ""


def test_changed_files_survive_beside_the_new_ones_and_that_is_said_once(tmp_path, capsys):
    out = write(tmp_path / "run", 1, carbon=b"one", gone=b"two")
    (out / "figures" / "carbon.png").write_bytes(b"drawn over")
    (out / "figures" / "gone.png").write_bytes(b"drawn over too")
    (out / "summary.json").write_text("{}")
    for number in (2, 3):
        write(out, number, carbon=b"new")
        assert value(out) == number
        assert files(out) == OURS | {
            "figures/carbon.png", "figures/carbon.kept.png", "figures/gone.png", "summary.kept.json",
        }  # fmt: skip
        assert (out / "figures" / "carbon.png").read_bytes() == b"new"
        assert (out / "figures" / "carbon.kept.png").read_bytes() == b"drawn over"
        assert (out / "figures" / "gone.png").read_bytes() == b"drawn over too"
        assert (out / "summary.kept.json").read_text() == "{}"
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 2
    assert "figures/carbon.png was not as WattLoop wrote it, kept as figures/carbon.kept.png" in said[1]
    (out / "figures" / "carbon.png").write_bytes(b"drawn over again")
    write(out, 4, carbon=b"newer")
    assert (out / "figures" / "carbon.kept-2.png").read_bytes() == b"drawn over again"


def test_files_and_folders_in_each_others_way_survive(tmp_path):
    out = write(tmp_path / "run", 1, carbon=b"one")
    (out / "summary.json").unlink()
    (out / "summary.json").mkdir()
    (out / "summary.json" / "a.txt").write_text("a")
    (out / "figures" / "carbon.png").unlink()
    (out / "figures").rmdir()
    (out / "figures").symlink_to(tmp_path)
    write(out, 2, carbon=b"two")
    assert value(out) == 2
    assert (out / "summary.kept.json" / "a.txt").read_text() == "a"
    assert (out / "figures.kept").is_symlink()
    assert (out / "figures" / "carbon.png").read_bytes() == b"two"


def test_link_in_place_of_a_figure_is_not_followed(tmp_path):
    out = write(tmp_path / "run", 1, carbon=b"one")
    (tmp_path / "original.png").write_bytes(b"one")
    (out / "figures" / "carbon.png").unlink()
    (out / "figures" / "carbon.png").symlink_to(tmp_path / "original.png")
    write(out, 2, carbon=b"two")
    assert (tmp_path / "original.png").read_bytes() == b"one"
    assert (out / "figures" / "carbon.kept.png").is_symlink()


def test_without_hard_links_the_files_are_copied(tmp_path, monkeypatch):
    def none(*_, **__):
        raise PermissionError(1, "no hard links here")

    monkeypatch.setattr(os, "link", none)
    out = write(tmp_path / "run", 1)
    (out / "notes.md").write_text("mine")
    write(out, 2)
    assert (out / "notes.md").read_text() == "mine"
    assert files(out) == OURS | {"notes.md"}


def test_result_of_an_earlier_version_is_refused_with_what_to_do(tmp_path):
    out = tmp_path / "run"
    out.mkdir()
    for name in ("config.json", "summary.json", "notes.md"):
        (out / name).write_text("{}")
    with pytest.raises(InputError, match=r"without manifest\.json.*move or delete the folder, or choose"):
        RunFolder(out)
    assert files(out) == {"config.json", "summary.json", "notes.md"}


def test_manifest_cannot_reach_out_of_its_folder(tmp_path):
    out = write(tmp_path / "run", 1)
    (tmp_path / "victim").write_bytes(b"abc")
    content = json.loads((out / "manifest.json").read_text())
    for name in ("../victim", str(tmp_path / "victim")):
        content["files"][name] = {
            "size": 3,
            "sha256": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
        }
    (out / "manifest.json").write_text(json.dumps(content))
    write(out, 2)
    assert (tmp_path / "victim").read_bytes() == b"abc"


def test_notes_in_an_incomplete_folder_survive_the_next_incomplete_run(tmp_path):
    def stopped():
        with RunFolder(tmp_path / "run") as run:
            run.reached(60)
            raise ZeroDivisionError

    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            stopped()
        (tmp_path / "run.incomplete" / "why.md").write_text("power cut")
    assert files(tmp_path / "run.incomplete") == {
        "INCOMPLETE.txt", "progress.json", "manifest.json", "why.md",
    }  # fmt: skip


def killed_at(moment: int, out: Path, exchange: bool) -> bool:
    """Run 2 in a child that is killed before its `moment`-th change of the disk; whether it was."""
    pid = os.fork()
    if pid:
        _, status = os.waitpid(pid, 0)
        assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
        return os.WIFSIGNALED(status)
    changes = 0

    def counted(change):
        def call(*arguments, **options):
            nonlocal changes
            changes += 1
            if changes == moment:
                os.kill(os.getpid(), signal.SIGKILL)
            return change(*arguments, **options)

        return call

    try:
        for name in ("rename", "replace", "link", "unlink", "rmdir", "symlink"):
            setattr(os, name, counted(getattr(os, name)))
        swap._exchange = counted(swap._exchange if exchange else lambda *_: False)
        write(out, 2, carbon=b"new", new=b"new")
        os._exit(0)
    except BaseException:
        os._exit(1)


def check_nothing_lost(out: Path) -> None:
    assert (out / "notes.md").read_text() == "mine"
    assert (out / "figures" / "mine.svg").read_text() == "<svg/>"
    assert (out / "link").is_symlink()
    changed = {
        (out / "figures" / name).read_bytes()
        for name in ("carbon.png", "carbon.kept.png")
        if (out / "figures" / name).exists()
    }
    assert b"drawn over" in changed


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
@pytest.mark.parametrize("exchange", [True, False])
def test_a_kill_at_any_moment_leaves_one_whole_result_and_the_users_files(tmp_path, exchange):
    results, absent = [], 0
    for moment in range(1, 100):
        folder = tmp_path / str(moment)
        out = write(folder / "run", 1, carbon=b"old", old=b"old")
        (out / "notes.md").write_text("mine")
        (out / "figures" / "mine.svg").write_text("<svg/>")
        (out / "link").symlink_to("notes.md")
        (out / "figures" / "carbon.png").write_bytes(b"drawn over")
        if not killed_at(moment, out, exchange):
            break
        absent += not out.exists()
        if exchange:
            value(out)  # as it stands, before anything is put right
        heal(out)
        results.append(value(out))
        check_nothing_lost(out)
        left = {path.name for path in folder.iterdir()} - {"run"}
        assert left <= {"run.incomplete"}
        write(out, 3, carbon=b"newest")
        assert value(out) == 3
        check_nothing_lost(out)
    else:
        pytest.fail("the run never came to its end")
    assert absent == (0 if exchange else 1)
    assert set(results) == {1, 2}
    assert sorted(results) == results  # first the old one stands, from some moment on the new one
    check_nothing_lost(out)
    assert {path.name for path in folder.iterdir()} == {"run"}  # this one came to its end


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
def test_what_a_killed_run_saved_can_be_read_at_once_and_the_next_one_says_so(tmp_path, capsys):
    pid = os.fork()
    if pid == 0:
        with RunFolder(tmp_path / "run", until_s=600) as run:
            run.write_json("config.json", {})
            for number in range(3):
                run.append("timeseries", {"step": [number], "it_mw": [0.5 * number]})
                run.reached(60 * (number + 1))
                if number == 1:
                    run.save()
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(pid, 0)
    left = tmp_path / "run.incomplete"
    assert {path.name for path in tmp_path.iterdir()} == {"run.incomplete", ".run.lock"}
    assert "was killed" in (left / "INCOMPLETE.txt").read_text()
    assert pd.read_parquet(left / "timeseries")["it_mw"].tolist() == [0.0, 0.5]
    (left / "notes.md").write_text("mine")
    write(tmp_path / "run", 1)
    assert (
        "an earlier run was killed; what it had saved, until 120 s of 600 s, is in" in capsys.readouterr().err
    )
    assert files(left) == {
        "INCOMPLETE.txt", "progress.json", "manifest.json", "config.json", "timeseries.parquet", "notes.md",
    }  # fmt: skip
    assert pd.read_parquet(left / "timeseries.parquet")["it_mw"].tolist() == [0.0, 0.5]
    note = (left / "INCOMPLETE.txt").read_text()
    assert "SIGKILL, out of memory, power cut" in note
    assert "timeseries.parquet: 2 rows" in note
    write(tmp_path / "run", 2)
    assert f"{left} is left of an earlier run" in capsys.readouterr().err
    assert (left / "notes.md").read_text() == "mine"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
@pytest.mark.parametrize("notes", [False, True])
def test_a_run_that_was_killed_before_it_saved_anything_leaves_nothing(tmp_path, capsys, notes):
    pid = os.fork()
    if pid == 0:
        with RunFolder(tmp_path / "run"):
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(pid, 0)
    left = tmp_path / "run.incomplete"
    if notes:
        (left / "notes.md").write_text("mine")
    write(tmp_path / "run", 1)
    said = f"an earlier run was killed; what it had saved is in {left}"
    assert (said in capsys.readouterr().err) == left.exists() == notes


def test_notes_laid_into_a_running_folder_are_the_users(tmp_path):
    with RunFolder(tmp_path / "run") as run:
        (tmp_path / "run.incomplete" / "notes.md").write_text("mine")
        run.write_json("summary.json", {})
        run.finish()
    write(tmp_path / "run", 2)
    assert (tmp_path / "run" / "notes.md").read_text() == "mine"
    with RunFolder(tmp_path / "other"):
        (tmp_path / "other.incomplete" / "notes.md").write_text("mine")
    assert (tmp_path / "other.incomplete" / "notes.md").read_text() == "mine"


def test_a_result_that_is_named_like_an_incomplete_one_is_no_incomplete_one(tmp_path):
    named = write(tmp_path / "run.incomplete", 1)
    write(tmp_path / "run", 2)
    assert (value(named), value(tmp_path / "run")) == (1, 2)
