"""What every rival promises: the same arrays and answers again, a text's own whatever stands beside it, and checks."""

import functools
import io

import numpy as np
import pytest

from attention import rivals, specs
from attention.data.contracts import Split
from attention.files import packed, read_arrays
from attention.metrics import softmax
from tests.support.rivals import CLASSES, ODD, TEST, TRAIN, VALIDATION, split
from tests.support.rows import over_knobs, over_rows, rows

fitting = pytest.mark.parametrize(
    "name", [name for name, row in rows("rival").items() if specs.build("rival", row.spec).fit is not None]
)


def built(name):
    return specs.build("rival", rows("rival")[name].spec)


@functools.cache
def learned(spec):
    return specs.build("rival", spec).fit(TRAIN, VALIDATION, CLASSES)


def logits(name, texts, arrays=None, classes=CLASSES):
    return built(name).answer(learned(rows("rival")[name].spec) if arrays is None else arrays, texts, classes)["logits"]


@over_rows("rival")
def test_hooks_are_all_there_or_none(name, row):
    rival = specs.build("rival", row.spec)
    assert len({hook is None for hook in (rival.fit, rival.answer, rival.facts, row.evidence.reference)}) == 1
    assert (rival.fit is None) == (rival.texts == 0) == (rival.answers == "")
    own = rivals.chosen(row.spec, "none")
    assert own.choose is None
    assert (own is rival) == (rival.choose is None)


@fitting
def test_reference(name):
    arrays = learned(rows("rival")[name].spec)
    wanted = rows("rival")[name].evidence.reference(arrays, TEST.texts)
    np.testing.assert_allclose(softmax(logits(name, TEST.texts)), wanted, rtol=0, atol=1e-5)
    assert np.mean(wanted.argmax(axis=1) == TEST.labels) > 0.8


@fitting
def test_the_same_again(name):
    """Fitted anew, and read from a file: to the last bit."""
    first, again = learned(rows("rival")[name].spec), built(name).fit(TRAIN, VALIDATION, CLASSES)
    assert packed(again) == packed(first)
    read = read_arrays(io.BytesIO(packed(first)))
    assert np.array_equal(logits(name, TEST.texts, read), logits(name, TEST.texts))


@fitting
def test_a_text_is_answered_whatever_stands_beside_it(name):
    texts = [*TEST.texts, *ODD]
    together = logits(name, texts)
    assert together.shape == (len(texts), CLASSES)
    assert np.isfinite(together).all()
    assert np.array_equal(logits(name, texts[::-1])[::-1], together)
    assert np.array_equal(np.concatenate([logits(name, [text]) for text in texts]), together)


@fitting
def test_odd_texts_are_learned(name):
    train = Split([*ODD, *TRAIN.texts], np.concatenate([np.arange(len(ODD)) % CLASSES, TRAIN.labels]))
    assert np.isfinite(logits(name, ODD, built(name).fit(train, VALIDATION, CLASSES))).all()


@fitting
def test_without_a_word(name):
    """What is left are the shares of the classes."""
    train = Split(["", " ", "\n", ""], np.array([0, 1, 1, 1]))
    found = softmax(logits(name, ["", "words"], built(name).fit(train, train, 2), classes=2))
    np.testing.assert_allclose(found, [[0.25, 0.75]] * 2, atol=1e-6)


@fitting
@pytest.mark.parametrize("classes", [(1,), (0, 2), (2, 1)])
def test_classes_that_train_has_not(name, classes):
    """They are less likely than one in as many texts as there were, and never impossible."""
    train = split(100, 3, classes)
    arrays = built(name).fit(train, VALIDATION, CLASSES)
    found = softmax(logits(name, TEST.texts, arrays))
    absent = [label for label in range(CLASSES) if label not in classes]
    assert (found[:, absent] > 0).all()
    assert (found[:, absent] < 1 / 100).all()
    told = np.isin(TEST.labels, classes)
    assert np.mean(found.argmax(axis=1)[told] == TEST.labels[told]) > 0.8
    facts = built(name).facts(arrays)
    assert facts["converged"] is True


def _others(dtype):
    return [other for other in (np.int16, np.uint64, np.float16, np.complex64, np.str_) if other != dtype]


@fitting
def test_arrays_of_fewer_classes_are_refused(name):
    with pytest.raises(ValueError, match="are not what fitting makes of 2 classes"):
        logits(name, ["text"], classes=2)


@fitting
def test_arrays_of_others_are_refused(name):
    whole = learned(rows("rival")[name].spec)
    damages = [{key: array for key, array in whole.items() if key != left} for left in whole]
    damages += [{**whole, key: array[:-1]} for key, array in whole.items() if array.ndim]
    damages += [
        {**whole, key: np.full_like(array, 10**9)} for key, array in whole.items() if array.dtype.kind == "i" and array.ndim
    ]
    damages += [
        {**whole, key: np.full_like(array, np.nan)} for key, array in whole.items() if array.dtype.kind == "f" and array.ndim
    ]
    damages += [{**whole, key: np.stack([array, array])} for key, array in whole.items()]
    damages += [{**whole, key: array.astype(dtype)} for key, array in whole.items() for dtype in _others(array.dtype)]
    for damaged in damages:
        with pytest.raises(ValueError, match="are not what fitting makes") as error:
            logits(name, ["text"], damaged)
        assert "\n" not in str(error.value)


@over_knobs("rival")
def test_no_dead_options(knob):
    one, other = (specs.build("rival", spec) for spec in (knob.without, knob.with_))
    assert one.texts != other.texts or packed(learned(knob.without)) != packed(learned(knob.with_))
