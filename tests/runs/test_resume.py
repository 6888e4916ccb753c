"""A run that is cut off, at whatever moment, ends bitwise as an unbroken one."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import jax
import numpy as np
import pytest

from attention.evaluation import trained
from attention.runs import checkpoints, directory
from attention.tasks import classification
from attention.training import config, loop, recipe
from attention.training.cohort import members as state
from attention.training.cohort import program
from tests.support import toy

ROOT = Path(__file__).parent.parent.parent
KILLS = 10
CLOCK = ("seconds", "examples_per_second")
_TIMES = ("train_seconds", "step_seconds", "process_seconds", "compile_seconds", "examples_per_second")
MEASURED = (*_TIMES, "ended", "load", "state_bytes", "work_bytes")
# Trains the config of a JSON file: what train.py does after its flags.
SCRIPT = """
import json, sys
from attention.training import backend, command_line, config, loop
def main(argv):
    backend.prepare()
    loop.train(config.from_dict(json.load(open(argv[1]))), argv[2])
sys.exit(command_line.run_main(main))
"""


def outcome(where):
    """All that a run leaves behind, without what the clock says."""
    lines = [{k: v for k, v in line.items() if k not in CLOCK} for line in directory.RunDirectory(where).read_metrics().lines]
    result = directory.RunDirectory(where).read_result()
    result = {name: value for name, value in result.items() if name not in MEASURED}
    weights = [np.asarray(leaf) for leaf in jax.tree.leaves(trained.load(str(where)).params)]
    (last,) = sorted((where / "checkpoints").glob("step-*"))[-1:]
    with np.load(last / checkpoints.ARRAYS) as arrays:
        state = {name: arrays[name] for name in arrays.files}
    return lines, result, weights, state


def assert_same(one, other):
    (lines, result, weights, state), (lines2, result2, weights2, state2) = outcome(one), outcome(other)
    assert lines == lines2
    assert result == result2
    assert all(np.array_equal(a, b) for a, b in zip(weights, weights2, strict=True))
    assert state.keys() == state2.keys()
    assert all(np.array_equal(state[name], state2[name], equal_nan=True) for name in state)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Data, config, and the unbroken run; ``start(workdir)`` starts the same in a process of its own."""
    folder = tmp_path_factory.mktemp("resume")
    patch = pytest.MonkeyPatch()
    patch.setenv("ATTENTION_CACHE_DIR", str(folder / "cache"))
    fields = toy.fields(toy.write_data(folder), steps=600, eval_every=20, log_every=7, checkpoint_every=4, patience=28)
    fields = {**fields, "seeds": (0, 1)}
    fields["training"] |= {"ema_decay": 0.9, "dropout": 0.2, "checkpoint_seconds": 0.2}
    (folder / "config.json").write_text(json.dumps(fields))
    (folder / "train.py").write_text(SCRIPT)
    loop.train(config.from_dict(fields), folder / "unbroken")
    yield folder
    patch.undo()


def start(folder, workdir):
    command = [sys.executable, str(folder / "train.py"), str(folder / "config.json"), str(workdir)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "ATTENTION_CACHE_DIR": str(folder / "cache")}
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment)


def until_training(process):
    """Reads the output up to the first line of progress."""
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("step "):
            return
    raise AssertionError(f"ended with {process.wait()} before it trained")


@pytest.mark.slow
def test_ten_kills_at_random_moments_change_nothing(folder):
    moments, killed = random.Random(0), 0
    for _ in range(KILLS):
        process = start(folder, folder / "killed")
        if moments.random() < 0.8:
            until_training(process)
            time.sleep(moments.uniform(0.0, 0.15))
        else:
            time.sleep(moments.uniform(0.3, 1.5))
        process.kill()
        process.communicate()
        killed += process.returncode == -signal.SIGKILL
    assert killed >= KILLS // 2, "it ended before the kills: train longer"
    process = start(folder, folder / "killed")
    printed, _ = process.communicate()
    assert process.returncode == 0, printed
    assert "going on after update" in printed or "is finished" in printed
    assert_same(folder / "killed", folder / "unbroken")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signals_save_and_exit(folder, number, code):
    workdir = folder / f"signal{code}"
    process = start(folder, workdir)
    until_training(process)
    process.send_signal(number)
    printed, _ = process.communicate()
    assert process.returncode == code, printed
    saved = int(printed.split("saved after update ")[1].split()[0])
    assert (workdir / "checkpoints" / f"step-{saved:08d}").is_dir()
    assert not (workdir / "result.json").exists()
    fields = json.loads((folder / "config.json").read_text())
    loop.train(config.from_dict(fields), workdir)
    assert_same(workdir, folder / "unbroken")


def interrupted(folder, workdir, steps):
    """A run of this process that stops after some updates, as one that is killed does."""

    class Stop(Exception):
        pass

    def stop(setting, course, *, interrupted):
        if course.step > steps:
            raise Stop
        return due(setting, course, interrupted=interrupted)

    due, fields = loop._due, json.loads((folder / "config.json").read_text())
    patch = pytest.MonkeyPatch()
    patch.setattr(loop, "_due", stop)
    with patch.context(), pytest.raises(Stop):
        loop.train(config.from_dict(fields), workdir)
    patch.undo()
    return config.from_dict(fields)


def damage(path):
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 1
    path.write_bytes(raw)


def test_a_damaged_checkpoint_is_named_and_passed_over(folder, tmp_path, capsys):
    settings = interrupted(folder, tmp_path / "run", 50)
    earlier, newest = sorted((tmp_path / "run" / "checkpoints").glob("step-*"))
    damage(newest / checkpoints.ARRAYS)
    capsys.readouterr()
    loop.train(settings, tmp_path / "run")
    printed = capsys.readouterr().out
    assert f"skipped a damaged checkpoint, {newest}" in printed
    assert f"going on after update {int(earlier.name.split('-')[1])} of 600" in printed
    assert_same(tmp_path / "run", folder / "unbroken")


def test_changed_data_is_refused(folder, tmp_path):
    workdir, text = tmp_path / "run", (folder / "train.tsv").read_text()
    settings = interrupted(folder, workdir, 8)
    (folder / "train.tsv").write_text(text + "the fig\tfruit\n")
    try:
        with pytest.raises(ValueError, match="the train split is not the one recorded"):
            loop.train(settings, workdir)
    finally:
        (folder / "train.tsv").write_text(text)


def test_time_and_patience_go_on(folder, tmp_path):
    settings = interrupted(folder, tmp_path / "run", 45)
    found = checkpoints.restore(tmp_path / "run" / "checkpoints", like(settings, folder))
    assert found is not None
    assert found.step == 44
    assert found.meta["train_seconds"] > 0
    assert [record["worse"] for record in found.meta["records"]] == [
        sum(line["step"] > record["best_step"] for line in validations(tmp_path / "run")) for record in found.meta["records"]
    ]
    result = loop.train(settings, tmp_path / "run")
    assert result["train_seconds"] > found.meta["train_seconds"]


def like(settings, folder):
    """The shapes of a checkpoint's tree."""
    record = directory.RunDirectory(folder / "unbroken").read_data()
    model = classification.sized(recipe.checked_model(settings), record.vocab_size, len(record.classes))
    made = program.program(settings, model, steps=settings.training.steps, warmup=settings.training.warmup, class_weights=None)
    seeds = jax.numpy.asarray(settings.seeds, "uint32")
    make = lambda seeds: state.new_cohort(made, jax.numpy.int32(2), seeds, {}, None)
    return jax.eval_shape(make, seeds)


def validations(workdir):
    return [line for line in directory.RunDirectory(workdir).read_metrics().lines if line["split"] == "validation"]
