r"""Multi-head attention pooling: a learned probe attends to the text, and an MLP with a residual connection follows.

```math
z = \mathrm{MHA}(\text{probe}, X, X), \quad y = z + \mathrm{MLP}(\mathrm{LN}(z))
```

Options: `heads` N (4, must divide D), `mlp` (4; F = mlp·D), `normalizer`. 4(D² + D) + 2DF + F + 4D parameters.
When: pooling is to have a layer's capacity, as the head of vision transformers. One query for all texts: the key and
value projections are moved to the query and to the sum, so its cost per token is 2DN products instead of 2D².
Traps: the key bias does nothing under a shift-invariant normalizer; it is kept so that published weights fit. No residual
connection passes by the attention, so it does not start near the mean.
Source: Lee et al. 2019 (Set Transformer, arXiv 1810.00825), in the form of Zhai et al. 2022 (arXiv 2106.04560): without
the probe in the residual sum, pre-norm, no feed-forward layer on the states.
Family: With weights
"""

import math
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from attention.normalizers.qk_norm import layer_normalized
from attention.normalizers.softmax import softmax
from attention.poolings._valid import mask_of, text, unless_empty, valid
from attention.poolings._weights import Normalize, check_normalizer, normalize_by
from attention.records import Normalizer, Pooled, Pooling

__all__ = ["map_pool"]


def map_pool(
    x: Float[Array, "*B T D"],
    params: dict[str, Any],
    where: Bool[Array, "*#B T"] | None = None,
    *,
    normalize: Normalize = softmax,
) -> tuple[Float[Array, "*B D"], Float[Array, "*B N T"]]:
    """Multi-head attention pooling, ``z = MHA(probe, X, X)``, ``y = z + MLP(LN(z))``.

    Args:
      x: X, ``[*B T D]``.
      params: ``"probe"`` ``[D]``; ``"query"``, ``"key"``, ``"value"``, each a ``"kernel"`` ``[D N H]`` and a ``"bias"``
        ``[N H]``; ``"output"``, ``[N H D]`` and ``[D]``; ``"norm"``, a ``"scale"`` and a ``"bias"`` ``[D]``; ``"in"`` and
        ``"out"`` of the MLP with its (tanh) GELU, ``[D F]`` and ``[F]``, ``[F D]`` and ``[D]``.
      where: bool ``[*#B T]``, the positions that count; None for all.
      normalize: in place of softmax, a function ``(scores, where) -> weights``, such as ``attention.sparsemax``.

    Returns:
      y ``[*B D]`` and the weights of the N heads ``[*B N T]`` in float32; zeros where no position counts.

    Example:
      >>> attention.map_pool(x, params, where)

    Source: Lee et al. 2019 (Set Transformer, arXiv 1810.00825), as the pooling of Zhai et al. 2022 (arXiv 2106.04560) has it:
    pre-norm, without the probe in the residual sum and without a feed-forward layer before.
    """
    where = mask_of(x, where)
    states = text(x, where)
    # One query for all texts: W_K goes to it instead of to every state, and W_V to the sum, which are the same products.
    query = _affine(params["query"], params["probe"], "d,dnh->nh")
    query = query / math.sqrt(query.shape[-1])
    key, value = params["key"], params["value"]
    scores = jnp.einsum("...td,dn->...nt", states, jnp.einsum("dnh,nh->dn", key["kernel"], query))
    scores = scores + jnp.einsum("nh,nh->n", key["bias"], query)[:, None]
    weights = normalize(scores, where[..., None, :])
    heads = jnp.einsum("...nd,dnh->...nh", jnp.einsum("...nt,...td->...nd", weights, states), value["kernel"])
    heads = heads + jnp.sum(weights, axis=-1)[..., None] * value["bias"]
    z = _affine(params["output"], heads, "...nh,nhd->...d")
    normed = params["norm"]["scale"] * layer_normalized(z) + params["norm"]["bias"]
    hidden = jax.nn.gelu(_affine(params["in"], normed, "...d,df->...f"))
    y = z + _affine(params["out"], hidden, "...f,fd->...d")
    return unless_empty(y, where).astype(x.dtype), weights


def _affine(layer: dict[str, jax.Array], x: jax.Array, equation: str) -> jax.Array:
    return jnp.einsum(equation, x, layer["kernel"]) + layer["bias"]


def build(heads: int = 4, mlp: float = 4.0, normalizer: Normalizer | str = "softmax") -> Pooling:
    """Multi-head attention pooling with N ``heads`` and an MLP ``mlp`` times as wide as the model, F = mlp·D.

    4(D² + D) + 2·D·F + F + D + 3D parameters: attention, MLP, norm and probe.
    """
    if heads < 1:
        raise ValueError(f"heads must be >= 1, got {heads}")
    if not (math.isfinite(mlp) and mlp > 0):
        raise ValueError(f"mlp must be a finite number > 0, got {mlp}")
    normalized = check_normalizer(normalizer)

    def init(rng, dims):
        D, F = dims.model_dim, round(mlp * dims.model_dim)
        if D % heads:
            raise ValueError(f"heads must divide the width of the model, got {heads} and {D}")
        if F < 1:
            raise ValueError(f"mlp must leave one unit at least, got {mlp} times {D} channels")
        H = D // heads
        shapes = {
            "probe": (1, D),
            "query": (D, D),
            "key": (D, D),
            "value": (D, D),
            "output": (D, D),
            "in": (D, F),
            "out": (F, D),
        }
        xavier = jax.nn.initializers.glorot_uniform()
        kernels = {name: xavier(key, shape) for key, (name, shape) in zip(jax.random.split(rng, len(shapes)), shapes.items())}
        of_heads = {
            name: {"kernel": kernels[name].reshape(D, heads, H), "bias": jnp.zeros((heads, H))}
            for name in ("query", "key", "value")
        }
        return {
            "probe": kernels["probe"][0],
            **of_heads,
            "output": {"kernel": kernels["output"].reshape(heads, H, D), "bias": jnp.zeros(D)},
            "norm": {"scale": jnp.ones(D), "bias": jnp.zeros(D)},
            "in": {"kernel": kernels["in"], "bias": jnp.zeros(F)},
            "out": {"kernel": kernels["out"], "bias": jnp.zeros(D)},
        }

    def apply(params, x, call):
        return Pooled(*map_pool(x, params, valid(x, call), normalize=normalize_by(normalized, call)))

    return Pooling(apply=apply, init=init)
