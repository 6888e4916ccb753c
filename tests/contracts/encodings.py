"""What every encoding promises: its reference, positions, order, padding, parameters, kernels, and its place in a model."""

import dataclasses
import functools
import inspect
import math
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import attention
from attention import compatibility
from attention.attend import parts_of, run
from attention.records import Call
from tests.support.encodings import D, H, L, N, built, layer, qkx, shows_direction, whole
from tests.support.helpers import float64, init, jit, normal, shared_and_own, size
from tests.support.models import batch, check_training, made, train
from tests.support.rows import cases, over_cases, over_knobs, over_rows, rows

every = over_rows("encoding")
every_case = over_cases("encoding")
SCORED = {spec: case for spec, (_, case) in cases("encoding").items() if case.scores is not None}
scored = pytest.mark.parametrize("case", [pytest.param(case, id=spec) for spec, case in SCORED.items()])
UNSEEN = -1e30
# Keeps the scores in place of weights.
SCORES = attention.Normalizer(lambda params, scores, mask, call: scores if mask is None else jnp.where(mask, scores, UNSEEN))

# References.

GIVEN = ([0, 1, 3, 4, 9, 17, 18, 30, 45], [0, 2, 3, 20, 21, 22, 40, 7, 1])
TEXT = np.array([[True] * 9, [True] * 3 + [False] * 2 + [True] * 4])


@functools.cache
def _scores(case):
    """The scores of a layer, compiled."""
    record, params = built(case.spec)
    parts = parts_of(record, normalizer=SCORES, mask=case.mask)
    options = {"params": {"encoding": params}, "kernel": "dense", "weights": True}
    return jit(lambda query, key, x, call: run(parts, query, key, key, x=x, call=call, **options)[1])


def _check_scores(case, query, key, x, call, q_at, k_at, text, q_text=None):
    found = np.asarray(_scores(case)(query, key, x, call), np.float64)
    record, params = built(case.spec)
    scale = 1 / math.sqrt(record.terms * H)
    for b in range(len(query)):
        q, k, states, given, i, j = *float64((query[b], key[b], x[b], params)), np.asarray(q_at[b]), np.asarray(k_at[b])
        wanted = case.scores(q, k, given, i, j, scale, states, text[b])
        seen = np.broadcast_to(text[b], wanted.shape) & ~np.isnan(wanted)
        if case.mask == "causal":
            seen &= i[:, None] >= j
        rows = slice(None) if q_text is None else q_text[b]
        np.testing.assert_array_equal(found[b][:, rows] > UNSEEN / 2, seen[:, rows])
        np.testing.assert_allclose(found[b][:, rows][seen[:, rows]], wanted[:, rows][seen[:, rows]], rtol=2e-5, atol=2e-5)


@every_case
@pytest.mark.parametrize("given", [False, True], ids=["counted", "given"])
def test_reference(case, given):
    """Embeddings and scores of every head and pair are the formula's, wherever positions come from and padding stands."""
    record, params = built(case.spec)
    assert (record.embed is None) == (case.embed is None)
    assert (record.rotate is None and not record.on_scores) == (case.scores is None)
    at = np.array(GIVEN if given else [np.arange(9)] * 2)
    at = np.sort(at) if cases_evidence(case).one_sequence else at  # which counts in the order of the array
    call = Call(*[jnp.asarray(at) if given else None] * 2, *[jnp.asarray(TEXT)] * 2, max_length=L)
    query, key, x = qkx(9, 9)
    if case.scores is not None:
        _check_scores(case, query, key, x, call, at, at, TEXT, TEXT)
    if case.embed is not None:
        tokens = np.array([np.arange(9), np.arange(9)[::-1]])
        moved = call if record.positions is None else record.positions(params, call)
        found = jit(record.embed)(params, x, jnp.asarray(tokens), moved)
        for b in range(2):
            wanted = case.embed(*float64((x[b], tokens[b])), at[b], TEXT[b], float64(params))
            np.testing.assert_allclose(found[b][TEXT[b]], wanted[TEXT[b]], rtol=2e-5, atol=2e-5)


@scored
def test_queries_and_keys_of_two_texts(case):
    """Other queries than keys, in any order and far apart; distances of a million are exact. Or it is said that they cannot."""
    (query, _, x), (_, key, _) = qkx(4, 4), qkx(5, 5)
    evidence = cases_evidence(case)
    text, far = np.array([[True] * 5, [True, True, False, True, True]]), 1_000_000
    places = [([[0, 5, 47, 3], [2, 2, 30, 9]], [[3, 46, 0, 5, 12], [0, 2, 33, 9, 1]])]
    if case.far and evidence.max_length is None:
        places.append(([[far, 0, far - 3, 5]] * 2, [[0, far, far - 5, 7, 5]] * 2))
    for q_at, k_at in places:
        call = Call(jnp.array(q_at), jnp.array(k_at), None, jnp.asarray(text), max_length=L)
        if evidence.one_sequence:
            with pytest.raises(ValueError, match="4 queries and 5 keys"):
                _scores(case)(query, key, x, call)
        else:
            _check_scores(case, query, key, x, call, q_at, k_at, text)


@scored
def test_far_from_the_origin(case):
    """Distances are exact at position 1,000,000, also those of consecutive positions."""
    evidence = cases_evidence(case)
    if evidence.moved != "same" or evidence.max_length is not None or not case.far:
        return
    query, key, x = qkx(9, 9)
    at = np.array(GIVEN)
    run = lambda at: _scores(case)(query, key, x, Call(at, at, jnp.asarray(TEXT), jnp.asarray(TEXT), max_length=L))
    far, near = (np.moveaxis(run(jnp.asarray(at + by)), 1, 2)[TEXT] for by in (1_000_000, 0))
    np.testing.assert_allclose(far, near, atol=2e-5)


def cases_evidence(case):
    """The evidence of a case's variant."""
    return rows("encoding")[attention.specs.parse(case.spec).name].evidence


# Positions, order and padding: a layer on nine tokens.

ORDER = np.array([4, 2, 8, 0, 1, 7, 3, 6, 5])


def _nine(row):
    record, run = layer(row.spec, row.evidence.mask)
    return run, init(record), normal(0, 2, 9, D)


@every
def test_moving_all_positions(name, row):
    run, params, x = _nine(row)
    same = np.allclose(run(params, x, whole(np.arange(9) + 20)), run(params, x, whole()), atol=1e-4)
    assert same == (row.evidence.moved == "same")


@every
def test_order_of_the_tokens(name, row):
    """Permuting the tokens permutes the output where there is no encoding, and only there."""
    run, params, x = _nine(row)
    same = np.allclose(run(params, x[:, ORDER], whole()), run(params, x, whole())[:, ORDER], atol=1e-4)
    assert same != row.evidence.ordered


@every
def test_order_of_the_array(name, row):
    """Permuting the tokens with their positions permutes the output, or the order of the array counts."""
    run, params, x = _nine(row)
    same = np.allclose(run(params, x[:, ORDER], whole(ORDER)), run(params, x, whole())[:, ORDER], atol=1e-5)
    assert same == row.evidence.by_position


@every
def test_direction(name, row):
    """Whether reading the sequence backwards gives the same states backwards; under a causal mask it never does."""
    assert shows_direction(row.spec, row.evidence.mask) == row.evidence.directed


@every
def test_padding_and_batch(name, row):
    """Nothing of padding counts, content or position, on either side, nor what else is in the batch; and 0, 1, ... is None."""
    run, params, x = _nine(row)
    text = np.array([[True] * 9, [False] * 2 + [True] * 6 + [False]])
    at = np.array([np.arange(9), [0, 1, 0, 1, 2, 3, 4, 5, 8]])
    found = run(params, x, whole(at, text))
    spoiled = run(params, jnp.where(text[..., None], x, 77.0), whole(np.where(text, at, 2_000_000), text))
    np.testing.assert_allclose(spoiled[text], found[text], atol=1e-5)
    other = run(params, x.at[1].multiply(-2.0), whole(at, text))
    np.testing.assert_allclose(other[0], found[0], atol=1e-5)
    alone = run(params, x[1:, 2:8], Call())
    np.testing.assert_allclose(found[1, 2:8], alone[0], atol=1e-5)


@every
def test_parameters(name, row):
    """Their number, shared and own; each array has a gradient in the longest text there may be; one token is enough."""
    record, run = layer(row.spec, row.evidence.mask)
    assert tuple(map(size, shared_and_own(record))) == row.evidence.count
    assert ((record.shared is None), (record.init is None)) == tuple(not count for count in row.evidence.count)
    params = init(record)
    loss = lambda params, x: jnp.sum(inspect.unwrap(run)(params, x, Call()) ** 2)
    value, gradients = jit(jax.value_and_grad(loss))(params, normal(1, 1, L, D))
    assert np.isfinite(value)
    for path, gradient in jax.tree.leaves_with_path(gradients):
        assert np.isfinite(gradient).all()
        assert np.abs(gradient).max() > 1e-6, jax.tree_util.keystr(path)
    assert np.isfinite(run(params, normal(0, 1, 1, D), Call())).all()


@every
def test_positions_between_whole_numbers(name, row):
    """Fractions of positions have a meaning, or are refused where there is a row for each whole one."""
    record, params = built(row.spec)
    query, x, at = normal(0, 1, 9, N, H), normal(1, 1, 9, D), jnp.arange(9.0) / 2
    call = Call(at, at, max_length=L)

    def trace():
        if record.embed is not None:
            jax.eval_shape(record.embed, params, x, jnp.zeros((1, 9), jnp.int32), call)
        parts, options = parts_of(record, mask=row.evidence.mask), {"params": {"encoding": params}, "encoding_call": call}
        jax.eval_shape(lambda query: run(parts, query, query, query, x=x, call=Call(), **options), query)

    if row.evidence.whole:
        with pytest.raises(ValueError, match=r"has a row per whole position, got positions of type float32"):
            trace()
    else:
        trace()


# Records.


def _facts(record):
    return [each for field, each in zip(record._fields, record) if not callable(each) and field != "spec"]


@every
def test_facts(name, row):
    record = attention.build("encoding", row.spec)
    assert record.values is None or record.reads != "block"
    assert record.max_length == row.evidence.max_length
    assert record.terms == row.evidence.terms
    assert record.needs_causal == (row.evidence.mask == "causal")


@over_knobs("encoding")
def test_no_dead_options(knob):
    """Every option changes parameters, facts or the output; what means nothing alone is compared with the row's spec."""
    row = rows("encoding")[knob.name]
    try:
        attention.build("encoding", knob.without)
        without = knob.without
    except ValueError:
        without = row.spec
    records = [attention.build("encoding", spec) for spec in (without, knob.with_)]
    params = [init(record, spread=0.1) for record in records]
    if _facts(records[0]) != _facts(records[1]):
        return
    if len({str(jax.tree.map(jnp.shape, each)) for each in params}) > 1:
        return
    x, call = normal(0, 1, 20, D), row.evidence.call()
    mask = "causal" if records[0].needs_causal else row.evidence.mask
    one, other = (layer(spec, mask)[1](each, x, call) for spec, each in zip((without, knob.with_), params))
    assert not np.allclose(one, other, atol=1e-5)


@every
def test_rotations_want_products(name, row):
    record = attention.build("encoding", row.spec)
    if record.rotate is not None:
        message = "a rotation has a meaning only where the score depends on query and key through"
        with pytest.raises(ValueError, match=message):
            attention.attend(*[jnp.ones((3, N, H))] * 3, encoding=record, score="additive", mask="causal")


@every
def test_what_acts_on_embeddings(name, row):
    """Attention alone never sees them, and refuses what acts on them, in a sum and around another too."""
    heads = [jnp.ones((3, N, H))] * 3
    for spec in (row.spec, f"none + {row.spec}"):
        if attention.build("encoding", spec).embed is not None:
            given = re.escape(attention.canonical("encoding", spec))
            with pytest.raises(ValueError, match=f"{given} acts on embeddings.* in a model"):
                attention.attend(*heads, encoding=spec, mask=row.evidence.mask)


@every
def test_positions_of_other_queries_than_keys(name, row):
    """What acts on scores reads positions: the same queries elsewhere see something else, and nobody guesses where they are."""
    record, params = built(row.spec)
    scored = compatibility.needs_scores(record) and record.embed is None
    if not scored or row.evidence.one_sequence or record.redraws:
        return
    options = {"encoding": record, "params": {"encoding": params}, "mask": row.evidence.mask}
    query, key, x = qkx(3, 9)
    valid = jnp.ones((2, 3), bool), jnp.ones((2, 9), bool)
    at = lambda first: Call(jnp.arange(3) + first, jnp.arange(9), *valid, max_length=L)
    found = [attention.attend(query, key, key, x=x, call=at(first), **options) for first in (0, 6)]
    assert not np.allclose(*found, atol=1e-5)
    with pytest.raises(ValueError, match="reads positions, and where 3 queries stand among 9 keys has to be said"):
        attention.attend(query, key, key, x=x, call=Call(max_length=L), **options)


@every
def test_what_is_for_earlier_keys(name, row):
    if row.evidence.mask == "causal":
        with pytest.raises(ValueError, match="defined for earlier keys only; use mask=causal"):
            attention.attend(*[jnp.ones((3, N, H))] * 3, encoding=row.spec)


@every
def test_low_precision(name, row):
    """bfloat16 in and out of what acts on embeddings, queries and keys, computed in float32 from exact positions."""
    record, params = built(row.spec)
    at = jnp.array([16, 17, 41])
    call, low = Call(at, at, jnp.ones(3, bool), jnp.ones(3, bool), max_length=L), jnp.bfloat16
    call = call if record.positions is None else dataclasses.replace(call, **_moved(record, params, call))
    query, key, x = qkx(3, 3, B=1)
    pairs = []
    if record.rotate is not None:
        narrow = record.rotate(params, query.astype(low), key.astype(low), call)
        pairs += zip(narrow, record.rotate(params, *(each.astype(low).astype(jnp.float32) for each in (query, key)), call))
    if record.embed is not None:
        x, tokens = x.astype(low), jnp.zeros((1, 3), jnp.int32)
        pairs.append((record.embed(params, x, tokens, call), record.embed(params, x.astype(jnp.float32), tokens, call)))
    for narrow, exact in pairs:
        assert narrow.dtype == low
        np.testing.assert_allclose(narrow.astype(jnp.float32), exact, atol=3e-2, rtol=1e-2)


def _moved(record, params, call):
    moved = record.positions(params, call)
    return {"q_positions": moved.q_positions, "k_positions": moved.k_positions}


# In a classifier.


def _specs(row):
    """Post-norm, since pre-norm takes out what is alike in all channels."""
    return {"encoding": row.spec, "mask": row.evidence.mask, "encoder": "transformer(layers=1, mlp=2, norm=post)"}


@every
def test_in_a_model(name, row):
    """Columns of padding change no logits, on the right, and with positions on the left; permuting the tokens does change them,
    unless nothing says where they are."""
    _, params, forward = made(**_specs(row))
    run = lambda tokens, valid, **more: forward(params, tokens, valid, **more)[0]
    tokens, valid = batch((6, 3), 6)
    logits = run(tokens, valid)
    more = jnp.pad(jnp.where(valid, tokens, 11), ((0, 0), (0, 7)), constant_values=5)
    np.testing.assert_allclose(run(more, jnp.pad(valid, ((0, 0), (0, 7)))), logits, atol=1e-5)
    order, everything = np.array([3, 5, 0, 2, 4, 1]), jnp.ones_like(valid)
    same = np.allclose(run(tokens[:, order], everything), run(tokens, everything), atol=1e-5)
    assert same != row.evidence.ordered
    if row.evidence.by_position:
        shift = np.array([[0], [3]])
        left = np.take_along_axis(np.asarray(tokens), (np.arange(6) - shift) % 6, 1)
        at = np.where(np.arange(6) >= shift, np.arange(6) - shift, -77)
        found = run(jnp.asarray(left), jnp.asarray(at >= 0), positions=jnp.asarray(at))
        np.testing.assert_allclose(found, logits, atol=1e-5)


@every
def test_it_trains(name, row):
    check_training(*train(**_specs(row)))
