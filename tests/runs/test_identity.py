"""A run is what it was made of: other content is refused whatever it is called, the same is known again wherever it lies."""

import json
import os
import re
import shutil
import signal

import pytest

from attention.commands import train as entry
from attention.evaluation import report, trained
from attention.runs import environment, json_files
from attention.runs.directory import RunDirectory
from attention.training import command_line, config, loop, recipe
from tests.support import toy


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("ATTENTION_CACHE_DIR", str(tmp_path / "cache"))


def settings(source, **training):
    return config.from_dict(toy.fields(source, **training))


def cut_off(wanted, workdir, monkeypatch):
    """A run that was interrupted after its first checkpoint."""
    append, raised = RunDirectory.append_metrics, []

    def interrupt(run, line):
        append(run, line)
        if line["split"] == "validation" and not raised:
            raised.append(True)
            os.kill(os.getpid(), signal.SIGTERM)

    with monkeypatch.context() as patch:
        patch.setattr(RunDirectory, "append_metrics", interrupt)
        with pytest.raises(SystemExit):
            loop.train(wanted, workdir)


def swap_labels(path):
    path.write_text(path.read_text().replace("\tcity", "\tother").replace("\tfruit", "\tcity").replace("\tother", "\tfruit"))


def test_a_finished_run_is_not_that_of_data_that_have_changed(tmp_path, capsys):
    source = toy.write_data(tmp_path)
    wanted, train = settings(source), tmp_path / "train.tsv"
    result = loop.train(wanted, tmp_path / "run")
    before = train.read_text()
    swap_labels(train)
    with pytest.raises(
        ValueError, match=r"run holds a run of other data: the train split is not the one recorded.*another --workdir"
    ):
        loop.train(wanted, tmp_path / "run")
    train.write_text(before)  # another time of change, the same content
    assert loop.train(wanted, tmp_path / "run") == result
    assert "is finished; its result:" in capsys.readouterr().out


def test_a_finished_run_answers_without_reading_its_data(tmp_path, monkeypatch, capsys):
    wanted = settings(toy.write_data(tmp_path))
    result = loop.train(wanted, tmp_path / "run")

    def fail(*_, **__):
        raise AssertionError("the data were read")

    with monkeypatch.context() as patch:
        patch.setattr(recipe, "load_data", fail)
        assert loop.train(wanted, tmp_path / "run") == result
    (tmp_path / "test.tsv").unlink()
    capsys.readouterr()
    assert loop.train(wanted, tmp_path / "run") == result
    assert f"{tmp_path}/test.tsv is not there any more: whether it is as it was cannot be told" in capsys.readouterr().out


def test_the_same_rows_in_another_format_are_the_same_run(tmp_path):
    source = toy.write_data(tmp_path)
    result = loop.train(config.from_dict(toy.fields(source)), tmp_path / "run")
    for name in ("train", "validation", "test"):
        lines = [line.split("\t") for line in (tmp_path / f"{name}.tsv").read_text().splitlines()[1:]]
        rows = [{"text": text, "label": label} for text, label in lines]
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    other = config.from_dict(toy.fields(source.replace(".tsv", ".jsonl")))
    assert loop.train(other, tmp_path / "run") == result
    assert ".jsonl" in json_files.read(tmp_path / "run/data.json")["source"]


def test_a_file_that_comes_to_a_glob_is_noticed(tmp_path, capsys):
    toy.write_data(tmp_path)
    (tmp_path / "parts").mkdir()
    toy.write_split(tmp_path / "parts/a.tsv", 40, 0)
    source = f"files(train='{tmp_path}/parts/*.tsv', validation='{tmp_path}/validation.tsv')"
    settings = config.from_dict(toy.fields(source))
    result = loop.train(settings, tmp_path / "run")
    assert loop.train(settings, tmp_path / "run") == result
    toy.write_split(tmp_path / "parts/b.tsv", 40, 1)
    with pytest.raises(ValueError, match="the train split is not the one recorded"):
        loop.train(settings, tmp_path / "run")
    (tmp_path / "parts/b.tsv").unlink()
    assert loop.train(settings, tmp_path / "run") == result


def test_what_moved_is_known_by_its_content(tmp_path, monkeypatch, capsys):
    (tmp_path / "old").mkdir()
    wanted = settings(toy.write_data(tmp_path / "old"))
    unbroken = loop.train(wanted, tmp_path / "unbroken")
    cut_off(wanted, tmp_path / "run", monkeypatch)
    os.rename(tmp_path / "old", tmp_path / "new")
    moved = settings(spec(tmp_path / "new"))
    result = loop.train(moved, tmp_path / "run")
    said = capsys.readouterr().out
    assert "data.source is" in said
    assert "what lies there is the same" in said
    assert re.search(r"going on after update \d+ of 12", said)
    assert result["members"] == unbroken["members"]
    # From now on it is found where it lies, by evaluation and by whoever asks again.
    assert (
        trained.load(str(tmp_path / "run")).evaluate("test").members[0]["accuracy"] == result["members"][0]["test"]["accuracy"]
    )
    assert loop.train(moved, tmp_path / "unbroken")["members"] == unbroken["members"]
    # What moved and changed is something else.
    os.rename(tmp_path / "new", tmp_path / "third")
    swap_labels(tmp_path / "third" / "validation.tsv")
    with pytest.raises(ValueError, match="the validation split is not the one recorded"):
        loop.train(settings(spec(tmp_path / "third")), tmp_path / "run")


def test_a_variable_in_a_path_leads_evaluation_to_where_the_data_are_by_now(tmp_path, monkeypatch):
    (tmp_path / "old").mkdir()
    toy.write_data(tmp_path / "old")
    monkeypatch.setenv("TOYS", str(tmp_path / "old"))
    result = loop.train(settings("files(train='$TOYS/train.tsv', test='$TOYS/test.tsv')"), tmp_path / "run")
    os.rename(tmp_path / "old", tmp_path / "new")
    with pytest.raises(ValueError, match=r"old/train\.tsv.*if the data of .*run moved, --data= says where they are"):
        trained.load(str(tmp_path / "run")).evaluate("test")
    monkeypatch.setenv("TOYS", str(tmp_path / "new"))
    found = trained.load(str(tmp_path / "run")).evaluate("test")
    assert found.members[0]["accuracy"] == result["members"][0]["test"]["accuracy"]
    said = report.report(str(tmp_path / "run"), data=f"files(train='{tmp_path}/new/train.tsv', test='{tmp_path}/new/test.tsv')")
    assert "is the test split that the run recorded" in said


def spec(folder):
    """The source of the toy data in a folder."""
    paths = (f"{name}='{folder / name}.tsv'" for name in ("train", "validation", "test"))
    return f"files({', '.join(paths)})"


def test_renamed_classes_are_other_data(tmp_path):
    wanted = settings(toy.write_data(tmp_path))
    loop.train(wanted, tmp_path / "run")
    for name in ("train", "validation", "test"):
        path = tmp_path / f"{name}.tsv"
        path.write_text(path.read_text().replace("\tcity", "\tcivic"))  # of the same place among the sorted ones
    with pytest.raises(ValueError, match=r"the names of the classes are not those recorded \('city' there, 'civic' now\)"):
        loop.train(wanted, tmp_path / "run")


def test_a_fine_tune_that_was_cut_off_needs_what_it_came_from_no_more(tmp_path, monkeypatch):
    source = toy.write_data(tmp_path)
    loop.train(settings(source), tmp_path / "origin")
    shutil.copytree(tmp_path / "origin", tmp_path / "kept")
    wanted = settings(source, init_from=str(tmp_path / "origin"), learning_rate=0.01)
    unbroken = loop.train(wanted, tmp_path / "unbroken")
    cut_off(wanted, tmp_path / "run", monkeypatch)
    shutil.rmtree(tmp_path / "origin")
    assert loop.train(wanted, tmp_path / "run")["members"] == unbroken["members"]
    # Another path to the same weights is the same run; other weights are not.
    moved = settings(source, init_from=str(tmp_path / "kept"), learning_rate=0.01)
    assert loop.train(moved, tmp_path / "unbroken")["members"] == unbroken["members"]
    nowhere = settings(source, init_from=str(tmp_path / "nowhere"), learning_rate=0.01)
    for workdir in ("run", "unbroken"):
        with pytest.raises(ValueError, match=r"no run at .*nowhere"):
            loop.train(nowhere, tmp_path / workdir)
    for workdir in ("run", "unbroken"):
        with pytest.raises(ValueError, match=r"the weights it starts from are not those recorded \(hash \w+ there, none now\)"):
            loop.train(settings(source, learning_rate=0.01), tmp_path / workdir)
    loop.train(settings(source, steps=16), tmp_path / "other")
    others = settings(source, init_from=str(tmp_path / "other"), learning_rate=0.01)
    with pytest.raises(ValueError, match="the weights it starts from are not those recorded"):
        loop.train(others, tmp_path / "run")


def test_checkpoints_without_what_they_are_of_are_not_gone_on_with(tmp_path, monkeypatch):
    wanted = settings(toy.write_data(tmp_path))
    cut_off(wanted, tmp_path / "run", monkeypatch)
    (tmp_path / "run" / "data.json").unlink()
    with pytest.raises(ValueError, match=r"data\.json is missing, without which the checkpoints beside it are of unknown data"):
        loop.train(wanted, tmp_path / "run")


def test_a_cut_off_run_with_vectors_needs_the_file_no_more(tmp_path, monkeypatch):
    source, path = toy.write_data(tmp_path), tmp_path / "vectors.txt"
    path.write_text("".join(f"{word} {' '.join(str(0.1 * k) for k in range(8))}\n" for word in ("the", "oslo", "fig")))
    fields = toy.fields(source)
    fields["model"]["vectors"] = str(path)
    wanted = config.from_dict(fields)
    unbroken = loop.train(wanted, tmp_path / "unbroken")
    cut_off(wanted, tmp_path / "run", monkeypatch)
    path.unlink()
    assert loop.train(wanted, tmp_path / "run")["members"] == unbroken["members"]


# What evaluation and reports read


@pytest.mark.parametrize("name", ["config.json", "data.json", "identity.json", "environment.json", "result.json"])
def test_a_flipped_digit_of_a_record_is_noticed(tmp_path, name):
    loop.train(settings(toy.write_data(tmp_path)), tmp_path / "run")
    path = tmp_path / "run" / name
    text = path.read_text()
    place = next(i for i, sign in enumerate(text) if sign.isdigit() and i > 20)
    path.write_text(f"{text[:place]}{(int(text[place]) + 1) % 10}{text[place + 1 :]}")
    with pytest.raises(ValueError, match=rf"{name} is damaged or was edited"):
        json_files.read(path)


@pytest.mark.parametrize(
    ("name", "read"),
    [
        ("metrics.jsonl", lambda run: run.read_metrics()),
        ("predictions.npz", lambda run: run.read_predictions()),
        ("tokenizer/vocabulary.json", lambda run: run.read_data()),
    ],
)
def test_a_flipped_bit_of_another_file_is_noticed(tmp_path, name, read):
    loop.train(settings(toy.write_data(tmp_path)), tmp_path / "run")
    run, path = RunDirectory(tmp_path / "run"), tmp_path / "run" / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match=rf"{path.name} is damaged: it does not have the hash it was written with"):
        read(run)
    path.unlink()
    with pytest.raises(ValueError, match=f"{path.name} is missing"):
        read(run)


def test_sources_and_the_config_file_are_kept(tmp_path, capsys):
    wanted = settings(toy.write_data(tmp_path))
    loop.train(wanted, tmp_path / "run", config_file="def get_config(): ...\n")
    run = RunDirectory(tmp_path / "run")
    assert run.config_file.read_text() == "def get_config(): ...\n"
    assert run.read_sources() == environment.sources()
    assert len(run.read_sources()["training/loop.py"]) == 64
    json_files.write(run.sources, {**run.read_sources(), "training/loop.py": "0" * 64})
    capsys.readouterr()
    run.result.unlink()
    loop.train(wanted, tmp_path / "run")
    assert "note: files of the package are not those the run began with: training/loop.py" in capsys.readouterr().out


# train.py --workdir=DIR


def call(*arguments):
    return command_line.run_main(entry.main, ["train.py", *arguments])


def test_a_folder_with_a_config_is_trained_as_it_says(tmp_path, capsys):
    wanted = settings(toy.write_data(tmp_path))
    result = loop.train(wanted, tmp_path / "run")
    (tmp_path / "again").mkdir()
    shutil.copyfile(tmp_path / "run" / "config.json", tmp_path / "again" / "config.json")
    assert call(f"--workdir={tmp_path}/again") == 0
    assert RunDirectory(tmp_path / "again").read_result()["members"] == result["members"]
    capsys.readouterr()
    assert call("--workdir", str(tmp_path / "again")) == 0
    assert "is finished; its result:" in capsys.readouterr().out
    assert call(f"--workdir={tmp_path}/again", "--config.model.dim=16") == 2
    assert "model.dim is 8 there, 16 given" in capsys.readouterr().err


@pytest.mark.parametrize("flags", [(), ("--describe",)])
def test_a_folder_without_a_run_wants_a_config(flags, tmp_path, capsys, monkeypatch):
    """A slip in the name of a run starts none of the default config."""
    monkeypatch.chdir(tmp_path)
    RunDirectory(tmp_path / "runs" / "mein").path.mkdir(parents=True)
    (tmp_path / "runs" / "mein" / "config.json").write_text("{}")
    assert call("--workdir=runs/meim", *flags) == 2
    wanted = "error: runs/meim holds no run (nearest: runs/mein); --config=NAME starts a new one there\n"
    assert capsys.readouterr() == ("", wanted)
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["mein"]


def test_the_first_line_says_what_is_trained_and_where(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(entry, "DEFAULT", "smoke")
    flags = ["--config.training.steps=2", "--config.training.eval_every=2", f"--config.data.source={toy.write_data(tmp_path)}"]
    flags += ["--config.model.pooling=max", "--config.rival=none", "--config.data.tokenizer=bytes"]
    first = lambda: capsys.readouterr().out.splitlines()[0]
    assert call(*flags, "--workdir=new") == 0  # a field alone is a config: the default with it
    assert first() == "training the default config, smoke, into new (new)"
    assert call("--workdir=new") == 0
    assert first() == "training new/config.json into new (finished)"
    (tmp_path / "new" / "result.json").unlink()
    assert call("--config", "smoke", *flags, "--workdir=new") == 0
    assert first() == "training smoke into new (going on)"


def test_a_config_edited_by_hand_is_named(tmp_path, capsys):
    loop.train(settings(toy.write_data(tmp_path)), tmp_path / "run")
    path = tmp_path / "run" / "config.json"
    stored = json.loads(path.read_text())
    stored["training"]["steps"] = 13
    path.write_text(json.dumps(stored))
    assert call(f"--workdir={tmp_path}/run") == 2
    assert "config.json is damaged or was edited" in capsys.readouterr().err


# Files of two runs in one folder, paths that lead elsewhere, configs edited by hand


def test_a_relative_path_or_a_variable_that_leads_elsewhere_is_other_data(tmp_path, monkeypatch, capsys):
    for name in ("a", "b"):
        (tmp_path / name / "d").mkdir(parents=True)
        toy.write_data(tmp_path / name / "d")
    swap_labels(tmp_path / "b" / "d" / "train.tsv")
    for source in ("files(train='d/train.tsv', test='d/test.tsv')", "files(train='$TOYS/train.tsv', test='$TOYS/test.tsv')"):
        workdir = tmp_path / f"run{len(source)}"
        monkeypatch.chdir(tmp_path / "a")
        monkeypatch.setenv("TOYS", str(tmp_path / "a" / "d"))
        result = loop.train(settings(source), workdir)
        assert loop.train(settings(source), workdir) == result
        monkeypatch.chdir(tmp_path / "b")
        monkeypatch.setenv("TOYS", str(tmp_path / "b" / "d"))
        with pytest.raises(ValueError, match="split is not the one recorded"):
            loop.train(settings(source), workdir)


def test_an_origin_that_was_trained_anew_is_another_start(tmp_path):
    source = toy.write_data(tmp_path)
    loop.train(settings(source), tmp_path / "origin")
    wanted = settings(source, init_from=str(tmp_path / "origin"))
    loop.train(wanted, tmp_path / "tuned")
    shutil.rmtree(tmp_path / "origin")
    loop.train(settings(source, steps=24, learning_rate=0.05), tmp_path / "origin")
    with pytest.raises(ValueError, match="the weights it starts from are not those recorded"):
        loop.train(wanted, tmp_path / "tuned")


@pytest.mark.parametrize("name", ["result.json", "data.json", "checkpoints"])
def test_files_of_two_runs_are_not_mixed(tmp_path, name):
    """Even of two runs of one config and one content."""
    wanted = settings(toy.write_data(tmp_path))
    for workdir in ("a", "b"):
        loop.train(wanted, tmp_path / workdir)
    mixed = tmp_path / "a" / name
    shutil.rmtree(mixed) if mixed.is_dir() else mixed.unlink()
    other = tmp_path / "b" / name
    shutil.copytree(other, mixed) if other.is_dir() else shutil.copyfile(other, mixed)
    with pytest.raises(ValueError, match="was written for another run than"):
        _all_read(tmp_path / "a")


def _all_read(path):
    report.report(str(path))
    RunDirectory(path).read_result()


def test_a_config_edited_beside_its_weights_is_named(tmp_path):
    wanted = settings(toy.write_data(tmp_path))
    loop.train(wanted, tmp_path / "run")
    path = tmp_path / "run" / "config.json"
    stored = json_files.read(path)
    stored["model"]["pooling"] = "max"
    for edited in ({**stored, "format": 2}, stored):  # as an older version wrote it, with and without a format
        path.write_text(json.dumps(edited))
        with pytest.raises(
            ValueError, match=r'is not what the run was trained with.*model\.pooling is "mean" there, "max" given'
        ):
            trained.load(str(tmp_path / "run"))
        with pytest.raises(ValueError, match="is not what the run was trained with"):
            loop.train(config.from_dict(RunDirectory(tmp_path / "run").read_config()), tmp_path / "run")


def test_a_result_without_its_hash_was_edited(tmp_path):
    loop.train(settings(toy.write_data(tmp_path)), tmp_path / "run")
    run = RunDirectory(tmp_path / "run")
    stored = json.loads(run.result.read_text())
    del stored["sha256"]
    run.result.write_text(json.dumps({**stored, "format": 2}))
    with pytest.raises(ValueError, match="was edited: it does not have the hash"):
        run.read_result()


def test_a_run_that_went_on_with_other_files_is_of_both(tmp_path, monkeypatch):
    wanted = settings(toy.write_data(tmp_path))
    cut_off(wanted, tmp_path / "run", monkeypatch)
    before = environment.sources()
    with monkeypatch.context() as patch:
        patch.setattr(environment, "sources", lambda: {**before, "poolings/mean.py": "0" * 64})
        loop.train(wanted, tmp_path / "run")
    found = RunDirectory(tmp_path / "run").read_sources()
    assert found["poolings/mean.py"] == f"{before['poolings/mean.py']} then {'0' * 64}"
    assert found != before
