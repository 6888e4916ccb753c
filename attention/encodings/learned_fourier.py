r"""Learned Fourier features of the position, passed through a small network and added to the embeddings.

```math
p_i = \text{gelu}(r_i W_1 + b_1) W_2 + b_2, \quad r_i = \tfrac{1}{\sqrt F} [\cos(i w) \,\|\, \sin(i w)]
```

Sinusoids of learned frequencies, then a small network: a learned code that is smooth, and defined everywhere.

Parameters: F/2 frequencies w (`features` = F, by default D), N(0, 1/γ) at the start, and a network of 32 `hidden` units;
W₁ N(0, 1), W₂ N(0, 32^-½).
Claim: for positions of several dimensions (images, layouts): better and faster to train than tables. Longer texts are not
its subject.
Traps: γ says how far apart positions have to be to look different (10 tokens by default). The paper scales coordinates to
a fixed range first; here positions stay whole, so that a text's code does not depend on its length, and γ is ours to
choose. Public copies draw w with standard deviation γ⁻² or γ². Text has one dimension and one group, which is all there
is here.
Source: Li et al. 2021 (arXiv 2106.02795), eq. 1 to 3.
Family: Codes for embeddings
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Num

from attention.encodings._embeddings import put
from attention.encodings._learned_angles import learned_angles
from attention.positions import q_positions
from attention.records import Encoding

__all__ = ["learned_fourier"]


def learned_fourier(
    positions: Num[Array, "*B T"],
    frequencies: Float[Array, " R"],
    hidden: Float[Array, "2*R U"],
    hidden_bias: Float[Array, " U"],
    out: Float[Array, "U D"],
    out_bias: Float[Array, " D"],
) -> Float[Array, "*B T D"]:
    """Fourier features and an MLP, ``PE[i] = gelu(r W₁ + b₁) W₂ + b₂`` with ``r = (2R)^-½ [cos(i w) ‖ sin(i w)]``.

    Args:
      positions: ``[*B T]``, integers of any size, or floats.
      frequencies: w, radians per position, ``[R]``.
      hidden: W₁, ``[2R U]``.
      hidden_bias: b₁, ``[U]``.
      out: W₂, ``[U D]``.
      out_bias: b₂, ``[D]``.

    Returns:
      ``[*B T D]``, float32 for float32 parameters; the angles are exact to 1e-6 up to position 10⁸.

    Example:
      >>> attention.learned_fourier(jnp.array([0, 1]), *params)

    Source: Li et al. 2021 (arXiv 2106.02795), eq. 1 to 3, for one dimension and one group; gelu is the exact one.
    """
    angle = learned_angles(positions[..., None], frequencies)
    features = jnp.concatenate([jnp.cos(angle), jnp.sin(angle)], axis=-1) * (2 * frequencies.shape[0]) ** -0.5
    return jax.nn.gelu(features @ hidden + hidden_bias, approximate=False) @ out + out_bias


def build(features: int | None = None, hidden: int = 32, gamma: float = 10.0) -> Encoding:
    """Learned Fourier features, ``features`` of them (None for the model's width, made even) and ``hidden`` units.

    Frequencies are N(0, 1/gamma²), so that at the start positions are alike up to about ``gamma`` tokens apart: the paper
    scales its coordinates to a range that is the same for all inputs, and we leave positions whole and choose gamma. W₁ is
    N(0, 1), as \\|r\\|² = ½, W₂ N(0, 1/hidden) and the biases 0. Shared by the layers. Li et al. 2021 (arXiv 2106.02795).
    """
    if features is not None and (features < 2 or features % 2):
        raise ValueError(f"features must be None or an even number >= 2, got {features}")
    if hidden < 1:
        raise ValueError(f"hidden must be >= 1, got {hidden}")
    if not 0 < gamma < float("inf"):
        raise ValueError(f"gamma must be a finite number > 0, got {gamma}")

    def shared(rng, dims):
        R, D = (features or dims.model_dim + dims.model_dim % 2) // 2, dims.model_dim
        rng_w, rng_hidden, rng_out = jax.random.split(rng, 3)
        return {
            "frequencies": jax.random.normal(rng_w, (R,)) / gamma,
            "hidden": jax.random.normal(rng_hidden, (2 * R, hidden)),
            "hidden_bias": jnp.zeros(hidden),
            "out": jax.random.normal(rng_out, (hidden, D)) * hidden**-0.5,
            "out_bias": jnp.zeros(D),
        }

    def embed(params, x, tokens, call):
        return put(x, learned_fourier(q_positions(call, x.shape[-2]), **params))

    return Encoding(shared=shared, embed=embed)
