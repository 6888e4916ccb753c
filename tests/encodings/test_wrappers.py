"""Encodings around another: what they hand through, draws in a model, and one around the other."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import attention
from attention.records import Call, Encoding, EncodingClaims, merged
from tests.support.encodings import D, L
from tests.support.helpers import (
    assert_close,
    init,
    inputs,
    jit,
    normal,
    params_of,
    shared_and_own,
    size,
    value_and_gradients,
)
from tests.support.models import batch, made
from tests.support.wrappers import RAW, VALID, call, moved, training

# Masks see the positions as they came.


@pytest.mark.parametrize("kernel", ["dense", "chunked"])
@pytest.mark.parametrize("spec", ["randomized(inner=rope)", "shift(inner=rope)", "cape(inner=rope)"])
def test_masks_see_raw_positions(spec, kernel, small_blocks):
    """A window of 2 is one of 2 tokens, however far apart the encoding puts them, and blocks of keys are still skipped."""
    query, key, _ = inputs(B=1, T=40, S=40, K=4)
    seen = jnp.broadcast_to(jnp.eye(40)[:, None, :8], (1, 40, 4, 8))  # the value of a key of 8 says which one it is
    options = {"encoding": spec, "mask": "causal & local(window=2)", "call": Call(train=True, rng=jax.random.key(0))}
    found = np.asarray(jit(lambda: attention.attend(query, key, seen, kernel=kernel, **options))()[0, :, 0])
    wanted = np.array([[j in (i, i - 1) for j in range(8)] for i in range(40)])
    assert ((found > 0) == wanted).all()
    assert bool(small_blocks) == (kernel == "chunked")
    assert all(keys < 40 for _, keys in small_blocks)


def test_attention_moves_positions_itself():
    """`attend` without the encoding's call asks the encoding for it, and once: what was moved before stays where it is."""
    query, key, value = inputs(T=6, S=6)
    record = attention.build("encoding", "randomized(inner=alibi, max_position=40)")
    attend = jit(lambda **options: attention.attend(query, key, value, encoding=record, **options))
    by_hand = record.positions({}, call(RAW[:1], VALID[:1]))
    explicit = attention.attend(query, key, value, encoding="alibi", encoding_call=by_hand)
    np.testing.assert_allclose(attend(), explicit, atol=1e-6)
    np.testing.assert_allclose(attend(encoding_call=by_hand), explicit, atol=1e-6)


# What holds for all of them.

WRAPPERS = ("randomized", "shift", "cape", "every")


def _spy(log):
    """An encoding with every hook and fact its own."""

    def hook(name, result):
        def called(params, *given):
            log.append((name, params, given[-1].max_length))
            return result(*given)

        return called

    hooks = {
        "embed": hook("embed", lambda x, tokens, call: x),
        "prepare": hook("prepare", lambda x, query, key, call: (query, key, 7)),
        "rotate": hook("rotate", lambda query, key, call: (query, key)),
        "bias": hook("bias", lambda q, k, rest, call: jnp.full((1, 1, 1, 1), float(rest))),
        "modify": hook("modify", lambda scores, q, k, rest, call: scores * rest),
        "where": hook("where", lambda q, k, rest, call: jnp.ones((1, 1, 1, 1), bool)),
        "values": hook("values", lambda weights, call: jnp.zeros((1, 1, 1, 1))),
        "positions": hook("positions", lambda call: dataclasses.replace(call, q_positions=call.q_positions * 2)),
    }
    made = {"shared": lambda rng, dims: {"all": jnp.zeros(1)}, "init": lambda rng, dims: {"own": jnp.zeros(dims.max_length)}}
    facts = {"reads": "all", "needs_causal": True, "depth": 1, "claims": EncodingClaims(True)}
    return Encoding(**made, **hooks, **facts)


@pytest.mark.parametrize("name", WRAPPERS)
def test_everything_is_handed_through(name):
    """Hooks are called with the parameters inside, their results come back, and facts are those of the encoding inside."""
    log = []
    spy = _spy(log)
    module = attention.specs.module("encoding", name)
    record = module.build(spy)
    hooks = {field for field in Encoding._fields if callable(getattr(spy, field))}
    assert hooks == {field for field, default in Encoding._field_defaults.items() if default is None} - {"max_length"}
    facts = lambda record: {field: getattr(record, field) for field in set(Encoding._fields) - hooks}
    length = 2048 if name == "randomized" else None
    own = {"max_length": length, "redraws": name in ("randomized", "cape"), "whole_row": record.whole_row}
    assert facts(record) == facts(spy) | own
    assert bool(record.whole_row) == (name == "randomized")
    plain = module.build(spy._replace(claims=EncodingClaims(False)))
    assert plain.claims.extrapolates == (name != "every")  # what the papers of the others claim
    inside = 2048 if name == "randomized" else L
    shared, own = shared_and_own(record)
    assert (size(shared["inner"]), size(own["inner"])) == (1, inside)
    params = merged(shared, own)
    given = call(max_length=L)
    query, key = normal(0, 2, 6, 4, 8), normal(1, 2, 6, 4, 8)
    assert record.embed(params, query, None, given) is query
    q, k, rest = record.prepare(params, None, query, key, given)
    assert (q is query, k is key, rest) == (True, True, 7)
    assert record.rotate(params, query, key, given)[1] is key
    assert record.bias(params, q, k, rest, given).item() == 7
    assert record.modify(params, query, q, k, rest, given)[0, 0, 0, 0] == 7 * query[0, 0, 0, 0]
    assert record.where(params, q, k, rest, given).item()
    assert record.values(params, query, given).item() == 0
    moved = record.positions(params, given)
    np.testing.assert_array_equal(moved.q_positions, 2 * moved.k_positions)
    assert [each[0] for each in log] == ["embed", "prepare", "rotate", "bias", "modify", "where", "values", "positions"]
    assert all(found is params["inner"] for _, found, _ in log)
    assert {told for *_, told in log} == {inside}


@pytest.mark.parametrize("name", WRAPPERS)
def test_nothing_is_made_up(name):
    """Hooks that the encoding inside has not, the wrapper has not: others ask whether there is one."""
    record = attention.build("encoding", f"{name}(inner=rope)")
    acts = {field for field in Encoding._fields if callable(getattr(record, field))}
    assert acts == {"rotate"} | ({"positions"} if name != "every" else set())


def test_nesting():
    """Each wrapper moves what the one around it left, and draws for itself; parameters go one level deeper each time."""
    spec = "randomized(inner=shift(inner=learned + rope, most=30), max_position=20)"
    record = attention.build("encoding", spec)
    assert init(record)["inner"]["inner"]["0"]["table"].shape == (50, D)
    found, alone = moved(spec, training()), moved("randomized(max_position=20)", training())
    np.testing.assert_array_equal(np.diff(found[0]), np.diff(alone[0]))
    assert found[0, 0] > alone[0, 0]
    twice = moved("shift(inner=shift(most=9), most=9)", training(positions=jnp.arange(2), valid=jnp.ones((99, 2), bool)))
    assert 30 < np.sum(twice[:, 0] % 2) < 70
    centred = moved("randomized(inner=cape, max_position=20)", call())
    drawn = moved("randomized(max_position=20)", call())
    np.testing.assert_allclose(centred[0], drawn[0] - drawn[0].mean(), atol=1e-5)
    scheduled = attention.build("encoding", "randomized(inner=every(inner=alibi, layers=1))")
    assert scheduled.bias({}, (), (), jnp.ones(4), dataclasses.replace(call(), layer=1)) is None


@pytest.mark.parametrize(
    "spec",
    ["randomized(inner=t5(buckets=8, max_distance=12) + rope)", "shift(inner=shaw(max_distance=3))",
     "cape(inner=alibi(form=learned_lr) + rope)", "every(inner=rope + shaw(max_distance=3))",
     "randomized(inner=cape(inner=pope)) + alibi"],
)  # fmt: skip
def test_chunked_nests(spec, small_blocks):
    arrays, upstream = (*inputs(), params_of(encoding=spec)), normal(6, 2, 40, 4, 8)
    valid = jnp.arange(40) < jnp.array([[40], [33]])

    @jit
    def both(arrays, rng):
        options = {"encoding": spec, "call": Call(q_valid=valid, k_valid=valid, train=True, rng=rng)}
        return [value_and_gradients(arrays, upstream, kernel=kernel, **options) for kernel in ("dense", "chunked")]

    dense, chunked = both(arrays, jax.random.key(3))
    assert_close(chunked, dense)


@pytest.mark.parametrize("spec", ["randomized", "shift", "cape"])
def test_draws_in_a_model(spec):
    """Training draws from the model's key, evaluation from none; members of a cohort draw each from their own."""
    tokens, valid = batch()
    model, params, forward = made(encoding=spec)
    train = lambda rng: model.apply({"params": params}, tokens, valid, train=True, rng=rng)[0]
    first, again, other = jit(jax.vmap(train))(jax.vmap(jax.random.key)(jnp.array([0, 0, 1])))
    np.testing.assert_array_equal(first, again)
    assert not np.allclose(first, other, atol=1e-5)
    np.testing.assert_allclose(jit(train)(jax.random.key(1)), other, atol=1e-5)
    plain = forward(params, tokens, valid)[0]
    np.testing.assert_allclose(forward(params, tokens[:1], valid[:1])[0], plain[:1], atol=1e-5)
    longer = [jnp.pad(each, ((0, 0), (0, 3))) for each in (tokens, valid)]
    np.testing.assert_allclose(forward(params, *longer)[0], plain, atol=1e-5)


@pytest.mark.parametrize("name", ["randomized", "shift", "cape"])
def test_bad_calls(name):
    record = attention.build("encoding", name)
    move = lambda given: record.positions({}, given)
    with pytest.raises(ValueError, match=f"{name} draws in training and wants a key"):
        move(call(train=True))
    with pytest.raises(ValueError, match=f"{name} needs to know the tokens: give Call positions, or q_valid and k_valid"):
        move(Call(train=True, rng=jax.random.key(0)))
    if name != "shift":
        with pytest.raises(ValueError, match=f"{name} moves the tokens of one sequence.*: got 2 queries and 6 keys"):
            move(Call(RAW[:, :2], RAW))
