"""What normalizers refuse, with one message each."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import attention
from tests.support.helpers import DIMS, unchecked

BAD_OPTIONS = [
    ("softmax(temperature=0)", "temperature must be a finite number > 0, got 0.0"),
    ("sparsemax(temperature=-1)", "temperature must be a finite number > 0, got -1.0"),
    ("entmax15(temperature=0)", "temperature must be a finite number > 0"),
    ("gumbel(temperature=0)", "temperature must be a finite number > 0"),
    ("hard(temperature=-2)", "temperature must be a finite number > 0"),
    ("softmax(temperature=learnt)", "wants a number or 'learned', got 'learnt'"),
    ("entmax(alpha=1)", r"alpha must be a finite number > 1 \(softmax is the limit at 1\), got 1.0"),
    ("entmax(alpha=0.5)", "alpha must be a finite number > 1"),
    ("normmax(alpha=1)", "alpha must be a finite number > 1, got 1.0"),
    ("budget(k=0)", "k must be a finite number > 0, got 0.0"),
    ("topk(k=0)", "k must be >= 1, got 0"),
    ("topk(k=2.5)", "wants a whole number, got 2.5"),
    ("sigmoid(bias=rows)", "wants a number or 'row' or 'learned', got 'rows'"),
    ("pointwise(activation=swish)", "wants one of 'relu', 'relu2'"),
    ("pointwise(power=-1)", "power must be a finite number >= 0, got -1.0"),
    ("laplace(deviation=0)", "deviation must be a finite number > 0, got 0.0"),
    ("sum_norm(epsilon=0)", "epsilon must be a finite number > 0, got 0.0"),
    ("sum_norm(form=l1)", "wants one of 'signed', 'absolute'"),
    ("log_length(train_length=1)", "train_length must be >= 2, got 1"),
    ("sinkhorn(iterations=2)", "iterations must be odd and >= 1, so that rows are normalised last, got 2"),
    ("sinkhorn(iterations=-1)", "iterations must be odd and >= 1"),
    ("slot(epsilon=-1)", r"epsilon must be in \[0, 1\), got -1.0"),
    ("taylor(order=3)", "order must be even and >= 2, where the polynomial is positive, got 3"),
    ("clipped(gamma=0.1)", "gamma must be a finite number <= 0, got 0.1"),
    ("clipped(zeta=0.5)", "zeta must be a finite number >= 1, got 0.5"),
    ("clipped(alpha=1)", "give gamma or alpha, and the other as None, got gamma=-0.03 and alpha=1.0"),
    ("clipped(gamma=None, alpha=-1)", "alpha must be a finite number >= 0, got -1.0"),
    ("softcap(cap=0)", "cap must be a finite number > 0, got 0.0"),
    ("softcap(inner=sparsmax)", r"unknown normalizer 'sparsmax' \(nearest: 'sparsemax'\)"),
    ("pos_temp(floor=0)", "floor must be a finite number > 0, got 0"),
    ("qk_norm(form=l2)", "wants one of 'l2_scale'"),
    ("l1_positive(map=exp)", "wants one of 'softplus', 'relu', 'elu1'"),
]


@pytest.mark.parametrize(("spec", "message"), BAD_OPTIONS, ids=[spec for spec, _ in BAD_OPTIONS])
def test_bad_options(spec, message):
    with pytest.raises(ValueError, match=message):
        attention.build("normalizer", spec)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("softmax", {"temperature": float("nan")}, "temperature must be a finite number > 0, got nan"),
        ("entmax", {"alpha": 1.0}, "alpha must be a finite number > 1"),
        ("entmax", {"alpha": jnp.ones((2, 3)) * 1.5}, "want size 1 along axis -1, got 3"),
        ("pointwise", {"activation": "swish"}, "activation must be one of relu, relu2"),
        ("sum_norm", {"form": "l1"}, "form must be 'signed' or 'absolute', got 'l1'"),
        ("l1_positive", {"map": "exp"}, "map must be one of softplus, relu, elu1, got 'exp'"),
        ("topk", {"k": 0}, "k must be >= 1, got 0"),
        ("log_length", {"train_length": 1}, "train_length must be >= 2, got 1"),
        ("gumbel", {}, "give noise or rng, and one of them only"),
        ("gumbel", {"noise": jnp.zeros(3), "rng": jax.random.key(0)}, "give noise or rng, and one of them only"),
        ("softcap", {"cap": -1.0}, "cap must be a finite number > 0, got -1.0"),
    ],
)
def test_bad_arguments(name, options, message):
    with pytest.raises(ValueError, match=message):
        unchecked(getattr(attention, name))(jnp.ones((2, 3)), **options)


def test_alpha_array_out_of_range_is_nan():
    weights = attention.entmax(jnp.ones((2, 3)), alpha=jnp.array([[0.9], [1.5]]))
    assert np.isnan(weights[0]).all()
    np.testing.assert_allclose(weights[1], [1 / 3] * 3, atol=1e-6)


def test_training_length_is_asked_for():
    x = jnp.ones((3, 2, 4))
    with pytest.raises(ValueError, match="log_length needs the training length"):
        attention.attend(x, x, x, normalizer="log_length")
    attention.attend(x, x, x, normalizer="log_length(train_length=4)")
    for spec in ("ssmax", "sigmoid(bias=learned)", "qk_norm(form=l2_scale)"):
        with pytest.raises(ValueError, match="needs the training length"):
            attention.build("normalizer", spec).init(jax.random.key(0), DIMS._replace(layer=0, max_length=None))
