"""Evidence of the task that tells the class of each word."""

import dataclasses

import numpy as np
import pytest

from attention.data.characters import spelled
from attention.data.contracts import OPEN, Spelling
from attention.tasks import Examples, _spans, tagging
from attention.training import config
from tests.support.evidence import TaskEvidence
from tests.support.row import Row
from tests.support.tasks import CLASSES, TEXTS, UNLABELLED, facts
from tests.tasks.lm import loss

WANTED = np.array([0, 1, 2, 2, OPEN, -1], np.int32)  # the last text has two words, the class of one of which is known
ENCODED = dataclasses.replace(
    UNLABELLED,
    wanted=WANTED,
    classes=CLASSES,
    words=np.array([0, 1, 0, 0, 1, 1], np.int32),
    word_counts=np.array([2, 1, 2], np.int32),
    spelling=Spelling(spelled(["a", "b", "c", "d"], 4), np.array([0, 1, 2, 3, 0, 0], np.int32)),
    unseen=np.array([0, 1, 1, 0, 0, 0], bool),
)
ASKED = np.array([[[1, 1, 0], [1, 0, 0], [1, 1, 0]]] * 2, bool)
KNOWN = np.array([[[1, 1, 0], [1, 0, 0], [1, 0, 0]]] * 2, bool)
PREDICTED = np.array([[[0, 1, 0], [1, 0, 0], [2, 0, 0]], [[0, 0, 0], [2, 0, 0], [2, 1, 0]]], np.int32)
RIGHT = np.array([[[1, 1, 0], [0, 0, 0], [1, 0, 0]], [[1, 0, 0], [1, 0, 0], [1, 0, 0]]], bool)
TOLD = """\
a/left b/middle  (1 of 2 members)
a/left b/left  (1 of 2 members)
c/middle  (1 of 2 members)
c/right  (1 of 2 members)
d/right a/left  (1 of 2 members)
d/right a/middle  (1 of 2 members)"""
BY_TAG = """\
words by tag, summed over 2 members
        precision  recall     F1  predicted  there
left        66.67  100.00  80.00          3      2
middle      50.00   50.00  50.00          2      2
right      100.00   75.00  85.71          3      4
all         75.00   75.00  75.00          8      8"""
CONFUSION = """\
confusion, summed over 2 members
tag \\ predicted  left  middle  right
left                2       0      0
middle              1       1      0
right               0       1      3"""

ROW = Row(
    "tagging",
    {},
    TaskEvidence(
        model={"encoder": "bigru", "encoding": "none", "dim": 8, "characters": 4},
        answers=(),
        encoded=ENCODED,
        reads="wanted",
        loss=loss,
        weights={None: [2, 1, 1, 0]},
        outputs={
            "asked": ASKED,
            "known": KNOWN,
            "nll": np.array([[[0.5, 0.5, 0], [2.0, 0, 0], [1.0, 0, 0]]] * 2),
            "right": RIGHT,
            "predicted": PREDICTED,
        },
        scores={
            "accuracy": 3 / 4,
            "macro_f1": (1 + 2 / 3 + 2 / 3) / 3,
            "nll": 1.0,
            "unseen_accuracy": 1 / 2,
            "span_f1": None,
            "count": 3,
        },
        unscored="what is right at one place or more",
        correct=[True, False, True],
        told=TOLD,
        columns={
            "predicted(3)": ["left middle", "middle", "right left"],
            "predicted(5)": ["left left", "right", "right middle"],
            "tags": ["left middle", "right", "right _"],
        },
        details=[BY_TAG, "unseen: 2 of 4 words are spelled as none of train", CONFUSION],
        lacks=(("has no class for each word", UNLABELLED),),
        errors={"tagging(beam=2)": "unknown option 'beam'"},
    ),
)


def test_classes_of_other_data_are_found_by_name():
    """Whatever their order; what is not known stays so, and a class that training had not is named."""
    other = dataclasses.replace(ENCODED, wanted=np.array([2, 1, 0, 0, OPEN, -1], np.int32))
    np.testing.assert_array_equal(tagging.adapt(other, CLASSES[::-1], facts()).wanted, WANTED)
    with pytest.raises(ValueError, match=r"tag 'lefts' was not seen in training \(nearest: 'left'\)"):
        tagging.adapt(ENCODED, ("lefts", "middle", "right"), facts())


def test_a_source_without_classes_is_one_for_language_models():
    """Said when the data are known."""
    with pytest.raises(ValueError, match=r"config\.task=tagging wants a source that names the class of each word"):
        tagging.sized(None, 9, 0)


SPANS = ("B-LOC", "B-PER", "I-LOC", "I-PER", "O")


def tagged(wanted, predicted):
    """The words of texts and what one member says of them, from tags as they are written."""
    texts = [[SPANS.index(tag) if tag != "_" else OPEN for tag in text.split()] for text in wanted]
    flat, lengths = np.concatenate(texts).astype(np.int32), np.array([len(text) for text in texts], np.int32)
    offsets, numbers = np.concatenate([[0], np.cumsum(lengths)]), np.concatenate([np.arange(n) for n in lengths])
    encoded = dataclasses.replace(
        UNLABELLED, flat=flat, offsets=offsets, wanted=flat, classes=SPANS, words=numbers, word_counts=lengths
    )
    asked = np.arange(lengths.max()) < lengths[:, None]
    said = np.zeros(asked.shape, np.int32)
    said[asked] = [SPANS.index(tag) for text in predicted for tag in text.split()]
    known = np.zeros(asked.shape, bool)
    known[asked] = flat >= 0
    right = np.zeros(asked.shape, bool)
    right[asked] = said[asked] == flat
    return {"asked": asked, "known": known, "nll": np.zeros(asked.shape), "right": right, "predicted": said}, encoded


@pytest.mark.parametrize(
    ("wanted", "predicted", "right", "said", "there"),
    [
        (["B-PER I-PER O B-LOC"], ["B-PER I-PER O B-LOC"], 2, 2, 2),
        (["B-PER I-PER O"], ["B-PER O O"], 0, 1, 1),  # half of a span is none
        (["I-PER I-PER O"], ["B-PER I-PER O"], 1, 1, 1),  # I without B begins a span
        (["B-PER I-PER"], ["B-PER B-PER"], 0, 2, 1),  # B ends the one before
        (["B-PER I-LOC"], ["B-PER I-PER"], 0, 1, 2),  # so does another type
        (["B-PER I-LOC"], ["I-PER B-LOC"], 2, 2, 2),
        (["O B-PER", "I-PER O"], ["O B-PER", "B-PER O"], 2, 2, 2),  # none goes on in another text
        (["O B-PER", "I-PER O"], ["O B-LOC", "I-PER O"], 1, 2, 2),
        (["B-PER _ O"], ["B-PER I-PER O"], 1, 1, 1),  # what is not known is in no span
        (["O _"], ["O B-PER"], 0, 0, 0),
    ],
)
def test_spans_are_those_of_conlleval(wanted, predicted, right, said, there):
    """Counted by hand, by its rules."""
    outputs, encoded = tagged(wanted, predicted)
    f1 = 2 * right / (said + there) if said + there else 0.0
    assert tagging.scores(outputs, encoded)["span_f1"] == pytest.approx(f1)
    members = {name: array[None] for name, array in outputs.items()}
    section = tagging.details(members, Examples([""] * len(encoded), encoded), facts()._replace(classes=SPANS))[1]
    assert section.startswith("spans by type\n")
    assert section.split("\n")[-1].split()[-2:] == [str(said), str(there)]


def test_spans_of_four_marks():
    """E and S end a span, and so the next word begins one."""
    classes = ("B-X", "E-X", "I-X", "O", "S-X")
    b, e, i, o, s = range(5)
    assert _spans.types_of(classes) == ("X",)
    own, said = np.array([b, i, e, s, s, o, b, e, i]), np.array([b, i, i, s, s, o, b, e, e])
    assert _spans.counts(own, said, classes).tolist() == [[5, 5, 5]]
    assert _spans.counts(own, np.array([b, e, e, s, o, o, s, s, i]), classes).tolist() == [[2, 6, 5]]


def test_which_classes_mark_spans():
    for classes, types in {
        SPANS: ("LOC", "PER"),
        ("I-X", "O"): ("X",),
        ("B-X", "B-X-Y"): ("X", "X-Y"),
        ("NOUN", "O"): (),
        ("B-X", "NOUN"): (),
        ("E-X", "O"): (),
        ("B-", "O"): (),
        ("O",): (),
    }.items():
        assert _spans.types_of(classes) == types


def test_words_that_are_cut_off_have_no_tag():
    """So that a table of predictions has a tag for each word, and all that is right, whatever was kept of a text."""
    cut = dataclasses.replace(ENCODED, words=np.array([0, 2, 1, 0, 1, 1], np.int32), word_counts=np.array([3, 2, 2], np.int32))
    found = tagging.read(ROW.evidence.outputs, cut, facts())
    assert found.tags[0] == ["left _ middle", "_ middle", "right left"]
    wanted = ["left right middle", "_ right", "right _"]
    assert tagging.columns(found, Examples(TEXTS, cut, wanted=wanted), facts())["tags"] == wanted


def test_a_text_keeps_its_first_words():
    """So that it is known of which words its answers are."""
    with pytest.raises(ValueError, match=r"config.data.truncate is for config.task=.*, got 'tail' with config.task=tagging"):
        config.from_dict({"task": "tagging", "data": {"truncate": "tail"}})
