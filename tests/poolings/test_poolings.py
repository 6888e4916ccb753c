"""Poolings together: which normalizers those with weights take, and masks that are none."""

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import attention
from attention.records import Call
from tests.support.helpers import init, normal, spread_out
from tests.support.poolings import DIMS, A, D

WITH_WEIGHTS = [
    name
    for name in attention.names("pooling")
    if any(option.name == "normalizer" for option in attention.describe("pooling", name).options)
]


REFUSED = {
    "differential": "joins 2 maps", "double_norm": "couples queries", "pos_temp": "acts on queries and keys",
    "qk_norm": "has parameters", "qk_norm(form=l2_fixed)": "acts on queries and keys", "rela": "has parameters",
    "selective": "is defined for earlier keys", "sink": "has parameters", "sinkhorn": "couples queries",
    "slot": "couples queries", "ssmax": "has parameters", "stick_breaking": "is defined for earlier keys",
    "softmax(temperature=learned)": "has parameters", "softcap(inner=sink)": "has parameters",
}  # fmt: skip
NORMALIZERS = [
    *(name for name in attention.names("normalizer") if name not in REFUSED),
    "softcap(inner=sparsemax)",
    "ssmax(kappa=2)",
]


@pytest.mark.parametrize("normalizer", REFUSED)
def test_normalizers_that_are_refused(normalizer):
    for pooling in WITH_WEIGHTS:
        with pytest.raises(ValueError, match=f"normalizer: this one {REFUSED[normalizer]}.*one row of scores"):
            attention.build("pooling", f"{pooling}(normalizer={normalizer})")


@pytest.mark.parametrize("normalizer", NORMALIZERS)
def test_weights_are_those_of_the_normalizer(normalizer):
    """On the scores, whatever the rank; padding and empty texts have none. Or it is one that needs more than a row."""
    record = attention.build("normalizer", normalizer)
    try:
        pooling = attention.build("pooling", f"structured(hidden={A}, rows=2, normalizer={normalizer})")
    except ValueError as error:
        assert "a pooling has one row of scores" in str(error)  # noqa: PT017 (either may be right)
        return
    params, x = spread_out(pooling.init(jax.random.key(0), DIMS)), normal(1, 3, 4, D)
    valid = jnp.array([[True] * 4, [True, False, True, True], [False] * 4])
    call = Call(q_valid=valid, max_length=4)
    weights = pooling.apply(params, x, call).weights
    scores = jnp.einsum("bta,ar->brt", jnp.tanh(x @ params["kernel"]), params["rows"])
    wanted = record.apply(init(record), scores[:, :, None], valid[:, None, None], call)[:, :, 0]
    np.testing.assert_allclose(weights, wanted, atol=1e-6)
    np.testing.assert_array_equal(jnp.where(valid[:, None], 0, weights), 0)


@pytest.mark.parametrize(
    ("where", "message"),
    [
        (np.ones(4, np.float32), "where must be a boolean array .* float32"),
        (np.ones(3, bool), r"\(2, 4\), got \(3,\)"),
        (np.ones((3, 4), bool), r"\(2, 4\), got \(3, 4\)"),
        (np.ones((2, 1), bool), r"\(2, 4\), got \(2, 1\)"),
        (np.ones((2, 4, 1), bool), r"\(2, 4\), got \(2, 4, 1\)"),
    ],
)
def test_bad_masks(where, message):
    """As users call it, without the checks of the hook."""
    with pytest.raises(ValueError, match=message):
        inspect.unwrap(attention.mean_pool)(jnp.ones((2, 4, D)), jnp.asarray(where))
