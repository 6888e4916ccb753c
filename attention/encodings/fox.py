r"""Forgetting gates read from the input: what lies between a key and the query lowers the key's score.

```math
b_{ij} = \sum_{l=j+1}^{i} \log f_l, \quad f_l = \sigma(w_h \cdot x_l + c_h)
```

Every token forgets a share of all before it: ALiBi with a slope that the text decides.

Parameters: w as projections start, c at `bias` = 5: hardly anything is forgotten at first. The figure has 1.
Claim: no other encoding needed; better than `rope` in language modelling over long contexts, at retrieval and past the
training length.
Traps: equal gates make it `alibi` with the slope -log f. Padding must forget nothing. Sums run in the order of the array,
and anew in each document under `mask=document`. `attend` has to be given the layer's input `x`. `direction='both'` is
x-transformers', not the paper's.
Source: Lin et al. 2025 (arXiv 2503.02130), eq. 4.
Family: Compared with the content
"""

from typing import Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from attention.documents import numbered, running
from attention.positions import packed_segments
from attention.precision import widen
from attention.records import Encoding, EncodingClaims

__all__ = ["forgetting_bias"]

Direction = Literal["causal", "both"]


def forgetting_bias(log_gates: Float[Array, "*B T N"], later: Float[Array, "*B T N"] | None = None) -> Float[Array, "*B N T T"]:
    """What lies between key and query is forgotten, ``b_ij = Σ_{j<l<=i} log f_l`` for j <= i.

    Args:
      log_gates: ``log f <= 0`` of every token, ``[*B T N]``; 0 at padding.
      later: the gates ``log f'`` of later keys, ``b_ij = Σ_{i<l<=j} log f'_l`` for j > i; None for none.

    Returns:
      ``[*B N T T]``; without ``later``, 0 for later keys, which a causal mask hides.

    Example:
      >>> attention.forgetting_bias(jnp.array([[-1.0], [-2.0], [-4.0]]))
      [[[0.0, 0.0, 0.0], [-2.0, 0.0, 0.0], [-6.0, -4.0, 0.0]]]

    Source: Lin et al. 2025 (arXiv 2503.02130), eq. 4. The form with ``later`` is not the paper's; it is x-transformers'.
    """
    sums = [jnp.cumsum(gates, axis=-2) for gates in (log_gates, later) if gates is not None]
    return _between(sums, sums)


def _between(of_query: list[jax.Array], of_key: list[jax.Array]) -> jax.Array:
    """The bias ``[*B N t s]`` of running sums ``[*B t N]`` and ``[*B s N]`` of log f and, where there are any, of log f'."""
    rows = [jnp.moveaxis(c, -1, -2)[..., :, None] for c in of_query]
    columns = [jnp.moveaxis(c, -1, -2)[..., None, :] for c in of_key]
    # A sum of logarithms falls along the sequence, so the sign of a difference says which of the two tokens comes first.
    earlier = rows[0] - columns[0]
    if len(rows) == 1:
        return jnp.minimum(earlier, 0.0)
    later = columns[1] - rows[1]
    return jnp.where(earlier < later, earlier, later)  # the one that is not above 0; the gradient of jnp.minimum is slower


def build(direction: Direction = "causal", bias: float = 5.0) -> Encoding:
    """The forgetting transformer's bias ``b_ij = Σ_{j<l<=i} log f_l``, with a gate ``f_l = σ(x_l w + b)`` per token and head.

    x is the layer's input, w ``[D N]`` starts as projections do and b ``[N]`` at ``bias``; each layer has its own. Not scaled.
    Padding forgets nothing. Sums run in the order of the array, whatever the positions, and anew in each document under
    ``document``. ``direction='both'`` has a second gate for later keys, which is not the paper's but x-transformers'.
    Lin et al. 2025 (arXiv 2503.02130), section 3.1.
    """
    names = ("earlier", "later") if direction == "both" else ("earlier",)

    def init(rng, dims):
        shape = (dims.model_dim, dims.num_heads)
        into = jax.nn.initializers.lecun_normal()
        return {
            name: {"kernel": into(key, shape), "bias": jnp.full(dims.num_heads, bias)}
            for name, key in zip(names, jax.random.split(rng, len(names)))
        }

    def prepare(params, x, query, key, call):
        if x is None:
            raise ValueError("fox reads the layer's input: give attend its x [*B T D]")
        if query.shape[-3] != key.shape[-3]:
            raise ValueError(f"fox is for self-attention, got {query.shape[-3]} queries and {key.shape[-3]} keys")
        x, segments = widen(x), packed_segments(call)
        documents = None if segments is None else numbered(segments, call.k_valid)

        def summed(gate):
            log_gates = jax.nn.log_sigmoid(x @ gate["kernel"] + gate["bias"])
            if call.k_valid is not None:
                log_gates = jnp.where(call.k_valid[..., None], log_gates, 0.0)
            return jnp.cumsum(log_gates, axis=-2) if documents is None else running(jnp.add, log_gates, documents)

        sums = [summed(params[name]) for name in names]
        return sums, sums, ()

    def between(params, q_features, k_features, rest, call):
        return _between(q_features, k_features)

    return Encoding(
        init=init,
        prepare=prepare,
        bias=between,
        needs_causal=direction != "both",
        whole=True,
        claims=EncodingClaims(extrapolates=True),
    )
