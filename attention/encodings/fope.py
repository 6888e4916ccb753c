r"""Rotations whose cosines and sines are learned mixtures of several frequencies.

```math
\cos_g(i) = \sum_f A_{fg} \cos(i \theta_f), \quad \sin_g(i) = \sum_f B_{fg} \sin(i \theta_f),
\quad \theta_f \ge \frac{2\pi}{L}
```

Pairs turned by learned mixtures of frequencies; what does not turn once within the training length is not turned at all.

Parameters: A and B, of F frequencies and G = min(F, H/4) pairs, for each head; at the start one frequency for a pair,
plus Xavier noise times `gain`.
Claim: layers mix frequencies anyway, and slow ones are trained on part of a turn; minding both keeps perplexity and
retrieval steadier in longer texts.
Traps: a mixture is no rotation: lengths change, and scores go by positions, not by distances alone. The official code
pads the sines of unmixed pairs with 1 as it does the cosines, which doubles their products; here they stay as they are.
Noise is drawn for each head's own matrix.
Source: Hua et al. 2024 (arXiv 2412.17739), section 4.
Family: Rotations
"""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Num

from attention.encodings._rotary import Layout, angles, check_base, geometric, turn
from attention.positions import k_positions, q_positions
from attention.records import Encoding, EncodingClaims

__all__ = ["fope"]


def fope(
    x: Float[Array, "*B T N H"],
    positions: Num[Array, "*#B T"],
    cos: Float[Array, "N F G"],
    sin: Float[Array, "N F G"],
    *,
    base: float = 10000.0,
    layout: Layout = "half",
) -> Float[Array, "*B T N H"]:
    """Fourier positions: pair g is turned by ``Σ_f A_fg cos(i θ_f)`` and ``Σ_f B_fg sin(i θ_f)`` for cosine and sine.

    Of the H/2 frequencies ``θ_f = base^(-2f/H)`` the F highest are mixed into G pairs; the other pairs are not turned.

    Args:
      x: queries or keys ``[*B T N H]``, H even.
      positions: ``[*#B T]``, integers of any size, or floats.
      cos: A ``[N F G]``, with F and G at most H/2.
      sin: B ``[N F G]``.
      base: > 0.
      layout: pairs are (g, g+H/2) for ``'half'``, as in the official code, or (2g, 2g+1) for ``'interleaved'``.

    Returns:
      ``[*B T N H]`` of the type of ``x``.

    Raises:
      ValueError: for a base that is not positive, an odd H, or more frequencies or pairs than there are.

    Example:
      >>> attention.fope(jnp.ones((1, 1, 2)), jnp.array([3]), jnp.ones((1, 1, 1)), jnp.ones((1, 1, 1)))
      [[[-1.1311125, -0.8488725]]]

    Source: Hua et al. 2024 (arXiv 2412.17739), section 4. The official code pads cosines and sines alike with 1, which
    doubles the products of the pairs that are not mixed; here their cosine is 1 and their sine 0, so that they stay.
    """
    check_base(base)
    H, (F, G) = x.shape[-1], cos.shape[-2:]
    if H % 2 or max(F, G) > H // 2:
        raise ValueError(f"fope has at most H/2 frequencies and pairs, H even: got H = {H}, {F} frequencies, {G} pairs")
    phi = angles(positions, geometric(H, base)[:F])
    mixed = lambda table, weights: jnp.einsum("...tf,nfg->...tng", table, weights)
    padding = [(0, 0)] * (phi.ndim) + [(0, H // 2 - G)]
    cosines = jnp.pad(mixed(jnp.cos(phi), cos), padding, constant_values=1.0)
    return turn(x, cosines, jnp.pad(mixed(jnp.sin(phi), sin), padding), layout)


def build(base: float = 10000.0, train_length: int | None = None, gain: float = 0.3, layout: Layout = "half") -> Encoding:
    """FoPE with the F frequencies that turn at least once within the training length L, ``θ >= 2π/L``.

    Two matrices ``[N F G]``, G = min(F, H/4), per layer: at the start every ⌈F/G⌉-th frequency by itself, plus Xavier noise
    times ``gain`` (of each head's own F × G; the official code takes the heads for one of the matrix's sides).
    ``train_length`` is by default the longest text of training.
    """
    check_base(base)
    if train_length is not None and train_length < 1:
        raise ValueError(f"train_length must be None or >= 1, got {train_length}")
    if not (math.isfinite(gain) and gain >= 0):
        raise ValueError(f"gain must be a finite number >= 0, got {gain}")

    def init(rng, dims):
        length = dims.max_length if train_length is None else train_length
        if length is None:
            raise ValueError("fope needs the training length: give train_length, or max_length= of the layer (of Dims)")
        F = int((geometric(dims.head_dim, base) >= 2 * math.pi / length).sum())
        G = min(F, dims.head_dim // 4)
        if G < 1:
            raise ValueError(f"fope wants a head dim >= 4 and a frequency that turns within {length} positions, got none")
        step = -(-F // G)
        alone = jnp.zeros((F, G)).at[jnp.arange(0, F, step), jnp.arange(-(-F // step))].set(1.0)
        xavier = jax.nn.initializers.glorot_normal(in_axis=-2, out_axis=-1, batch_axis=0)
        names = ("cos", "sin")
        shape = (dims.num_heads, F, G)
        return {name: alone + gain * xavier(key, shape) for name, key in zip(names, jax.random.split(rng))}

    def rotate(params, query, key, call):
        turned = lambda x, positions: fope(x, positions, params["cos"], params["sin"], base=base, layout=layout)
        return turned(query, q_positions(call, query.shape[-3])), turned(key, k_positions(call, key.shape[-3]))

    return Encoding(init=init, rotate=rotate, claims=EncodingClaims(extrapolates=True))
