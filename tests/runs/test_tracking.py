"""What trackers are told of a run: only what no kill takes back, once, under names that stay."""

import numpy as np
import pytest

from attention.files import json_hash
from attention.runs import checkpoints, tracking
from attention.runs.directory import RunDirectory
from attention.runs.tracking import Named, Rows

ATTENTION = {"entropy": [[[1.5, 0.5]], None]}  # of two members, the second of which has stopped


@pytest.fixture
def run(tmp_path):
    """A run of two members with one seed, before its first checkpoint."""
    run = RunDirectory(tmp_path / "mine")
    run.path.mkdir()
    training = {"learning_rate": [0.001, 0.02], "steps": 9, "dropout": 0.0}
    run.write_config({"seeds": [3, 3], "training": training, "model": {"encoder": "bilstm"}, "trackers": "tensorboard"})
    run.write_environment()
    return run


def write(run, step, *, validation=True):
    line = {"split": "train", "step": step, "loss": [float(step), None], "examples_per_second": 10.0, "seconds": step / 2}
    run.append_metrics(line)
    if validation:
        run.append_metrics({"split": "validation", "step": step, "accuracy": [0.5, None], "attention": ATTENTION})


def save(run, step):
    checkpoints.save(run.checkpoints, step, {"weights": np.zeros(1)}, {"metrics_size": run.metrics_size()})


def test_nothing_is_told_that_a_kill_takes_back(run):
    rows = Rows(run, 2)
    write(run, 5)
    assert rows.new() == [[], []]
    save(run, 5)
    write(run, 6, validation=False)
    first, second = rows.new()
    assert [row.step for row in first] == [row.step for row in second] == [5]
    assert rows.new() == [[], []]
    run.truncate_metrics(checkpoints.newest(run.checkpoints).meta["metrics_size"])  # as a run does that goes on
    write(run, 7)
    save(run, 7)
    assert [row.step for row in rows.new()[0]] == [7]


def test_a_damaged_checkpoint_is_not_asked(run):
    write(run, 5)
    save(run, 5)
    write(run, 6)
    save(run, 6)
    next(run.checkpoints.glob("step-00000006/manifest.json")).write_text("{}")
    assert [row.step for row in Rows(run, 2).new()[0]] == [5]


def test_a_row_is_all_that_is_known_after_an_update(run):
    write(run, 5)
    save(run, 5)
    (first,), (second,) = Rows(run, 2).new()
    heads = {"attention_entropy/layer0_head0": 1.5, "attention_entropy/layer0_head1": 0.5}
    shared = {"train/examples_per_second": 5.0, "train/seconds": 2.5}
    assert first.values == {"train/loss": 5.0, "validation/accuracy": 0.5, **shared, **heads}
    assert (first.seconds, second.values) == (2.5, shared)


def test_members_are_called_after_the_run_and_what_they_differ_in(run):
    first, second = tracking.members(run)
    assert [first.name, second.name] == ["mine-seed3-learning_rate0.001", "mine-seed3-learning_rate0.02"]
    assert first.folder == run.path / "tracked" / "seed3-learning_rate0.001"
    assert (first.group, first.config["seed"], first.config["training.learning_rate"]) == ("mine", 3, 0.001)
    assert "trackers" not in first.config
    assert first.id != second.id
    assert tracking.members(run) == [first, second]


def test_a_member_of_a_sweep_stays_who_it_is(run, tmp_path):
    """When its cohort is taken apart, with what trackers keep of it."""
    tracking.name(run, Named("sweep", ("a-seed3-01", "b-seed3-02")))
    before = tracking.members(run)[1]
    before.folder.mkdir(parents=True)
    (before.folder / "kept").write_text("kept")
    alone = RunDirectory(tmp_path / "alone")
    alone.write_config({"seeds": [3], "training": {"learning_rate": 0.02}})
    alone.write_environment()
    tracking.hand_over(run, 1, alone, "sweep", "b-seed3-02")
    (after,) = tracking.members(alone)
    assert (after.id, after.name, after.group) == (before.id, "b-seed3-02", "sweep")
    assert after.folder == alone.path / "tracked" / "seed3"
    assert (after.folder / "kept").read_text() == "kept"
    assert after.id == json_hash([str(run.path.resolve()), 1])[:16]


def test_what_makes_up_for_a_failure_is_said_of_the_whole_sweep(run, tmp_path):
    cohort = RunDirectory(tmp_path / "sweep" / "cohorts" / "abc")
    assert f"no network; the run has all of it, and python eval.py --workdir={cohort.path} --track=" in tracking.not_told(
        "wandb", cohort, "no\nnetwork."
    )
    cohort.path.mkdir(parents=True)
    (tmp_path / "sweep" / "sweep.json").write_text("{}")
    assert tracking.not_told("wandb", cohort, "why").endswith(
        f'eval.py --workdir={tmp_path}/sweep --track="wandb" shows it later'
    )


@pytest.mark.parametrize(
    "named",
    [
        Named("..", ("a", "b")),
        Named("sweep", ("a/../../b", "b")),
        Named("sweep", ("a",)),
        Named("sweep", ("a", "b"), ("x", "../y")),
    ],
)
def test_names_that_lead_elsewhere_are_refused(run, named):
    tracking.name(run, named)
    with pytest.raises(ValueError, match=r"is not what training writes|argument"):
        tracking.members(run)


def test_a_folder_that_leads_elsewhere_is_refused(run, tmp_path):
    (run.path / "tracked").symlink_to(tmp_path)
    with pytest.raises(ValueError, match="leads out of the run"):
        tracking.members(run)
