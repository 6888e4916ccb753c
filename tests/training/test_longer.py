"""A finished run trained for longer: bitwise the run that was asked for as many updates, and one line for what cannot be."""

import shutil

import numpy as np
import pytest

from attention.commands import eval as evaluation
from attention.commands import train as entry
from attention.runs import checkpoints
from attention.runs.directory import RunDirectory
from attention.training import command_line, config, loop
from tests.support import toy


def trained(source, where, steps, seeds=(0, 1), model=(), **training):
    given = {"schedule": "constant", "log_every": 4, "dropout": 0.2, "ema_decay": 0.9, "steps": steps, **training}
    fields = toy.fields(source, **given)
    fields = {**fields, "model": {**fields["model"], **dict(model)}, "cohort": {"axis": "map"}, "seeds": seeds}
    return loop.train(config.from_dict(fields), where)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Data, a run of 16 updates, one of 8, and that one trained for longer; the tests must not change them."""
    folder = tmp_path_factory.mktemp("longer")
    patch = pytest.MonkeyPatch()
    patch.setenv("ATTENTION_CACHE_DIR", str(folder / "cache"))
    source = toy.write_data(folder)
    trained(source, folder / "whole", 16)
    trained(source, folder / "short", 8)
    trained(source, folder / "longer", 16, continue_from=str(folder / "short"))
    yield folder
    patch.undo()


@pytest.fixture(scope="module")
def source(folder):
    paths = (f"{name}='{folder / name}.tsv'" for name in ("train", "validation", "test"))
    return f"files({', '.join(paths)})"


def state(where):
    found = checkpoints.newest(where / "checkpoints")
    arrays = next((where / "checkpoints").glob(f"step-{found.step:08d}*")) / checkpoints.ARRAYS
    with np.load(arrays) as stored:
        return found.step, {name: stored[name] for name in stored.files}


def lines(where):
    """The lines of metrics without what the clock says."""
    kept = RunDirectory(where).read_metrics().lines
    return [{k: v for k, v in line.items() if k not in ("seconds", "examples_per_second")} for line in kept]


def same(one, other):
    (step, arrays), (other_step, others) = state(one), state(other)
    assert step == other_step == 16
    assert arrays.keys() == others.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(array, others[name], err_msg=name)
    assert lines(one) == lines(other)
    results = [RunDirectory(where).read_result() for where in (one, other)]
    assert results[0]["members"] == results[1]["members"]
    assert results[0]["steps"] == results[1]["steps"]


def test_it_is_the_run_that_was_asked_for_as_many_updates(folder):
    same(folder / "whole", folder / "longer")


def test_the_result_says_what_it_goes_on_with(folder, capsys):
    run = RunDirectory(folder / "longer")
    said = run.read_result()["continued"]
    assert (said["run"], said["step"]) == (str(folder / "short"), 8)
    assert said["hash"] == run.read_identity()[0].content.start
    assert RunDirectory(folder / "whole").read_result()["continued"] is None
    assert command_line.run_main(entry.main, ["train.py", f"--workdir={folder / 'longer'}"]) == 0
    assert f"goes on with {folder / 'short'} after update 8, state {said['hash'][:12]}" in capsys.readouterr().out


def test_it_goes_on_when_cut_off_and_without_the_old_run(folder, source, tmp_path):
    shutil.copytree(folder / "longer", tmp_path / "longer")
    run = RunDirectory(tmp_path / "longer")
    run.result.unlink()
    for path in run.checkpoints.glob("step-*16*"):
        shutil.rmtree(path)
    assert checkpoints.newest(run.checkpoints).step == 12
    (folder / "short").rename(tmp_path / "away")
    try:
        trained(source, run.path, 16, continue_from=str(folder / "short"))
    finally:
        (tmp_path / "away").rename(folder / "short")
    same(folder / "whole", run.path)


def test_killed_before_its_first_checkpoint(folder, source, tmp_path):
    """What is written by then is no run yet; it begins with the old one all the same."""
    shutil.copytree(folder / "longer", tmp_path / "longer")
    run = RunDirectory(tmp_path / "longer")
    run.result.unlink()
    for path in run.checkpoints.glob("step-*"):
        shutil.rmtree(path)
    trained(source, run.path, 16, continue_from=str(folder / "short"))
    same(folder / "whole", run.path)


def test_another_run_where_the_old_one_lay(folder, source, tmp_path):
    """One that is not finished, and has no checkpoint yet, asks whether what it begins with is what it began with."""
    shutil.copytree(folder / "longer", tmp_path / "longer")
    run = RunDirectory(tmp_path / "longer")
    run.result.unlink()
    for path in run.checkpoints.glob("step-*"):
        shutil.rmtree(path)
    trained(source, tmp_path / "other", 12)
    with pytest.raises(ValueError, match="the weights it starts from are not those recorded"):
        trained(source, run.path, 16, continue_from=str(tmp_path / "other"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"steps": 8}, "the run has 8 updates; more are wanted in all, got 8"),
        ({"seeds": (0, 2)}, r"seeds is \[0, 1\] there, \[0, 2\] given; what may differ: training.steps"),
        ({"model": {"dim": 16}}, "model.dim is 8 there, 16 given"),
        ({"learning_rate": 0.1}, "training.learning_rate is 0.02 there, 0.1 given"),
        ({"schedule": "cosine"}, 'training.schedule is "constant" there, "cosine" given'),
        ({"init_from": "elsewhere"}, "and config.training.init_from=elsewhere: give one start"),
        ({"continue_from": "nowhere"}, "no run at nowhere"),
    ],
)
def test_what_cannot_be_gone_on_with(folder, source, tmp_path, changes, message):
    given = {"steps": 16, "continue_from": str(folder / "short"), **changes}
    with pytest.raises(ValueError, match=message):
        trained(source, tmp_path / "run", **given)
    assert not (tmp_path / "run").exists()


def test_a_run_that_is_none_is_all_that_is_said(tmp_path, capsys, monkeypatch):
    """Not which config would be trained."""
    monkeypatch.chdir(tmp_path)
    assert command_line.run_main(entry.main, ["train.py", "--continue_from=runs/nope"]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("error: no run at runs/nope")
    assert not list(tmp_path.iterdir())


def test_other_data(folder, tmp_path):
    (tmp_path / "data").mkdir()
    source = toy.write_data(tmp_path / "data")
    with open(tmp_path / "data" / "validation.tsv", "a") as file:
        file.write("the oslo\tcity\n")
    with pytest.raises(ValueError, match="the run is of other data: its validation split is not that of"):
        trained(source, tmp_path / "run", 16, continue_from=str(folder / "short"))


def test_unfinished_and_stopped_runs(folder, source, tmp_path):
    shutil.copytree(folder / "short", tmp_path / "short")
    RunDirectory(tmp_path / "short").result.unlink()
    with pytest.raises(ValueError, match=r"the run is not finished; train.py --workdir=.* goes on with it"):
        trained(source, tmp_path / "run", 16, continue_from=str(tmp_path / "short"))
    still = {"patience": 1, "learning_rate": 1e-30, "ema_decay": 0.0}
    trained(source, tmp_path / "stopped", 12, **still)
    with pytest.raises(ValueError, match="all of its members have stopped, no better validation in 1 after update"):
        trained(source, tmp_path / "run", 16, continue_from=str(tmp_path / "stopped"), **still)


def test_the_command_and_a_schedule_that_is_that_of_all_updates(folder, source, tmp_path, capsys):
    """The config is that of the old run where none is given."""
    trained(source, tmp_path / "short", 8, schedule="linear", seeds=(0,))
    arguments = [f"--continue_from={tmp_path / 'short'}", "--config.training.steps=16", f"--workdir={tmp_path / 'run'}"]
    assert command_line.run_main(entry.main, ["train.py", *arguments]) == 0
    printed = capsys.readouterr().out
    assert f"note: goes on with {tmp_path / 'short'} after update 8, up to 16" in printed
    assert "note: schedule=linear is that of 16 updates: the learning rate goes from 0.167 to 0.571 of its peak" in printed
    rates = [line["learning_rate"][0] for line in lines(tmp_path / "run") if line["split"] == "train"]
    assert rates == pytest.approx([0.02 * share for share in (5 / 6, 1 / 6, 5 / 14, 1 / 14)])
    out = tmp_path / "model.safetensors"
    assert command_line.run_main(evaluation.main, ["eval.py", f"--workdir={tmp_path / 'run'}", f"--export={out}"]) == 0
