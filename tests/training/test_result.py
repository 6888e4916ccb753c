"""What stands beside the scores of a run: baselines of the same split, clean texts, notes, and times that are its own."""

import os
from pathlib import Path

import numpy as np
import pytest

from attention.runs.directory import RunDirectory
from attention.training import config, loop, result
from tests.support import toy

LEAKED, COMMON = 8, 30  # texts of test that are also in train or validation, and texts of test


def train(source, where, data=None):
    fields = toy.fields(source)
    return loop.train(config.from_dict({**fields, "data": {**fields["data"], **(data or {})}, "seeds": (0, 1)}), where)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run of two members; eight of thirty texts of test are also in train or validation."""
    patch, folder = pytest.MonkeyPatch(), tmp_path_factory.mktemp("result")
    patch.setenv("ATTENTION_CACHE_DIR", str(folder / "cache"))
    source = toy.write_data(folder)
    rows = {name: (folder / f"{name}.tsv").read_text().splitlines() for name in ("train", "validation")}
    toy.write_split(folder / "more.tsv", 80, 9)
    known = {line.split("\t")[0] for lines in rows.values() for line in lines}
    fresh = [line for line in (folder / "more.tsv").read_text().splitlines()[1:] if line.split("\t")[0] not in known]
    leaked = [*rows["train"][1:6], *rows["validation"][1:4]]
    (folder / "test.tsv").write_text("\n".join([rows["train"][0], *leaked, *fresh[: COMMON - LEAKED]]) + "\n")
    train(source, folder / "run")
    yield RunDirectory(folder / "run")
    patch.undo()


def test_scores_on_clean_texts_stand_beside(run):
    stored, correct = run.read_result(), run.read_predictions()["correct"]
    assert (stored["clean"]["count"], stored["clean"]["of"]) == (COMMON - LEAKED, COMMON)
    for member, right in zip(stored["members"], correct):
        assert member["test"]["accuracy"] == pytest.approx(right.mean())
        assert member["clean"]["accuracy"] == pytest.approx(right[LEAKED:].mean())
        assert member["clean"]["count"] == COMMON - LEAKED
    mean = np.mean([member["clean"]["accuracy"] for member in stored["members"]])
    assert stored["clean"]["summary"]["accuracy"]["mean"] == pytest.approx(mean)
    table = result.table(stored)
    assert f"{100 * mean:.2f}" in next(line for line in table.splitlines() if line.startswith("mean"))
    assert "clean acc" in table.splitlines()[0]
    assert "clean: the 22 of 30 texts of test that are neither in train nor in validation" in table


def test_what_is_said_of_the_data_is_kept(run):
    note = "8 of 30 texts of test are also in train or validation: a score on them is partly one of memory"
    assert note in run.read_result()["notes"]
    assert note in run.read_data().notes
    assert run.read_data().splits["test"]["seen_in_train_or_validation"] == LEAKED


def test_without_leaks_nothing_stands_beside(run, tmp_path):
    folder = run.path.parent
    stored = train(f"files(train='{folder}/train.tsv', validation='{folder}/validation.tsv')", tmp_path / "run")
    assert stored["clean"] is None
    assert [member["clean"] for member in stored["members"]] == [None, None]
    assert "clean" not in result.table(stored)


def test_baselines_belong_to_a_split(run):
    data, folder = run.read_data(), run.path.parent
    rows = {name: (folder / f"{name}.tsv").read_text().splitlines()[1:] for name in data.splits}
    labels = {name: [row.split("\t")[1] for row in found] for name, found in rows.items()}
    usual = max(set(labels["train"]), key=labels["train"].count)
    for name, facts in data.splits.items():
        assert facts["baselines"] == {"majority": pytest.approx(np.mean([label == usual for label in labels[name]]))}
    assert run.read_result()["baselines"] == data.splits["test"]["baselines"]
    assert data.rules == {"majority": {"": data.classes.index(usual)}}


def test_much_that_is_unknown_or_cut_off_is_said_in_training(run, tmp_path, capsys):
    narrow = {"max_length": 3, "tokenizer": "words(max_size=4)"}
    source = f"files(train='{run.path.parent}/train.tsv')"
    stored = train(source, tmp_path / "run", narrow)
    said = capsys.readouterr().out
    unknown = "% of the tokens of train", "--config.data.tokenizer=bytes"
    for words in (*unknown, "% of the texts of train", "--config.data.max_length=N"):
        assert words in said
        assert any(words in note for note in stored["notes"])
    assert any("were carved off train" in note for note in stored["notes"])


def test_times_of_a_busy_machine_are_no_cost(run):
    stored = run.read_result()
    assert stored["process_seconds"] > 0
    assert stored["cores"] == os.cpu_count()
    assert stored["load"] >= 0
    quiet = {**stored, "step_seconds": 10.0, "process_seconds": 12.0, "load": 1.0, "cores": 2}
    assert "examples/s" in result.table(quiet)
    for busy in ({"load": 9.0}, {"process_seconds": 5.0}):
        said = result.table({**quiet, **busy})
        assert "examples/s" not in said
        assert "the machine was busy" in said
        assert "of processor time" in said


def test_a_trial_of_a_search_is_not_said_to_lack_a_test_split(run, tmp_path, capsys):
    fields = toy.fields(run.read_data().source, steps=2, warmup=1)
    stored = loop.train(config.from_dict(fields), tmp_path / "run", test=False)
    assert (stored["tested"], stored["summary_split"]) == (False, "validation")
    said = capsys.readouterr().out
    assert "Test is not looked at in a search" in said
    assert "no labelled test split" not in said


MEMBERS = ([], [{}], 5, None, [5], [{"seed": 0, "failed": "no", "validation": None, "test": None}])
DAMAGED = [
    {"members": [{}]},
    {"members": 5},
    {"members": None},
    {"summary": "x"},
    {"summary": {}},
    {"summary_split": 5},
    {"task": 5},
    {"task": None},
    {"baselines": 5},
    {"baselines": {"majority": "x"}},
    {"train_seconds": 1e999},
    {"train_seconds": "x"},
    {"parameters": None},
    {"parameters": "x"},
    {"examples_per_second": None},
    {"load": "x"},
    {"clean": 5},
    {"clean": {"summary": 5}},
    {"by_length": 5},
    {"by_length": {}},
]


@pytest.mark.parametrize("damage", DAMAGED, ids=str)
def test_a_result_that_training_does_not_write_is_one_error(run, damage):
    stored = {**run.read_result(), "load": 0.0, "step_seconds": 1.0, "process_seconds": 1.0}
    with pytest.raises(ValueError, match=r"^result\.json is not what training writes"):
        result.stored_table({**stored, **damage}, Path("result.json"))


@pytest.mark.parametrize("members", MEMBERS, ids=str)
def test_members_are_what_training_writes_or_nothing_is_read_of_them(tmp_path, members):
    RunDirectory(tmp_path).write_result({"members": members})
    with pytest.raises(ValueError, match=r"result\.json is not what training writes: members is "):
        RunDirectory(tmp_path).read_result()


def test_every_field_that_is_printed_is_needed(run):
    stored = run.read_result()
    for name in ("task", "members", "summary", "summary_split", "baselines", "parameters", "device", "kernel", "by_length"):
        with pytest.raises(ValueError, match=r"^result\.json is not what training writes"):
            result.stored_table({field: value for field, value in stored.items() if field != name}, Path("result.json"))
    for name in stored["members"][0].keys() - {"updates", "failed"}:
        members = [{field: value for field, value in member.items() if field != name} for member in stored["members"]]
        with pytest.raises(ValueError, match=r"^result\.json is not what training writes"):
            result.stored_table({**stored, "members": members}, Path("result.json"))


def test_names_in_a_result_reach_no_terminal_as_they_are(run):
    stored, evil = run.read_result(), "\x1b[31m\r\nresult: 100.00" + "x" * 10**5
    members = [{**member, "stopped": evil, "seed": evil} for member in stored["members"]]
    odd = {**stored, "device": evil, "kernel": evil, "baselines": {evil: 0.5}, "members": members}
    lines = result.table(odd).split("\n")
    assert len(lines) == len(result.table(stored).split("\n"))
    for line in lines:
        assert line.isprintable()
        assert len(line) <= 500
