"""What every rival promises: the same arrays and answers again, a text's own whatever stands beside it, and checks."""

import functools
import io

import numpy as np
import pytest

from attention import rivals, specs
from attention.files import packed, read_arrays
from attention.metrics import softmax
from tests.support.rivals import CLASSES, LESSONS, split, texts
from tests.support.rows import over_knobs, over_rows, rows


def _over(*answers):
    """Runs a test with the name of every rival that is taught one of these, or anything."""
    found = [name for name, row in rows("rival").items() if specs.build("rival", row.spec).answers in (answers or LESSONS)]
    return pytest.mark.parametrize("name", found)


fitting, telling = _over(), _over("label")


def built(name):
    return specs.build("rival", rows("rival")[name].spec)


def lessons(name):
    return LESSONS[built(name).answers]


@functools.cache
def learned(spec):
    rival = specs.build("rival", spec)
    taught = LESSONS[rival.answers]
    return rival.fit(taught.material(taught.train), taught.material(taught.validation))


def outputs(name, items, arrays=None, **options):
    arrays = learned(rows("rival")[name].spec) if arrays is None else arrays
    return built(name).answer(arrays, lessons(name).material(items, **options))


def said(name, items):
    """What is said of each item, arrays by name, without what no place of it asks for."""
    found, rows = outputs(name, items), lessons(name).material(items).rows
    counts = [None] * len(items) if rows.wanted is None else rows.asked
    return [{key: array[row][:count] for key, array in found.items()} for row, count in enumerate(counts)]


def assert_equal(found, wanted):
    for one, other in zip(found, wanted, strict=True):
        assert set(one) == set(other)
        assert all(np.array_equal(one[key], other[key]) for key in one)


@over_rows("rival")
def test_hooks_are_all_there_or_none(name, row):
    rival = specs.build("rival", row.spec)
    hooks = rival.fit, rival.answer, rival.amount, rival.facts, row.evidence.reference
    assert len({hook is None for hook in hooks}) == 1
    assert (rival.fit is None) == (rival.most == 0) == (rival.answers == "") == (rival.unit == "")
    own = rivals.chosen(row.spec, "none")
    assert own.choose is None
    assert (own is rival) == (rival.choose is None)


@fitting
def test_reference(name):
    taught, arrays = lessons(name), learned(rows("rival")[name].spec)
    found = outputs(name, taught.test)
    wanted = rows("rival")[name].evidence.reference(arrays, taught.material(taught.train), taught.material(taught.test))
    if "logits" in found:
        found = {"probabilities": softmax(found["logits"])}
    assert set(found) == set(wanted)
    for key, array in wanted.items():
        np.testing.assert_allclose(found[key], array, rtol=0, atol=1e-5, err_msg=key)


@fitting
def test_most_is_what_it_counts(name):
    """Of more than the option says that is called so, nothing is fitted."""
    rival, train = built(name), lessons(name).material(lessons(name).train)
    smaller = specs.build("rival", f"{name}({rival.unit}={rival.amount(train) - 1})")
    assert smaller.most == rival.amount(train) - 1


@fitting
def test_the_same_again(name):
    """Fitted anew, and read from a file: to the last bit."""
    taught = lessons(name)
    first = learned(rows("rival")[name].spec)
    again = built(name).fit(taught.material(taught.train), taught.material(taught.validation))
    assert packed(again) == packed(first)
    read = outputs(name, taught.test, read_arrays(io.BytesIO(packed(first))))
    assert_equal([read], [outputs(name, taught.test)])


@fitting
def test_a_text_is_answered_whatever_stands_beside_it(name):
    items = [*lessons(name).test, *lessons(name).odd]
    together = said(name, items)
    assert all(np.isfinite(array).all() for one in together for array in one.values())
    assert_equal(said(name, items[::-1])[::-1], together)
    assert_equal([said(name, [item])[0] for item in items], together)


@fitting
def test_odd_texts_are_learned(name):
    taught = lessons(name)
    train = taught.material([*taught.odd, *taught.train])
    arrays = built(name).fit(train, taught.material(taught.validation))
    assert all(np.isfinite(array).all() for array in outputs(name, taught.odd, arrays).values())
    assert built(name).facts(arrays)["converged"] is True
    small = built(name).fit(taught.material(taught.odd), taught.material(taught.odd))
    assert all(np.isfinite(array).all() for array in outputs(name, taught.odd, small).values())


@telling
def test_without_a_word(name):
    """What is left are the shares of the classes."""
    train = texts([("", 0), (" ", 1), ("\n", 1), ("", 1)], classes=2)
    found = built(name).answer(built(name).fit(train, train), texts([("", 0), ("words", 0)], classes=2))["logits"]
    np.testing.assert_allclose(softmax(found), [[0.25, 0.75]] * 2, atol=1e-6)


@telling
@pytest.mark.parametrize("classes", [(1,), (0, 2), (2, 1)])
def test_classes_that_train_has_not(name, classes):
    """They are less likely than one in as many texts as there were, and never impossible."""
    taught = lessons(name)
    arrays = built(name).fit(texts(split(100, 3, classes)), texts(taught.validation))
    found, labels = softmax(outputs(name, taught.test, arrays)["logits"]), texts(taught.test).split.labels
    absent = [label for label in range(CLASSES) if label not in classes]
    assert (found[:, absent] > 0).all()
    assert (found[:, absent] < 1 / 100).all()
    told = np.isin(labels, classes)
    assert np.mean(found.argmax(axis=1)[told] == labels[told]) > 0.8
    assert built(name).facts(arrays)["converged"] is True


def _others(dtype):
    return [other for other in (np.int16, np.uint64, np.float16, np.complex64, np.str_) if other != dtype]


@fitting
def test_arrays_of_fewer_classes_are_refused(name):
    with pytest.raises(ValueError, match=r"are not what fitting makes of \d classes|are not what fitting makes of \d tokens"):
        outputs(name, lessons(name).odd[:1], fewer=True)


@fitting
def test_arrays_of_others_are_refused(name):
    whole, free = learned(rows("rival")[name].spec), rows("rival")[name].evidence.free
    damages = [{key: array for key, array in whole.items() if key != left} for left in whole]
    for key, array in whole.items():
        changed = [np.stack([array, array]), *(array.astype(dtype) for dtype in _others(array.dtype))]
        if key not in free and array.ndim:
            changed += [array[:-1], np.full_like(array, np.nan if array.dtype.kind == "f" else np.iinfo(array.dtype).max)]
        damages += [{**whole, key: other} for other in changed]
    for damaged in damages:
        with pytest.raises(ValueError, match="are not what fitting makes") as error:
            outputs(name, lessons(name).odd[:1], damaged)
        assert "\n" not in str(error.value)


@over_knobs("rival")
def test_no_dead_options(knob):
    one, other = (specs.build("rival", spec) for spec in (knob.without, knob.with_))
    assert one.most != other.most or packed(learned(knob.without)) != packed(learned(knob.with_))
