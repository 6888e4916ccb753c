r"""Sines and cosines of geometric frequencies, added to the embeddings.

```math
p_{i,2t} = \sin(i / 10000^{2t/D}), \quad p_{i,2t+1} = \cos(i / 10000^{2t/D})
```

A pair of channels is a clock hand; from pair to pair the hands go slower, from 6 to about 63,000 tokens for a turn. The paper
multiplies the words by $\sqrt{D}$ first (section 3.4), so that they are as large as the codes: `scaled_words=True`.

Parameters: none; `learned_scale=True` has one number, $D^{-1/2}$ at the start. `base` is 10000.
Claim: chosen in the hope that it runs on to longer texts, and because $p_{i+c}$ is a linear function of $p_i$; as good as
a learned table in the paper's translation. Press et al. 2021 found that it does not run on well.
Traps: there are four conventions: `layout` interleaved (the paper) or concat (all sines, then all cosines), and exponent
$2t/D$ or $t/(D/2-1)$ (tensor2tensor, fairseq: `denominator=half_minus_one`). $p_i \cdot p_j$ goes by $|\Delta|$ alone,
but queries and keys are projected, and then it need not. Its size is $\sqrt{D/2}$ whatever that of the words, so that a small
`embedding_init` leaves them drowned: take `scaled_words` or `learned_scale` (numbers: `configs/sweeps/embedding_init.py`).
See the [slips](#slips-seen-in-tutorials-and-references). An odd D drops the last cosine.
Source: Vaswani et al. 2017 (arXiv 1706.03762), section 3.5.
Family: Codes for embeddings
"""

from typing import Literal

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Num

from attention.encodings._rotary import angles
from attention.positions import q_positions
from attention.records import Encoding

__all__ = ["sinusoidal"]

Layout = Literal["interleaved", "concat"]
Denominator = Literal["dim", "half_minus_one"]


def sinusoidal(
    positions: Num[Array, "*B T"],
    dim: int,
    *,
    base: float = 10000.0,
    layout: Layout = "interleaved",
    denominator: Denominator = "dim",
) -> Float[Array, "*B T D"]:
    """Sinusoidal positions, ``PE[i, 2t] = sin(i / base^(2t/D))``, ``PE[i, 2t+1] = cos(i / base^(2t/D))``.

    Args:
      positions: ``[*B T]``, integers of any size, or floats.
      dim: D >= 1; an odd D drops the last cosine.
      base: > 0, the ratio of the longest to the shortest wavelength.
      layout: ``'interleaved'`` as above, or ``'concat'``, all sines and then all cosines.
      denominator: exponent ``2t/D`` (``'dim'``, the paper) or ``t/(⌈D/2⌉-1)`` (``'half_minus_one'``, tensor2tensor, fairseq).

    Returns:
      ``[*B T D]`` float32, exact to 1e-6 for every int32 position.

    Raises:
      ValueError: for a dimension below 1, or a base that is not positive.

    Example:
      >>> attention.sinusoidal(jnp.array([3]), 6)
      [[0.14112, -0.98999, 0.13879, 0.99032, 0.00646, 0.99997]]

    Source: Vaswani et al. 2017 (arXiv 1706.03762), section 3.5.
    """
    if dim < 1:
        raise ValueError(f"dim must be >= 1, got {dim}")
    _check(base)
    half = (dim + 1) // 2
    t = np.arange(half, dtype=np.float64)
    exponent = 2 * t / dim if denominator == "dim" else t / max(half - 1, 1)
    angle = angles(positions, base**-exponent)
    parts = [jnp.sin(angle), jnp.cos(angle)]
    if layout == "interleaved":
        return jnp.stack(parts, axis=-1).reshape(*angle.shape[:-1], 2 * half)[..., :dim]
    return jnp.concatenate(parts, axis=-1)[..., :dim]


def _check(base: float) -> None:
    if not base > 0:
        raise ValueError(f"base must be > 0, got {base}")


def build(
    base: float = 10000.0,
    layout: Layout = "interleaved",
    denominator: Denominator = "dim",
    learned_scale: bool = False,
    scaled_words: bool = False,
) -> Encoding:
    """Sinusoidal positions; ``scaled_words``: the words times √D; ``learned_scale``: codes times a number, D^-½ at first."""
    _check(base)

    def shared(rng, dims):
        return {"scale": jnp.asarray(dims.model_dim**-0.5)}

    def embed(params, x, tokens, call):
        T, D = x.shape[-2:]
        code = sinusoidal(q_positions(call, T), D, base=base, layout=layout, denominator=denominator)
        words = x * D**0.5 if scaled_words else x
        return words + (code * params["scale"] if learned_scale else code).astype(x.dtype)

    return Encoding(shared=shared if learned_scale else None, embed=embed)
