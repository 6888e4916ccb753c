r"""FNet: a Fourier transform over channels and over positions in place of attention, without parameters.

```math
\mathrm{Re}\; \mathrm{FFT}_L(\mathrm{FFT}_D(x))
```

Parameters: none at all.
Cost in T: L log L
Padding: zeroed, and the transform always at L, so that its amount does not matter; a short text pays for L.
Traps: no mask, no causal form; outputs grow with √(n·D), so it wants the norm of its block.
Source: Lee-Thorp et al. 2021 (arXiv 2105.03824).
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from attention.mixers._heads import self_only
from attention.positions import check_length, places, table_length
from attention.precision import widen
from attention.records import Mixer

__all__ = ["fourier_mixing"]


def fourier_mixing(
    x: Float[Array, "*B T D"], where: Bool[Array, "*#B T"] | None = None, *, length: int
) -> Float[Array, "*B T D"]:
    """The real part of a transform, ``Y_kc = Re Σ_t Σ_d x_td e^(-2πi (kt/L + cd/D))``.

    Args:
      x: ``[*B T D]``.
      where: bool ``[*#B T]``, the tokens that count; the others are zeros. None for all.
      length: L >= T, whatever T is: zeros fill the sequence, so that the amount of padding does not matter.

    Returns:
      The first T rows, ``[*B T D]`` of the type of ``x``, computed in float32.

    Raises:
      ValueError: for a sequence longer than L.

    Example:
      >>> attention.fourier_mixing(jnp.array([[1.0, 2.0], [3.0, 4.0]]), length=2)
      [[10.0, -2.0], [-4.0, 0.0]]

    Source: Lee-Thorp et al. 2021 (arXiv 2105.03824), eq. 3. There, padding has states of its own.
    """
    T = x.shape[-2]
    check_length("the mixer", length, T)
    states = widen(x)
    states = states if where is None else jnp.where(where[..., None], states, 0.0)
    return _transform(states, length)[..., :T, :].astype(x.dtype)


def _transform(states: jax.Array, length: int) -> jax.Array:
    return jnp.fft.fft(jnp.fft.fft(states, axis=-1), n=length, axis=-2).real


def build(length: int | None = None) -> Mixer:
    """The transform at ``length``, or at the longest text of the model; no parameters.

    It goes by positions, without masks; the cost is that of the full length, L log L, whatever the text. A token is at its
    position where positions are given, and in the order of the array where they are not.
    """
    if length is not None and length < 1:
        raise ValueError(f"length must be >= 1, got {length}")

    def apply(params, x, context, call):
        self_only(context)
        L = table_length("fnet", call.max_length) if length is None else length
        at = places("the mixer", L, call.k_positions, call.k_valid)
        if at is None:
            return fourier_mixing(x, call.k_valid, length=L)
        check_length("the mixer", L, x.shape[-2])
        at = jnp.broadcast_to(at, x.shape[:-1])
        placed = jnp.where(_counts(call, x)[..., None], widen(x), 0.0)
        put = lambda x, at: jnp.zeros((L, x.shape[-1]), x.dtype).at[at].add(x, mode="drop")
        take = lambda y, at: jnp.take(y, at, axis=0, mode="fill", fill_value=jnp.nan)
        for _ in x.shape[:-2]:
            put, take = jax.vmap(put), jax.vmap(take)
        return take(_transform(put(placed, at), L), at).astype(x.dtype)

    return Mixer(apply=apply, uses=(), max_length="dims" if length is None else length, attends=False)


def _counts(call, x: jax.Array) -> jax.Array:
    return jnp.ones(x.shape[:-1], bool) if call.k_valid is None else call.k_valid
