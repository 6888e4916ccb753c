"""Masks together: those that contradict each other, and what the public functions refuse."""

import jax
import jax.numpy as jnp
import pytest

import attention
from attention.records import Call
from tests.support.helpers import inputs, jit


def test_errors_of_functions():
    x, rng = jnp.arange(3), jax.random.key(0)
    for given, message in (
        (lambda: attention.local_mask(x, x, window=1), "window must"),
        (lambda: attention.dilated_mask(x, x, window=2, dilation=0), "dilation must"),
        (lambda: attention.dilated_mask(x, x, window=1, dilation=1), "window must"),
        (lambda: attention.block_local_mask(x, x, size=0), "size must"),
        (lambda: attention.longformer_mask(x, x, window=2, globals=-1), "globals must"),
        (lambda: attention.bigbird_mask(x, x, jnp.array(2), block=0, random_blocks=1, rng=rng), "block must"),
        (lambda: attention.bigbird_mask(x, x, jnp.array(2), block=1, random_blocks=-1, rng=rng), "random_blocks must"),
        (lambda: attention.prefix_lm_mask(x, x, prefix=-1), "prefix must"),
        (lambda: attention.strided_mask(x, x, stride=0), "stride must"),
        (lambda: attention.fixed_mask(x, x, stride=2, summary=3), "summary must"),
    ):
        with pytest.raises(ValueError, match=message):
            given()


@pytest.mark.parametrize("kernel", ["dense", "chunked"])
@pytest.mark.parametrize("mask", ["document & local(window=4)", "document & bigbird(block=4)"])
def test_rows_without_a_key_are_zeros(mask, kernel, small_blocks):
    """Masks that contradict each other are no error."""
    here, there = jnp.zeros(40, jnp.int32), jnp.arange(40) // 39
    call = Call(q_segments=here + 1, k_segments=jnp.stack([here, there]), k_valid=jnp.ones((2, 40), bool))

    def loss(arrays):
        output = attention.attend(*arrays, mask=mask, kernel=kernel, call=call)
        return jnp.sum(output**2), output

    (_, output), gradients = jit(jax.value_and_grad(loss, has_aux=True))(inputs())
    assert not output[0].any()
    assert bool(output[1, -1].any())
    for gradient in gradients:
        assert bool(jnp.isfinite(gradient).all())
        assert not gradient[0].any()
