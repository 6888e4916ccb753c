"""Training and evaluation of models that write, by the same loop and the same commands."""

import json
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from attention.commands import eval as entry
from attention.evaluation import trained as evaluate
from attention.models.seq2seq import seq2seq, write
from attention.training import command_line, config, loop, recipe

ROOT = Path(__file__).parent.parent.parent
METRICS = ("exact_match", "token_accuracy", "nll")
SOURCE = "reverse(train=96, validation=24, test=30, max_length=4, symbols=4)"


def settings(**fields):
    given = {
        "task": "seq2seq",
        "data": {"source": SOURCE, "max_length": 8, "buckets": 1},
        "model": {"encoder": "bigru", "encoding": "none", "decoder": "recurrent", "score": "additive", "dim": 16},
        "training": {"steps": 40, "warmup": 4, "batch_size": 16, "eval_every": 20, "log_every": 10, "learning_rate": 0.02},
        "seeds": (3, 5),
    }
    for section, values in fields.items():
        given[section] = {**given[section], **values} if isinstance(values, dict) else values
    return config.from_dict(given)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run of two members; the tests must not change it."""
    folder = tmp_path_factory.mktemp("writing")
    patch = pytest.MonkeyPatch()
    patch.setenv("ATTENTION_CACHE_DIR", str(folder / "cache"))
    loop.train(settings(), folder / "run")
    yield folder / "run"
    patch.undo()


def test_the_loss_falls_and_the_result_says_how_good(run):
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    losses = [line["loss"] for line in lines if line["split"] == "train"]
    assert np.mean(losses[-1]) < 0.6 * np.mean(losses[0])
    checked = [line for line in lines if line["split"] == "validation"]
    assert set(checked[0]) == {"split", "step", *METRICS}
    result = json.loads((run / "result.json").read_text())
    assert result["task"] == "seq2seq"
    for member in result["members"]:
        assert set(member["test"]) == {*METRICS, "count"}
        assert member["test"]["token_accuracy"] > 0.4
    assert set(result["summary"]) == set(METRICS)


def test_evaluation_gives_the_number_of_training(run, capsys):
    result = json.loads((run / "result.json").read_text())
    assert command_line.run_main(entry.main, ["eval.py", f"--workdir={run}"]) == 0
    printed = capsys.readouterr().out
    for member in result["members"]:
        exact, tokens, nll = (member["test"][name] for name in METRICS)
        row = next(line for line in printed.splitlines() if line.startswith(f"seed {member['seed']}"))
        assert row.split()[2:] == [f"{100 * exact:.2f}", "%", f"{100 * tokens:.2f}", "%", f"{nll:.4f}"]
    assert "baseline the_source_itself" in printed


def test_a_member_of_a_cohort_is_the_single_run(run, tmp_path, monkeypatch):
    monkeypatch.setenv("ATTENTION_CACHE_DIR", str(run.parent / "cache"))
    loop.train(settings(seeds=(5,)), tmp_path / "one")
    both, one = evaluate.load(str(run)), evaluate.load(str(tmp_path / "one"))
    np.testing.assert_array_equal(both.params["decoder"]["kernel"][1], one.params["decoder"]["kernel"][0])
    scores = [json.loads((folder / "result.json").read_text())["members"][-1] for folder in (run, tmp_path / "one")]
    assert scores[0] == scores[1]


def test_texts_files_and_a_beam(run, tmp_path, capsys):
    assert command_line.run_main(entry.main, ["eval.py", f"--workdir={run}", "--text=a b c", "--text=d", "--beam=3"]) == 0
    printed = capsys.readouterr().out.split("\n\n")[1].splitlines()
    assert printed[0] == "a b c"
    assert "members)" in printed[1]
    file, out = tmp_path / "new.tsv", tmp_path / "written.tsv"
    file.write_text("text\ttarget\na b\tb a\nc d\td c\n")
    assert command_line.run_main(entry.main, ["eval.py", f"--workdir={run}", f"--data={file}", f"--out={out}"]) == 0
    rows = [line.split("\t") for line in out.read_text().splitlines()]
    assert rows[0] == ["text", "written(3)", "written(5)", "target"]
    assert [row[0] for row in rows[1:]] == ["a b", "c d"]
    assert [row[3] for row in rows[1:]] == ["b a", "d c"]
    trained = evaluate.load(str(run))
    for row, tokens in zip(rows[1:], trained.outputs(trained.encode(["a b", "c d"]))["tokens"][0]):
        words = trained.tokenizer.decode(trained.tokenizer_state, tokens[tokens != trained.model.end])
        assert row[1].removesuffix(" …") == words


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"task": "translation"}, "config.task: unknown task 'translation'.*known: classification, "),
        ({"model": {"pooling": "max"}}, "config.model.pooling is for config.task=classification or .*, got 'max'"),
        ({"training": {"class_weights": "balanced"}}, "config.training.class_weights is for config.task=classification"),
        ({"task": "classification"}, "config.model.decoder is for config.task=seq2seq, got 'recurrent'"),
    ],
)
def test_fields_of_another_task(fields, message):
    with pytest.raises(ValueError, match=message):
        settings(**fields)


def test_data_of_another_task(tmp_path, monkeypatch):
    monkeypatch.setenv("ATTENTION_CACHE_DIR", str(tmp_path / "cache"))
    classes = config.from_dict({"data": {"source": SOURCE, "max_length": 8}, "training": {"steps": 200}})
    with pytest.raises(ValueError, match=r"the train split has texts to write and no classes; it fits config\.task=seq2seq"):
        loop.train(classes, tmp_path / "run")
    rows = "text\tlabel\n" + "".join(f"a {n}\tx\nb {n}\ty\n" for n in range(10))
    (tmp_path / "train.tsv").write_text(rows)
    labelled = settings(data={"source": f"files(train='{tmp_path}/train.tsv')"})
    with pytest.raises(ValueError, match=r"has classes and no texts to write; it fits config\.task=classification"):
        loop.train(labelled, tmp_path / "run")


def test_a_beam_of_classes_is_refused(run):
    for arguments, message in (
        (["--beam=0", "--text=a"], "--beam wants a number of 1 or more, got 0"),
        (["--split=tset"], "has no split 'tset' (nearest: 'test')"),
    ):
        command = [sys.executable, "eval.py", f"--workdir={run}", *arguments]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 2
        assert message in done.stderr
        assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("mask", ["document", "causal & document"])
def test_segments_are_those_of_the_source(mask):
    """What is written needs none; a source without them is refused before anything is trained."""
    small = {"encoder": "transformer(layers=1)", "decoder": "transformer(layers=1)", "mixer": "attention(heads=2)", "dim": 8}
    model = seq2seq(**small, mask=mask, encoding="none", vocab_size=9, max_length=8)
    tokens = jnp.array([[2, 3, 4, 5, 0, 0, 0, 0]])
    given = {"tokens": tokens, "valid": tokens > 0, "segments": jnp.array([[0, 0, 1, 1, 0, 0, 0, 0]])}
    params = model.init(jax.random.key(0), **given, targets=jnp.array([[6, 7, 8, 0]]))["params"]
    written, log_p = jax.jit(lambda params: write(model, params, **given, length=4))(params)
    targets = jnp.where(jnp.arange(4) <= jnp.argmax(written[0, 0] == 8) + 4 * ~(written[0, 0] == 8).any(), written[0, 0], 0)
    logits = model.apply({"params": params}, **given, targets=targets[None])[0]
    each = jnp.take_along_axis(jax.nn.log_softmax(logits[0]), targets[:, None], axis=-1)[:, 0]
    np.testing.assert_allclose(log_p[0, 0], jnp.sum(each * (targets > 0)), rtol=1e-4)
    with pytest.raises(ValueError, match=f"config.model.mask={mask} wants config.data.segments=sentences, lines or columns"):
        recipe.checked_model(settings(model={"mask": mask, "encoder": "transformer(layers=1)", "decoder": "transformer"}))
