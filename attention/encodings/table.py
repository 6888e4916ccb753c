r"""A learned bias per head and signed distance, within a window; tokens further apart do not see each other.

```math
b_{ij} = E_{\Delta + W - 1,\, h}, \quad |\Delta| < W
```

Parameters: 2W - 1 numbers per head (`window` W = 64; 16 in the figure), N(0, 0.02) at the start, per layer or `shared` as
in BEiT.
Claim: Swin's, better than absolute codes in image windows; other windows take the table interpolated. No word on longer
texts.
Traps: keys at W or more are **masked**, at every length: this is local attention. Swin cuts its input into windows, where
all distances have a row. For `W` at least the longest text nothing is hidden.
Source: Liu et al. 2021 (arXiv 2103.14030); BEiT (arXiv 2106.08254).
Family: Biases that are learned
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from attention.encodings._distances import by_distance
from attention.positions import check_whole
from attention.records import Encoding

__all__ = ["table_bias"]


def table_bias(distance: Int[Array, "*A"], table: Float[Array, "R N"]) -> Float[Array, "*A N"]:
    """The row of a table of signed distances, ``b(Δ) = table[Δ + W - 1]``.

    Args:
      distance: Δ = i - j, query minus key.
      table: ``[2W-1 N]``.

    Returns:
      ``[*A N]``, NaN where ``|Δ| >= W``, which the table does not have.

    Example:
      >>> attention.table_bias(jnp.array([-1, 1]), jnp.array([[1.0], [2.0], [3.0]]))
      [[1.0], [3.0]]

    Source: Liu et al. 2021 (arXiv 2103.14030), section 3.2 "relative position bias", in one dimension.
    """
    reach = table.shape[0] // 2
    inside = jnp.abs(distance) <= reach
    return jnp.where(inside[..., None], table[jnp.where(inside, distance, 0) + reach], jnp.nan)


def build(window: int = 64, shared: bool = False) -> Encoding:
    """Swin's table in one dimension, ``[2W-1 N]`` per layer, or one for all if ``shared``; N(0, 0.02) at the start.

    A query sees the keys with ``|Δ| < W``: those further away have no bias and are masked, at every length, on top of the mask
    asked for. Swin itself cuts its input into windows of W, in which all distances have a row.
    Liu et al. 2021 (arXiv 2103.14030); one table for all layers after BEiT, Bao et al. 2021 (arXiv 2106.08254).
    """
    if window < 1:
        raise ValueError(f"window must be >= 1, got {window}")

    def init(rng, dims):
        return {"table": 0.02 * jax.random.normal(rng, (2 * window - 1, dims.num_heads))}

    def bias(params, q_features, k_features, rest, call):
        check_whole("table", call.q_positions, call.k_positions)
        rows = params["table"]
        # What stands outside of the window is masked below.
        return by_distance(call, lambda distance: table_bias(jnp.clip(distance, 1 - window, window - 1), rows))

    def where(params, q_features, k_features, rest, call):
        return by_distance(call, lambda distance: (jnp.abs(distance) < window)[..., None])

    return Encoding(shared=init if shared else None, init=None if shared else init, bias=bias, where=where)
