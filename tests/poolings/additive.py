"""Evidence of additive attention."""

import jax
import jax.numpy as jnp
import numpy as np

import attention
from attention.records import Call
from tests.support import reference_normalizers as normalizers
from tests.support.evidence import PoolingCase, PoolingEvidence
from tests.support.helpers import normal, spread_out
from tests.support.poolings import (
    BIAS,
    CONTEXT,
    DIMS,
    KERNEL,
    VALID,
    VECTOR,
    A,
    D,
    additive,
    built,
    states,
    torch_additive,
    witness,
)
from tests.support.row import Row


def oracles():
    from tests.support.oracle_packages import entmax, torch

    def bahdanau(z, kernel, bias, vector, context):
        ends = torch.cat([z[-1, : D // 2], z[0, D // 2 :]])
        return torch_additive(z, kernel, bias + ends @ context, vector)

    return {
        "torch: Yang et al.": witness(
            lambda x, w, *p: attention.additive_pool(x, *p, w)[0], torch_additive, KERNEL, BIAS, VECTOR
        ),
        "torch: Bahdanau et al., of both ends": witness(
            built(f"additive(hidden={A}, context=final)", "kernel", "bias", "vector", "context"),
            bahdanau,
            KERNEL,
            BIAS,
            VECTOR,
            CONTEXT,
        ),
        "entmax.sparsemax": witness(
            built(f"additive(hidden={A}, normalizer=sparsemax)", "kernel", "bias", "vector"),
            lambda z, *p: torch_additive(z, *p, normalize=lambda s, dim: entmax.sparsemax(s, dim=-1)),
            KERNEL,
            BIAS,
            VECTOR,
        ),
    }


CASES = (
    PoolingCase(f"additive(hidden={A})", additive(), D * A + 2 * A),
    PoolingCase(f"additive(hidden={A}, normalizer=sparsemax)", additive(normalize=normalizers.sparsemax), D * A + 2 * A),
    PoolingCase(f"additive(hidden={A}, context=last)", additive(context="last"), 2 * D * A + 2 * A, ordered=True),
    PoolingCase(f"additive(hidden={A}, context=final)", additive(context="final"), 2 * D * A + 2 * A, ordered=True),
)
ERRORS = {
    "additive(hidden=0)": "hidden must be >= 1, got 0",
    "additive(context=first)": "wants one of 'none', 'last', 'final'.*got 'first'",
}
ROW = Row(
    f"additive(hidden={A})",
    {"hidden": "3", "context": ("last", "final"), "normalizer": "sparsemax"},
    PoolingEvidence(CASES, oracles, widths={"additive(context=final)": "context=final .* got 7 channels"}, errors=ERRORS),
)


def test_it_is_a_mean_where_it_starts_blind():
    """With v = 0 every position weighs the same."""
    where = jnp.asarray(VALID)
    pooled, _ = attention.additive_pool(states(), normal(1, D, A), jnp.zeros(A), jnp.zeros(A), where)
    np.testing.assert_allclose(pooled, attention.mean_pool(states(), where), atol=1e-6)


def test_the_final_context():
    """The ends of two directions: what a recurrence of each holds when it has read the text."""
    record = attention.build("pooling", f"additive(hidden={A}, context=final)")
    params, x, where = spread_out(record.init(jax.random.key(0), DIMS)), states(), jnp.asarray(VALID)
    h = jnp.concatenate([x[2, : D // 2], x[0, D // 2 :]])
    wanted = attention.additive_pool(x, params["kernel"], params["bias"] + h @ params["context"], params["vector"], where)
    np.testing.assert_allclose(record.apply(params, x, Call(q_valid=where)).weights, wanted[1], atol=1e-6)
