"""What eval.py shows beside the scores belongs to the examples that it scores: baselines, clean texts, notes."""

import shutil
import zipfile

import numpy as np
import pytest

from attention.commands import eval as entry
from attention.evaluation import trained as evaluate
from attention.runs import json_files
from attention.training import command_line, config, loop
from tests.support import toy


def table(path, texts, labels):
    path.write_text("text\tlabel\n" + "".join(f"{text}\t{label}\n" for text, label in zip(texts, labels)))
    return path


def read(path):
    return [line.split("\t") for line in path.read_text().splitlines()[1:]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A run of two members on a toy set; the tests must not change it."""
    patch, folder = pytest.MonkeyPatch(), tmp_path_factory.mktemp("beside")
    patch.setenv("ATTENTION_CACHE_DIR", str(folder / "cache"))
    source = toy.write_data(folder)
    loop.train(config.from_dict({**toy.fields(source), "seeds": (0, 1)}), folder / "run")
    yield folder
    patch.undo()


@pytest.fixture
def said(folder, capsys):
    """``said(*flags)``: what eval.py prints of the run."""

    def said(*flags, run=folder / "run"):
        assert command_line.run_main(entry.main, ["eval.py", f"--workdir={run}", *flags]) == 0
        return capsys.readouterr().out

    return said


def majority(folder, rows):
    """The line of the most frequent class of train on other rows."""
    labels = [label for _, label in read(folder / "train.tsv")]
    usual = max(set(labels), key=labels.count)
    return f"baseline majority: {100 * np.mean([label == usual for _, label in rows]):.2f} %"


def test_baselines_are_of_the_examples_beside(folder, said, tmp_path):
    for name in ("train", "validation", "test"):
        assert majority(folder, read(folder / f"{name}.tsv")) in said(f"--split={name}")
    new = table(tmp_path / "new.tsv", ["the oslo", "a plum", "of fig", "in"], ["city", "fruit", "fruit", "neither"])
    assert majority(folder, read(new)) == "baseline majority: 50.00 %"
    assert majority(folder, read(new)) in said(f"--data={new}")
    # the rule is that of the run's train, whatever the train of other data says
    train = table(tmp_path / "train.tsv", [f"oslo {n}" for n in range(9)] + ["fig", "in"], ["city"] * 9 + ["fruit", "neither"])
    assert majority(folder, read(new)) in said(f"--data=files(train='{train}', validation='{new}', test='{new}')")


def test_a_run_of_before_rules_were_kept(folder, said, tmp_path):
    """Its own splits are scored by rules learned anew; of a file nothing can be known."""
    shutil.copytree(folder / "run", tmp_path / "run")
    record = json_files.read(tmp_path / "run" / "data.json")
    new = {name: record.pop(name) for name in ("rules", "splits", "notes")}
    json_files.write(tmp_path / "run" / "data.json", {**record, "baselines": new["splits"]["test"]["baselines"]})
    assert majority(folder, read(folder / "train.tsv")) in said("--split=train", run=tmp_path / "run")
    assert "baseline" not in said(f"--data={folder}/test.tsv", run=tmp_path / "run")


def test_scores_on_clean_texts_stand_beside(folder, said, tmp_path):
    rows = {name: read(folder / f"{name}.tsv") for name in ("train", "validation", "test")}
    table(tmp_path / "test.tsv", *zip(*rows["train"][:5], *rows["validation"][:4], *rows["test"]))
    names = {"train": folder, "validation": folder, "test": tmp_path}
    source = "files(" + ", ".join(f"{name}='{place / name}.tsv'" for name, place in names.items()) + ")"
    trained = evaluate.load(str(folder / "run"))
    found = trained.evaluate(data=source)
    known = {" ".join(text.lower().split()) for name in ("train", "validation") for text, _ in rows[name]}
    clean = [row for row in read(tmp_path / "test.tsv") if " ".join(row[0].lower().split()) not in known]
    assert found.clean.examples == len(clean) <= 30
    alone = trained.score(trained.encode(*zip(*clean)), "alone")
    for one, other in zip(found.clean.members, alone.members, strict=True):
        assert one == pytest.approx(other, abs=1e-6)
    assert found.clean.summary["accuracy"] == pytest.approx(alone.summary["accuracy"])
    heading = f"without the texts that are also in train or validation, {len(clean)} examples"
    assert heading in said(f"--data={source}")
    assert "without the texts" not in said(f"--data={source}", "--split=train")
    # where train is another, the texts of the run's own count
    table(tmp_path / "train.tsv", *zip(*rows["train"][:40]))
    assert heading in said(f"--data={source.replace(str(folder / 'train'), str(tmp_path / 'train'))}")


def test_texts_of_a_file_that_were_trained_on_are_told(folder, said, tmp_path):
    rows = {name: read(folder / f"{name}.tsv") for name in ("train", "validation", "test")}
    known = {" ".join(text.lower().split()) for name in ("train", "validation") for text, _ in rows[name]}
    clean = [row for row in rows["test"] if row[0] not in known]
    new = table(tmp_path / "new.tsv", *zip(*[(text.upper(), label) for text, label in rows["train"][:7]], *clean))
    out = said(f"--data={new}")
    assert f"note: 7 of {7 + len(clean)} texts of {new} are also in train or validation" in out
    alone = said(f"--data={table(tmp_path / 'clean.tsv', *zip(*clean))}")
    assert "also in train" not in alone
    _, _, beside = out.partition(f"without the texts that are also in train or validation, {len(clean)} examples\n")
    row = lambda said: next(line.split() for line in said.splitlines() if line.startswith("seed 0"))
    assert row(beside) == row(alone)
    assert row(out) != row(alone)
    whole = said(f"--data={folder}/train.tsv")
    assert f"note: {folder}/train.tsv is the train split that the run recorded" in whole
    assert f"note: 50 of 50 texts of {folder}/train.tsv are also in train or validation" in whole


def test_where_the_data_are_not_there_it_is_not_known_what_was_trained_on(folder, said, tmp_path):
    """But a file of them is known by its content."""
    shutil.copytree(folder, tmp_path / "moved")
    place = tmp_path / "moved"
    record = json_files.read(place / "run" / "data.json")
    json_files.write(place / "run" / "data.json", {**record, "source": record["source"].replace(str(folder), "/gone")})
    out = said(f"--data={place}/validation.tsv", run=place / "run")
    assert f"whether texts of {place}/validation.tsv are in the run's train or validation is not known: " in out
    assert f"{place}/validation.tsv is the validation split that the run recorded" in out
    assert "without the texts" not in out


def test_a_file_with_other_columns(folder, said, tmp_path, capsys):
    rows = read(folder / "test.tsv")
    new = tmp_path / "new.csv"
    new.write_text("stars,body\n" + "".join(f"{label},{text}\n" for text, label in rows))
    scores = lambda out: out[out.index("seed 0") :]
    assert scores(said(f"--data={new}", "--columns=body,stars")) == scores(said(f"--data={folder}/test.tsv"))
    refused = {
        (f"--data={new}",): "the column 'text' is missing; columns: stars, body; its first line has to name them; --columns=",
        (f"--data={new}", "--columns=body"): "has no labels to score; give --out=FILE.tsv for the predictions, or --columns=",
        (f"--data={new}", "--columns=body,star"): "the column 'star' is missing (nearest: 'stars')",
        (f"--data={new}", "--columns=a,b,c"): "--columns=TEXT,ANSWER, got a, b, c",
        ("--columns=body,stars",): "it goes with --data=FILE",
        (f"--data=files(test='{new}', text='body')",): "a file alone is --data=FILE.csv --columns=TEXT,ANSWER",
    }
    for flags, message in refused.items():
        assert command_line.run_main(entry.main, ["eval.py", f"--workdir={folder}/run", *flags]) == 2
        assert message in capsys.readouterr().err


def test_files_of_every_kind_score_the_same(folder, said, tmp_path, monkeypatch):
    """The rows of test in other formats, in pieces, packed, in folders, and by the numbers of their columns."""
    rows = read(folder / "test.tsv")
    lines = [f"{label};{text}\r\n" for text, label in rows]
    (tmp_path / "excel.csv").write_text("label;text\r\n" + "".join(lines), encoding="utf-16", newline="")
    (tmp_path / "bare.csv").write_text("".join(lines), newline="")
    (tmp_path / "fast.txt").write_text("".join(f"__label__{label} {text}\n" for text, label in rows))
    table(tmp_path / "part-1.tsv", *zip(*rows[:10]))
    table(tmp_path / "part-2.tsv", *zip(*rows[10:]))
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        archive.write(folder / "test.tsv", "in/test.tsv")
    for number, (text, label) in enumerate(rows):
        (tmp_path / "tree" / label).mkdir(parents=True, exist_ok=True)
        (tmp_path / "tree" / label / f"{number:02}.txt").write_text(text)
    monkeypatch.chdir(tmp_path)
    scores = lambda out: next(line for line in out.splitlines() if line.startswith("seed 0"))
    wanted = scores(said(f"--data={folder}/test.tsv"))
    for data in ("excel.csv", "fast.txt", "part-*.tsv", "all.zip", "all.zip/in/test.tsv", "tree", "./tree/"):
        out = said(f"--data={data}")
        assert f"{data}, 30 examples" in out
        assert scores(out) == wanted
    assert scores(said("--data=bare.csv", "--columns=1,0")) == wanted
    assert "tree/city has no labels: no scores" in said("--data=tree/city", "--out=out.csv")


def test_files_are_read_as_those_of_the_run(tmp_path, monkeypatch, capsys):
    """In their encoding and by the numbers of their columns; what eval.py writes is read by its names."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ATTENTION_CACHE_DIR", str(tmp_path / "cache"))
    rows = [(f"caf\xe9 number {number}", "yn"[number % 2]) for number in range(40)]
    for name in ("train", "new"):
        (tmp_path / f"{name}.dat").write_text("".join(f"{label}~{text}\n" for text, label in rows), encoding="latin-1")
    source = "files(train='train.dat', text=1, label=0, delimiter='~', encoding='latin-1')"
    loop.train(config.from_dict(toy.fields(source)), tmp_path / "run")
    for flags in (["--data=new.dat", "--out=out.csv"], ["--data=out.csv", "--columns=text,label"]):
        assert command_line.run_main(entry.main, ["eval.py", "--workdir=run", *flags]) == 0
        assert "40 of 40 texts of" in capsys.readouterr().out
    assert (tmp_path / "out.csv").read_text(encoding="utf-8").startswith("text,predicted,")


def test_notes_name_what_is_evaluated(folder, said, tmp_path):
    long = table(tmp_path / "long.tsv", ["the oslo rome " * 9] * 2 + ["fig"], ["city"] * 2 + ["fruit"])
    assert f"note: 67 % of the texts of {long} are longer than config.data.max_length" in said(f"--data={long}")
    strange = table(tmp_path / "strange.tsv", ["\u4f60 \u597d", "fig oslo"], ["city", "fruit"])
    out = said(f"--data={strange}")
    assert f"note: 50 % of the tokens of {strange} are unknown to the tokenizer" in out
    assert "--config.data.tokenizer=bytes" in out
