"""A language model asked in every way that a user has: scores of files, minimal pairs, and texts that go on."""

import json
from typing import Any

import jax
import numpy as np
import pytest

from attention import sampling, specs
from attention.commands import eval as command
from attention.evaluation import pairs, trained, writing
from attention.evaluation.report import report
from attention.training import config, loop

TEXT = "the cat sat on the mat.\nthe dog sat on the log.\n" * 40


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A run of two members; the tests must not change it."""
    folder = tmp_path_factory.mktemp("lm")
    patch = pytest.MonkeyPatch()
    patch.setenv("ATTENTION_CACHE_DIR", str(folder / "cache"))
    (folder / "book.txt").write_text(TEXT)
    settings = {
        "task": "lm",
        "rival": "none",
        "data": {"source": str(folder / "book.txt"), "tokenizer": "characters", "max_length": 16},
        "model": {"encoder": "transformer(layers=1)", "mixer": "attention(heads=2)", "mask": "causal", "dim": 16},
        "training": {"steps": 60, "eval_every": 60, "batch_size": 16, "learning_rate": 0.01, "dropout": 0.0},
        "seeds": (3, 1),
    }
    loop.train(config.from_dict(settings), folder / "run")
    yield folder
    patch.undo()


def test_a_file_is_scored_at_any_stride(folder):
    """It is one document, whatever its lines; and what a token has before it is said."""
    (folder / "new.txt").write_text("the cat sat on the log.\n")
    out = folder / "out.jsonl"
    said = report(str(folder / "run"), data=str(folder / "new.txt"), out=str(out))
    assert "windows of 16 tokens side by side: a token is told from the 1 to 16 before it of its document" in said
    row = json.loads(out.read_text())
    assert (row["text"], row["tokens"]) == ("the cat sat on the log.\n", 25)  # with its end
    assert '"tokens": 25,' in out.read_text()  # a whole number
    assert f"{row['nats(3)'] / 25:.4f}" in said
    sliding = report(str(folder / "run"), data=str(folder / "new.txt"), stride=1)
    assert "at a stride of 1: a token is told from the 16 before it of its document" in sliding
    assert f"{row['nats(3)'] / 25:.4f}" not in sliding
    with pytest.raises(ValueError, match=r"stride wants 0 .* to the window of 16 tokens, got 17"):
        report(str(folder / "run"), stride=17)


def test_the_right_text_of_a_pair_is_the_likelier(folder):
    """As its nats, which are written, say."""
    table, out = folder / "pairs.tsv", folder / "nats.csv"
    table.write_text("good\tbad\nthe cat sat\tcat the tas\nthe dog\tzzz qqq\n")
    said = pairs.report(str(folder / "run"), str(table), out=str(out))
    assert "seed 3: 100.00 % right" in said
    assert "mean: 100.00 ± 0.00 %" in said
    turned = folder / "turned.tsv"
    turned.write_text("bad,good\n".replace(",", "\t") + "the cat sat\tcat the tas\nthe dog\tthe dog\n")
    assert "seed 1: 25.00 % right" in pairs.report(str(folder / "run"), str(turned))  # of two alike half counts
    alone = folder / "alone.tsv"
    alone.write_text("good\tbad\nthe dog\tzzz qqq\n")
    pairs.report(str(folder / "run"), str(alone), out=str(folder / "alone.csv"))
    numbers = lambda line: [float(cell) for cell in line.split(",")[2:]]
    here, among = (folder / "alone.csv").read_text().splitlines()[1], out.read_text().splitlines()[2]
    assert numbers(here) == pytest.approx(numbers(among), rel=1e-5)  # no text has another as its context
    head, first, _ = out.read_text().splitlines()
    assert head == "good,bad,nats of good (3),nats of bad (3),nats of good (1),nats of bad (1)"
    good, bad = map(float, first.split(",")[2:4])
    assert good < bad
    with pytest.raises(ValueError, match="the columns of right and of wrong texts"):
        pairs.report(str(folder / "run"), str(table), columns=["good"])


def test_a_text_goes_on(folder):
    """Greedily it is the arg max at every place; the draws of a seed are the same each time, and shown as they come."""
    shown = []
    run = str(folder / "run")
    writing.write(run, ["the c"], writing.Options(tokens=9, temperature=0.0), show=shown.append)
    assert len(shown) > 5
    loaded = trained.load(run)
    examples = loaded.encode(["".join(shown).rstrip("\n")])
    found = loaded.outputs(examples, loaded.settings.seeds.index(_best(loaded)))
    assert found["right"][0][found["asked"][0]][5:14].all()
    drawn = []
    for _ in range(2):
        shown = []
        writing.write(run, ["the "], writing.Options(tokens=20, samples=2, top_k=5, seed=7), show=shown.append)
        drawn.append("".join(shown))
    assert drawn[0] == drawn[1]
    assert "---- 2 of 2" in drawn[0]
    assert "goes on from the last 8" in drawn[0]


def _best(loaded):
    """The seed of the member that writes."""
    from attention.evaluation import export

    return export.chosen(loaded, None).seed


class Run:
    """What writing reads of a run; its ids are bytes."""

    class data:
        vocab_size = 300

    tokenizer_state: Any = None

    class tokenizer:
        decode = staticmethod(lambda state, ids: bytes(ids).decode("utf-8", "replace"))


def test_signs_of_several_tokens_come_whole():
    """Bytes that are no sign yet are held back, until there are no more."""
    ids, prompt = list("aé€b".encode()), np.array([299, 79])
    assert list(writing._pieces(Run, "O", prompt, iter([*ids, 299, 65]))) == ["a", "é", "€", "b"]
    assert "".join(writing._pieces(Run, "O", prompt, ids * 100)) == "aé€b" * 100
    for cut in ([104, 0xC3], [104, 0xC3, 299]):
        assert list(writing._pieces(Run, "O", prompt, cut)) == ["h", "\N{REPLACEMENT CHARACTER}"]


@pytest.mark.parametrize("spec", ["bpe(size=300)", "bytes", "characters", "wordpiece(size=40)", "words"])
@pytest.mark.parametrize("cut", [7, 8])
def test_what_is_written_stands_behind_the_text_as_in_one(spec, cut):
    """With the blank that is between, once, whether the text ends in it or not."""
    tokenizer = specs.build("tokenizer", spec)
    state = tokenizer.train([TEXT])

    class Own(Run):
        class data:
            vocab_size = tokenizer.size(state) + 1

        tokenizer_state = state

    Own.tokenizer = tokenizer
    for begin in ("", "the dog sat on the log.\n" * 9):
        text, whole = begin + "the dog "[:cut], begin + "the dog sat on"
        prompt, ids = tokenizer.encode(state, [text, whole[len(text) :]])
        pieces = writing._pieces(Own, text, np.append(Own.data.vocab_size - 1, prompt), ids.tolist())
        assert text + "".join(pieces) == whole


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--text=a", "--out=x.tsv"], "--out is of scores: a language model goes on with --text alone"),
        (["--split=test", "--tokens=3"], "--tokens is of a language model and its --text"),
        (["--pairs=x.tsv", "--split=test"], "--pairs compares the texts of a table: it goes without --split"),
        (["--text=a", "--top_p=1.5"], r"top_p wants a number in \(0, 1\], got 1.5"),
        (["--text=a", "--tokens=0"], "--tokens must be >= 1, got 0"),
        (["--text=a", "--samples=0"], "--samples must be >= 1, got 0"),
        (["--text=a", "--temperature=-1"], "--temperature wants a number from 0 on, got -1.0"),
        (["--text=a", f"--seed={10**20}"], r"--seed wants a number below 2\*\*32, got 1000"),
        (["--text=a", "--member=9"], "has no member with that seed; seeds: 3, 1"),
    ],
)
def test_flags_that_do_not_go_together(folder, flags, message):
    """Each is refused in a line."""
    with pytest.raises(ValueError, match=message):
        command.main(["eval", f"--workdir={folder / 'run'}", *flags])


def test_a_text_that_does_not_fit_slides():
    """What is forgotten is said; nothing where all fits."""

    class Model:
        class dims:
            max_length = 16

    assert sampling.sliding(Model, 10, 7) == ""
    assert "of the 20 tokens of the prompt the last 8 are read" in sampling.sliding(Model, 20, 1)


def test_greedy_writing_is_right_as_a_whole_where_every_arg_max_is(tmp_path, monkeypatch):
    """On a hundred texts, some right and some not; ``exact_match`` has it in one pass, with the answers given."""
    monkeypatch.setenv("ATTENTION_CACHE_DIR", str(tmp_path / "cache"))
    settings = {
        "task": "lm",
        "rival": "none",
        "data": {
            "source": "lm_sort(symbols=4, min_length=2, max_length=5, train=500, test=100)",
            "max_length": 12,
            "buckets": 1,
        },
        "model": {"encoder": "transformer(layers=1)", "mixer": "attention(heads=2)", "mask": "causal", "dim": 16},
        "training": {"steps": 120, "eval_every": 120, "batch_size": 32, "learning_rate": 0.01, "dropout": 0.0},
    }
    loop.train(config.from_dict(settings), tmp_path / "run")
    run = trained.load(str(tmp_path / "run"))
    encoded, weights = run.examples("test").encoded, jax.tree.map(lambda each: each[0], run.params)
    with np.load(tmp_path / "run" / "predictions.npz") as stored:
        correct = stored["correct"][0].tolist()
    written = []
    for row in range(100):
        ids, wanted = (of[encoded.offsets[row] : encoded.offsets[row + 1]] for of in (encoded.flat, encoded.wanted))
        asked = np.flatnonzero(wanted >= 0)
        found = sampling.continued(run.model, weights, ids[: asked[0] + 1], count=len(asked), temperature=0.0)
        written.append([int(each[0]) for each in found] == wanted[asked].tolist())
    assert written == correct
    assert 10 < sum(written) < 90
