"""Two runs compared: by seed with the statistics of a sweep, by example with McNemar's test."""

import shutil

import numpy as np
import pytest
from scipy import stats

from attention.files import read_json
from attention.lab import by_example, compare_runs
from attention.runs import json_files
from attention.runs.directory import RunDirectory
from attention.training import config as configs
from attention.training import loop
from tests.support import toy


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Two runs of poolings: A with seeds 0, 1, 2 and B with 1, 2, 3; and their data."""
    patch = pytest.MonkeyPatch()
    folder = tmp_path_factory.mktemp("compare")
    patch.setenv("ATTENTION_CACHE_DIR", str(folder / "cache"))
    source = toy.write_data(folder)
    for name, pooling, seeds in (("a", "mean", (0, 1, 2)), ("b", "max", (1, 2, 3))):
        fields = toy.fields(source)
        fields["model"]["pooling"] = pooling
        loop.train(configs.from_dict({**fields, "seeds": seeds}), folder / name)
    yield folder
    patch.undo()


def rows(text):
    """The lines of tables, by their first word."""
    return {line.split()[0]: line.split() for line in text.splitlines() if line}


def test_members_are_paired_by_seed(runs):
    text = compare_runs.compare([str(runs / "a"), str(runs / "b")])
    a, b = ({m["seed"]: m["test"] for m in read_json(runs / name / "result.json")["members"]} for name in "ab")
    assert 'model.pooling: "mean" in A, "max" in B' in text
    for metric, scale, digits in (("accuracy", 100, 2), ("nll", 1, 4)):
        differences = np.array([b[seed][metric] - a[seed][metric] for seed in (1, 2)])
        test = stats.ttest_1samp(differences, 0)
        low, high = test.confidence_interval(0.95)
        shown = rows(text)[metric]
        assert shown[1] == "2"
        assert shown[2] == f"{scale * np.mean([a[seed][metric] for seed in (1, 2)]):.{digits}f}"
        assert shown[4:8] == [
            f"{scale * differences.mean():.{digits}f}",
            f"{scale * low:.{digits}f}",
            "to",
            f"{scale * high:.{digits}f}",
        ]
        once = test.confidence_interval(0.9)  # of two one-sided tests
        ends = min(0.0, once.low), max(0.0, once.high)
        assert shown[8:11] == [f"{scale * ends[0]:.{digits}f}", "to", f"{scale * ends[1]:.{digits}f}"]
        assert shown[11] == f"{test.pvalue:.4f}"
    assert "2 seeds are left out" in text


def test_predictions_are_compared_by_example(runs):
    text = rows(compare_runs.compare([str(runs / "a"), str(runs / "b")]).partition("by example")[2])
    a, b = (RunDirectory(runs / name).read_predictions()["correct"] for name in "ab")
    found = by_example.mcnemar(a[1], b[0])  # seed 1 of each
    only_a, only_b = int((a[1] & ~b[0]).sum()), int((~a[1] & b[0]).sum())
    assert (found.only_a, found.only_b) == (only_a, only_b)
    assert text["1"][1:5] == [str(found.both), str(only_a), str(only_b), str(found.neither)]
    assert text["1"][5] == f"{stats.binomtest(only_a, only_a + only_b).pvalue if only_a + only_b else 1:.4f}"
    assert {"1", "2"} <= text.keys()
    assert not {"0", "3"} & text.keys()


def test_one_seed_gets_no_verdict(runs, tmp_path):
    for name, place in (("a", 1), ("b", 0)):
        (tmp_path / name).mkdir()
        for file in ("config.json", "data.json", "identity.json", "environment.json", "sources.json"):
            (tmp_path / name / file).write_text((runs / name / file).read_text())
        result = RunDirectory(runs / name).read_result()
        RunDirectory(tmp_path / name).write_result({**result, "members": [result["members"][place]]})
    text = compare_runs.compare([str(tmp_path / "a"), str(tmp_path / "b")])
    assert rows(text)["accuracy"][-2:] == ["one", "seed"]
    assert "the difference may be due to chance" in text
    assert f"predictions are not compared by example: {tmp_path / 'a'} has not stored them; {tmp_path / 'b'} has not" in text


def changed(runs, where, name, *, members=None, **fields):
    """A copy of a run whose result, and of its members, has other fields."""
    shutil.copytree(runs / name, where / name)
    result = RunDirectory(where / name).read_result()
    changed = [{**member, **(members or {}).get(member["seed"], {})} for member in result["members"]]
    RunDirectory(where / name).write_result({**result, **fields, "members": changed})
    return str(where / name)


def without_predictions(path):
    run = RunDirectory(path)
    run.predictions.unlink()
    run.write_result(run.read_result())


def test_a_member_that_failed_is_not_compared_by_example(runs, tmp_path):
    a = changed(runs, tmp_path, "a", members={1: {"test": None, "failed": True}})
    text = rows(compare_runs.compare([a, str(runs / "b")]).partition("by example")[2])
    assert "2" in text
    assert "1" not in text


def test_why_there_is_nothing_to_compare_is_true(runs, tmp_path):
    lost = {"test": None, "failed": True}
    a = changed(runs, tmp_path, "a", members=dict.fromkeys((0, 1, 2), lost))
    with pytest.raises(ValueError, match=f"no member of {a} has a score on test: all failed"):
        compare_runs.compare([a, str(runs / "b")])
    untested = [changed(runs, tmp_path / "untested", name, summary_split="validation") for name in "ab"]
    with pytest.raises(ValueError, match=f"{untested[0]} was scored on validation, {runs / 'b'} on test"):
        compare_runs.compare([untested[0], str(runs / "b")])
    for run in untested:
        without_predictions(run)
    assert f"by example: {untested[0]} has no labelled test split; {untested[1]} has" in compare_runs.compare(untested)
    trials = [changed(runs, tmp_path / "trials", name, summary_split="validation", tested=False) for name in "ab"]
    without_predictions(trials[0])
    assert f"by example: {trials[0]} is of a search, not tested" in compare_runs.compare(trials)


def test_what_cannot_be_compared_is_named(runs, tmp_path):
    with pytest.raises(ValueError, match="--compare takes two runs, --compare runs/A runs/B; got 1"):
        compare_runs.compare([str(runs / "a")])
    with pytest.raises(ValueError, match="there is no such folder"):
        compare_runs.compare([str(runs / "a"), str(runs / "c")])
    (tmp_path / "sweep").mkdir()
    (tmp_path / "sweep" / "sweep.json").write_text("{}")
    with pytest.raises(ValueError, match="is a sweep; its report compares its variants"):
        compare_runs.compare([str(runs / "a"), str(tmp_path / "sweep")])
    (tmp_path / "begun").mkdir()
    (tmp_path / "begun" / "config.json").write_text((runs / "a" / "config.json").read_text())
    with pytest.raises(ValueError, match="is not finished"):
        compare_runs.compare([str(runs / "a"), str(tmp_path / "begun")])
    other = shutil.copytree(runs / "a", tmp_path / "other")
    found = json_files.read(other / "identity.json")
    json_files.write(other / "identity.json", {**found, "splits": {**found["splits"], "test": "0" * 64}})
    with pytest.raises(ValueError, match="were scored on different examples of test"):
        compare_runs.compare([str(runs / "a"), str(other)])
