r"""A convolution over neighbouring tokens, added to the states after the first block.

```math
x_i \leftarrow x_i + \sum_{o=-1}^{1} w_o \odot x_{i+o} + b
```

A convolution over neighbours after the first block: a token's place is what stands beside it.

Parameters: a kernel of `width` 3 × D, N(0, width^-½) at the start, and a bias, 0.
Claim: made for images of other sizes than in training: the paper claims longer sequences, since nothing counts from an
origin. Zeros past the ends, on the right of the figure, are what tells absolute places, from the ends inwards.
Traps: neighbours are those of the array, whatever positions say. Padding counts as zeros, and other documents under
`mask=document`. Under a causal mask use `causal=True` (ours), or later tokens leak; the model refuses otherwise. No `+`
with codes for embeddings.
Source: Chu et al. 2021 (arXiv 2102.10882), section 3.2.
Family: Codes for embeddings
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from attention.encodings._embeddings import put
from attention.positions import packed_segments
from attention.precision import widen
from attention.records import Encoding, EncodingClaims

__all__ = ["depthwise_convolution"]


def depthwise_convolution(
    x: Float[Array, "*B T D"],
    kernel: Float[Array, "W D"],
    bias: Float[Array, " D"],
    *,
    valid: Bool[Array, "*#B T"] | None = None,
    causal: bool = False,
    segments: Int[Array, "*#B T"] | None = None,
) -> Float[Array, "*B T D"]:
    """Each channel convolved by itself, ``y_i = Σ_o w_o ⊙ x_{i+o} + b`` with o = -(W-1)/2 .. (W-1)/2, and zeros outside.

    Args:
      x: states ``[*B T D]``; neighbours are neighbours of the array.
      kernel: w, ``[W D]``, the earliest neighbour first.
      bias: b, ``[D]``.
      valid: False where x is to count as zero, ``[*#B T]``.
      causal: whether to read earlier tokens alone, o = -(W-1) .. 0.
      segments: ``[*#B T]``, of which neighbours in another count as zeros; None for one.

    Returns:
      ``[*B T D]`` in at least float32.

    Raises:
      ValueError: for a kernel of even width.

    Example:
      >>> attention.depthwise_convolution(jnp.array([[1.0], [2.0], [4.0]]), jnp.array([[1.0], [0.0], [-1.0]]), jnp.zeros(1))
      [[-2.0], [-3.0], [2.0]]

    Source: Chu et al. 2021 (arXiv 2102.10882), section 3.2, for sequences.
    """
    W, T = kernel.shape[0], x.shape[-2]
    if W % 2 == 0:
        raise ValueError(f"a kernel centred on its token has an odd width, got {W}")
    x = widen(x)
    x = x if valid is None else jnp.where(valid[..., None], x, 0.0)
    before = W - 1 if causal else W // 2
    wider = lambda array: jnp.pad(array, [(0, 0)] * (array.ndim - 2) + [(before, W - 1 - before), (0, 0)])
    padded, own = wider(x), None if segments is None else segments[..., None]

    def neighbours(o: int) -> jax.Array:
        found = padded[..., o : o + T, :]
        return found if own is None else jnp.where(wider(own)[..., o : o + T, :] == own, found, 0.0)

    # Shifted products, which XLA joins in one loop: its grouped convolution is slow on CPUs.
    return sum(neighbours(o) * kernel[o] for o in range(W)) + bias


def build(width: int = 3, causal: bool = False) -> Encoding:
    """Conditional positions, ``x + conv(x)`` after block 1, with padding as zeros.

    A kernel ``[width D]``, N(0, width^-½) at the start, and a bias, 0. It reads neighbours in the array, whatever positions
    they are given. The causal form is ours, for causal models. Chu et al. 2021 (arXiv 2102.10882).
    """
    if width < 3 or width % 2 == 0:
        raise ValueError(f"width must be an odd number >= 3, got {width}")

    ahead = "" if causal else "it reads the tokens after each; use cpe(causal=True)"

    def shared(rng, dims):
        if dims.causal and not causal:
            raise ValueError("cpe reads the tokens after each; under a causal mask use cpe(causal=True)")
        return {"kernel": jax.random.normal(rng, (width, dims.model_dim)) * width**-0.5, "bias": jnp.zeros(dims.model_dim)}

    def embed(params, x, tokens, call):
        return put(x, depthwise_convolution(x, **params, valid=call.q_valid, causal=causal, segments=packed_segments(call)))

    return Encoding(shared=shared, embed=embed, depth=1, ahead=ahead, claims=EncodingClaims(extrapolates=True))
