r"""The position times one learned direction, added to the embeddings.

```math
p_i = i \, w, \quad w \in \mathbb{R}^D
```

A straight line in a learned direction.

Parameters: w, N(0, 0.02) at the start. `scale` multiplies positions.
Claim: none.
Traps: the gradient of w is a sum of $i\, \partial p_i$, so that the ends of long texts decide it alone. $p_i \cdot p_j =
i j |w|^2$ is largest for the last tokens, however far apart.
Source: a form of tutorials.
Family: Forms of tutorials
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Num

from attention.encodings._embeddings import check_scale, put
from attention.positions import q_positions
from attention.records import Encoding

__all__ = ["linear_positions"]


def linear_positions(positions: Num[Array, "*B T"], direction: Float[Array, " D"]) -> Float[Array, "*B T D"]:
    """A straight line, ``PE[i] = i · w``.

    Its gradient grows with the positions: far ones decide alone what w learns.

    Args:
      positions: ``[*B T]``.
      direction: w, ``[D]``.

    Returns:
      ``[*B T D]`` float32.

    Example:
      >>> attention.linear_positions(jnp.array([0, 3]), jnp.array([1.0, -0.5]))
      [[0.0, 0.0], [3.0, -1.5]]

    Source: a form of tutorials; no paper proposes it.
    """
    return positions.astype(jnp.promote_types(direction.dtype, jnp.float32))[..., None] * direction


def build(scale: float = 1.0) -> Encoding:
    """One learned direction, shared by the layers, N(0, 0.02) at the start; positions are multiplied by ``scale``."""
    check_scale(scale)

    def shared(rng, dims):
        return {"direction": 0.02 * jax.random.normal(rng, (dims.model_dim,))}

    def embed(params, x, tokens, call):
        return put(x, linear_positions(q_positions(call, x.shape[-2]), scale * params["direction"]))

    return Encoding(shared=shared, embed=embed)
