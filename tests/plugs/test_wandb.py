"""Offline runs of W&B, whose files are read back."""

import json
import os
import shutil
import subprocess
import sys
from collections import defaultdict

import pytest

from attention.runs.directory import RunDirectory
from attention.runs.trackers import _wandb_files
from attention.training import following
from tests.support import toy
from tests.support.trackers import ROOT, assert_shown, points, train, train_in_pieces

pytestmark = pytest.mark.plug


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    patch, folder = pytest.MonkeyPatch(), tmp_path_factory.mktemp("wandb")
    patch.setenv("WANDB_MODE", "offline")
    patch.setenv("WANDB_CACHE_DIR", str(folder / "cache"))
    patch.setenv("HOME", str(folder))  # nobody is logged in there
    patch.delenv("WANDB_API_KEY", raising=False)
    yield folder
    patch.undo()


@pytest.fixture(scope="module")
def run(folder):
    return train(toy.write_data(folder), folder / "mine", "wandb(project='ours', tags=('a', 'b'))")


def read(run, seed):
    """Of all offline runs of a member, in order: points by name, the summary, and what is said of the run."""
    found, summary, about = defaultdict(list), {}, []
    for file in sorted(run.path.glob(f"tracked/seed{seed}/wandb/offline-run-*/*.wandb")):
        for record in _wandb_files.records(file):
            row = {item.key or item.nested_key[0]: json.loads(item.value_json) for item in record.history.item}
            for name, value in row.items():
                if not name.startswith("_"):
                    found[name].append((record.history.step.num, value))
            summary |= {item.key or item.nested_key[0]: json.loads(item.value_json) for item in record.summary.update}
            about += [record.run] if record.HasField("run") else []
    return dict(found), summary, about


def without_test(wanted):
    return {name: row for name, row in wanted.items() if not name.startswith("test/")}


def test_every_point_is_there_and_test_in_the_summary(run):
    for number in (0, 1):
        found, summary, _ = read(run, number)
        wanted = points(run, number)
        assert_shown(found, without_test(wanted))
        assert summary["test/accuracy"] == wanted["test/accuracy"][0][1]
        assert summary["run/parameters"] == run.read_result()["parameters"]
        assert "than the baseline majority (" in summary["verdict"]


def test_members_are_named_and_grouped(run):
    told = [read(run, seed)[2][0] for seed in (0, 1)]
    assert [one.display_name for one in told] == ["mine-seed0", "mine-seed1"]
    assert {one.run_group for one in told} == {"mine"}
    assert {one.project for one in told} == {"ours"}
    assert len({one.run_id for one in told}) == 2
    assert set(told[0].tags) == {"a", "b"}
    config = {item.key: json.loads(item.value_json) for item in told[1].config.update}
    assert config["seed"] == 1
    assert config["model.encoder"] == "embeddings"
    assert config["environment.cores"] == run.read_environment()["cores"]


def test_told_again_it_is_the_same(run):
    before = sorted(run.path.rglob("*.wandb"))
    assert following.catch_up("wandb(project='ours', tags=('a', 'b'))", run.path) == 0
    assert sorted(run.path.rglob("*.wandb")) == before


def test_what_the_files_lack_is_told_again(run, tmp_path):
    """Cut off in the middle, and removed: the rest is in another file, under the same id."""
    copied = RunDirectory(shutil.copytree(run.path, tmp_path / "mine"))
    (first,), (second,) = (list(copied.path.glob(f"tracked/seed{seed}/wandb/offline-run-*/*.wandb")) for seed in (0, 1))
    os.truncate(first, first.stat().st_size // 2)
    second.unlink()
    assert 0 < len(read(copied, 0)[0]["train/loss"]) < len(points(copied)["train/loss"])
    assert following.catch_up("wandb(project='ours', tags=('a', 'b'))", copied.path) == 0
    for number in (0, 1):
        found, summary, about = read(copied, number)
        assert_shown(found, without_test(points(copied, number)))
        wanted = {name: value for name, value in read(run, number)[1].items() if not name.startswith("_")}
        assert wanted.items() <= summary.items()
        assert {one.run_id for one in about} == {read(run, number)[2][0].run_id}


def test_kills_leave_no_gap_and_no_double(folder, tmp_path):
    run = train_in_pieces(toy.write_data(tmp_path), tmp_path / "killed", "wandb", (12, 24))
    for number in (0, 1):
        found, _, about = read(run, number)
        assert len({one.run_id for one in about}) == 1
        assert_shown(found, without_test(points(run, number)))


def test_who_is_not_logged_in_is_told_so_and_never_asked(folder, tmp_path):
    """Even where there is a terminal to ask on."""
    file = tmp_path / "config.json"
    file.write_text(json.dumps({**toy.fields(toy.write_data(tmp_path)), "trackers": "wandb"}))
    environment = {name: value for name, value in os.environ.items() if name != "WANDB_MODE"}
    ours, theirs = os.openpty()
    process = subprocess.Popen(
        [sys.executable, "train.py", f"--config={file}", f"--workdir={tmp_path}/run"],
        stdin=theirs,
        stdout=subprocess.PIPE,
        stderr=theirs,
        text=True,
        cwd=ROOT,
        env=environment,
    )
    said, _ = process.communicate(timeout=300)
    for terminal in (ours, theirs):
        os.close(terminal)
    assert process.returncode == 0
    (line,) = (line for line in said.splitlines() if "wandb" in line)
    assert line.startswith("note: tracker wandb: W&B has no API key: wandb login, or WANDB_API_KEY; ")
    assert line.endswith(f'python eval.py --workdir={tmp_path}/run --track="wandb" shows it later')
    assert (tmp_path / "run" / "result.json").exists()
