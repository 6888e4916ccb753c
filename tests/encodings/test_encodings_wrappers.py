import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import attention
from attention.encodings import _wrapper
from attention.records import Call, Encoding
from tests.support.encoding_rows import layer
from tests.support.helpers import DIMS, assert_close, init, inputs, jit, normal, params_of, size, unchecked, value_and_gradients
from tests.support.models import batch, made
from tests.support.wrappers import RAW, VALID, call, moved, training

D, L = DIMS.model_dim, DIMS.max_length

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
    by_hand = record.positions(({}, {}), call(RAW[:1], VALID[:1]))
    explicit = attention.attend(query, key, value, encoding="alibi", encoding_call=by_hand)
    np.testing.assert_allclose(attend(), explicit, atol=1e-6)
    np.testing.assert_allclose(attend(encoding_call=by_hand), explicit, atol=1e-6)


# SHAPE.


def test_shift():
    """One number per example, uniform from 0 to the most, in training alone."""
    given = training(positions=jnp.arange(6), valid=jnp.ones((3000, 6), bool))
    found = moved("shift(most=9)", given)
    by = found[:, 0]
    np.testing.assert_array_equal(found, by[:, None] + np.arange(6))
    counts = np.bincount(by, minlength=10)
    assert len(counts) == 10
    assert np.abs(counts - 300).max() < 5 * 300**0.5
    assert not np.array_equal(found, moved("shift(most=9)", dataclasses.replace(given, rng=jax.random.key(4))))
    record = attention.build("encoding", "shift(most=9)")
    plain = Call(rng=jax.random.key(0))
    assert record.positions(({}, {}), plain) == plain  # positions are still known to count up by ones
    np.testing.assert_array_equal(moved("shift(most=0)", training()), RAW)


def test_shift_of_queries_and_keys():
    """Two sequences move together."""
    q, k = jnp.arange(3)[None], jnp.array([[5, 9]])
    record = attention.build("encoding", "shift(most=900)")
    found = record.positions(({}, {}), Call(q, k, train=True, rng=jax.random.key(3)))
    by = found.k_positions[0, 0] - 5
    assert 0 < by <= 900
    np.testing.assert_array_equal(found.q_positions, q + by)
    np.testing.assert_array_equal(found.k_positions, k + by)


def test_shift_leaves_relative_positions():
    (_, shifted), (_, plain) = layer("shift(inner=rope)"), layer("shift(inner=sinusoidal)")
    x, given = normal(0, 2, 6, D), training()
    run = lambda run, given: run(({}, {}), x, given)
    np.testing.assert_allclose(run(shifted, given)[0], run(shifted, call())[0], atol=1e-5)
    assert not np.allclose(run(plain, given)[0], run(plain, call())[0], atol=1e-3)


def test_shift_of_tables():
    record = attention.build("encoding", "shift(inner=learned, most=9)")
    assert init(record)[0]["inner"]["table"].shape == (L + 9, D)
    assert record.max_length == "dims"
    distances = attention.build("encoding", "shift(inner=fope(base=50), most=900)")
    assert init(distances)[1]["inner"]["cos"].shape == (4, 3, 2)  # the longest distance of training is what it was
    assert attention.build("encoding", "shift(inner=learned(max_length=30), most=9)").max_length == 21


# CAPE.


def test_cape_at_evaluation():
    """Sinusoidal positions that count from the middle of the valid tokens; exact a million positions away."""
    wanted = [[-2.5, -1.5, -0.5, 0.5, 1.5, 2.5], [-1.5, -0.5, 0.5, 1.5, 0, 0]]
    np.testing.assert_array_equal(moved("cape", call()), wanted)
    np.testing.assert_array_equal(moved("cape", call(RAW + 1_000_000)), wanted)
    np.testing.assert_array_equal(moved("cape", call(rng=jax.random.key(0))), wanted)
    x = normal(0, 2, 6, D)
    record = attention.build("encoding", "cape")
    found = record.embed(({}, {}), x, None, record.positions(({}, {}), call()))
    np.testing.assert_allclose(found, x + attention.sinusoidal(jnp.array(wanted), D), atol=1e-6)
    empty = moved("cape", call(RAW[:1], jnp.zeros((1, 6), bool)))
    np.testing.assert_array_equal(empty, np.zeros((1, 6)))


def test_cape_in_training():
    """Δ and λ of each example and ε of each token, uniform between their bounds; tokens keep their order."""
    count = 4000
    given = training(positions=jnp.array([0, 1, 2, 6, 7, 99]), valid=jnp.broadcast_to(jnp.arange(6) < 5, (count, 6)))
    centred = np.array([0, 1, 2, 6, 7]) - 3.2
    found = lambda **options: moved(f"cape({', '.join(f'{k}={v}' for k, v in options.items())})", given)[:, :5]
    assert (moved("cape", given)[:, 5] == 0).all()

    def is_uniform(values, most):
        assert np.abs(values).max() <= most * (1 + 1e-5)
        assert np.abs(values).max() > 0.99 * most
        assert abs(values.mean()) < 5 * most / (3 * values.size) ** 0.5
        np.testing.assert_allclose(values.std(), most / 3**0.5, rtol=0.05)

    by = found(global_shift=4, local_shift=0, scale=1) - centred
    np.testing.assert_allclose(by - by[:, :1], 0, atol=2e-6)
    is_uniform(by[:, 0], 4)
    jitter = found(global_shift=0, local_shift=0.4, scale=1) - centred
    is_uniform(jitter, 0.4)
    assert np.abs(np.corrcoef(jitter.T) - np.eye(5)).max() < 0.1
    stretched = np.log(found(global_shift=0, local_shift=0, scale=2) / centred)
    np.testing.assert_allclose(stretched - stretched[:, :1], 0, atol=1e-5)
    is_uniform(stretched[:, 0], np.log(2))
    both = found(global_shift=4, local_shift=0.5, scale=2)
    assert (np.diff(both) > 0).all()
    mean = both.mean(1)  # (Δ + mean ε) e^λ: shifts are stretched too
    assert np.abs(mean).max() > 4.6
    apart = found(global_shift=4, local_shift=0, scale=2)
    stretch = np.log((apart[:, 4] - apart[:, 0]) / 7)
    assert abs(np.corrcoef(stretch, apart.mean(1) / np.exp(stretch))[0, 1]) < 0.1


@pytest.mark.parametrize("inner", ["rope", "alibi", "rope + sinusoidal", "xpos", "p_rope"])
def test_cape_of_relative_positions_at_evaluation(inner):
    """Fractions cancel in a distance: at evaluation it is the encoding inside."""
    (_, run), (_, plain) = (layer(spec, "causal") for spec in (f"cape(inner={inner})", inner))
    x, params = normal(0, 1, 8, D), ({}, {})
    if "sinusoidal" in inner:
        assert not np.allclose(run(params, x, Call()), plain(params, x, Call()), atol=1e-3)
    else:
        np.testing.assert_allclose(run(params, x, Call()), plain(params, x, Call()), atol=1e-5)


# Every so many layers.


def test_every():
    """Layers 3, 7, ... see nothing of the encoding and have nothing of it."""
    record = attention.build("encoding", "every(inner=shaw(max_distance=3) + rope)")
    query, key, _ = inputs(B=1, T=6, S=6, K=4)
    for number in range(9):
        params = record.init(jax.random.key(0), DIMS._replace(layer=number))
        given = call(RAW[:1], None, layer=number, scale=1.0)
        both = ({}, params)
        turned = record.rotate(both, query, key, given)
        prepared = record.prepare(both, None, query, key, given)
        weights = jnp.ones((1, 4, 6, 6))
        found = record.bias(both, *prepared, given), record.values(both, weights, given)
        if number % 4 == 3:
            assert params == {}
            assert found == (None, None)
            assert turned[0] is query
            assert turned[1] is key
            assert prepared == ((), (), ())
        else:
            assert size(params) == 2 * 7 * DIMS.head_dim
            assert all(np.abs(each).max() > 0 for each in found)
            assert not np.allclose(turned[0], query)
    assert (record.reads, record.rotates) == ("rows", True)


@pytest.mark.parametrize("inner", ["alibi", "rope"])
def test_every_in_a_model(inner):
    """In two layers every other one is bare: the other's weights show the encoding, the bare one's do not."""
    tokens, valid = batch()
    encoder = "transformer(layers=2, mlp=2)"
    params = made(encoder=encoder, encoding=inner)[1]
    specs = ("none", inner, f"every(inner={inner}, layers=1)", f"every(inner={inner})")
    none, plain, other, all_of_two = (made(encoder=encoder, encoding=spec)[2](params, tokens, valid)[0] for spec in specs)
    np.testing.assert_allclose(all_of_two, plain, atol=1e-6)
    assert not np.allclose(other, plain, atol=1e-4)
    assert not np.allclose(other, none, atol=1e-4)


def test_every_hands_embeddings_through():
    """What acts on the embeddings does so once, in the first layer."""
    record = attention.build("encoding", "every(inner=sinusoidal + rope, layers=1)")
    x = jnp.zeros((1, 5, D))
    found = record.embed(({}, {}), x, jnp.zeros((1, 5), jnp.int32), Call(layer=1))
    np.testing.assert_allclose(found[0], attention.sinusoidal(jnp.arange(5), D), atol=1e-6)


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
    init = lambda rng, dims: {"of": jnp.zeros(1 if dims.layer is None else dims.max_length)}
    facts = {"reads": "all", "rotates": True, "needs_causal": True, "extrapolates": True, "depth": 1}
    return Encoding(init=init, **hooks, **facts)


@pytest.mark.parametrize("name", WRAPPERS)
def test_everything_is_handed_through(name):
    """Hooks are called with the parameters inside, their results come back, and facts are those of the encoding inside."""
    log = []
    spy = _spy(log)
    module = attention.specs.module("encoding", name)
    record = module.build(spy)
    assert set(_wrapper.DEFAULTS) == {field for field in Encoding._fields if callable(getattr(spy, field))}
    facts = lambda record: {field: getattr(record, field) for field in Encoding._fields if not callable(getattr(record, field))}
    length = 2048 if name == "randomized" else None
    assert facts(record) == facts(spy) | {"max_length": length, "redraws": name in ("randomized", "cape")}
    plain = module.build(spy._replace(extrapolates=False))
    assert plain.extrapolates == (name != "every")  # what the papers of the others claim
    inside = 2048 if name == "randomized" else L
    params = tuple(record.init(jax.random.key(0), DIMS._replace(layer=layer)) for layer in (None, 0))
    assert [size(each["inner"]) for each in params] == [1, inside]
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
    assert all(found == tuple(each["inner"] for each in params) for _, found, _ in log)
    assert {told for *_, told in log} == {inside}


@pytest.mark.parametrize("name", WRAPPERS)
def test_nothing_is_made_up(name):
    """Hooks that the encoding inside has not, the wrapper has not: others ask whether there is one."""
    record = attention.build("encoding", f"{name}(inner=rope)")
    acts = {field for field in _wrapper.DEFAULTS if getattr(record, field) is not Encoding._field_defaults[field]}
    assert acts == {"init", "positions", "rotate"}
    assert init(record) == ({}, {})


def test_nesting():
    """Each wrapper moves what the one around it left, and draws for itself; parameters go one level deeper each time."""
    spec = "randomized(inner=shift(inner=learned + rope, most=30), max_position=20)"
    record = attention.build("encoding", spec)
    assert init(record)[0]["inner"]["inner"]["0"]["table"].shape == (50, D)
    found, alone = moved(spec, training()), moved("randomized(max_position=20)", training())
    np.testing.assert_array_equal(np.diff(found[0]), np.diff(alone[0]))
    assert found[0, 0] > alone[0, 0]
    twice = moved("shift(inner=shift(most=9), most=9)", training(positions=jnp.arange(2), valid=jnp.ones((99, 2), bool)))
    assert 30 < np.sum(twice[:, 0] % 2) < 70
    centred = moved("randomized(inner=cape, max_position=20)", call())
    drawn = moved("randomized(max_position=20)", call())
    np.testing.assert_allclose(centred[0], drawn[0] - drawn[0].mean(), atol=1e-5)
    scheduled = attention.build("encoding", "randomized(inner=every(inner=alibi, layers=1))")
    assert scheduled.bias(({}, {}), (), (), jnp.ones(4), dataclasses.replace(call(), layer=1)) is None


def test_sums_of_wrappers():
    """Every term has its own positions, also terms of a term, and those of the others are still known to be 0, 1, ..."""
    spec = "randomized(inner=rope + cape(inner=alibi), max_position=20) + t5(buckets=8, max_distance=12) + cape"
    record, run = layer(spec)
    given = Call(q_valid=VALID, k_valid=VALID)
    (drawn, centred), none, middle = record.positions(init(record), given).q_positions
    np.testing.assert_array_equal(drawn, moved("randomized(max_position=20)", call()))
    np.testing.assert_allclose(np.where(VALID[0], drawn[0] - drawn[0].mean(), 0), centred[0], atol=1e-5)
    assert none is None
    np.testing.assert_array_equal(middle, moved("cape", call()))
    found = run(init(record), normal(0, 2, 6, D), given)
    assert np.isfinite(found[0]).all()
    assert np.isfinite(found[1, :4]).all()


@pytest.mark.parametrize("train", [False, True])
@pytest.mark.parametrize(
    "spec",
    ["randomized(inner=t5(buckets=8, max_distance=12) + rope)", "shift(inner=shaw(max_distance=3))",
     "cape(inner=alibi(form=learned_lr) + rope)", "every(inner=rope + shaw(max_distance=3))",
     "randomized(inner=cape(inner=pope)) + alibi"],
)  # fmt: skip
def test_chunked_is_dense(spec, train, small_blocks):
    arrays, upstream = (*inputs(), params_of(encoding=spec)), normal(6, 2, 40, 4, 8)
    valid = jnp.arange(40) < jnp.array([[40], [33]])

    @jit
    def both(arrays, rng):
        options = {"encoding": spec, "call": Call(q_valid=valid, k_valid=valid, train=train, rng=rng)}
        return [value_and_gradients(arrays, upstream, kernel=kernel, **options) for kernel in ("dense", "chunked")]

    dense, chunked = both(arrays, jax.random.key(3))
    assert_close(chunked, dense)


@pytest.mark.parametrize("spec", ["randomized", "shift", "cape"])
def test_in_a_model(spec):
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


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("randomized(max_position=0)", r"max_position must be in \[1, 65536\], got 0"),
        ("randomized(max_position=65537)", r"max_position must be in \[1, 65536\], got 65537"),
        ("randomized(inner=learned(max_length=9))", "max_position 2048 is beyond the 9 positions of the encoding inside"),
        ("randomized(inner=ropes)", r"unknown encoding 'ropes' \(nearest: 'rope'\)"),
        ("shift(most=-1)", "most must be >= 0, got -1"),
        ("shift(inner=learned(max_length=9), most=9)", "most 9 leaves none of the 9 positions of the encoding inside"),
        ("shift(inner=randomized)", "shift moves positions that the encoding inside then makes anew"),
        ("shift(inner=learned + every(inner=cape(inner=rope)))", "shift moves positions .* then makes anew"),
        ("cape(global_shift=-1)", "global_shift must be a finite number >= 0, got -1.0"),
        ("cape(local_shift=0.6)", r"local_shift must be in \[0, 0.5\], got 0.6"),
        ("cape(scale=0.9)", "scale must be a finite number >= 1, got 0.9"),
        ("cape(inner=learned)", "cape makes fractions of positions, and the encoding inside has a table of whole ones"),
        ("cape(inner=randomized)", "cape makes fractions of positions"),
        ("every(layers=0)", "layers must be >= 1, got 0"),
        ("every(inner=sinusoidal)", "every chooses layers, and the encoding inside acts on the embeddings alone"),
        ("every(inner=deberta)", "every cannot hold an encoding of 3 terms: layers without it would want another scale"),
    ],
)
def test_bad_options(spec, message):
    with pytest.raises(ValueError, match=message):
        attention.build("encoding", spec)


@pytest.mark.parametrize("name", ["randomized", "shift", "cape"])
def test_bad_calls(name):
    record = attention.build("encoding", name)
    move = lambda given: record.positions(({}, {}), given)
    with pytest.raises(ValueError, match=f"{name} draws from call.rng in training, which is None"):
        move(call(train=True))
    with pytest.raises(ValueError, match=f"{name} needs to know the tokens: give Call positions, or q_valid and k_valid"):
        move(Call(train=True, rng=jax.random.key(0)))
    if name != "shift":
        with pytest.raises(ValueError, match=f"{name} moves the tokens of one sequence.*: got 2 queries and 6 keys"):
            move(Call(RAW[:, :2], RAW))


def test_too_many_tokens():
    record = attention.build("encoding", "randomized(max_position=5)")
    with pytest.raises(ValueError, match="randomized has 5 positions to draw from, got a sequence of 6"):
        jit(record.positions)(({}, {}), call())
    with pytest.raises(ValueError, match="the encoding has 5 positions, got a sequence of 24"):
        made(encoding="randomized(max_position=5)")


@pytest.mark.parametrize("inner", ["shaw(max_distance=3)", "table(window=8)", "deberta"])
def test_fractions_of_positions_are_refused_by_tables(inner):
    """cape makes positions that a row per whole distance cannot serve: said, and not rounded."""
    record = attention.build("encoding", f"cape(inner={inner})")
    params, x = init(record), normal(0, 2, 9, DIMS.model_dim)
    q = k = v = x.reshape(2, 9, DIMS.num_heads, DIMS.head_dim)
    options = {"encoding": record, "params": {"encoding": params}, "x": x, "call": Call(train=True, rng=jax.random.key(0))}
    with pytest.raises(ValueError, match="a row per whole number"):
        unchecked(attention.attend)(q, k, v, **options)
