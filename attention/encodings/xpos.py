r"""Rotary positions whose products also decay with the distance.

```math
q_i \leftarrow \zeta_t^{\,i/512}\, R_i q_i, \quad k_j \leftarrow \zeta_t^{-j/512}\, R_j k_j,
\quad \zeta_t = \frac{2t + 0.4 H}{1.4 H}
```

`rope` whose products decay with the distance, fast pairs sooner.

Parameters: none; `scale_base` is 512.
Claim: lower perplexity than `rope` and `alibi` past the training length, together with attention in blocks, which is not
part of it here.
Traps: causal only. For later keys the factor grows: $\zeta_0^{-4} = 150$ at 2048 tokens. Powers are counted from the
middle of each text, for counted from 0 they overflow; scores do not depend on the origin, so torchscale and
x-transformers, whose origins differ by one for odd lengths, agree with it.
Source: Sun et al. 2022 (arXiv 2212.10554), algorithm 1.
Family: Rotations
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Num

from attention.encodings._rotary import Layout, angles, check_base, geometric, turn
from attention.positions import k_positions, q_positions
from attention.records import Encoding, EncodingClaims

__all__ = ["xpos"]


def xpos(
    x: Float[Array, "*B T N H"],
    positions: Num[Array, "*#B T"],
    origin: Num[Array, "*#B"] | int = 0,
    *,
    keys: bool = False,
    base: float = 10000.0,
    scale_base: float = 512.0,
    layout: Layout = "interleaved",
) -> Float[Array, "*B T N H"]:
    """RoPE times ``ζ_t^((i - o)/scale_base)`` for queries and ``ζ_t^((o - j)/scale_base)`` for keys, o the origin.

    ``ζ_t = (2t + 0.4 H) / (1.4 H)`` < 1, so that q·k decays as ``ζ_t^((i-j)/scale_base)`` for earlier keys, whatever the
    origin; for later keys it grows.

    Args:
      x: queries or keys ``[*B T N H]``, H even.
      positions: ``[*#B T]``, integers of any size, or floats.
      origin: o ``[*#B]``, the same for queries and keys, within about 60 · ``scale_base`` positions of all of them: farther
        off, float32 ends.
      keys: whether x are keys.
      base: > 0.
      scale_base: positions over which the channels decay by ζ, > 0.
      layout: as of ``rope``.

    Returns:
      ``[*B T N H]`` of the type of ``x``.

    Raises:
      ValueError: for a base or scale_base that is not positive, or an odd H.

    Example:
      >>> attention.xpos(jnp.ones((1, 1, 2)), jnp.array([512]))
      [[[-0.307529, -0.262090]]]

    Source: Sun et al. 2022 (arXiv 2212.10554), algorithm 1, causal.
    """
    _check(base, scale_base)
    H = x.shape[-1]
    if H % 2:
        raise ValueError(f"xpos turns pairs of channels: want an even head dim, got {H}")
    phi = angles(positions, geometric(H, base))[..., :, None, :]
    decay = np.log((np.arange(0, H, 2) + 0.4 * H) / (1.4 * H)) / scale_base
    away = (positions - jnp.asarray(origin)[..., None]).astype(jnp.float32)[..., :, None, None]
    size = jnp.exp(away * jnp.asarray(-decay if keys else decay, jnp.float32))
    return turn(x, size * jnp.cos(phi), size * jnp.sin(phi), layout)


def _check(base: float, scale_base: float) -> None:
    check_base(base)
    if not scale_base > 0:
        raise ValueError(f"scale_base must be > 0, got {scale_base}")


def build(base: float = 10000.0, scale_base: float = 512.0, layout: Layout = "interleaved") -> Encoding:
    """xPos, for causal masks; the origin is half way between the first and the last position of each example."""
    _check(base, scale_base)

    options = {"base": base, "scale_base": scale_base, "layout": layout}

    def rotate(params, query, key, call):
        queries = q_positions(call, query.shape[-3]), call.q_valid
        keys = k_positions(call, key.shape[-3]), call.k_valid
        origin = _middle(queries, keys)
        return (
            xpos(query, _padding_at(origin, *queries), origin, **options),
            xpos(key, _padding_at(origin, *keys), origin, keys=True, **options),
        )

    return Encoding(rotate=rotate, needs_causal=True, claims=EncodingClaims(extrapolates=True))


def _middle(*sides: tuple[jax.Array, jax.Array | None]) -> jax.Array:
    """Half way between the first and the last valid position of each example, ``[*#B]``."""
    ends = [_ends(positions, True if valid is None else valid) for positions, valid in sides]
    first, last = (pick(*both) for pick, both in zip((jnp.minimum, jnp.maximum), zip(*ends)))
    return first + (last - first) // 2


def _ends(positions: jax.Array, valid: Any) -> tuple[jax.Array, jax.Array]:
    info = (jnp.iinfo if jnp.issubdtype(positions.dtype, jnp.integer) else jnp.finfo)(positions.dtype)
    first = jnp.min(jnp.where(valid, positions, info.max), axis=-1, initial=info.max)
    return first, jnp.max(jnp.where(valid, positions, info.min), axis=-1, initial=info.min)


def _padding_at(origin: jax.Array, positions: jax.Array, valid: jax.Array | None) -> jax.Array:
    return positions if valid is None else jnp.where(valid, positions, origin[..., None])
