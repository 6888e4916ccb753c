r"""Every word turns with its position, at frequencies of its own: the embedding is the amplitude of a wave.

```math
x_c \leftarrow x_c \, (\cos \omega_{w,c} i + \sin \omega_{w,c} i)
```

Every word w is a wave in each channel c: its embedding is the amplitude, and a second table has its frequencies.

Parameters: a frequency per word and channel, shared by the layers; all words start with those of `sinusoidal`. The figure
shows one word of ones.
Claim: better than added codes in text classification, translation and language modelling, since words differ in how much
their place means. Nothing about length.
Traps: a second vocabulary table: as many parameters as the embeddings. It multiplies, so a code of a `+` added before it
turns too. The real and imaginary parts are summed as in the official classifier; there is no phase per word, as in the
official code.
Source: Wang et al. 2019 (arXiv 1912.12333), eq. 6.
Family: Codes for embeddings
"""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Num

from attention.encodings._learned_angles import learned_angles
from attention.positions import q_positions, taken
from attention.precision import check_floating
from attention.records import Encoding

__all__ = ["complex_order"]


def complex_order(
    x: Float[Array, "*B T D"], positions: Num[Array, "*#B T"], frequencies: Float[Array, "*#B T D"]
) -> Float[Array, "*B T D"]:
    """A wave per word and channel, ``y = Re z + Im z`` of ``z = x e^(i ω p)``, which is ``x (cos ω p + sin ω p)``.

    Args:
      x: embeddings of the words, the amplitudes, ``[*B T D]``.
      positions: p, ``[*#B T]``, integers of any size, or floats.
      frequencies: ω of each token's word, radians per position, ``[*#B T D]``.

    Returns:
      ``[*B T D]`` of the type of ``x``; the angles are exact to 1e-6 up to position 10⁸.

    Example:
      >>> attention.complex_order(jnp.ones((2, 2)), jnp.array([0, 2]), jnp.array([[1.0, 0.5], [1.0, 0.5]]))
      [[1.0, 1.0], [0.493151, 1.381773]]

    Source: Wang et al. 2019 (arXiv 1912.12333), eq. 6, and the official code: no phase of its own for a word, and real and
    imaginary parts summed, as there in the classifier without layers; its other models keep both parts through their layers.
    """
    angle = learned_angles(positions[..., None], frequencies)
    check_floating(x)
    return x * (jnp.cos(angle) + jnp.sin(angle)).astype(x.dtype)


def build(base: float = 10000.0) -> Encoding:
    """Frequencies per word, a table ``[V D]`` beside that of the embeddings; all words start with ``base^(-2⌊c/2⌋/D)``.

    Shared by the layers. Wang et al. 2019 (arXiv 1912.12333); the start is that of the official Transformers.
    """
    if not base > 0:
        raise ValueError(f"base must be > 0, got {base}")

    def shared(rng, dims):
        if dims.vocab_size is None:
            raise ValueError("complex_order has frequencies per word, and needs Dims.vocab_size")
        start = base ** (-2.0 * (np.arange(dims.model_dim) // 2) / dims.model_dim)
        return {"frequencies": jnp.tile(jnp.asarray(start, jnp.float32), (dims.vocab_size, 1))}

    def embed(params, x, tokens, call):
        return complex_order(x, q_positions(call, x.shape[-2]), taken(params["frequencies"], tokens))

    return Encoding(shared=shared, embed=embed)
