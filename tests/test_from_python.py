"""Runs and sweeps from Python: results as rows, errors of one line, an interrupt that a notebook survives."""

import os
import signal
import sys
import threading
import time

import pytest
from ml_collections.config_dict import ConfigDict

import attention
from attention.lab import grid, plan
from attention.training import config as configs
from attention.training import config_files, progress
from tests.support import toy


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return toy.write_data(tmp_path_factory.mktemp("python"))


@pytest.fixture
def fields(source):
    """A config of a moment, as a ``ConfigDict``."""
    return ConfigDict({**toy.fields(source, steps=4), "seeds": (0, 1)})


def test_a_run_from_python(fields, tmp_path):
    result = attention.train(fields, tmp_path / "run")
    assert result.workdir == tmp_path / "run"
    assert result.summary == result.record["summary"]
    rows = result.rows()
    assert [row["seed"] for row in rows] == [0, 1]
    assert [row["test_accuracy"] for row in rows] == [member["test"]["accuracy"] for member in result.record["members"]]
    assert "test acc" in repr(result)
    assert attention.load(result.workdir).settings == configs.from_dict(fields.to_dict())
    again = attention.train(configs.from_dict(fields.to_dict()), tmp_path / "run")  # finished: answers at once
    assert again.record == attention.train(workdir=tmp_path / "run").record == result.record


def test_a_sweep_from_python(fields, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    fields.sweep = plan.section(grid.param("model.pooling", ["mean", "max"]), baseline="mean")
    swept = attention.sweep(fields)
    assert swept.workdir.parent.name == "runs"
    assert (swept.workdir / "report.html").is_file()
    rows = swept.rows()
    assert [(row["variant"], row["seed"]) for row in rows] == [("mean", 0), ("mean", 1), ("max", 0), ("max", 1)]
    assert all(0 <= row["test_accuracy"] <= 1 and row["status"] == "finished" for row in rows)
    assert not any(isinstance(value, dict) for row in rows for value in row.values())
    base, other = swept.verdicts()
    means = [(rows[i]["test_accuracy"] + rows[i + 1]["test_accuracy"]) / 2 for i in (0, 2)]
    assert (base["variant"], "verdict" in base) == ("mean", False)
    assert other["difference"] == pytest.approx(means[1] - means[0])
    assert "attention.sweep(config)" in (swept.workdir / "report.md").read_text()


WRONG = {
    "a typo": ("smok", r"no config 'smok' \(nearest: 'smoke'\)"),
    "no config": (7, "a config is a name, a path, a ConfigDict or a mapping of fields, got 7"),
    "a sweep": ("sweeps/smoke", r"attention\.sweep\(config\)"),
    "a field": ({"training": {"stepz": 1}}, r"unknown field config\.training\.stepz \(nearest: 'steps'\)"),
    "a file": ({"data": {"source": "files(train='none.tsv')"}}, "none.tsv"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_a_value_error_of_one_line(case, tmp_path):
    given, message = WRONG[case]
    with pytest.raises(ValueError, match=message) as caught:
        attention.train(given, tmp_path / "run")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(("call", "what"), [(attention.train, "run"), (attention.sweep, "sweep")])
def test_a_folder_alone_wants_what_was_begun_there(call, what, tmp_path):
    with pytest.raises(ValueError, match=f"typo holds no {what}; --config=NAME starts a new one there"):
        call(workdir=tmp_path / "typo")
    assert not (tmp_path / "typo").exists()


def test_a_sweep_wants_a_section():
    with pytest.raises(ValueError, match="has no section sweep"):
        attention.sweep("smoke")


def test_an_interrupt_saves_and_the_same_call_goes_on(fields, tmp_path, capsys):
    fields.training.steps = 10**5
    before = signal.getsignal(signal.SIGINT)

    def stop():
        while not (tmp_path / "run" / "metrics.jsonl").exists() and time.monotonic() < end:
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    end = time.monotonic() + 60
    threading.Thread(target=stop, daemon=True).start()
    with pytest.raises(KeyboardInterrupt, match="the same call goes on"):
        attention.train(fields, tmp_path / "run")
    assert signal.getsignal(signal.SIGINT) is before
    assert list((tmp_path / "run" / "checkpoints").glob("step-*"))
    assert "the same command goes on" in capsys.readouterr().out


class _Display:
    """What ``IPython`` has of a notebook."""

    def __init__(self):
        self.lines = []
        self.display = self

    def get_ipython(self):
        return type("Shell", (), {"kernel": None})()

    def __call__(self, data, **_):
        self.lines.append(data["text/plain"])
        return self

    def update(self, data, **_):
        self.lines.append(data["text/plain"])


def test_a_notebook_has_one_line_that_is_written_anew(monkeypatch, capsys):
    notebook = _Display()
    notebook.display.display = notebook
    monkeypatch.setitem(sys.modules, "IPython", notebook)
    shown = progress.Progress(20, 0)
    shown.trained(10, [1.5], 100.0)
    shown.validated(20, [0.5], share=True)
    shown.close()
    assert notebook.lines[-1] == "step 20/20  loss 1.5000  examples/s 100  validation 50.00%"
    assert capsys.readouterr().out == ""


# ---- configs by name


def test_a_name_is_a_config_that_comes_along_whatever_lies_in_the_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "smoke").mkdir()
    (tmp_path / "smoke.py").write_text("import attention\n\ndef get_config():\n    return attention.base_config('trec6')\n")
    assert attention.base_config("smoke").model.dim == 32
    assert attention.base_config("smoke.py").data.source == "trec6"
    assert attention.base_config("sweeps/smoke").sweep.baseline == "none"


def test_base_config_is_the_callers_own():
    attention.base_config().training.steps = 1
    assert attention.base_config().to_dict() == configs.to_dict(configs.Config())


@pytest.mark.parametrize("name", config_files.names())
def test_every_config_that_comes_along_crosses(name):
    fields = attention.base_config(name).to_dict()
    if "sweep" in fields:
        plan.read(fields, name)
    else:
        configs.from_dict(fields)
