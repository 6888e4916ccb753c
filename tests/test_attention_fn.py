"""The function for `attention_fn=` of the layers of Linen and NNX."""

import inspect
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from flax import nnx

import attention
from tests.support.flax_modules import FRAMEWORKS, KEY, D, N, T, layer, states

PARTS = [{}, {"encoding": "alibi", "normalizer": "entmax15"}, {"encoding": "rope", "mask": "causal"}, {"normalizer": "taylor"}]


@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize("parts", PARTS, ids=str)
def test_it_is_what_the_module_does(framework, parts):
    """With a mask, and dropout from the framework's key."""
    _, params, ours = layer(framework, dropout_rate=0.3, **parts)
    _, _, theirs = layer(framework, False, dropout_rate=0.3, attention_fn=attention.attention_fn(**parts))
    mask = jax.random.bernoulli(KEY, 0.7, (2, 1, T, T))
    for given in ({"deterministic": True}, {"deterministic": False, "rng": KEY}, {"deterministic": True, "sow_weights": True}):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # NNX: weights that nobody captures
            found, wanted = (apply(params, states(2, T), mask=mask, **given) for apply in (theirs, ours))
        np.testing.assert_array_equal(found, wanted)


def test_all_that_the_layers_pass_on_stands_in_its_signature():
    names = set(inspect.signature(attention.attention_fn()).parameters)
    assert names >= set(inspect.signature(nnx.dot_product_attention).parameters) - {"promote_dtype"}
    assert names >= set(inspect.signature(nn.dot_product_attention).parameters) - {"einsum_dot_general"}


def test_weights_are_sown():
    linen = nn.MultiHeadDotProductAttention(N, attention_fn=attention.attention_fn(normalizer="sparsemax"))
    variables = linen.init(KEY, states(2, T))
    _, found = linen.apply(variables, states(2, T), sow_weights=True, mutable=["intermediates"])
    (weights,) = found["intermediates"]["attention_weights"]
    assert (weights == 0).any()
    np.testing.assert_allclose(weights.sum(-1), 1, atol=1e-6)
    build = nnx.MultiHeadAttention(N, D, decode=False, attention_fn=attention.attention_fn(), rngs=nnx.Rngs(0))
    _, state = nnx.capture(build, nnx.Intermediate)(states(2, T), sow_weights=True)
    assert nnx.to_pure_dict(state)["attention_weights"][0].shape == (2, N, T, T)


def test_decoding():
    """What reads no positions is as all at once; what does is refused."""
    for parts, reads in [({"normalizer": "sparsemax"}, False), ({"encoding": "rope"}, True), ({"mask": "causal"}, True)]:
        one = nn.MultiHeadDotProductAttention(N, decode=True, attention_fn=attention.attention_fn(**parts))
        variables, x = one.init(KEY, states(2, T)), states(2, T)
        if reads:
            with pytest.raises(ValueError, match=r"reads positions, and of 1 queries among 5 keys, .* use attention\.linen"):
                one.apply(variables, x[:, :1], mutable=["cache"])
            continue
        mask = nn.make_causal_mask(jnp.ones((2, T)))
        wanted = one.clone(decode=False).apply({"params": variables["params"]}, x, mask=mask)
        for at in range(T):
            y, after = one.apply(variables, x[:, at : at + 1], mutable=["cache"])
            variables = {"params": variables["params"], **after}
            np.testing.assert_allclose(y[:, 0], wanted[:, at], atol=2e-6)


def test_equal_ones_are_one():
    assert attention.attention_fn(encoding="rope") is attention.attention_fn(encoding="rope")
    assert attention.attention_fn(encoding="rope") is not attention.attention_fn(encoding="alibi")


REFUSED = [
    ({"mask": "document"}, "wants to know the segment of every token, .* use attention.linen.MultiHeadAttention"),
    ({"encoding": "t5"}, "encoding=t5 has parameters, .* use attention.linen.MultiHeadAttention"),
    ({"encoding": "fox", "mask": "causal"}, "encoding=fox has parameters"),
    ({"score": "general"}, "score=general has parameters"),
    ({"normalizer": "softmax(temperature='learned')"}, "has parameters"),
    ({"normalizer": "gumbel"}, "normalizer=gumbel is another in training"),
    ({"encoding": "randomized"}, "encoding=randomized is another in training"),
    ({"encoding": "learned"}, r"use PositionalEncoding\(encoding='learned'\) on what goes into layer 0$"),
    ({"encoding": "sinusoidal + alibi"}, r"PositionalEncoding\(encoding='sinusoidal'\).*, and encoding='alibi' here"),
    ({"encoding": "alibii"}, "nearest: 'alibi'"),
    ({"encoding": "rope", "score": "additive"}, "encoding=rope with score=additive"),
    ({"kernel": "denser"}, "nearest: 'dense'"),
]


@pytest.mark.parametrize(("parts", "message"), REFUSED, ids=[message[:40] for _, message in REFUSED])
def test_what_a_module_serves_is_refused(parts, message):
    with pytest.raises(ValueError, match=message):
        attention.attention_fn(**parts)


CALLS = [
    ({"qk_attn_weights_einsum": jnp.einsum}, "replace products that are not made here"),
    ({"dropout_rate": 0.5}, "dropout in training wants dropout_rng"),
    ({"dropout_rate": 1.5, "dropout_rng": KEY}, r"rate must be in \[0, 1\)"),
    ({"precision": ("high", "highest")}, "precision wants one for both operands"),
]


@pytest.mark.parametrize(("given", "message"), CALLS, ids=[message for _, message in CALLS])
def test_calls_that_are_refused(given, message):
    query, key, value = jax.random.normal(KEY, (3, 2, T, N, 8))
    with pytest.raises(ValueError, match=message):
        attention.attention_fn()(query, key, value, **given)


def test_a_bias_is_added():
    query, key, value = jax.random.normal(KEY, (3, 2, T, N, 8))
    bias = jax.random.normal(KEY, (1, N, T, T))
    for theirs in (nn.dot_product_attention, nnx.dot_product_attention):
        np.testing.assert_allclose(
            attention.attention_fn()(query, key, value, bias=bias), theirs(query, key, value, bias=bias), atol=1e-6
        )
