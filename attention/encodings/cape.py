r"""Continuous augmented positions: centred, and in training shifted, stretched and jittered at random.

```math
p_i = (i - \bar{\imath} + \Delta + \varepsilon_i)\, e^\lambda,
\quad \Delta \sim U(\pm 5),\; \varepsilon_i \sim U(\pm \tfrac12),\; \lambda \sim U(\pm \ln 1.03)
```

Parameters: those of `inner`, by default `sinusoidal`; `global_shift`, `local_shift` (at most ½, so that tokens keep their
order) and `scale` are ours.
Claim: absolute codes that run on to other lengths (and rates, and sizes of images) as relative ones do.
Traps: the mean is over valid tokens: a public copy centres one padded token along. `inner` must do with fractions, so
nothing with a table. In evaluation it is only centred, so the first token's code depends on the length.
Source: Likhomanenko et al. 2021 (arXiv 2106.03143), section 3.
Family: Around another
"""

import dataclasses
import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Num

from attention.documents import of_document, totals
from attention.encodings._wrapper import documents_of, draws_from, sequence_of, wrap
from attention.records import Call, Encoding, EncodingClaims

__all__ = ["cape_positions"]


def cape_positions(
    positions: Num[Array, "*B T"],
    valid: Bool[Array, "*B T"],
    rng: jax.Array | None = None,
    *,
    global_shift: float = 5.0,
    local_shift: float = 0.5,
    scale: float = 1.03,
    documents: Int[Array, "*B T"] | None = None,
) -> Float[Array, "*B T"]:
    """Augmented positions ``(p_i - mean(p) + Δ + ε_i) · e^λ``, with the mean over the valid tokens of each example.

    ``Δ ~ U(±global_shift)`` and ``λ ~ U(±ln scale)`` per example, ``ε_i ~ U(±local_shift)`` per token.

    Args:
      positions: p ``[*B T]``.
      valid: ``[*B T]``.
      rng: the key; None for ``p_i - mean(p)``, as in evaluation.
      global_shift: >= 0.
      local_shift: in [0, 0.5], so that tokens keep their order.
      scale: >= 1.
      documents: the number of each token's document in its row, from 0 on: each is an example. None for one.

    Returns:
      float32 ``[*B T]``, 0 where not valid.

    Raises:
      ValueError: for a number out of range.

    Example:
      >>> attention.cape_positions(jnp.array([7, 8, 0]), jnp.array([True, True, False]))
      [-0.5, 0.5, 0.0]

    Source: Likhomanenko et al. 2021 (arXiv 2106.03143), section 3.
    """
    _check(global_shift, local_shift, scale)
    whole = jnp.issubdtype(positions.dtype, jnp.integer)
    highest = jnp.iinfo(positions.dtype).max if whole else jnp.inf
    least, total, of_example = _over(documents, highest)
    first = least(jnp.where(valid, positions, highest))
    # Counted from the first one, so that positions far from 0 lose nothing to float32.
    away = jnp.where(valid, positions - first, 0).astype(jnp.float32)
    count = jnp.maximum(total(valid.astype(jnp.int32)), 1).astype(jnp.float32)
    moved = away - total(away) / count
    if rng is not None:
        each, example = jax.random.split(rng, 3), (*positions.shape[:-1], 1 if documents is None else positions.shape[-1])
        draw = lambda key, shape, most: jax.random.uniform(key, shape, jnp.float32, -most, most)
        moved = moved + of_example(draw(each[0], example, global_shift)) + draw(each[1], positions.shape, local_shift)
        moved = moved * jnp.exp(of_example(draw(each[2], example, math.log(scale))))
    return jnp.where(valid, moved, 0.0)


def _over(documents: jax.Array | None, highest: int | float) -> tuple[Callable[[jax.Array], jax.Array], ...]:
    """The least and the sum of ``[*B T]`` of each example or document, and of what is one's ``[*B d]`` that of each token."""
    if documents is None:
        least = lambda x: jnp.min(x, axis=-1, keepdims=True, initial=highest)
        return least, lambda x: jnp.sum(x, axis=-1, keepdims=True), lambda x: x
    along = lambda function: lambda x: function(x[..., None], documents)[..., 0]
    least = along(lambda x, numbers: of_document(jnp.minimum, x, numbers))
    return least, along(totals), lambda x: jnp.take_along_axis(x, documents, axis=-1)


def _check(global_shift: float, local_shift: float, scale: float) -> None:
    if not (math.isfinite(global_shift) and global_shift >= 0):
        raise ValueError(f"global_shift must be a finite number >= 0, got {global_shift}")
    if not 0 <= local_shift <= 0.5:
        raise ValueError(f"local_shift must be in [0, 0.5], got {local_shift}")
    if not (math.isfinite(scale) and scale >= 1):
        raise ValueError(f"scale must be a finite number >= 1, got {scale}")


def build(
    inner: Encoding | str = "sinusoidal", global_shift: float = 5.0, local_shift: float = 0.5, scale: float = 1.03
) -> Encoding:
    """``inner`` on ``cape_positions``, drawn anew for every example in training and only centred in evaluation.

    So ``cape(inner=sinusoidal)`` evaluates as sinusoidal positions that count from the middle of the text. ``inner`` must be
    able to do with fractions. Likhomanenko et al. 2021 (arXiv 2106.03143), with sinusoidal positions; the defaults are ours.
    """
    assert isinstance(inner, Encoding)
    _check(global_shift, local_shift, scale)
    if inner.max_length is not None:
        raise ValueError("cape makes fractions of positions, and the encoding inside has a table of whole ones")
    options = {"global_shift": global_shift, "local_shift": local_shift, "scale": scale}

    def positions(call: Call) -> Call:
        *sides, valid = sequence_of(call, "cape")
        rng = draws_from(call, "cape") if call.train else None
        of = documents_of(call, valid)
        queries, keys = (cape_positions(side, valid, rng, **options, documents=of) for side in sides)
        return dataclasses.replace(call, q_positions=queries, k_positions=keys)

    return wrap(inner, positions=positions, redraws=True, claims=EncodingClaims(extrapolates=True))
