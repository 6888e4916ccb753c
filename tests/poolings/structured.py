"""Evidence of structured self-attention."""

import jax
import jax.numpy as jnp
import numpy as np

import attention
from attention.records import Call
from attention.tasks import smoothed_cross_entropy
from attention.training.cohort import update
from attention.training.cohort.program import Program
from tests.support import reference_normalizers as normalizers
from tests.support.evidence import PoolingCase, PoolingEvidence
from tests.support.helpers import assert_close, jit, normal
from tests.support.models import batch, classifier
from tests.support.poolings import DIMS, HOPS, KERNEL, VALID, A, D, R, additive, built, states, witness
from tests.support.row import Row


def reference(penalty=1.0, normalize=normalizers.softmax):
    def apply(x, valid, params):
        hops = [{"kernel": params["kernel"], "bias": 0.0, "vector": row} for row in params["rows"].T]
        found = [additive(normalize=normalize)(x, valid, hop) for hop in hops]
        weights = np.stack([each[1] for each in found])
        overlap = [[a @ b - (r == s) for s, b in enumerate(weights)] for r, a in enumerate(weights)]
        loss = penalty * sum(entry**2 for line in overlap for entry in line) if any(valid) else 0.0
        return np.concatenate([each[0] for each in found]), weights, loss

    return apply


def oracles():
    from tests.support.oracle_packages import torch

    def lin(z, kernel, rows):
        """The names are the paper's."""
        H, W1, W2 = z, kernel.T, rows.T
        A = torch.softmax(W2 @ torch.tanh(W1 @ H.T), dim=-1)
        return A, (A @ H).reshape(-1)

    def penalty(z, kernel, rows):
        A, _ = lin(z, kernel, rows)
        return torch.linalg.matrix_norm(A @ A.T - torch.eye(R, dtype=A.dtype), "fro") ** 2

    return {
        "torch: Lin et al., M": witness(
            lambda x, w, *p: attention.structured_pool(x, *p, w)[0], lambda *a: lin(*a)[1], KERNEL, HOPS
        ),
        "torch: Lin et al., P": witness(
            built(f"structured(hidden={A}, rows={R})", "kernel", "rows", pick=lambda pooled: pooled.loss), penalty, KERNEL, HOPS
        ),
    }


CASES = (
    PoolingCase(f"structured(hidden={A}, rows={R})", reference(), D * A + A * R, single=lambda x: np.tile(x, R)),
    PoolingCase(
        f"structured(hidden={A}, rows=2, penalty=0.3, normalizer=sparsemax)",
        reference(0.3, normalizers.sparsemax),
        D * A + A * 2,
        single=lambda x: np.tile(x, 2),
    ),
)
ERRORS = {
    "structured(rows=0)": "rows must be >= 1, got 0",
    "structured(penalty=-1)": "penalty must be a finite number >= 0, got -1.0",
}
ROW = Row(
    f"structured(hidden={A}, rows={R})",
    {"hidden": "4", "rows": "2", "penalty": "0.3", "normalizer": "sparsemax"},
    PoolingEvidence(CASES, oracles, errors=ERRORS),
)


def test_one_row_is_additive():
    x, kernel, vector, where = states(), normal(1, D, A), normal(2, A), jnp.asarray(VALID)
    pooled, weights = attention.structured_pool(x, kernel, vector[:, None], where)
    wanted, wanted_weights = attention.additive_pool(x, kernel, jnp.zeros(A), vector, where)
    np.testing.assert_allclose(pooled, wanted, atol=1e-6)
    np.testing.assert_allclose(weights[0], wanted_weights, atol=1e-6)


def test_the_penalty_by_hand():
    """0 for rows on a position each; r rows on the same one have r(r - 1) products of 1; uniform rows (1/n - 1)² r + ..."""
    assert attention.structured_penalty(jnp.eye(3, 5)) == 0
    assert attention.structured_penalty(jnp.zeros((3, 5)).at[:, 2].set(1.0)) == 6
    np.testing.assert_allclose(attention.structured_penalty(jnp.full((3, 5), 0.2)), 3 * 0.8**2 + 6 * 0.2**2, rtol=1e-6)


def test_the_penalty_is_a_factor():
    """And 0 leaves nothing."""
    x, losses = normal(0, 2, 4, D), []
    for penalty in (0.0, 1.0, 2.5):
        record = attention.build("pooling", f"structured(penalty={penalty})")
        losses.append(record.apply(record.init(jax.random.key(0), DIMS), x, Call()).loss)
    np.testing.assert_array_equal(losses[0], 0)
    np.testing.assert_allclose(losses[2], 2.5 * losses[1], rtol=1e-6)


def test_the_penalty_in_training():
    """The mean over the examples by their weights, whatever filler a batch has and in however many parts it is computed."""
    model = classifier(pooling=f"structured(hidden={A}, rows=3, penalty=0.7)", encoder="embeddings")
    tokens, valid = batch((6, 5, 4, 3, 6, 0))
    params = model.init(jax.random.key(0), tokens, valid)["params"]
    data = {"tokens": tokens, "valid": valid, "labels": jnp.array([0, 1, 2, 0, 1, -1]), "weight": jnp.array([1.0] * 5 + [0.0])}
    weight = jnp.array([1.0, 2.0, 4.0, 1.0, 2.0])

    def loss(params):
        logits, extra = model.apply({"params": params}, tokens[:5], valid[:5])
        penalty = weight @ extra["loss"] / weight.sum()
        return weight @ smoothed_cross_entropy(logits, data["labels"][:5], 0.0) / weight.sum() + penalty, penalty

    wanted, penalty = jit(jax.grad(loss, has_aux=True))(params)
    for parts in (1, 3):
        task, optimizer = attention.build("task", "classification"), attention.build("optimizer", "sgd")
        program = Program(task, model, optimizer, jnp.ones_like, class_weights=(1.0, 2.0, 4.0), accumulation=parts)
        values = {"label_smoothing": 0.0}
        gradients, sums = jit(lambda p: update._gradients(program, p, data, values, jax.random.key(0)))(params)  # noqa: B023
        np.testing.assert_allclose(sums["penalty"], penalty, rtol=1e-5)
        assert_close(gradients, wanted, tolerance=1e-5)
    assert penalty > 1
