"""Accuracy by length: the report by hand, and runs that end in it, within and beyond what an encoding has positions for."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from attention import files
from attention.commands import eval as entry
from attention.data.contracts import Encoded
from attention.evaluation import trained as evaluate
from attention.runs import directory
from attention.training import by_length, command_line, config, loop, recipe
from attention.training.cohort import predict
from tests.support import models

# ---------------------------------------------------------------------------------------------- the report by itself


@pytest.mark.parametrize(
    ("trained", "longest", "wanted"),
    [
        (40, 200, (20, 40, 60, 80, 100, 120, 140, 160, 180, 200)),
        (40, 199, (20, 40, 60, 80, 100, 120, 140, 160, 180, 199)),
        (5, 25, (3, 5, 8, 10, 13, 15, 18, 20, 23, 25)),
        (40, 1000, (20, 40, 160, 280, 400, 520, 640, 760, 880, 1000)),
        (40, 42, (20, 40, 41, 42)),
        (40, 40, (20, 40)),
        (40, 30, (20, 40)),
        (1, 1, (1,)),
    ],
)
def test_edges(trained, longest, wanted):
    assert by_length.edges(trained, longest) == wanted


LENGTHS = np.array([1, 2, 3, 4, 5, 6, 20])
CORRECT = np.array([[1, 0, 1, 1, 1, 0, 0], [1, 1, 1, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0, 0]], bool)
DEFINED = LENGTHS <= 5


def report(**changes):
    given = {"trained_length": 4, "known": (True, True, False), **changes}
    return by_length.report(CORRECT, LENGTHS, DEFINED, **given)


def test_accuracy_beyond_training_by_hand():
    ranges = report()["ranges"]
    longer = LENGTHS > 4
    found = {"trained_length": 4, "ranges": [{**row, "accuracy": [0.5, 0.25]} for row in ranges]}
    assert by_length.beyond(found, 1) == 0.25
    whole = by_length.report(CORRECT, LENGTHS, LENGTHS > 0, trained_length=4, known=(True, True, False))
    for member in (0, 1):
        assert by_length.beyond(whole, member) == pytest.approx(CORRECT[member, longer].mean(), abs=1e-12)
    assert by_length.beyond(whole, 2) is None  # never validated
    assert by_length.beyond(report(), 0) is None  # without positions for the longest
    within = by_length.report(CORRECT[:, :4], LENGTHS[:4], DEFINED[:4], trained_length=4, known=(True, True, False))
    assert by_length.beyond(within, 0) is None  # no longer text


def test_report_by_hand():
    found = report()
    assert found["trained_length"] == 4
    rows = {(row.pop("above"), row.pop("up_to")): row for row in found["ranges"]}
    assert list(rows) == [(0, 2), (2, 4), (4, 6), (18, 20)]  # no text in between
    assert rows[0, 2]["accuracy"] == [0.5, 1.0, None]
    assert rows[0, 2]["mean"] == 0.75
    # Student's t with one degree of freedom, 12.706, times 0.3536 / sqrt 2
    assert rows[0, 2]["ci95"] == pytest.approx(12.7062 * 0.25, rel=1e-4)
    assert (rows[0, 2]["count"], rows[0, 2]["undefined"]) == (2, False)
    for place in ((4, 6), (18, 20)):  # one text of 5 has positions, the one of 6 has not
        assert rows[place]["undefined"]
        assert rows[place]["accuracy"] == [None] * 3
        assert (rows[place]["mean"], rows[place]["std"], rows[place]["ci95"]) == (None, None, None)


def test_ranges_of_a_split():
    correct, lengths = np.array([[1, 0, 1, 1, 0]], bool), np.array([1, 8, 9, 16, 40])
    rows = by_length.ranges(correct, lengths, [8, 16, 32])
    assert [(row["above"], row["up_to"], row["count"], row["accuracy"]) for row in rows] == [
        (0, 8, 2, [0.5]),
        (8, 16, 2, [1.0]),
        (32, 40, 1, [0.0]),  # none between 16 and 32, and one range more for the longest
    ]
    assert by_length.ranges(correct[:, :4], lengths[:4], [16])[-1]["up_to"] == 16
    assert by_length.table({"ranges": rows}).startswith("accuracy of whole texts by length in tokens\n")
    shares = by_length.table({"ranges": rows, "of_words": True})
    assert shares.startswith("share of the words of a text that are right by length in tokens\n")


def test_nobody_known_and_one_member():
    assert [row["mean"] for row in report(known=(False,) * 3)["ranges"]] == [None] * 4
    alone = by_length.report(CORRECT[:1], LENGTHS, DEFINED, trained_length=4, known=(True,))["ranges"][0]
    assert (alone["accuracy"], alone["mean"], alone["ci95"]) == ([0.5], 0.5, None)


def test_table():
    lines = by_length.table(report()).split("\n")
    assert lines[0] == "accuracy by length, trained up to 4; mean of 3 members and its 95 % Student-t interval"
    assert [line.split() for line in lines[1:]] == [
        ["length", "texts", "accuracy"],
        ["1-2", "2", "75.00", "±317.66"],
        ["3-4", "2", "75.00", "±317.66"],
        ["5-6", "2", "undefined"],
        ["19-20", "1", "undefined"],
    ]
    assert "members" not in by_length.table(by_length.report(CORRECT[:1], LENGTHS, DEFINED, trained_length=4, known=(True,)))


def test_only_takes_the_examples_that_are_marked():
    encoded = Encoded(np.arange(6, dtype=np.int32), np.array([0, 1, 3, 6]), np.array([7, 8, 9], np.int32))
    found = encoded.only(np.array([True, False, True]))
    assert (found.flat.tolist(), found.offsets.tolist(), found.labels.tolist()) == ([0, 3, 4, 5], [0, 1, 4], [7, 9])


def test_plot_draws_members_baselines_and_what_is_undefined(tmp_path):
    path = tmp_path / "by_length.svg"
    by_length.plot(report(), path, title="a title", baselines={"majority": 0.5})
    drawn = path.read_text()
    comments = re.findall(r"<!-- (.*?) -->", drawn)  # the texts, which are drawn as shapes
    assert comments.count("undefined") == 2
    assert {"a title", "majority 0.500", "accuracy"} <= set(comments)
    by_length.plot(report(known=(False,) * 3), tmp_path / "none.png", title="", baselines={})
    assert (tmp_path / "none.png").read_bytes().startswith(b"\x89PNG")
    assert sorted(each.name for each in tmp_path.iterdir()) == ["by_length.svg", "none.png"]


# ---------------------------------------------------------------------------------------------- runs


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """``trained(encoding, **model)`` trains two members on texts of up to 12 symbols and returns the run's folder."""
    folder = tmp_path_factory.mktemp("by_length")
    patch = pytest.MonkeyPatch()
    patch.setenv("ATTENTION_CACHE_DIR", str(folder / "cache"))
    made = {}

    def train(encoding, seeds=(0, 1)):
        name = f"{encoding}-{len(made)}"
        fields = {
            "data": {
                "source": f"order(train=200, validation=40, test=40, lengths=100, max_length=12, data_dir='{folder}')",
                "max_length": 12,
                "buckets": 1,
            },
            "model": {"encoder": "embeddings", "encoding": encoding, "dim": 8},  # compiled in no time
            "training": {"steps": 6, "warmup": 1, "batch_size": 16, "eval_every": 3},
            "seeds": seeds,
        }
        made[name] = loop.train(config.from_dict(fields), folder / name)
        return folder / name

    yield train
    patch.undo()


@pytest.fixture(scope="module")
def sinusoidal(trained):
    return trained("sinusoidal")


@pytest.fixture(scope="module")
def learned(trained):
    """A table of 16 positions, the trained length rounded up."""
    return trained("learned")


def test_a_run_reports_by_length(sinusoidal, capsys):
    result = files.read_json(sinusoidal / "result.json")
    found = result["by_length"]
    assert found["trained_length"] == 12
    assert [row["up_to"] for row in found["ranges"]] == [6, 12, 18, 24, 30, 36, 42, 48, 54, 60]
    assert sum(row["count"] for row in found["ranges"]) == 100
    assert all(len(row["accuracy"]) == 2 and not row["undefined"] for row in found["ranges"])
    assert (sinusoidal / "by_length.png").read_bytes().startswith(b"\x89PNG")
    loop.train(config.from_dict(directory.RunDirectory(sinusoidal).read_config()), sinusoidal)  # finished: printed again
    assert by_length.table(found) in capsys.readouterr().out


def test_against_one_text_at_a_time(sinusoidal):
    """Whole, in its own length, without padding; and the accuracy of the last range counted from the logits of all."""
    trained = evaluate.load(str(sinusoidal))
    data = trained.load_data()
    assert data.statistics["lengths"]["max_length"] == 60
    assert data.statistics["lengths"]["truncated_share"] == 0
    encoded, words = data.splits["lengths"], [text.split() for text in data.texts["lengths"]]
    logits = trained.outputs(trained.examples("lengths", data))["logits"]
    for row in (0, 50, 99):
        tokens = jnp.array([[data.tokenizer_state[word] for word in words[row]]])
        for member in range(2):
            params = jax.tree.map(lambda leaf, m=member: leaf[m], trained.params)
            alone = trained.model.apply({"params": params}, tokens, tokens > 0)[0]
            np.testing.assert_allclose(logits[member, row], alone[0], atol=2e-5)
    last = [row for row in range(100) if 54 < len(words[row]) <= 60]
    right = [sum(member[row].argmax() == encoded.labels[row] for row in last) / len(last) for member in logits]
    found = files.read_json(sinusoidal / "result.json")["by_length"]["ranges"][-1]
    assert (found["count"], found["accuracy"]) == (len(last), pytest.approx(right))


@pytest.mark.parametrize("which", ["sinusoidal", "learned"])
def test_evaluation_gives_trainings_own_numbers(which, request, capsys):
    folder = request.getfixturevalue(which)
    recorded = files.read_json(folder / "result.json")["by_length"]
    trained = evaluate.load(str(folder))
    assert trained.accuracy_by_length(trained.load_data()) == recorded
    assert command_line.run_main(entry.main, ["eval.py", f"--workdir={folder}"]) == 0
    assert by_length.table(recorded) in capsys.readouterr().out


def test_beyond_a_table_is_undefined(learned, capsys):
    ranges = files.read_json(learned / "result.json")["by_length"]["ranges"]
    assert [row["undefined"] for row in ranges] == [False] * 2 + [True] * 8
    assert "13-18" in by_length.table(files.read_json(learned / "result.json")["by_length"])
    code = command_line.run_main(entry.main, ["eval.py", f"--workdir={learned}", "--split=lengths"])
    assert code == 2
    assert "the encoding has 16 positions, got a sequence of" in capsys.readouterr().err


def test_a_table_beyond_training_is_defined_up_to_its_end(trained):
    """30 positions: the last padded length is cut to them."""
    folder = trained("learned(max_length=30)", seeds=(0,))
    ranges = files.read_json(folder / "result.json")["by_length"]["ranges"]
    assert [row["undefined"] for row in ranges] == [False] * 5 + [True] * 5
    assert ranges[0]["ci95"] is None


@pytest.mark.parametrize(
    ("specs", "wanted"),
    [
        ({"encoding": "rope"}, None),
        ({"encoding": "learned"}, 24),
        ({"encoding": "learned", "pooling": "cls"}, 24),
        ({"encoding": "learned(max_length=30)", "pooling": "cls"}, 29),
        ({"encoding": "none", "score": "synthesizer"}, 24),
    ],
)
def test_the_longest_text_a_model_has_positions_for(specs, wanted):
    assert models.classifier(**specs).longest_text == wanted


def test_few_shapes(sinusoidal, monkeypatch):
    """Beside the padded lengths of training, four."""
    trained = evaluate.load(str(sinusoidal))
    shapes, plain = set(), predict._outputs

    def spy(*arguments):
        shapes.add(arguments[-2]["tokens"].shape)
        return plain(*arguments)

    monkeypatch.setattr(predict, "_outputs", spy)
    trained.accuracy_by_length(trained.load_data())
    known = trained.data.bucket_lengths
    assert len(shapes) <= len(known) + predict.LONGER
    assert {size for size, _ in shapes} == {16}
    assert {length for _, length in shapes} - set(known) == {32, 40, 56, 64}


def test_longer_texts_can_be_scored_like_any_other(sinusoidal, capsys):
    code = command_line.run_main(entry.main, ["eval.py", f"--workdir={sinusoidal}", "--split=lengths"])
    assert code == 0
    assert "lengths, 100 examples" in capsys.readouterr().out


def test_a_source_without_lengths_reports_none(trained, tmp_path):
    where = trained("none", seeds=(0,))
    fields = directory.RunDirectory(where).read_config()
    fields["data"]["source"] = fields["data"]["source"].replace("lengths=100", "lengths=0")
    result = loop.train(config.from_dict(fields), tmp_path / "run")
    assert result["by_length"] is None
    assert not (tmp_path / "run" / "by_length.png").exists()
    loaded = evaluate.load(str(tmp_path / "run"))
    assert loaded.accuracy_by_length(loaded.load_data()) is None


@pytest.mark.parametrize(
    ("source", "left_out"),
    [
        ("parity(train=30, validation=5, test=5, lengths=9, data_dir='{}')", None),
        ("bucket_sort(train=30, validation=5, test=5, lengths=9)", "classes of words are left out: each token of a text"),
        ("copy(train=30, validation=5, test=5)", "targets are left out: each token of a text tells the next"),
    ],
)
def test_texts_that_are_read_as_documents_have_no_length(source, left_out, tmp_path):
    """What a language model is not asked for is left out, and said."""
    fields = {"task": "lm", "data": {"source": source.format(tmp_path), "max_length": 16}, "model": {"mask": "causal"}}
    made = recipe.load_data(config.from_dict(fields))
    assert all(split.documents is not None and split.targets is None for split in made.splits.values())
    assert by_length.measured(None, None, made, config.from_dict(fields), (), ()) is None
    assert any(note.startswith(left_out or "windows of 16 tokens") for note in made.notes)
    assert (made.targets, made.wanted) == ({}, {})
    assert np.isin(made.splits["validation"].flat, np.append(made.splits["train"].flat, made.vocab_size - 1)).all()


def test_a_member_that_was_never_validated_has_none(trained, tmp_path):
    where = trained("none", seeds=(0,))
    fields = directory.RunDirectory(where).read_config()
    fields["training"] |= {"learning_rate": 1e30, "clip_norm": 0.0, "log_every": 1}
    result = loop.train(config.from_dict(fields), tmp_path / "run")
    assert result["members"][0]["validation"] is None
    assert {row["mean"] for row in result["by_length"]["ranges"]} == {None}
    assert not any(row["undefined"] for row in result["by_length"]["ranges"])
    assert by_length.table(result["by_length"]).split("\n")[2].split() == ["1-6", "9", "-"]


def test_of_many_words_the_share_counts():
    """Half of the words of one text, and all or nothing where no share is told."""
    said = {"correct": np.array([False, True]), "share": np.array([0.5, 1.0])}
    assert by_length.ranges(by_length.shares(said)[None], np.array([3, 9]), [5, 10])[0]["accuracy"] == [0.5]
    assert by_length.shares({"correct": np.array([False, True])}).tolist() == [False, True]
