r"""One number per position, a slow sine and a slower cosine summed, added to every channel.

```math
p_{i,c} = \sin(i / 10000^{1/2}) + \cos(i / 10000^{3/4})
```

Parameters: none.
Claim: none.
Traps: over a text it is nearly a straight line with steps of 0.01, beside embeddings of size 1: little signal. And layer
norm takes away what is the same in every channel.
Source: a form of tutorials.
Family: Forms of tutorials
"""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Num

from attention.encodings._embeddings import Combine, check_scale, put
from attention.encodings._rotary import angles
from attention.positions import q_positions
from attention.records import Encoding

__all__ = ["sin_cos_sum"]


def sin_cos_sum(positions: Num[Array, "*B T"]) -> Float[Array, "*B T"]:
    """A number per position, ``sin(i / 10000^½) + cos(i / 10000^¾)``.

    Nearly a straight line with steps of 0.01, and the same in every channel: little for a model to read.

    Args:
      positions: ``[*B T]``, integers of any size, or floats.

    Returns:
      ``[*B T]`` float32, exact to 1e-6 for every int32 position.

    Example:
      >>> attention.sin_cos_sum(jnp.array([0, 1, 5]))
      [1.0, 1.009999, 1.049967]

    Source: a form of tutorials; no paper proposes it.
    """
    angle = angles(positions, np.array([10000.0**-0.5, 10000.0**-0.75]))
    return jnp.sin(angle[..., 0]) + jnp.cos(angle[..., 1])


def build(scale: float = 1.0, combine: Combine = "add") -> Encoding:
    """The sum in every channel, times ``scale``.

    What is the same in every channel, layer norm takes away: with a norm before every layer the model sees nothing of it.
    ``combine='concat'``, which puts it behind the embeddings as one column, for which their first channel makes room, is seen.
    """
    check_scale(scale)

    def embed(params, x, tokens, call):
        return put(x, scale * sin_cos_sum(q_positions(call, x.shape[-2]))[..., None], combine)

    return Encoding(embed=embed)
