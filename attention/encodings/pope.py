r"""Polar positions: magnitudes say what, phases say where.

```math
q_i \cdot k_j = \sum_c \text{softplus}(q_{i,c})\, \text{softplus}(k_{j,c}) \cos(\Delta \vartheta_c -
\delta_c), \quad \vartheta_c = 10000^{-c/H}
```

Sizes say what, angles say where, and neither meddles with the other: in `rope` the angle between q and k moves the wave.

Parameters: a phase δ per head and channel, 0 at the start, which shifts the distance a channel likes best.
Claim: better than `rope` at finding by place and by content at once, and zero-shot use on longer texts.
Traps: queries and keys become twice as wide (a real and an imaginary part), values do not; the scale stays $1/\sqrt H$.
There are H frequencies, not H/2. The paper clamps δ to [-2π, 0], at whose ends the gradient is lost; a phase repeats
after 2π, so here it is free.
Source: Gopalakrishnan et al. 2025 (arXiv 2509.10534).
Family: Rotations
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Num

from attention.encodings._rotary import angles, check_base
from attention.positions import k_positions, q_positions
from attention.precision import widen
from attention.records import Encoding, EncodingClaims

__all__ = ["pope"]


def pope(
    x: Float[Array, "*B T N H"],
    positions: Num[Array, "*#B T"],
    phase: Float[Array, "N H"] | None = None,
    *,
    base: float = 10000.0,
) -> Float[Array, "*B T N 2*H"]:
    """Polar positions: channel c becomes ``softplus(x_c) · e^{i(p ϑ_c + δ_c)}``, with ``ϑ_c = base^(-c/H)``, c = 0 .. H-1.

    With δ for the keys alone, ``q·k = Σ_c softplus(q_c) softplus(k_c) cos((i-j) ϑ_c - δ_c)``.

    Args:
      x: queries or keys ``[*B T N H]``.
      positions: p ``[*#B T]``, integers of any size, or floats.
      phase: δ ``[N H]``, of the keys; None for 0.
      base: > 0.

    Returns:
      ``[*B T N 2H]`` of the type of ``x``: the real parts of all channels, then the imaginary ones.

    Raises:
      ValueError: for a base that is not positive.

    Example:
      >>> attention.pope(jnp.zeros((1, 1, 1)), jnp.array([3]))
      [[[-0.686210, 0.097817]]]

    Source: Gopalakrishnan et al. 2025 (arXiv 2509.10534). A phase is the same at δ + 2π, so the paper's clamp to
    [-2π, 0], at whose ends the gradient would be lost, is left out.
    """
    check_base(base)
    H = x.shape[-1]
    phi = angles(positions, base ** (-np.arange(H, dtype=np.float64) / H))[..., :, None, :]
    phi = phi if phase is None else phi + phase
    size = jax.nn.softplus(widen(x))
    return jnp.concatenate([size * jnp.cos(phi), size * jnp.sin(phi)], axis=-1).astype(x.dtype)


def build(base: float = 10000.0) -> Encoding:
    """Polar positions, with a phase ``[N H]`` of the keys per layer, 0 at the start.

    Queries and keys become twice as wide as the values; the scale stays 1/√H.
    """
    check_base(base)

    def init(rng, dims):
        return {"phase": jnp.zeros((dims.num_heads, dims.head_dim))}

    def rotate(params, query, key, call):
        query = pope(query, q_positions(call, query.shape[-3]), base=base)
        return query, pope(key, k_positions(call, key.shape[-3]), params["phase"], base=base)

    return Encoding(init=init, rotate=rotate, claims=EncodingClaims(extrapolates=True))
