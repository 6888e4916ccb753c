"""Encoder and decoder as one model: what it refuses."""

import re

import jax
import jax.numpy as jnp
import pytest

from tests.support.decoders import U, model_of


@pytest.mark.parametrize(
    ("specs", "message"),
    [
        ({"decoder": "recurent"}, "unknown decoder 'recurent' (nearest: 'recurrent')"),
        ({"dim": 0}, "dim must be >= 1, got 0"),
        ({"kernel": "flash"}, "unknown kernel 'flash'"),
        ({"encoding": "learned(max_length=7)"}, "the encoding has 7 positions, got a sequence of 8"),
        ({"compute_dtype": "float16"}, "compute_dtype must be one of float32, bfloat16"),
    ],
)
def test_refused(specs, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        model_of(**specs)


def test_targets_past_the_positions_are_refused():
    model = model_of(encoding="learned")
    tokens = jnp.ones((1, U), jnp.int32)
    with pytest.raises(ValueError, match="the encoding has 8 positions, got a sequence of 9"):
        jax.eval_shape(lambda: model.init(jax.random.key(0), tokens, tokens > 0, targets=jnp.ones((1, U + 1), jnp.int32)))
