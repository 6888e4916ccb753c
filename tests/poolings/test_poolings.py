"""What is said of single poolings: limits, published forms, numbers by hand, normalizers, errors, and their part of a model."""

import inspect
import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import attention
from attention.records import Call
from attention.training.cohort import update
from tests.support.helpers import DIMS, assert_close, jit, normal, spread_out
from tests.support.models import D as MODEL_DIM
from tests.support.models import batch, classifier, made

D, A = 6, 5
DIMS = DIMS._replace(model_dim=D)
VALID = jnp.array([True, True, True, False])
ROWS = ("query", "additive", "feed_forward", "structured", "map(heads=2)")  # those with weights


def _states():
    return normal(0, 4, D)


# Limits and published forms.


def test_mean_of_many_in_low_precision():
    """Summed in float32: 1000 ones in bfloat16 would stop at 256."""
    ones = jnp.ones((1000, 1), jnp.bfloat16)
    np.testing.assert_array_equal(attention.mean_pool(ones), [1.0])
    np.testing.assert_array_equal(attention.weighted_mean_pool(ones), [1.0])


def test_mean_sqrt_is_the_mean_by_the_root_of_the_length():
    """And keeps the variance of independent states."""
    x = _states()
    wanted = math.sqrt(3) * attention.mean_pool(x, VALID)
    np.testing.assert_allclose(attention.mean_sqrt_pool(x, VALID), wanted, atol=1e-6)
    pooled = attention.mean_sqrt_pool(normal(1, 2000, 50, 4))
    np.testing.assert_allclose(pooled.std(), 1.0, atol=0.03)


def test_max_shares_the_gradient_of_ties():
    gradient = jax.grad(lambda x: jnp.sum(attention.max_pool(x, jnp.array([True] * 3))))(jnp.array([[2.0], [2.0], [1.0]]))
    np.testing.assert_array_equal(gradient, [[0.5], [0.5], [0.0]])


def test_weighted_mean_by_hand():
    """Weights 1/6, 2/6, 3/6 of three tokens wherever they stand; constants stay."""
    wanted = np.array([1, 2, 3]) / 6 @ np.array([4.0, -1.0, 8.0])
    for where in ([True, True, True, False, False], [False, True, False, True, True]):
        where = jnp.array(where)
        x = jnp.zeros(5).at[jnp.flatnonzero(where)].set(jnp.array([4.0, -1.0, 8.0]))[:, None]
        np.testing.assert_allclose(attention.weighted_mean_pool(x, where), [wanted], atol=1e-6)
        np.testing.assert_allclose(attention.weighted_mean_pool(0 * x + 0.7, where), [0.7], atol=1e-6)


def test_first_and_last_of_padding_anywhere():
    x, where = jnp.arange(5.0)[:, None], jnp.array([False, True, False, True, False])
    assert (attention.first_pool(x, where), attention.last_pool(x, where)) == (1.0, 3.0)


@pytest.mark.parametrize("t", [1e-6, 1e-4, 1e-2])
def test_logsumexp_of_small_t_is_the_mean(t):
    """mean + t·variance/2 + O(t²): the second term is seen too, which a plain log of float32 would lose."""
    x = _states()
    rows = np.float64(x[:3])
    np.testing.assert_allclose(attention.logsumexp_pool(x, VALID, t=t), rows.mean(0) + t * rows.var(0) / 2, atol=2e-7 + t**2)


def test_logsumexp_of_large_t_is_the_maximum():
    """Less log(3)/t, for a maximum of 3 positions that is alone; nothing overflows."""
    x = 100 * _states()
    for t in (1e3, 1e6):
        np.testing.assert_allclose(
            attention.logsumexp_pool(x, VALID, t=t), attention.max_pool(x, VALID) - math.log(3) / t, rtol=1e-6
        )
    for scale in (1e-30, 1e30):
        assert np.isfinite(attention.logsumexp_pool(scale * x, VALID)).all()


def test_logsumexp_of_many():
    """One of 100000 positions stands out: the mean of the exponentials is near 0, where log1p of a difference would be lost."""
    x = jnp.zeros((100_000, 1)).at[7].set(100.0)
    np.testing.assert_allclose(attention.logsumexp_pool(x), [100 - math.log(1e5)], rtol=1e-6)


def test_gradient_of_logsumexp_is_a_softmax():
    for t in (1e-3, 1.0, 30.0):
        gradient = jax.grad(lambda x: jnp.sum(attention.logsumexp_pool(x, VALID, t=t)))(_states())  # noqa: B023
        np.testing.assert_allclose(gradient, attention.softmax(t * _states(), VALID[:, None], axis=0), atol=1e-6)


def test_gem_between_mean_and_maximum():
    """p = 1 is the mean, p → ∞ the maximum, p → 0 the geometric mean, 2 the root of the mean square, -1 the harmonic mean."""
    x = jnp.abs(_states()) + 0.1
    rows = np.float64(x[:3])
    pool = lambda p: attention.gem_pool(x, VALID, p=p)
    np.testing.assert_allclose(pool(1.0), rows.mean(0), rtol=1e-6)
    np.testing.assert_allclose(pool(2.0), np.sqrt((rows**2).mean(0)), rtol=1e-6)
    np.testing.assert_allclose(pool(1e4), rows.max(0), rtol=2e-4)
    np.testing.assert_allclose(pool(1e-4), np.exp(np.log(rows).mean(0)), rtol=2e-4)
    np.testing.assert_allclose(pool(jnp.float32(-1.0)), 1 / (1 / rows).mean(0), rtol=1e-6)  # where a learned p may go
    found = np.stack([pool(p) for p in (0.5, 1.0, 2.0, 3.0, 8.0)])
    assert (np.diff(found, axis=0) > 0).all()


def test_gem_of_negative_states():
    """They count as ε and get no gradient, with none of the NaNs of powers at 0."""
    x = jnp.array([[-1.0, 2.0], [0.0, 2.0], [-3.0, 1e-6], [5.0, 5.0]])
    with jax.debug_nans(True):
        value, gradient = jax.value_and_grad(lambda x: jnp.sum(attention.gem_pool(x, VALID)))(x)
    np.testing.assert_allclose(value, 1e-6 + (16 / 3) ** (1 / 3), rtol=1e-5)
    np.testing.assert_array_equal(gradient == 0, [[True, False], [True, False], [True, True], [True, True]])


@pytest.mark.parametrize("activation", ["none", "tanh"])
def test_query_of_zeros_is_a_mean(activation):
    pooled, weights = attention.query_pool(_states(), jnp.zeros(D), VALID, activation=activation)
    np.testing.assert_allclose(pooled, attention.mean_pool(_states(), VALID), atol=1e-6)
    np.testing.assert_allclose(weights, [1 / 3, 1 / 3, 1 / 3, 0])


def test_query_is_attention():
    """Of one query to keys and values that are the states; a sharp one picks a state."""
    x, q = _states(), normal(3, D)
    wanted = attention.attend(q[None, None], x[:, None], x[:, None], where=VALID[None, None])[0, 0]
    np.testing.assert_allclose(attention.query_pool(x, q, VALID)[0], wanted, atol=1e-6)
    np.testing.assert_allclose(attention.query_pool(x, 1e4 * q, VALID)[0], x[jnp.argmax(x[:3] @ q)], atol=1e-5)


def test_additive_is_a_mean_where_it_starts_blind():
    """With v = 0 every position weighs the same."""
    pooled, _ = attention.additive_pool(_states(), normal(1, D, A), jnp.zeros(A), jnp.zeros(A), VALID)
    np.testing.assert_allclose(pooled, attention.mean_pool(_states(), VALID), atol=1e-6)


def test_feed_forward_is_bounded():
    """No position weighs more than e² times another with tanh, or e times with σ."""
    for activation, most in (("tanh", math.e**2), ("sigmoid", math.e)):
        x = 100 * _states()[:, :1]
        _, weights = attention.feed_forward_pool(x, jnp.ones(1), jnp.zeros(()), VALID, activation=activation)
        np.testing.assert_allclose(weights[:3].max() / weights[:3].min(), most, rtol=1e-3)


def test_structured_of_one_row_is_additive():
    x, kernel, vector = _states(), normal(1, D, A), normal(2, A)
    pooled, weights = attention.structured_pool(x, kernel, vector[:, None], VALID)
    wanted, wanted_weights = attention.additive_pool(x, kernel, jnp.zeros(A), vector, VALID)
    np.testing.assert_allclose(pooled, wanted, atol=1e-6)
    np.testing.assert_allclose(weights[0], wanted_weights, atol=1e-6)


def test_structured_penalty_by_hand():
    """0 for rows on a position each; r rows on the same one have r(r - 1) products of 1; uniform rows (1/n - 1)² r + ..."""
    assert attention.structured_penalty(jnp.eye(3, 5)) == 0
    assert attention.structured_penalty(jnp.zeros((3, 5)).at[:, 2].set(1.0)) == 6
    np.testing.assert_allclose(attention.structured_penalty(jnp.full((3, 5), 0.2)), 3 * 0.8**2 + 6 * 0.2**2, rtol=1e-6)


def test_penalty_weight():
    """Is a factor, and 0 leaves nothing."""
    x, losses = normal(0, 2, 4, D), []
    for penalty in (0.0, 1.0, 2.5):
        record = attention.build("pooling", f"structured(penalty={penalty})")
        losses.append(record.apply(record.init(jax.random.key(0), DIMS), x, Call()).loss)
    np.testing.assert_array_equal(losses[0], 0)
    np.testing.assert_allclose(losses[2], 2.5 * losses[1], rtol=1e-6)


def test_map_looks_at_what_its_probe_asks_for():
    """With one head and identities for projections, z is the attention of the probe, and y = z + MLP(LN(z))."""
    record = attention.build("pooling", "map(heads=1, mlp=1)")
    params = spread_out(record.init(jax.random.key(0), DIMS))
    eye = {"kernel": jnp.eye(D)[:, None], "bias": jnp.zeros((1, D))}
    params |= {"query": eye, "key": eye, "value": eye, "output": {"kernel": jnp.eye(D)[None], "bias": jnp.zeros(D)}}
    z, weights = attention.query_pool(_states(), params["probe"], VALID)
    norm = params["norm"]["scale"] * (z - z.mean()) / jnp.sqrt(z.var() + 1e-6) + params["norm"]["bias"]
    hidden = jax.nn.gelu(norm @ params["in"]["kernel"] + params["in"]["bias"])
    pooled, found = attention.map_pool(_states(), params, VALID)
    np.testing.assert_allclose(found, weights[None], atol=1e-6)
    np.testing.assert_allclose(pooled, z + hidden @ params["out"]["kernel"] + params["out"]["bias"], atol=1e-5)


def test_final_context():
    """The ends of two directions: what a recurrence of each holds when it has read the text."""
    additive = attention.build("pooling", "additive(hidden=5, context=final)")
    params = spread_out(additive.init(jax.random.key(0), DIMS))
    x = _states()
    h = jnp.concatenate([x[2, : D // 2], x[0, D // 2 :]])
    wanted = attention.additive_pool(x, params["kernel"], params["bias"] + h @ params["context"], params["vector"], VALID)
    np.testing.assert_allclose(additive.apply(params, x, Call(q_valid=VALID)).weights, wanted[1], atol=1e-6)


# Normalizers.

REFUSED = {
    "differential": "joins 2 maps", "double_norm": "couples queries", "pos_temp": "acts on queries and keys",
    "qk_norm": "has parameters", "qk_norm(form=l2_fixed)": "acts on queries and keys", "rela": "has parameters",
    "selective": "is defined for earlier keys", "sink": "has parameters", "sinkhorn": "couples queries",
    "slot": "couples queries", "ssmax": "has parameters", "stick_breaking": "is defined for earlier keys",
    "softmax(temperature=learned)": "has parameters", "softcap(inner=sink)": "has parameters",
}  # fmt: skip
ACCEPTED = [name for name in attention.names("normalizer") if name not in REFUSED] + [
    "softcap(inner=sparsemax)",
    "ssmax(kappa=2)",
]


@pytest.mark.parametrize("normalizer", REFUSED)
def test_normalizers_that_are_refused(normalizer):
    for pooling in ROWS:
        head, _, options = pooling.rstrip(")").partition("(")
        with pytest.raises(ValueError, match=f"normalizer: this one {REFUSED[normalizer]}.*one row of scores"):
            attention.build("pooling", f"{head}({options + ', ' if options else ''}normalizer={normalizer})")


@pytest.mark.parametrize("normalizer", ACCEPTED)
def test_normalizers(normalizer):
    """Weights are those of the normalizer on the scores, whatever the rank; padding and empty texts have none."""
    record = attention.build("normalizer", normalizer)
    pooling = attention.build("pooling", f"structured(hidden={A}, rows=2, normalizer={normalizer})")
    params, x = spread_out(pooling.init(jax.random.key(0), DIMS)), normal(1, 3, 4, D)
    valid = jnp.array([[True] * 4, [True, False, True, True], [False] * 4])
    call = Call(q_valid=valid, max_length=4)
    weights = pooling.apply(params, x, call).weights
    scores = jnp.einsum("bta,ar->brt", jnp.tanh(x @ params["kernel"]), params["rows"])
    wanted = record.apply(({}, {}), scores[:, :, None], valid[:, None, None], call)[:, :, 0]
    np.testing.assert_allclose(weights, wanted, atol=1e-6)
    np.testing.assert_array_equal(jnp.where(valid[:, None], 0, weights), 0)


def test_noise_of_its_own():
    """Random normalizers draw in training only, and not from the keys that the encoder splits."""
    pooling = attention.build("pooling", "query(normalizer=gumbel)")
    params, rng = {"query": jnp.zeros(D)}, jax.random.key(3)
    draw = lambda train, rng: pooling.apply(params, _states(), Call(train=train, rng=rng)).weights
    np.testing.assert_allclose(draw(False, rng), 0.25)
    assert not np.allclose(draw(True, rng), 0.25, atol=0.01)
    assert not np.allclose(draw(True, rng), draw(True, jax.random.key(4)), atol=0.01)
    encoder = attention.gumbel(jnp.zeros(4), rng=jax.random.fold_in(rng, 1))
    assert not np.allclose(draw(True, rng), encoder, atol=0.01)


# Errors and facts.


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("additive(hidden=0)", "hidden must be >= 1, got 0"),
        ("additive(context=first)", "wants one of 'none', 'last', 'final'.*got 'first'"),
        ("feed_forward(activation=relu)", "wants one of 'tanh', 'sigmoid'"),
        ("query(scaled=2)", "wants True or False, got 2"),
        ("query(normalizer=softmx)", r"unknown normalizer 'softmx' \(nearest: 'softmax'\)"),
        ("structured(rows=0)", "rows must be >= 1, got 0"),
        ("structured(penalty=-1)", "penalty must be a finite number >= 0, got -1.0"),
        ("map(heads=0)", "heads must be >= 1, got 0"),
        ("map(mlp=0)", "mlp must be a finite number > 0, got 0.0"),
        ("logsumexp(t=0)", "t must be a finite number > 0.*got 0.0"),
        ("gem(p=-1)", "p must be a finite number > 0, got -1.0"),
        ("gem(epsilon=0)", "epsilon must be a finite number > 0, got 0.0"),
    ],
)
def test_bad_options(spec, message):
    with pytest.raises(ValueError, match=message):
        attention.build("pooling", spec)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("map(heads=4)", "heads must divide the width of the model, got 4 and 7"),
        ("map(heads=1, mlp=0.01)", "mlp must leave one unit at least, got 0.01 times 7 channels"),
        ("additive(context=final)", "context=final .* got 7 channels"),
        ("feed_forward(context=final)", "context=final .* got 7 channels"),
    ],
)
def test_bad_widths(spec, message):
    with pytest.raises(ValueError, match=message):
        attention.build("pooling", spec).init(jax.random.key(0), DIMS._replace(model_dim=7))


@pytest.mark.parametrize(
    ("where", "message"),
    [
        (jnp.ones(4), "where must be a boolean array .* float32"),
        (jnp.ones(3, bool), r"\(2, 4\), got \(3,\)"),
        (jnp.ones((3, 4), bool), r"\(2, 4\), got \(3, 4\)"),
        (jnp.ones((2, 1), bool), r"\(2, 4\), got \(2, 1\)"),
        (jnp.ones((2, 4, 1), bool), r"\(2, 4\), got \(2, 4, 1\)"),
    ],
)
def test_bad_masks(where, message):
    """As users call it, without the checks of the hook."""
    with pytest.raises(ValueError, match=message):
        inspect.unwrap(attention.mean_pool)(jnp.ones((2, 4, D)), where)


def test_facts():
    records = {name: attention.build("pooling", name) for name in attention.names("pooling")}
    assert {name for name, record in records.items() if record.extra_tokens} == {"cls"}
    assert {name: record.width(D) for name, record in records.items() if record.width(D) != D} == {"structured": 4 * D}


# In a model.


@pytest.mark.parametrize("spec", ROWS)
def test_capture(spec):
    """The weights over positions, the last axis of what is kept; in front of it the rows or heads, where there are several."""
    model, params, _ = made(pooling=spec, encoder="embeddings", encoding="none")
    tokens, valid = batch((6, 3))
    aux = jit(lambda p: model.apply({"params": p}, tokens, valid, capture=True)[1])(params)
    rows = {"structured": (4,), "map(heads=2)": (2,)}.get(spec, ())
    assert aux["pooling"].shape == (2, *rows, 6)
    np.testing.assert_allclose(aux["pooling"].sum(-1), 1, atol=1e-6)
    np.testing.assert_array_equal(aux["pooling"][1, ..., 3:], 0)
    assert aux["pooled"].shape == (2, model.pooling.width(MODEL_DIM))
    assert params["head"]["kernel"].shape[0] == model.pooling.width(MODEL_DIM)


def test_penalty_of_training():
    """The mean over the examples by their weights, whatever filler a batch has and in however many parts it is computed."""
    model = classifier(pooling=f"structured(hidden={A}, rows=3, penalty=0.7)", encoder="embeddings")
    tokens, valid = batch((6, 5, 4, 3, 6, 0))
    params = model.init(jax.random.key(0), tokens, valid)["params"]
    data = {"tokens": tokens, "valid": valid, "labels": jnp.array([0, 1, 2, 0, 1, -1]), "weight": jnp.array([1.0] * 5 + [0.0])}
    weight = jnp.array([1.0, 2.0, 4.0, 1.0, 2.0])

    def loss(params):
        logits, extra = model.apply({"params": params}, tokens[:5], valid[:5])
        penalty = weight @ extra["loss"] / weight.sum()
        return weight @ update.smoothed_cross_entropy(logits, data["labels"][:5], 0.0) / weight.sum() + penalty, penalty

    wanted, penalty = jit(jax.grad(loss, has_aux=True))(params)
    for parts in (1, 3):
        program = update.Program(model, optax.identity(), jnp.ones_like, class_weights=(1.0, 2.0, 4.0), accumulation=parts)
        values = {"label_smoothing": 0.0}
        gradients, sums = jit(lambda p: update._gradients(program, p, data, values, jax.random.key(0)))(params)  # noqa: B023
        np.testing.assert_allclose(sums["penalty"], penalty, rtol=1e-5)
        assert_close(gradients, wanted, tolerance=1e-5)
    assert penalty > 1
