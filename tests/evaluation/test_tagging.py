"""A run that tells the class of each word, asked in every way that a user has."""

import dataclasses
import re
import shutil

import pytest

from attention import files
from attention.evaluation import trained as evaluate
from attention.evaluation.export import export
from attention.evaluation.report import report
from attention.training import config, loop

TRAIN = [("Ann saw Rome", "B-PER O B-LOC"), ("New York saw Ann Lee", "B-LOC I-LOC O B-PER I-PER")] * 8
TEST = [("Ann Lee saw Oslo today", "B-PER I-PER O B-LOC _"), ("Rome saw Ann", "B-LOC O B-PER")]


def lines(rows):
    return "\n\n".join("\n".join(map("\t".join, zip(text.split(), tags.split()))) for text, tags in rows) + "\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A run of two members that keeps four words of a text; the tests must not change it."""
    folder = tmp_path_factory.mktemp("tagging")
    patch = pytest.MonkeyPatch()
    patch.setenv("ATTENTION_CACHE_DIR", str(folder / "cache"))
    (folder / "data").mkdir()
    for name, rows in {"train": TRAIN, "dev": TRAIN[:2], "test": TEST}.items():
        (folder / "data" / f"{name}.conll").write_text(lines(rows))
    settings = {
        "task": "tagging",
        "rival": "none",
        "data": {"source": str(folder / "data"), "max_length": 4, "buckets": 1},
        "model": {"encoder": "bigru", "encoding": "none", "dim": 8, "characters": 6},
        "training": {"steps": 2, "eval_every": 2, "batch_size": 8, "word_dropout": 0.5},
        "seeds": (3, 1),
    }
    loop.train(config.from_dict(settings), folder / "run")
    yield folder
    patch.undo()


def test_words_that_train_has_not_are_known_of_a_split_and_of_a_file(folder):
    """One of the seven words that are kept and have a tag; a file is read as those of the run were."""
    said = report(str(folder / "run"), split="test")
    assert "unseen: 1 of 7 words are spelled as none of train" in said
    (folder / "more.conll").write_text(lines([("Oslo saw Bonn", "B-LOC O B-LOC"), *TEST[1:]]))
    said = report(str(folder / "run"), data=str(folder / "more.conll"))
    assert "unseen: 2 of 6 words are spelled as none of train" in said
    assert "spans by type, summed over 2 members" in said
    other = f"tagged(train='{folder}/more.conll', validation='{folder}/more.conll', test='{folder}/more.conll')"
    assert "unseen: 2 of 6 words" in report(str(folder / "run"), data=other)  # of the run's train


def test_what_is_written_can_be_read(folder):
    """With the tag of each word, those that are cut off among them; so it has the scores that were told."""
    out = folder / "out.tsv"
    said = report(str(folder / "run"), split="test", out=str(out))
    head, first, _ = out.read_text().splitlines()
    assert head == "text\tpredicted(3)\tpredicted(1)\ttags"
    assert first.startswith("Ann Lee saw Oslo today\t")
    assert first.endswith("\tB-PER I-PER O B-LOC _")
    again = report(str(folder / "run"), data=str(out))
    scores = lambda text: [line for line in text.splitlines() if line.startswith(("seed", "mean"))]
    assert scores(again)[:3] == scores(said)[:3]


def test_what_cannot_be_read_is_named(folder, tmp_path):
    """With its line and what would be read; texts alone are known by the name in their first line."""
    run = str(folder / "run")
    (tmp_path / "bare.tsv").write_text("text\nAnn saw Rome\n")
    assert "1 predictions written" in report(run, data=f"{tmp_path}/bare.tsv", out=f"{tmp_path}/p.csv")
    help = "; texts without tags are a line each below the first line 'text', --columns=text"
    for name, content, said in (
        ("words", "Ann\nsaw\n", f"words, line 1: one column, 'Ann'; wanted are a word and its tag{help}"),
        ("notags.txt", "Ann saw Rome\nOslo today\n", f"notags.txt, line 2: 2 columns where line 1 has 3{help}"),
        ("other", "Ann O\n\n\nsaw O\nRome Q\n", "other, line 4: there is no class 'Q'"),
        ("other.tsv", "text\ttags\nsaw\tO\nRome\tQ\n", "other.tsv, line 3: there is no class 'Q'"),
        ("ragged.tsv", "text\ttags\nsaw Rome\tO\n", "ragged.tsv, line 2: 2 words and 1 tags"),
        (
            "a.jsonl",
            '{"tokens": ["Ann"]}\n',
            "a.jsonl, line 1: the field 'text' is missing; fields: tokens; --columns=TEXT,ANSWER",
        ),
    ):
        (tmp_path / name).write_text(content)
        with pytest.raises(ValueError, match=re.escape(said)):
            report(run, data=str(tmp_path / name))


def test_baselines_are_of_the_words_that_a_tagger_reads(folder):
    """Four of each text, of which Oslo is told wrong; what is cut off is named, and its tag written as it is known."""
    cut = "1 of 8 words of test are cut off by config.data.max_length, neither learned nor scored"
    tail = [("Ann Lee saw Oslo Rome Rome Rome", "B-PER I-PER O B-LOC B-LOC B-LOC B-LOC")]
    (folder / "tail.conll").write_text(lines(tail))
    trained = evaluate.load(str(folder / "run"))
    assert trained.data.splits["test"]["cut_words"] == 1
    own = files.read_json(folder / "run" / "result.json")["baselines"]
    assert own == trained.baselines(trained.examples("test")) == {"most_frequent_tag": pytest.approx(6 / 7)}
    said = report(str(folder / "run"), data=str(folder / "tail.conll"), out=str(folder / "tail.tsv"))
    assert "baseline most_frequent_tag: 75.00" in said
    assert "note: 3 of 7 words of" in said
    assert (folder / "tail.tsv").read_text().splitlines()[1].endswith(f"\t{tail[0][1]}")
    said = report(str(folder / "run"), split="test")
    assert cut in said
    assert "share of the words of a text that are right by length in tokens" in said


def test_a_copy_of_a_split_is_named(folder):
    shutil.copy(folder / "data" / "test.conll", folder / "copy.conll")
    assert "copy.conll is the test split that the run recorded" in report(str(folder / "run"), data=str(folder / "copy.conll"))


def test_texts_alone(folder):
    """With blanks as they come."""
    told = report(str(folder / "run"), texts=["Ann  saw\tParis"]).splitlines()[-1]
    assert [word.partition("/")[0] for word in told.split()[:3]] == ["Ann", "saw", "Paris"]
    tags = evaluate.load(str(folder / "run")).predict(["Ann saw Paris", "Rome"]).tags
    assert [[len(text.split()) for text in member] for member in tags] == [[3, 1], [3, 1]]


def test_weights_leave_and_are_begun_from(folder):
    """As a program they do not leave: it is refused by name."""
    with pytest.raises(ValueError, match=r"config\.task=tagging leaves as weights alone: --export=FILE\.safetensors"):
        export(str(folder / "run"), str(folder / "model.stablehlo"))
    export(str(folder / "run"), str(folder / "model.safetensors"))
    stored = evaluate.load(str(folder / "run")).settings
    begun = dataclasses.replace(stored.training, init_from=str(folder / "model.safetensors"))
    loop.train(dataclasses.replace(stored, training=begun, seeds=(3,)), folder / "tuned")
    assert "spelling" in evaluate.load(str(folder / "tuned")).params


def test_characters_are_for_taggers_alone():
    with pytest.raises(ValueError, match=r"config\.model\.characters is for config\.task=tagging, got 8"):
        config.from_dict({"model": {"characters": 8}})
