"""Evidence of the synthesizers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import attention
from attention.optimizers._optimizer import decayed
from attention.records import Call
from tests.support.evidence import Law, ScoreCase, ScoreEvidence
from tests.support.helpers import init, jit, normal, size
from tests.support.row import Row
from tests.support.scores import DIMS, KEY, QUERY, H, L, constant, scores_of, xavier


def dense(h, j, w, b):
    """(W relu(h) + b)_j with W of shape [L A]."""
    return (w @ np.maximum(h, 0.0) + b)[j]


def oracles():
    from tests.support import oracle_scores as o

    def theirs(hidden, table, bias, positions):
        layer = lambda n: o.F.linear(o.F.relu(hidden[:, :, n]), table[n], bias[n])
        return o.at(o.torch.stack([layer(n) for n in range(o.N)], 2), positions)

    of_dense = o.normal(0, o.B, o.T, o.N, o.A), o.normal(3, o.N, o.L, o.A), o.normal(5, o.N, o.L), o.K_POSITIONS
    return {
        "torch F.linear of relu, gather (dense)": o.Witness(attention.dense_synthesizer_scores, theirs, of_dense),
        "torch indexing (random)": o.Witness(
            attention.random_synthesizer_scores,
            lambda table, i, j: table[:, i[:, :, None], j[:, None, :]].transpose(0, 1),
            (o.normal(3, o.N, o.L, o.L), o.Q_POSITIONS, o.K_POSITIONS),
        ),
    }


CASES = (
    ScoreCase("synthesizer(form=random)", lambda q, k, i, j, own: own["table"][i, j], L * L),
    ScoreCase("synthesizer", lambda q, k, i, j, own: dense(q, j, own["table"], own["bias"]), L * H + L),
)
LAWS = {
    "a dense one is the difference of two locations": Law(
        lambda q, k, o: attention.dense_synthesizer_scores(q, o.W, jnp.zeros((2, H)), jnp.arange(4)),
        lambda q, k, o: 0.5 * sum(attention.location_scores(x, o.W, jnp.arange(4)) for x in (q, jnp.abs(q))),
    ),
}
ERRORS = {
    "synthesizer(form=randm)": r"option 'form' wants one of 'dense', 'random' \(nearest: 'random'\), got 'randm'",
    "synthesizer(trainable=False)": "trainable=False is for form='random', got form='dense'",
}
ROW = Row(
    "synthesizer(form=random)",
    {"form": "dense", "trainable": "False"},
    ScoreEvidence(
        CASES,
        oracles,
        laws=LAWS,
        starts={"synthesizer": {"table": xavier(90), "bias": constant(0.0)}},
        by_position=True,
        errors=ERRORS,
    ),
)


def test_queries_past_a_random_table():
    record = attention.build("score", "synthesizer(form=random)")
    params, query = init(record, DIMS), normal(1, 1, 3, 2, H)
    scores = jit(lambda p: scores_of(record, params, query, query, q_positions=p))(jnp.array([0, 1, 7]))
    np.testing.assert_array_equal(np.isnan(scores[0, 0]).all(-1), [False, False, True])
    with pytest.raises(ValueError, match="got a sequence of 6"):
        scores_of(record, params, normal(0, 1, 6, 2, H), query)


def test_a_random_one_is_its_table():
    record = attention.build("score", "synthesizer(form=random)")
    params, x = init(record, DIMS), normal(0, 2, L, 2, H)
    scores = scores_of(record, params, x, x)
    np.testing.assert_array_equal(scores, np.broadcast_to(params["table"], scores.shape))


def test_a_random_one_weighs_the_keys_alike_for_any_query():
    params = {"score": init(attention.build("score", "synthesizer(form=random)"), DIMS)}
    key = jnp.asarray(KEY)
    call = Call(q_positions=jnp.zeros(3, jnp.int32), k_positions=jnp.arange(key.shape[-3]))
    run = jit(lambda q: attention.attend(q, key, key, score="synthesizer(form=random)", params=params, call=call))
    output = run(QUERY)
    np.testing.assert_allclose(output, jnp.broadcast_to(output[:, :1], output.shape), atol=1e-5)
    np.testing.assert_allclose(run(7 - QUERY), output, atol=1e-5)


def test_a_fixed_random_one():
    """The scores of the trainable one, drawn at the start from the same key; no gradient, and nothing that decays."""
    fixed, trained = (attention.build("score", f"synthesizer(form=random, trainable={x})") for x in (False, True))
    made = [record.init(jax.random.key(3), DIMS) for record in (fixed, trained)]
    query = normal(0, 2, L, 2, H)
    scores = [jit(lambda p: scores_of(record, p, query, query))(p) for record, p in zip((fixed, trained), made)]  # noqa: B023
    np.testing.assert_array_equal(*scores)
    assert abs(float(scores[0][0].std()) - 1) < 0.25
    gradient = jit(jax.grad(lambda p: jnp.sum(scores_of(fixed, p, query, query) ** 2)))(made[0])
    assert size(gradient) == 2 * L * L
    assert not any(np.any(leaf) for leaf in jax.tree.leaves(gradient))
    assert not any(jax.tree.leaves(decayed({"score_0": made[0]})))
    assert fixed.uses == ()
    assert fixed.max_length == "dims"
