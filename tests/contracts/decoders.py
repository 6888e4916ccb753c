"""What every decoder promises: its reference, one place at a time as all at once, and what may not matter."""

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import attention
from attention import decoding
from tests.support.decoders import LENGTHS, D, U, V, given, made, model_of
from tests.support.helpers import float64, jit
from tests.support.rows import cases, over_cases, over_knobs, over_rows

every = over_cases("decoder")
WITH_REFERENCE = [case for _, case in cases("decoder").values() if case.reference is not None]


def of(case):
    """The model of a case, parameters, and its program."""
    return made(tuple(case.specs.items()))


@every
def test_place_by_place_is_all_at_once(case):
    _, params, run = of(case)
    logits, each, *_ = run(params, *given())
    np.testing.assert_allclose(each, logits, atol=2e-5)


@every
def test_what_is_written_is_the_likeliest_each_time(case):
    """Greedy decoding, checked by asking the model, all at once, about what it wrote."""
    model, params, run = of(case)
    tokens, valid, _ = given()
    *_, (written, log_p), (beams, scores) = run(params, tokens, valid, given()[2])
    written = np.asarray(written[:, 0])
    logits = np.asarray(run(params, tokens, valid, written)[0], np.float64)
    each = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    allowed = np.where(np.arange(V) == decoding.START, -np.inf, each)
    inside = written != decoding.START
    assert (allowed.argmax(-1) == written)[inside].all()
    total = np.where(inside, np.take_along_axis(each, written[..., None], -1)[..., 0], 0).sum(-1)
    np.testing.assert_allclose(log_p[:, 0], total, rtol=1e-4)
    ends = (written == model.end).argmax(-1)
    assert not any(row[end + 1 :].any() for row, end in zip(written, ends) if row[end] == model.end)
    assert (np.diff(scores, axis=-1) <= 0).all()
    assert (scores[:, 0] > -np.inf).all()
    assert not (beams[:, 0] == beams[:, 1]).all(-1).any()


@every
def test_neither_padding_nor_what_follows_matters(case):
    """Nor the other texts of the batch, where nothing is drawn for a batch."""
    _, params, run = of(case)
    tokens, valid, targets = given()
    logits = np.asarray(run(params, tokens, valid, targets)[0])
    other = np.where(valid, tokens, 9)
    later = np.where(np.arange(U) < 4, targets, 5)
    changed = np.asarray(run(params, other, valid, later)[0])
    np.testing.assert_allclose(changed[:, :5], logits[:, :5], atol=1e-5)
    assert np.abs(changed[:, 5:] - logits[:, 5:]).max() > 1e-3
    if case.alone:
        order = [2, 0, 1]
        moved = np.asarray(run(params, tokens[order], valid[order], targets[order])[0])
        np.testing.assert_allclose(moved, logits[order], atol=1e-5)
    assert np.abs(np.asarray(run(params, np.roll(tokens, 1, 1), valid, targets)[0]) - logits).max() > 1e-3


@pytest.mark.parametrize("case", WITH_REFERENCE, ids=lambda case: case.title, scope="module")
def test_reference(case):
    """States and weights of the last layer, text by text."""
    _, params, run = of(case)
    tokens, valid, targets = given()
    logits, _, extra, *_ = run(params, tokens, valid, targets)
    kept = max(name for name in extra if re.fullmatch(r"decoder/layer_\d+/cross/weights", name))
    found, kept, own = float64((logits, extra["source"])), np.asarray(extra[kept]), float64(params)
    table, before = own["embedding"]["table"] * np.sqrt(D), np.asarray(decoding.shifted(jnp.asarray(targets)))
    for row, length in enumerate(LENGTHS):
        states, weights = case.reference(found[1][row, :length], table[before[row]], own["decoder"])
        wanted = states @ own["head"]["kernel"] + own["head"]["bias"]
        np.testing.assert_allclose(found[0][row], wanted, rtol=2e-4, atol=2e-5)
        heads = kept[row, ..., :length].swapaxes(0, 1)
        np.testing.assert_allclose(heads, np.array(weights).reshape(heads.shape), atol=1e-5)


@over_rows("decoder")
def test_there_is_a_reference(name, row):
    assert any(case.reference is not None for case in row.evidence.cases)


@functools.cache
def _start(spec):
    """The model, and the shapes and values of parameters and logits at the start."""
    tokens, valid, targets = map(jnp.asarray, given())
    mixer = {"mixer": "attention(heads=2)"} if "mixer" in attention.build("decoder", spec).uses else {}
    model = model_of(encoder="embeddings", decoder=spec, **mixer)
    start = functools.partial(model.init_with_output, jax.random.key(0), tokens, valid, targets=targets)
    return jax.eval_shape(start)[1]["params"], functools.cache(lambda: jit(start)()[0][0])


@over_knobs("decoder")
def test_no_dead_options(knob):
    """Every option changes the parameters or the logits."""
    (shapes, logits), (other_shapes, other) = _start(knob.without), _start(knob.with_)
    assert shapes != other_shapes or not np.allclose(logits(), other(), atol=1e-5)


@over_rows("decoder")
def test_parts_that_do_not_go(name, row):
    for parts, message in row.evidence.parts:
        with pytest.raises(ValueError, match=message):
            model_of(**{"decoder": name, **parts})


@over_rows("decoder")
def test_dropout(name, row):
    """In training alone, with a key; a traced rate; a rate of 0 is none."""
    model, params, _ = of(row.evidence.cases[0])
    tokens, valid, targets = map(jnp.asarray, given())
    apply = lambda **rest: model.apply({"params": params}, tokens, valid, targets=targets, **rest)[0]
    run = jit(lambda rng, rate: [apply(rng=rng, train=train, dropout=rate) for train in (False, True)])
    one, two = jax.random.split(jax.random.key(0))
    plain, noisy = run(one, 0.4)
    for other in (plain, run(two, 0.4)[1]):
        assert np.abs(noisy - other).max() > 1e-2
    for same in (*run(one, 0.0), jit(apply)()):
        np.testing.assert_allclose(same, plain, atol=1e-5)
    with pytest.raises(ValueError, match="dropout in training needs rng"):
        apply(train=True, dropout=0.1)
