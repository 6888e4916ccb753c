"""Broadcasting over batch and heads with a gradient that is cheap on a CPU, and over what belongs to a token."""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp


@functools.partial(jax.custom_jvp, nondiff_argnums=(1,))
def spread(x: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """``jnp.broadcast_to(x, shape)`` of maps ``[... t s]``.

    The gradient is a sum over the leading axes. As one reduction it takes XLA's CPU backend 7 ns for each number summed, and a
    bias then makes a training step 1.27 times as long; here halves are added to each other, which takes 0.2 to 0.3 ns.
    """
    return jnp.broadcast_to(x, shape)


@spread.defjvp
def _tangent(shape, primals, tangents):
    (x,), (tangent,) = primals, tangents
    tangent = tangent.reshape((1,) * (len(shape) - tangent.ndim) + tangent.shape)
    for axis, count in enumerate(shape[:-2]):
        if isinstance(count, int) and count > 1 and tangent.shape[axis] != count:  # jax.export may leave sizes open
            tangent = _copies(tangent, count, axis)
    return spread(x, shape), jnp.broadcast_to(tangent, shape)


def _copies(x: jax.Array, count: int, axis: int) -> jax.Array:
    """``count`` copies side by side, made by doubling: the transpose adds halves."""
    if count == 1:
        return x
    half = _copies(x, count // 2, axis)
    return jnp.concatenate([half, half, x] if count % 2 else [half, half], axis=axis)


def by_token(function: Callable[[jax.Array], jax.Array], x: jax.Array) -> jax.Array:
    """``function`` of tokens ``[*B T D]``, as of one list ``[B·T D]``: what it makes of each, ``[*B T ...]``.

    On three axes XLA's CPU backend takes twice as long for a layer and its gradients: what the gradients of weights are made
    of is made anew, transposed, for each of them. Where tokens of one text lie on several devices, they stay as they are.
    """
    if x.ndim < 3 or any(jax.typeof(x).sharding.spec[1:-1]):
        return function(x)
    y = function(x.reshape(-1, x.shape[-1]))
    return y.reshape(*x.shape[:-1], *y.shape[1:])


def only_valid(array: jax.Array, valid: jax.Array | None, axes: int = 1) -> jax.Array:
    """``[*B T ...]`` with 0 at padding, so that what stands there, NaN included, reaches no gradient either.

    Args:
      array: with ``axes`` axes after that of the tokens.
      valid: bool ``[*#B T]``; None where all count.
      axes: how many.
    """
    return array if valid is None else jnp.where(valid.reshape(valid.shape + (1,) * axes), array, jnp.zeros((), array.dtype))
