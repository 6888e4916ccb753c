"""Evaluation in a new process: training's own number, predictions, and one line for every bad input."""

import csv
import json
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from attention import files, metrics
from attention.commands import eval as entry
from attention.data import contracts
from attention.evaluation import trained as evaluate
from attention.runs import directory, json_files
from attention.tasks import Examples, Facts, classification
from attention.training import command_line, config, loop

ROOT = Path(__file__).parent.parent.parent
CITIES, FRUIT = ["oslo", "rome", "bonn", "graz"], ["apple", "plum", "fig", "pear"]


def sentences(count, seed):
    random = np.random.default_rng(seed)
    rows = []
    for number in range(count):
        label = number % 3
        words = random.choice(["the", "a", "of", "in"], size=random.integers(1, 20)).tolist()
        words += [] if label == 2 else random.choice([CITIES, FRUIT][label], size=2).tolist()
        rows.append((" ".join(words), ["city", "fruit", "neither"][label]))
    return rows


def write_tsv(path, rows):
    path.write_text("text\tlabel\n" + "".join(f"{text}\t{label}\n" for text, label in rows))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A run of two members, trained for a few updates on a toy set; the tests must not change it."""
    folder = tmp_path_factory.mktemp("evaluate")
    patch = pytest.MonkeyPatch()
    patch.setenv("ATTENTION_CACHE_DIR", str(folder / "cache"))
    for number, name in enumerate(("train", "validation", "test")):
        write_tsv(folder / f"{name}.tsv", sentences(45, number))
    settings = config.from_dict(
        {
            "data": {
                "source": f"files(train='{folder}/train.tsv', validation='{folder}/validation.tsv', test='{folder}/test.tsv')",
                "max_length": 18,
                "buckets": 2,
            },
            "model": {"encoder": "transformer(layers=1)", "mixer": "attention(heads=2)", "dim": 8},
            "training": {"steps": 12, "warmup": 1, "batch_size": 8, "learning_rate": 0.02, "eval_every": 6},
            "seeds": (3, 1),
        }
    )
    loop.train(settings, folder / "run")
    yield folder
    patch.undo()


@pytest.fixture(scope="module")
def trained(folder):
    return evaluate.load(str(folder / "run"))


def test_pickled(trained):
    """As it goes to another process: the same answers."""
    texts = ["good film", "bad film"]
    found = pickle.loads(pickle.dumps(trained)).predict(texts)
    np.testing.assert_array_equal(found.probabilities, trained.predict(texts).probabilities)


def test_gives_trainings_own_number(folder, trained):
    result = files.read_json(folder / "run" / "result.json")
    for split in ("test", "validation"):
        evaluation = trained.evaluate(split)
        for member, recorded in zip(evaluation.members, result["members"]):
            assert member == {"seed": recorded["seed"], **recorded[split]}
    assert trained.evaluate().summary == result["summary"]


def test_against_one_example_at_a_time(trained):
    """Unbatched, unpadded, without mapping over members: the same logits up to rounding."""
    examples = trained.examples("test")
    logits = trained.outputs(examples)["logits"]
    assert logits.shape == (2, 45, 3)
    encoded = examples.encoded
    alone = jax.jit(lambda params, tokens: trained.model.apply({"params": params}, tokens, jnp.ones(tokens.shape, bool)))
    for i in (0, 20, 44):
        tokens = encoded.flat[encoded.offsets[i] : encoded.offsets[i + 1]][None]
        for m in range(2):
            one, _ = alone(jax.tree.map(lambda leaf, m=m: leaf[m], trained.params), tokens)
            np.testing.assert_allclose(logits[m, i], one[0], atol=2e-5)
    assert not np.allclose(logits[0], logits[1])


def test_evaluation_by_hand(trained):
    evaluation = trained.evaluate("test")
    examples = evaluation.examples
    logits, labels, lengths = evaluation.outputs["logits"], examples.encoded.labels, examples.encoded.lengths
    table = np.zeros((3, 3), int)
    for member in logits.argmax(-1):
        for label, predicted in zip(labels, member):
            table[label, predicted] += 1
    np.testing.assert_array_equal(classification.confusion(evaluation.outputs, examples.encoded, trained.data.classes), table)
    correct = logits.argmax(-1) == labels
    assert sum(row["count"] for row in evaluation.by_length) == 45
    for row in evaluation.by_length:
        inside = (lengths > row["above"]) & (lengths <= row["up_to"])
        assert row["accuracy"] == pytest.approx(correct[:, inside].mean(axis=1))
        assert row["mean"] == pytest.approx(correct[:, inside].mean())
    assert trained.data.classes == ("city", "fruit", "neither")
    assert [trained.data.classes[label] for label in labels[:3]] == ["city", "fruit", "neither"]


def test_predict_is_the_mean_of_the_members_and_equals_evaluation(trained):
    evaluation = trained.evaluate("test")
    texts = list(evaluation.examples.texts)
    both = trained.predict(texts)
    ones = [trained.predict(texts, member) for member in (0, 1)]
    np.testing.assert_array_equal(both.probabilities, evaluation.predictions.probabilities)
    np.testing.assert_allclose(both.probabilities.sum(1), 1, rtol=1e-12)
    np.testing.assert_allclose(both.probabilities, (ones[0].probabilities + ones[1].probabilities) / 2, rtol=1e-6)
    assert both.labels == [both.classes[number] for number in both.probabilities.argmax(1)]
    assert (both.members, ones[0].members) == (2, 1)
    agreeing = [sum(one.labels[i] == both.labels[i] for one in ones) for i in range(len(texts))]
    assert both.agreeing.tolist() == agreeing


def test_predict_refuses(trained):
    for texts in ("oslo", [], None, 3, b"oslo"):
        with pytest.raises(ValueError, match="one or more texts"):
            trained.predict(texts)
    with pytest.raises(ValueError, match="is empty"):
        trained.predict(["oslo", " "])
    for texts in ([None], [3], [b"oslo"], ["oslo", None]):
        with pytest.raises(ValueError, match=f"text {len(texts) - 1} .counted from 0. is no string"):
            trained.predict(texts)
    for member in (-1, 2):
        with pytest.raises(ValueError, match="member wants 0 to 1"):
            trained.predict(["oslo"], member)


def test_other_data_matches_classes_by_name(folder, trained, tmp_path):
    rows = [(text, label) for text, label in sentences(45, 2) if label != "city"]
    for name in ("train", "test"):
        write_tsv(tmp_path / f"{name}.tsv", rows)
    spec = f"files(train='{tmp_path}/train.tsv', test='{tmp_path}/test.tsv')"  # its class 0 is "fruit"
    evaluation = trained.evaluate("test", spec)
    own = trained.examples("test")
    kept = [i for i, label in enumerate(own.encoded.labels) if label != 0]
    want = [metrics.evaluate_logits(member[kept], own.encoded.labels[kept]) for member in trained.outputs(own)["logits"]]
    for member, scores in zip(evaluation.members, want):
        assert member["accuracy"] == scores["accuracy"]
        assert member["nll"] == pytest.approx(scores["nll"], rel=1e-5)
    write_tsv(tmp_path / "test.tsv", [("oslo", "town")])
    write_tsv(tmp_path / "train.tsv", [(f"oslo {n}", ["town", "fruit"][n % 2]) for n in range(40)])
    with pytest.raises(ValueError, match="label 'town' was not seen in training; classes of the run: city, fruit, neither"):
        trained.evaluate("test", spec)


def evaluated(capsys, *arguments):
    code = command_line.run_main(entry.main, ["eval.py", *arguments])
    out, err = capsys.readouterr()
    return code, out, err


def test_report(folder, capsys):
    code, out, err = evaluated(capsys, f"--workdir={folder}/run")
    assert code == 0
    assert (
        err
        == f"reading from outside {folder}/run: "
        + ", ".join(f"{folder}/{name}.tsv" for name in ("train", "validation", "test"))
        + "\n"
    )
    result = files.read_json(folder / "run" / "result.json")
    for member in result["members"]:
        assert f"seed {member['seed']}" in out
        assert f"{100 * member['test']['accuracy']:.2f} %" in out
    assert "test, 45 examples" in out
    assert f"baseline majority: {100 * result['baselines']['majority']:.2f} %" in out
    assert "label \\ predicted  city  fruit  neither" in out
    assert "summed over 2 members" in out
    assert "accuracy of whole texts by length" in out


def test_text(folder, trained, capsys):
    code, out, _ = evaluated(capsys, f"--workdir={folder}/run", "--text=the oslo rome", "--text=fig")
    assert code == 0
    predictions = trained.predict(["the oslo rome", "fig"])
    for text, label, agreeing in zip(["the oslo rome", "fig"], predictions.labels, predictions.agreeing):
        assert f"{text}\n  {label}, {agreeing} of 2 members agree" in out
    assert f"{predictions.probabilities.max():.4f}" in out


def test_file_and_predictions(folder, trained, capsys, tmp_path):
    out = tmp_path / "predictions.tsv"
    code, printed, _ = evaluated(capsys, f"--workdir={folder}/run", f"--data={folder}/test.tsv", f"--out={out}")
    assert code == 0
    assert f"45 predictions written to {out}" in printed
    assert "confusion" in printed
    lines = [line.split("\t") for line in out.read_text().splitlines()]
    assert lines[0] == ["text", "predicted", "p(city)", "p(fruit)", "p(neither)", "label"]
    evaluation = trained.evaluate("test")
    assert [line[0] for line in lines[1:]] == list(evaluation.examples.texts)
    assert [line[1] for line in lines[1:]] == evaluation.predictions.labels
    assert [line[5] for line in lines[1:]] == [label for _, label in sentences(45, 2)]
    numbers = np.array([[float(value) for value in line[2:5]] for line in lines[1:]])
    np.testing.assert_allclose(numbers, evaluation.predictions.probabilities, rtol=1e-8)


def test_file_without_labels(folder, capsys, tmp_path):
    file, out = tmp_path / "new.jsonl", tmp_path / "out.csv"
    file.write_text(json.dumps({"text": "a\tfig\\\n"}) + "\n" + json.dumps({"text": "oslo"}) + "\n")
    code, printed, _ = evaluated(capsys, f"--workdir={folder}/run", f"--data={file}", f"--out={out}")
    assert code == 0
    assert "has no labels: no scores" in printed
    header, first, second = csv.reader(out.read_bytes().decode().splitlines(keepends=True))
    assert header == ["text", "predicted", "p(city)", "p(fruit)", "p(neither)"]
    assert (first[0], second[0]) == ("a\tfig\\\n", "oslo")
    code, _, err = evaluated(capsys, f"--workdir={folder}/run", f"--data={file}")
    assert (code, "no labels to score; give --out" in err) == (2, True)
    code, _, err = evaluated(capsys, f"--workdir={folder}/run", f"--data={file}", f"--out={tmp_path}/out.tsv")
    assert (code, r"row 1 of 'text' holds '\t', which .tsv cannot keep; name it .csv or .jsonl" in err) == (2, True)


@pytest.mark.parametrize("name", ["out.tsv", "OUT.CSV", "out.jsonl.gz"])
def test_what_out_writes_data_reads(folder, capsys, tmp_path, name):
    """The same scores from the file of predictions, labels and all."""
    run, said = f"--workdir={folder}/run", []
    for data, out in ((folder / "test.tsv", name), (tmp_path / name, f"again-{name}")):
        code, printed, err = evaluated(capsys, run, f"--data={data}", f"--out={tmp_path / out}")
        assert (code, err.count("\n"), err.startswith("reading from outside ")) == (0, 1, True)
        said.append(printed.partition("45 examples")[2].partition("45 predictions")[0])
    assert said[0] == said[1]


def test_labels_may_begin_below_the_first_line(folder, capsys, tmp_path):
    rows = [{"text": "oslo"}, {"text": "fig", "label": "fruit"}]
    (tmp_path / "new.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    code, _, err = evaluated(capsys, f"--workdir={folder}/run", f"--data={tmp_path}/new.jsonl")
    assert code == 2
    assert "line 1: 'label' is empty, and line 2 has one: fill in all of them or none" in err


def test_many_classes_are_reported_by_their_confusions():
    """500 classes whose names hold line breaks: the pairs that are confused most, a line each."""
    names = tuple(f"class\n{number}" for number in range(500))
    labels = np.repeat([3, 4, 5], [5, 3, 2])
    logits = np.zeros((1, 10, 500), np.float32)
    logits[0, np.arange(10), [7] * 5 + [4, 8, 8] + [5, 5]] = 1
    encoded = contracts.Encoded(np.ones(10, np.int32), np.arange(11), labels.astype(np.int32))
    facts = Facts(names, (0,), None, None, 2, 1)
    [said] = classification.details({"logits": logits}, Examples(["x"] * 10, encoded), facts)
    head, *lines = said.splitlines()
    assert head.startswith("the most frequent confusions of 500 classes; --out")
    assert [line.split() for line in lines] == [
        ["label", "predicted", "times"],
        [r"class\n3", r"class\n7", "5"],
        [r"class\n4", r"class\n8", "2"],
    ]
    told = classification.told(classification.read({"logits": logits[:, :1]}, encoded, facts), ["a text"])
    assert told.count("class") == 22
    assert len(told.splitlines()) == 3


def test_unknown_texts_are_said(folder, capsys):
    code, printed, _ = evaluated(capsys, f"--workdir={folder}/run", "--text=你好", "--text=oslo")
    assert code == 0
    assert "note: 1 of 2 texts of --text hold nothing but unknown tokens" in printed


def copy(folder, tmp_path):
    shutil.copytree(folder / "run", tmp_path / "run")
    return tmp_path / "run"


def drop_best(path):
    for best in (path / "checkpoints").glob("best-*"):
        shutil.rmtree(best)


def damage_best(path):
    (best,) = (path / "checkpoints").glob("best-*")
    content = bytearray((best / "arrays.npz").read_bytes())
    content[-100] ^= 1
    (best / "arrays.npz").write_bytes(content)


def widen(path):
    stored = json_files.read(path / "config.json")
    stored["model"]["dim"] = 16
    json_files.write(path / "config.json", stored)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (drop_best, "no best checkpoint: no member has been validated"),
        (damage_best, "every checkpoint is damaged: .*best-0.*arrays.npz does not have the sha256"),
        (widen, r"is not what the run was trained with, which identity\.json says: model\.dim is 8 there, 16 given"),
        (lambda path: (path / "config.json").unlink(), "has no config.json"),
        (lambda path: (path / "data.json").unlink(), "data.json cannot be read"),
        (lambda path: (path / "config.json").write_text("{"), "config.json is not JSON"),
    ],
)
def test_a_run_that_cannot_be_loaded(folder, tmp_path, damage, message):
    path = copy(folder, tmp_path)
    damage(path)
    with pytest.raises(ValueError, match=message):
        evaluate.load(str(path))


def test_changed_data_is_refused(folder, tmp_path):
    """The data in its place, with one text changed."""
    path = copy(folder, tmp_path)
    rows = sentences(45, 2)
    write_tsv(tmp_path / "test.tsv", [("changed", rows[0][1]), *rows[1:]])
    record = directory.RunDirectory(path).read_data()
    source = record.source.replace(f"test='{folder}/test.tsv'", f"test='{tmp_path}/test.tsv'")
    assert source != record.source
    directory.RunDirectory(path).write_data(record._replace(source=source))
    with pytest.raises(ValueError, match=r"has changed since .* was trained: the test split is not the one recorded"):
        evaluate.load(str(path)).evaluate()
    directory.RunDirectory(path).write_data(record)
    evaluate.load(str(path)).evaluate()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--workdri={run}"],
            "unknown flag --workdri (nearest: 'workdir'); flags: --beam, --columns, --data, --export,",
        ),
        (["--workdir={run}", "stray"], "stray argument 'stray'"),
        ([], "--workdir is missing"),
        (["--workdir"], "--workdir"),
        (["--workdir={run}/absent"], "there is no such folder"),
        (["--workdir={run}/.."], "has no config.json"),
        (["--workdir={run}", "--split=tset"], "no split 'tset' (nearest: 'test'); splits: train, validation, test"),
        (["--workdir={run}", "--text="], "--text number 1 is empty"),
        (["--workdir={run}", "--text=oslo", "--text= "], "--text number 2 is empty"),
        (["--workdir={run}", "--text=oslo", "--split=test"], "goes with neither --data nor --split"),
        (["--workdir={run}", "--data=absent.tsv"], "there is no file absent.tsv"),
        (["--workdir={run}", "--data={run}/../test.tsv", "--split=test"], "is read whole"),
        (["--workdir={run}", "--data=trec7"], "unknown source 'trec7'"),
        (["--workdir={run}", "--data=files(train='absent.tsv')"], "there is no file"),
        (["--workdir={run}", "--text=oslo", "--out=absent/out.tsv"], "there is no folder absent"),
        (["--workdir={run}", "--text=oslo", "--out="], "wants the name of a file"),
        (["--workdir={run}", "--length_penalty=inf"], "--length_penalty wants a number of 0 or more, got inf"),
        (["--workdir={run}", "--split="], "no split ''; splits: train, validation, test"),
        (["--workdir={run}", "--beam=2"], "--beam and --length_penalty are for runs that write"),
    ],
)
def test_bad_input_is_one_line_and_code_2(folder, capsys, arguments, message):
    code, out, err = evaluated(capsys, *(argument.format(run=folder / "run") for argument in arguments))
    assert code == 2
    assert out == ""
    noted, _, said = err.rpartition("error: ")
    assert noted == "" or noted.startswith("reading from outside ")
    assert said.count("\n") == 1
    assert message in err


def test_refusals_name_the_file(folder, tmp_path, capsys):
    write_tsv(tmp_path / "new.tsv", [("oslo", "town")])
    code, _, err = evaluated(capsys, f"--workdir={folder}/run", f"--data={tmp_path}/new.tsv")
    assert code == 2
    assert f"{tmp_path}/new.tsv: label 'town' was not seen in training" in err
    copy = shutil.copytree(folder / "run", tmp_path / "run")
    stored = json_files.read(copy / "config.json")
    for broken, message in (
        ({**stored, "x\u2028y": 1}, "unknown field config.x\\u2028y"),
        ({**stored, "model": {**stored["model"], "mask": "causel"}}, "unknown mask 'causel'"),
    ):
        json_files.write(copy / "config.json", broken)
        code, _, err = evaluated(capsys, f"--workdir={copy}")
        assert code == 2
        assert f"error: {copy}/config.json: " in err
        assert message in err


def test_names_with_line_breaks_and_escapes_are_printed_plainly(folder, tmp_path, capsys):
    copy = shutil.copytree(folder / "run", tmp_path / "r\nun\x1b[31m")
    code, out, err = evaluated(capsys, f"--workdir={copy}")
    assert code == 0
    assert out.startswith(f"{tmp_path}/r\\nun\\x1b[31m: 2 members")
    assert (out + err).replace("\n", "").isprintable()


def test_as_a_program(folder):
    """A new process gives the same report, and an error leaves no traceback."""
    command = [sys.executable, "eval.py", f"--workdir={folder}/run"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    result = files.read_json(folder / "run" / "result.json")
    for member in result["members"]:
        assert f"{100 * member['test']['accuracy']:.2f} %" in done.stdout
    done = subprocess.run([*command, "--split=x"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
