"""Every door of a run that tells any number of labels, a number, or the class of two columns of text."""

import json

import numpy as np
import pytest

from attention.commands import eval as evaluation
from attention.commands import train as training
from attention.evaluation import trained as evaluate
from attention.lab import compare_runs
from attention.runs.directory import RunDirectory
from attention.training import command_line, config, loop
from tests.support.helpers import open_sizes

WORDS = {"food": "soup", "money": "cheap", "travel": "train"}
VALUES = {"one": 1.0, "two": 2.0, "ten": 10.0, "minus": -4.0}


def labelled(rng):
    own = [name for name in WORDS if rng.random() < 0.4]
    words = [*(WORDS[name] for name in own), *rng.choice(["the", "a", "it"], 4)]
    return " ".join(words), ";".join(own)


def numbered(rng):
    words = rng.choice([*VALUES], 4)
    return " ".join(words), f"{1000 + 5 * sum(VALUES[word] for word in words)}"


def paired(rng):
    first, second = rng.choice(["red", "blue"], 2)
    return f"{first}\tnot {second}", "same" if second == "red" else "other"


KINDS = {
    "multilabel": (labelled, "text\ttopics", "labels='topics'", {"encoder": "embeddings", "dim": 8}),
    "regression": (numbered, "text\tscore", "number='score'", {"encoder": "embeddings", "dim": 8}),
    "classification": (paired, "premise\thypothesis\tgold", "text='premise,hypothesis', label='gold'", {}),
}
TASKS = pytest.mark.parametrize("task", KINDS)


def settings(folder, kind, **changes):
    _, _, columns, model = KINDS[kind]
    files = ", ".join(f"{name}='{folder}/{kind}_{name}.tsv'" for name in ("train", "validation", "test"))
    small = {"encoder": "transformer(layers=1)", "mixer": "attention(heads=2)", "dim": 8, **model}
    fields = {
        "task": kind,
        "data": {"source": f"files({files}, {columns})", "tokenizer": "words", "max_length": 8, "buckets": 1},
        "model": model or small,
        "training": {"steps": 60, "warmup": 2, "batch_size": 16, "eval_every": 30, "log_every": 30, "learning_rate": 0.03},
        "rival": "none",
        "seeds": (0, 1),
    }
    if kind == "classification":
        fields["data"]["segments"] = "columns"
        fields["model"] = {**small, "mask": "document"}
    for section, values in changes.items():
        fields[section] = {**fields[section], **values} if isinstance(values, dict) else values
    return config.from_dict(fields)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A run of each task; the tests must not change them."""
    folder = tmp_path_factory.mktemp("texts")
    patch = pytest.MonkeyPatch()
    patch.setenv("ATTENTION_CACHE_DIR", str(folder / "cache"))
    for task, (draw, header, _, _) in KINDS.items():
        for seed, (name, count) in enumerate((("train", 120), ("validation", 30), ("test", 40))):
            rng = np.random.default_rng(seed)
            rows = ["\t".join(draw(rng)) for _ in range(count)]
            (folder / f"{task}_{name}.tsv").write_text("\n".join([header, *rows]) + "\n")
        loop.train(settings(folder, task), folder / task)
    yield folder
    patch.undo()


def ran(capsys, main, *arguments):
    code = command_line.run_main(main, ["command", *map(str, arguments)])
    printed = capsys.readouterr()
    return code, printed.out, printed.err


@TASKS
def test_it_learns_and_stands_beside_its_rule(folder, task, capsys):
    """Better than the rule on the same texts, and printed with the unit of the metric."""
    result = RunDirectory(folder / task).read_result()
    [rule] = result["baselines"].values()
    trained = evaluate.load(str(folder / task))
    metric = trained.task.ruled
    sign = 1 if metric.higher_is_better else -1
    assert sign * result["summary"][metric.name]["mean"] > sign * rule
    code, printed, _ = ran(capsys, training.main, f"--workdir={folder / task}")
    assert code == 0
    assert (
        f"baseline {next(iter(result['baselines']))}: {100 * rule if metric.share else rule:.{2 if metric.share else 4}f}"
        in printed
    )
    line = next(line for line in RunDirectory(folder / task).read_metrics().lines if line["split"] == "train")
    assert (line["accuracy"][0] is None) == (task == "regression")  # no number is right or wrong


@TASKS
def test_a_new_process_gives_the_number_of_training(folder, task, capsys):
    result = RunDirectory(folder / task).read_result()
    found = evaluate.load(str(folder / task)).evaluate("test")
    for member, again in zip(result["members"], found.members):
        assert member["test"] == {name: value for name, value in again.items() if name != "seed"}
    code, printed, _ = ran(capsys, evaluation.main, f"--workdir={folder / task}")
    assert code == 0
    first = {"multilabel": "each label, summed over 2 members", "regression": "the largest errors"}
    assert first.get(task, "confusion, summed over 2 members") in printed


@TASKS
@pytest.mark.parametrize("form", ["tsv", "csv", "jsonl"])
def test_what_is_written_is_read_again(folder, task, form, tmp_path, capsys):
    out = tmp_path / f"out.{form}"
    test = folder / f"{task}_test.tsv"
    assert ran(capsys, evaluation.main, f"--workdir={folder / task}", f"--data={test}", f"--out={out}")[0] == 0
    code, printed, _ = ran(capsys, evaluation.main, f"--workdir={folder / task}", f"--data={out}")
    assert code == 0
    assert f"note: {out} is the test split that the run recorded" in printed
    if form == "jsonl" and task == "multilabel":
        assert all(isinstance(json.loads(line)["predicted"], list) for line in out.read_text().splitlines())


def test_texts_are_told_of(folder, capsys):
    code, printed, _ = ran(
        capsys, evaluation.main, f"--workdir={folder / 'multilabel'}", "--text=soup train a it", "--text=the a"
    )
    assert code == 0
    assert "soup train a it\n  " in printed
    assert "no label above 0.5, the likeliest is " in printed
    code, printed, _ = ran(capsys, evaluation.main, f"--workdir={folder / 'regression'}", "--text=ten ten ten ten")
    assert code == 0
    assert "ten ten ten ten\n  1" in printed
    assert ", members 1" in printed


def test_texts_of_two_columns(folder, capsys):
    run = f"--workdir={folder / 'classification'}"
    code, printed, _ = ran(capsys, evaluation.main, run, "--text=red\tnot blue")
    assert code == 0
    assert "red\\tnot blue\n  other" in printed
    trained = evaluate.load(str(folder / "classification"))
    both = trained.predict([("red", "not blue"), "red\tnot blue", "red ␟ not blue"])
    np.testing.assert_array_equal(both.probabilities, both.probabilities[:1].repeat(3, axis=0))
    with pytest.raises(ValueError, match=r"text 0 \(counted from 0\) wants the columns premise, .*, got \('red', 3\)"):
        trained.predict([("red", 3)])
    code, _, error = ran(capsys, evaluation.main, run, "--text=red")
    assert code == 2
    assert "text 0 (counted from 0) wants the columns premise, hypothesis, as a tuple or with TABs between them" in error
    test = f"--data={folder}/classification_test.tsv"
    assert ran(capsys, evaluation.main, run, test, "--columns=hypothesis,premise,gold")[0] == 0
    code, _, error = ran(capsys, evaluation.main, run, test, "--columns=premise")
    assert "--columns wants that of texts and that of answers, --columns=TEXT1,TEXT2,ANSWER, got premise" in error
    code, _, error = ran(capsys, evaluation.main, run, test, "--columns=premise,nothing,gold")
    assert (code, "the column 'nothing' is missing" in error) == (2, True)


@TASKS
def test_it_leaves_as_weights_and_as_a_program(folder, task, tmp_path, capsys):
    for name in ("model.safetensors", "model.stablehlo"):
        with open_sizes():
            code, printed, error = ran(capsys, evaluation.main, f"--workdir={folder / task}", f"--export={tmp_path / name}")
        assert code == 0, error
    assert "largest difference from eval.py on random texts: " in printed
    said = json.loads((tmp_path / "model.stablehlo.json").read_text())
    names = {"multilabel": "probabilities", "regression": "number", "classification": "probabilities"}
    assert [output["name"] for output in said["outputs"]] == [names[task]]
    loop.train(
        settings(folder, task, training={"init_from": str(tmp_path / "model.safetensors"), "steps": 2}), tmp_path / "run"
    )


def test_two_runs_are_compared(folder, tmp_path, capsys):
    for task in ("multilabel", "regression"):
        loop.train(settings(folder, task, training={"steps": 20}), tmp_path / task)
        said = compare_runs.compare([str(folder / task), str(tmp_path / task)])
        assert ("by example of test" in said) == (task == "multilabel")
    assert "predictions are not compared by example: those of regression are not right or wrong" in said


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"training": {"label_smoothing": 0.1}}, "config.training.label_smoothing is for config.task=.*, got 0.1"),
        ({"training": {"class_weights": "balanced"}}, "config.training.class_weights is for config.task=classification, got"),
        ({"rival": "linear"}, "config.rival=linear is for config.task=classification, got regression; give none"),
        ({"task": "multilabel"}, r"the train split has numbers and no sets of labels; it fits config\.task=.*regression"),
        ({"task": "classification"}, r"the train split has numbers and no classes; it fits config\.task="),
        ({"data": {"segments": "columns"}}, "segments='columns' wants texts of several columns, as text='premise,hypothesis'"),
        ({"model": {"mask": "document", "encoder": "transformer"}}, "config.model.mask=document wants config.data.segments="),
    ],
)
def test_what_needs_something_else_is_refused(folder, tmp_path, fields, message):
    with pytest.raises(ValueError, match=message):
        loop.train(settings(folder, "regression", **fields), tmp_path / "run")


def test_labels_of_other_files(folder, tmp_path, capsys):
    new = tmp_path / "new.tsv"
    new.write_text("text\ttopics\nsoup\tfood;drink\n")
    code, _, error = ran(capsys, evaluation.main, f"--workdir={folder / 'multilabel'}", f"--data={new}")
    assert (code, "label 'drink' was not seen in training; classes of the run: food, money, travel" in error) == (2, True)
    new.write_text("text\tscore\nten\tmuch\n")
    code, _, error = ran(capsys, evaluation.main, f"--workdir={folder / 'regression'}", f"--data={new}")
    assert (code, "new.tsv, line 2: 'score' is a number, got 'much'" in error) == (2, True)
