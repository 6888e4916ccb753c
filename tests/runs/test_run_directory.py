"""The run directory: what makes a run, who may write it, and what a kill leaves of its files."""

import json
import os
import re
import subprocess
import sys

import jax.numpy as jnp
import numpy as np
import pytest

from attention import files
from attention.runs import json_files
from attention.runs.directory import DataRecord, RunDirectory
from attention.runs.opening import default_name, open_run

CONFIG = {"data": {"source": "listops", "max_length": 64}, "training": {"learning_rate": 1e-3}, "seeds": (0, 1)}
OTHER = {"data": {"source": "trec6", "max_length": 64}, "training": {"learning_rate": 0.1, "steps": 3}, "seeds": (0, 1)}


def test_life_of_a_run(tmp_path):
    workdir = tmp_path / "runs" / "a"
    with open_run(workdir, CONFIG) as opened:
        assert (opened.status, opened.notes) == ("new", ())
        assert opened.run.read_config() == {**CONFIG, "seeds": [0, 1]}
    with open_run(workdir, CONFIG) as opened:
        assert opened.status == "unfinished"
        files.write_json(opened.run.result, {"members": []})
    with open_run(str(workdir), CONFIG) as opened:
        assert opened.status == "finished"
        assert opened.run.finished


def test_environment_is_recorded_and_its_changes_are_said(tmp_path):
    with open_run(tmp_path, CONFIG) as opened:
        run = opened.run
    environment = run.read_environment()
    assert {"python", "jax", "jaxlib", "flax", "optax", "numpy", "device", "device_count", "cores"} <= set(environment)
    assert {"platform", "system", "processor", "git_commit", "git_dirty"} <= set(environment)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", environment["started"])
    run.record(kernel="dense")
    assert run.read_environment() == {**environment, "kernel": "dense"}
    files.write_json(run.environment, {**environment, "jax": "0.1"})
    with open_run(tmp_path, CONFIG) as opened:
        (note,) = opened.notes
    assert note == f'jax was "0.1" when the run began, is "{environment["jax"]}" now'


def test_another_config_is_refused_with_every_differing_field(tmp_path):
    open_run(tmp_path, CONFIG).lock.close()
    with pytest.raises(ValueError, match="holds a run of another config") as error:
        open_run(tmp_path, OTHER)
    message = str(error.value)
    assert 'data.source is "listops" there, "trec6" given' in message
    assert "training.learning_rate is 0.001 there, 0.1 given" in message
    assert "training.steps is absent there, 3 given" in message
    assert "max_length" not in message
    assert "\n" not in message
    open_run(tmp_path, CONFIG).lock.close()  # the refusal let go of the lock


def test_a_folder_of_something_else_is_refused(tmp_path):
    (tmp_path / "thesis.tex").write_text("")
    with pytest.raises(ValueError, match=r"not empty and holds no run \(it has 'thesis.tex'"):
        open_run(tmp_path, CONFIG)


def test_a_folder_whose_run_was_killed_before_its_config_is_new(tmp_path):
    (tmp_path / ".lock").write_text("")
    (tmp_path / ".tmp-config.json").write_text("{")
    (tmp_path / "environment.json").write_text("{}")
    with open_run(tmp_path, CONFIG) as opened:
        assert opened.status == "new"
        assert opened.run.read_config()["seeds"] == [0, 1]


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="is a file, not a folder"):
        open_run(tmp_path / "file", CONFIG)
    with pytest.raises(ValueError, match=r"file/run cannot be written \(Not a directory\)"):
        open_run(tmp_path / "file" / "run", CONFIG)
    if os.geteuid() != 0:  # root may write anywhere
        (tmp_path / "closed").mkdir(mode=0o500)
        with pytest.raises(ValueError, match="cannot be written"):
            open_run(tmp_path / "closed" / "run", CONFIG)


HOLDER = """
import sys, time
from attention.runs.opening import open_run
opened = open_run(sys.argv[1], {"a": 1})
print("held", flush=True)
time.sleep(600)
"""


def test_two_processes_and_a_kill(tmp_path):
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, tmp_path], stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(ValueError, match="in use by another process"):
            open_run(tmp_path, {"a": 1})
    finally:
        holder.kill()  # SIGKILL: only the kernel can let go of the lock
        holder.communicate()
    with open_run(tmp_path, {"a": 1}) as opened:
        assert opened.status == "unfinished"
        with pytest.raises(ValueError, match="in use"):
            open_run(tmp_path, {"a": 1})


def test_hash_and_name():
    assert len(files.json_hash(CONFIG)) == 64
    assert files.json_hash(CONFIG) == files.json_hash(json.loads(json.dumps(CONFIG)))
    assert files.json_hash(CONFIG) == files.json_hash(dict(reversed(CONFIG.items())))
    assert files.json_hash(CONFIG) != files.json_hash(OTHER)
    # sha256 of the bytes {"a":1}, by sha256sum
    assert files.json_hash({"a": 1}) == "015abd7f5cc57a2dd94b7590f04ad8084273905ee33ec5cebeae62276a97f862"
    assert default_name("listops", {"a": 1}) == "listops-015abd7f"


def test_json_is_strict_and_whole(tmp_path, monkeypatch):
    path = tmp_path / "result.json"
    value = {"nan": float("nan"), "inf": -np.inf, "array": np.arange(2), "jax": jnp.float32(0.5), "pair": (1, True)}
    files.write_json(path, value)
    assert files.read_json(path) == {"nan": None, "inf": None, "array": [0, 1], "jax": 0.5, "pair": [1, True]}
    assert "NaN" not in path.read_text()

    def fail(source, target):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(KeyboardInterrupt):
        files.write_json(path, {"new": 1})
    assert files.read_json(path)["array"] == [0, 1]


def test_missing_and_broken_json_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"absent.json cannot be read \(No such file"):
        files.read_json(tmp_path / "absent.json")
    (tmp_path / "bad.json").write_text("{")
    with pytest.raises(ValueError, match=r"bad\.json is not JSON"):
        files.read_json(tmp_path / "bad.json")


def test_no_run_lists_its_neighbours(tmp_path):
    open_run(tmp_path / "trec-1", CONFIG).lock.close()
    with pytest.raises(ValueError, match=r"no run at .*trec-2: there is no such folder \(nearest: .*trec-1\)"):
        RunDirectory(tmp_path / "trec-2").read_config()
    with pytest.raises(ValueError, match=r"the folder has no config\.json"):
        RunDirectory(tmp_path).read_config()


def test_data_record(tmp_path):
    run = RunDirectory(tmp_path)
    splits = {"train": {"examples": 4, "baselines": {"majority": 0.5}}}
    told = {"majority": {"": 0}}, splits, ("a note",)
    record = DataRecord("files(train='/a.tsv')", {"train": "00"}, ("no", "yes"), 99, (8, 64), *told)
    run.write_data(record)
    assert run.read_data() == record
    stored = json_files.read(run.data)
    old = {name: value for name, value in stored.items() if name not in ("rules", "splits", "notes")}
    json_files.write(run.data, {**old, "baselines": {"majority": 0.5}})
    assert run.read_data() == record._replace(rules={}, splits={}, notes=())
    files.write_json(run.data, {"source": "x"})
    with pytest.raises(ValueError, match="wants the fields source, hashes"):
        run.read_data()


def test_metrics_are_cut_back_to_a_checkpoint(tmp_path):
    run = RunDirectory(tmp_path)
    assert run.metrics_size() == 0
    assert run.read_metrics() == ([], None)
    run.truncate_metrics(0)
    for step in range(3):
        run.append_metrics({"step": step, "loss": np.float32(0.5), "text": "α\nβ"})
        if step == 1:
            size = run.metrics_size()
    assert [line["step"] for line in run.read_metrics().lines] == [0, 1, 2]
    run.truncate_metrics(size)
    run.append_metrics({"step": 2, "loss": float("nan")})
    lines, damaged = run.read_metrics()
    assert lines[1] == {"step": 1, "loss": 0.5, "text": "α\nβ"}
    assert lines[2] == {"step": 2, "loss": None}
    assert damaged is None
    with pytest.raises(ValueError, match="the checkpoint was written when it had 9999"):
        run.truncate_metrics(9999)


def test_a_line_that_was_cut_off_is_named(tmp_path):
    run = RunDirectory(tmp_path)
    run.append_metrics({"step": 0})
    run.append_metrics({"step": 1})
    run.truncate_metrics(run.metrics_size() - 4)
    lines, damaged = run.read_metrics()
    assert lines == [{"step": 0}]
    assert damaged is not None
    assert "metrics.jsonl, line 2, was cut off" in damaged
    run.metrics.write_text('{"step": 0}\nrubbish\n{"step": 1}\n')
    with pytest.raises(ValueError, match="line 2, is not JSON"):
        run.read_metrics()
