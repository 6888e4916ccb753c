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
    """It is one text, whatever its lines, and as that of train it has no end; and what a token has before it is said."""
    (folder / "new.txt").write_text("the cat sat on the log.\n")
    out = folder / "out.jsonl"
    said = report(str(folder / "run"), data=str(folder / "new.txt"), out=str(out))
    assert "windows of 16 tokens side by side: a token is told from the 1 to 16 before it of its document" in said
    row = json.loads(out.read_text())
    assert (row["text"], row["tokens"]) == ("the cat sat on the log.\n", 24)  # without an end
    assert '"tokens": 24,' in out.read_text()  # a whole number
    assert f"{row['nats(3)'] / 24:.4f}" in said
    assert row["nats_per_token(3)"] == pytest.approx(row["nats(3)"] / 24, rel=1e-6)
    assert "texts are not asked for their ends" in said
    assert "their ends" not in report(str(folder / "run"))  # of its own split
    sliding = report(str(folder / "run"), data=str(folder / "new.txt"), stride=1)
    assert "at a stride of 1: a token is told from the 16 before it of its document, where so many stand before it" in sliding
    assert f"{row['nats(3)'] / 24:.4f}" not in sliding
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
    assert "note: 33 % of the tokens of the column bad are unknown to the tokenizer" in said
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


def test_no_text_is_asked_for_an_end_that_train_has_not(folder):
    """What a text costs is what its tokens do, also where its end would stand in a window alone."""
    loaded = trained.load(str(folder / "run"))
    assert loaded.data.splits["train"]["ends"] == 0
    texts = ["the cat sat on t", "the dog", "on the mat. the cat sat on the log"]  # the first is as long as a window
    found = loaded.predict(texts)
    assert found.tokens.tolist() == [len(text) for text in texts]
    ended = loaded._replace(data=loaded.data._replace(splits={"train": {"windows": 1}}))  # of before ends were counted
    with_ends = ended.predict(texts)
    assert with_ends.tokens.tolist() == [len(text) + 1 for text in texts]
    assert (with_ends.nats > found.nats + 1).all()
    wanted = loaded.encode(texts).encoded.wanted
    assert wanted.max() < loaded.data.vocab_size - 1
    (folder / "lines.txt").write_text("the cat\nthe dog\n")
    other = loaded.examples("train", f"text(path='{folder}/lines.txt', documents=line, test=0, validation=0.5)")
    assert loaded.score(other, "train").members[0]["count"] == 1
    assert (other.encoded.asked.sum(), other.encoded.documents.tolist()) == (7, [0, 7])
    alone = loaded.predict(["the cat"]).nats[:, 0]
    np.testing.assert_allclose(loaded.score(other, "train").outputs["nll"].sum(axis=(1, 2)), alone, rtol=1e-5)


@pytest.fixture(scope="module")
def packed(folder):
    """A run of rows of a table, several in a window."""
    rows = ["the cat sat", "the dog sat on the log", "a cat", "the mat", "the log", "a dog sat"] * 4
    for name in ("train", "validation", "test"):
        (folder / f"{name}.csv").write_text("text,label\n" + "".join(f"{row},{len(row) % 2}\n" for row in rows))
    names = ", ".join(f"{name}='{folder / name}.csv'" for name in ("train", "validation", "test"))
    settings = {
        "task": "lm",
        "rival": "none",
        "data": {"source": f"files({names})", "tokenizer": "characters", "max_length": 16, "windows": "packed"},
        "model": {
            "encoder": "transformer(layers=1)",
            "mixer": "attention(heads=2)",
            "mask": "causal & document",
            "dim": 8,
        },
        "training": {"steps": 20, "eval_every": 20, "batch_size": 8, "learning_rate": 0.01, "dropout": 0.0},
    }
    loop.train(config.from_dict(settings), folder / "packed")
    return folder / "packed"


def test_a_packed_run_is_asked_about_texts_alone(folder, packed):
    """A text costs what it does in a window that it shares, with its end, in every way of asking."""
    loaded = trained.load(str(packed))
    examples = loaded.examples("test")
    among = loaded.task.read(loaded.outputs(examples), examples.encoded, loaded.facts)
    alone = loaded.predict(list(examples.texts))
    np.testing.assert_allclose(alone.nats, among.nats, rtol=1e-5)
    assert alone.tokens.tolist() == [len(text) + 1 for text in examples.texts]
    (folder / "two.tsv").write_text("good\tbad\nthe cat sat\ttac eht tas\n")
    assert "1 pairs" in pairs.report(str(packed), str(folder / "two.tsv"))


def test_a_column_of_answers_is_none_of_a_language_model(folder, packed):
    """Its texts alone are read, whatever stands beside them; and plain text is read whatever the run's own files are."""
    (folder / "q.csv").write_text("text,wanted,label\nthe cat sat,cat,\na dog,,x\n")
    plain = report(str(packed), data=str(folder / "q.csv"))
    assert "2 examples" in plain
    assert "texts are not asked" not in plain
    (folder / "numbered.csv").write_text("the cat sat,cat\na dog,x\n")
    assert "2 examples" in report(str(packed), data=str(folder / "numbered.csv"), columns=["0"])
    with pytest.raises(ValueError, match="--columns wants that of texts, --columns=TEXT, got text, wanted"):
        report(str(packed), data=str(folder / "q.csv"), columns=["text", "wanted"])
    (folder / "prose.txt").write_text("the cat sat, the dog\nsat on the log\n")
    found, _ = trained.load(str(packed)).read_files(folder / "prose.txt")
    assert list(found.texts) == ["the cat sat, the dog\nsat on the log\n"]


def test_both_texts_of_a_pair_are_read_as_they_stand(folder):
    """Blanks and all, by name or by number; a cell that is no text is refused in either column, with its line."""
    run = str(folder / "run")

    def share(name, content, columns=()):
        (folder / name).write_text(content)
        return pairs.report(run, str(folder / name), columns=columns)

    assert "seed 3: 50.00 % right" in share("blanks.jsonl", '{"good": " the dog ", "bad": " the dog "}\n')
    assert "seed 3: 50.00 % right" in share("blanks.tsv", "good\tbad\n the dog \t the dog \n")
    assert "seed 3: 50.00 % right" in share("typed.csv", "good,bad\n7,7\n")
    assert "2 pairs" in share("bare.tsv", "the cat\tthe cat\nthe dog\tzzz\n", columns=["0", "1"])
    assert "seed 3: 75.00 % right" in share("bare.tsv", "the cat\tthe cat\nthe dog\tzzz\n", columns=["0", "1"])
    for good, bad in ((7, "the"), ("the", 7)):
        with pytest.raises(ValueError, match=r"line 1: '(good|bad)' is a string, got 7"):
            share("typed.jsonl", json.dumps({"good": good, "bad": bad}))
    with pytest.raises(ValueError, match="line 3: --pairs wants a text in the column good and one in bad"):
        share("holes.tsv", "good\tbad\nthe\tthe\nthe\t \n")
    with pytest.raises(ValueError, match="--pairs wants a text in the column good"):
        share("fasttext.txt", "__label__a the cat\n")


def test_pairs_write_over_nothing_that_is_read_or_kept(folder):
    """As what is scored does not."""
    run, table = folder / "run", folder / "kept.tsv"
    table.write_text("good\tbad\nthe cat\tcat the\n")
    before = table.read_bytes(), (run / "metrics.jsonl").read_bytes()
    for out, why in (
        (table, "which is read"),
        (run / "metrics.jsonl", "is a file of the run"),
        (folder / "absent/x.tsv", "there is no folder"),
    ):
        with pytest.raises(ValueError, match=why):
            pairs.report(str(run), str(table), out=str(out))
    assert (table.read_bytes(), (run / "metrics.jsonl").read_bytes()) == before
    assert not (folder / "absent").exists()


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
