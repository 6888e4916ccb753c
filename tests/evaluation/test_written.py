"""What ``--out`` wrote ``--data`` reads with the same scores, whatever the task and the names or numbers of its columns."""

import pytest

from attention.evaluation.report import report
from attention.training import config, loop

TEXTS = [f"{'oslo' if number % 2 else 'fig'} {'the' if number % 3 else 'a'} {number}" for number in range(24)]
LABELS = ["city" if number % 2 else "fruit" for number in range(24)]
ANSWERS = {
    "classification": LABELS,
    "multilabel": [";".join([label] * (number % 3 > 0) + ["the"] * (number % 4 > 1)) for number, label in enumerate(LABELS)],
    "regression": [f"{number % 5 - 1.25}" for number in range(24)],
}
NUMBERS = {"classification": "label=2", "multilabel": "labels=2", "regression": "number=2"}


def trained(folder, task, source):
    """A run of a moment."""
    settings = {
        "task": task,
        "rival": "none",
        "data": {"source": source, "max_length": 8, "buckets": 1},
        "model": {"encoder": "embeddings" if task != "tagging" else "bigru", "encoding": "none", "dim": 8},
        "training": {"steps": 2, "eval_every": 2, "batch_size": 8},
    }
    loop.train(config.from_dict(settings), folder / "run")
    return str(folder / "run")


def scores(said):
    return next(line for line in said.splitlines() if line.startswith("seed"))


def same(folder, run, data, out):
    """Whether what is written of a file has the scores of that file."""
    said = report(run, data=str(data), out=str(folder / out))
    return scores(report(run, data=str(folder / out))) == scores(said)


@pytest.fixture(autouse=True)
def cached(tmp_path, monkeypatch):
    monkeypatch.setenv("ATTENTION_CACHE_DIR", str(tmp_path / "cache"))


@pytest.mark.parametrize("task", ANSWERS)
def test_a_run_of_numbers(tmp_path, task):
    """The answer is column 2 of the run's files, where what is written has another; what another run said is refused."""
    rows = [f"{text};x;{answer}" for text, answer in zip(TEXTS, ANSWERS[task])]
    table = [row.replace(";", "|", 2) for row in rows]
    (tmp_path / "train.csv").write_text("\n".join(table) + "\n")
    run = trained(tmp_path, task, f"files(train='{tmp_path}/train.csv', text=0, {NUMBERS[task]}, header=False, delimiter='|')")
    for out in ("p.csv", "p.jsonl") if task == "multilabel" else ("p.csv",):
        assert same(tmp_path, run, tmp_path / "train.csv", out)
    (tmp_path / "q.tsv").write_text("review\tx\tpredicted\n" + "fig\tx\t1\n" * 3)
    with pytest.raises(ValueError, match=r"q\.tsv: column 2 is 'predicted', what a run said and not what is right"):
        report(run, data=str(tmp_path / "q.tsv"))
    with pytest.raises(ValueError, match="column 1 is 'predicted'"):
        report(run, data=f"{tmp_path}/p.csv", columns=["0", "1"])


def test_a_run_whose_answers_have_the_name_of_what_is_said(tmp_path):
    rows = zip(TEXTS, ANSWERS["regression"])
    (tmp_path / "train.csv").write_text("text,predicted\n" + "".join(f"{text},{answer}\n" for text, answer in rows))
    run = trained(tmp_path, "regression", f"files(train='{tmp_path}/train.csv', number=predicted)")
    said = report(run, split="validation", out=str(tmp_path / "p.csv"))
    assert scores(report(run, data=str(tmp_path / "p.csv"))) == scores(said)


def test_a_tagger(tmp_path):
    """Of columns by their numbers; and of texts without tags, which have none in what is written."""
    rows = "\n\n".join("\n".join(f"{word} x {word[0].upper()}" for word in text.split()[:2]) for text in TEXTS)
    (tmp_path / "train").write_text(rows + "\n")
    run = trained(tmp_path, "tagging", f"tagged(train='{tmp_path}/train', text=0, tags=2)")
    assert same(tmp_path, run, tmp_path / "train", "p.csv")
    (tmp_path / "bare.tsv").write_text("text\nfig the oslo\na fig\n")
    said = report(run, data=f"{tmp_path}/bare.tsv", columns=["text"], out=f"{tmp_path}/q.jsonl")
    assert "2 predictions written" in said
    assert "2 predictions written" in report(run, data=f"{tmp_path}/q.jsonl", out=f"{tmp_path}/r.tsv")
    assert (tmp_path / "r.tsv").read_text().startswith("text\tpredicted(0)\nfig the oslo\t")
