"""Trackers beside a run: they show what its files say, once, whenever they are told; and nothing they do touches the run."""

import os
import shutil
import signal
import sys
import threading
from pathlib import Path

import pytest

from attention.commands import eval as eval_command
from attention.files import json_hash
from attention.runs import json_files, tracking
from attention.runs.directory import RunDirectory
from attention.runs.trackers import Session, Tracker, _follow
from attention.training import command_line, config, following
from tests.support import toy
from tests.support.trackers import assert_shown, events, points, train, train_in_pieces


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    patch, folder = pytest.MonkeyPatch(), tmp_path_factory.mktemp("following")
    patch.setenv("ATTENTION_CACHE_DIR", str(folder / "cache"))
    yield train(toy.write_data(folder), folder / "run", "tensorboard")
    patch.undo()


@pytest.fixture
def copied(run, tmp_path):
    return RunDirectory(shutil.copytree(run.path, tmp_path / "run"))


def shown(run):
    return [events(run.path / "tracked" / f"seed{seed}") for seed in (0, 1)]


def assert_all_shown(run):
    for number, found in enumerate(shown(run)):
        assert_shown(found, points(run, number))


def files(run):
    return {path: path.stat().st_mtime_ns for path in run.path.rglob("[!.]*") if path.is_file()}


def evaluate(capsys, *arguments):
    try:
        code = command_line.run_main(eval_command.main, ["eval.py", *map(str, arguments)])
    except SystemExit as stop:
        code = stop.code
    said = capsys.readouterr()
    return code, said.out + said.err


def test_a_run_is_shown_as_its_files_say(run):
    assert_all_shown(run)
    assert len(points(run)["train/loss"]) == 4
    assert len(points(run)["validation/accuracy"]) == 3


def test_it_is_no_part_of_what_a_run_is(run):
    with_, without = (config.from_dict({"trackers": trackers}) for trackers in ("tensorboard", "none"))
    assert config.words(with_) == config.words(without)
    assert config.content(with_) == config.content(without)
    assert run.read_result()["config_hash"] == json_hash(config.words(config.from_dict(run.read_config())))
    assert "trackers" not in json_files.read(run.identity)["config"]


def test_told_again_it_is_the_same(copied, capsys):
    before = files(copied)
    code, said = evaluate(capsys, f"--workdir={copied.path}", "--track=tensorboard")
    assert (code, said) == (0, f"tracker tensorboard: {copied.path}/tracked/seed0 and 1 more\n")
    assert files(copied) == before


def test_what_was_removed_is_shown_again_and_what_was_cut_off_is_made_whole(copied, capsys):
    wanted = shown(copied)
    (first,), (second,) = ((copied.path / "tracked" / f"seed{seed}").glob("*") for seed in (0, 1))
    first.unlink()
    os.truncate(second, second.stat().st_size - 3)
    assert evaluate(capsys, f"--workdir={copied.path}", "--track=tensorboard")[0] == 0
    assert shown(copied) == wanted


def test_a_finished_run_is_shown_where_it_is_asked_for(copied, tmp_path, capsys):
    train(copied.read_data().source, copied.path, f"tensorboard(path='{tmp_path}/logs')")
    assert f"note: tracker tensorboard: {tmp_path}/logs/run/run-seed0 and 1 more\n" in capsys.readouterr().out
    assert events(tmp_path / "logs" / "run" / "run-seed1") == shown(copied)[1]


def test_another_run_of_the_same_name_is_never_taken_for_this_one(run, tmp_path, capsys):
    """Nor is what it has shown, wherever it was."""
    spec, source = f"tensorboard(path='{tmp_path}/logs')", run.read_data().source
    first = train(source, tmp_path / "a" / "mine", spec)
    before = files(RunDirectory(tmp_path / "logs"))
    second = train(source, tmp_path / "b" / "mine", spec, steps=6)
    assert_shown(events(tmp_path / "logs" / "mine" / "mine-seed0"), points(first))
    member = tracking.members(second)[0]
    apart = tmp_path / "logs" / "mine" / f"mine-seed0-{member.id[:8]}"
    assert_shown(events(apart), points(second))
    assert f"tracker tensorboard: {apart} (mine-seed0 is of another run) and 1 more\n" in capsys.readouterr().out
    assert evaluate(capsys, f"--workdir={first.path}", f"--track={spec}")[0] == 0
    assert before.items() <= files(RunDirectory(tmp_path / "logs")).items()
    assert len(files(RunDirectory(tmp_path / "logs"))) == 4


def test_no_place_is_said_of_what_is_not_there(run, tmp_path):
    """A place that can be opened and not written."""
    session = Session(
        lambda rows: (_ for _ in ()).throw(OSError("no space left")), lambda ending: None, lambda done: None, -1, "x"
    )
    said, closed = list[str](), threading.Event()
    closed.set()
    assert not _follow.follow(run, Tracker(lambda member: session, spec="tensorboard"), closed, said.append)
    (line,) = said
    assert line.startswith("tracker tensorboard: no space left; the run has all of it, and ")


def test_a_run_goes_on_whatever_its_tracker_does(run, tmp_path, capsys):
    """One that cannot write, beside one that can; later it is told all."""
    source, there = run.read_data().source, tmp_path / "logs"
    there.write_text("no folder")
    spec = f"tensorboard(path='{there}')"
    result = train(source, tmp_path / "run", f"{spec} + tensorboard").read_result()
    assert result["members"] == run.read_result()["members"]
    assert_all_shown(RunDirectory(tmp_path / "run"))
    (line,) = (line for line in capsys.readouterr().out.splitlines() if "shows it later" in line)
    assert line.startswith("note: tracker tensorboard: ")
    assert [f"note: {missed}" for missed in following.missed()] == [line]
    assert following.missed() == []
    assert f'the run has all of it, and python eval.py --workdir={tmp_path}/run --track="{spec}" shows it later' in line
    arguments = f"--workdir={tmp_path}/run", f"--track={spec}"
    assert evaluate(capsys, *arguments)[0] == 75
    there.unlink()
    assert evaluate(capsys, *arguments)[0] == 0
    assert events(there / "run" / "run-seed0") == shown(RunDirectory(tmp_path / "run"))[0]


@pytest.mark.parametrize(
    ("program", "reason"),
    [("import time; time.sleep(600)", "it is not done in time"), ("import os; os.abort()", "its process ended with -6")],
)
def test_one_that_hangs_or_dies_is_waited_for_no_longer_than_that(run, tmp_path, monkeypatch, capsys, program, reason):
    monkeypatch.setattr(following, "COMMAND", (sys.executable, "-c", program))
    monkeypatch.setattr(following, "_WAIT", 0.5)
    result = train(run.read_data().source, tmp_path / "run", "tensorboard").read_result()
    following._late.clear()
    assert result["members"] == run.read_result()["members"]
    assert f"note: tracker tensorboard: {reason}; the run has all of it, and " in capsys.readouterr().out


def test_where_no_process_can_be_started_the_run_goes_on(run, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(following, "COMMAND", (str(tmp_path / "missing"),))
    assert train(run.read_data().source, tmp_path / "run", "tensorboard").finished
    assert "No such file or directory" in capsys.readouterr().out
    assert evaluate(capsys, f"--workdir={tmp_path}/run", "--track=tensorboard")[0] == 75


def test_what_is_said_at_length_is_shown_as_it_is_said(run, monkeypatch, capsys):
    """More than a pipe holds."""
    program = "import sys; sys.stdin.read(); print(('x' * 999 + '\\n') * 200, end='')"
    monkeypatch.setattr(following, "COMMAND", (sys.executable, "-c", program))
    code, said = evaluate(capsys, f"--workdir={run.path}", "--track=tensorboard")
    assert (code, said.count("\n"), len(said)) == (0, 200, 200_000)


@pytest.mark.slow
def test_kills_leave_no_gap_and_no_double(run, tmp_path):
    """Of the run, with its tracker left to itself, and of the tracker's own process."""
    orphaned = iter([False, True])
    before_kill = lambda process: kill_children(process) if next(orphaned) else None
    killed = train_in_pieces(run.read_data().source, tmp_path / "run", "tensorboard", (4, 18), before_kill)
    assert_all_shown(killed)


def kill_children(process):
    """The trackers of a run, where the system tells which these are."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    for child in children.read_text().split() if children.exists() else ():
        os.kill(int(child), signal.SIGKILL)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--track=tensorbord"], "unknown tracker 'tensorbord' (nearest: 'tensorboard')"),
        (["--track=none"], "--track wants a tracker, got 'none'; there are: mlflow, none, tensorboard, wandb"),
        (["--track=tensorboard", "--split=test"], "--track evaluates nothing: it does not go with --split"),
        (["--track=tensorboard", "--workdir=nowhere"], "no run at nowhere: there is no such folder"),
    ],
)
def test_what_cannot_be_is_one_line(run, capsys, arguments, message):
    code, said = evaluate(capsys, f"--workdir={run.path}", *arguments)
    assert code == 2
    assert said.startswith(f"error: {message}")
    assert said.count("\n") == 1
