r"""What one token found useless, later ones see less of: scores lowered by what head 0 has accumulated. Causal.

```math
s_{ij} \leftarrow s_{ij} - \sum_{k < i} [s^{(0)}_{kj}]_+ , \quad \text{then } \texttt{inner}
```

Tokens hide what they found useless from those that follow.

When: causal models in long contexts. Head 0 says what to hide, for all heads; it may not hide the first token, nor a
token from itself. In the figure queries 3 and 4 scored key 2 highly, so it is all but hidden from query 5. No parameters.
Source: Leviathan et al. 2024 (arXiv 2410.02703).
Family: More than one row
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from attention.heads import all_heads
from attention.normalizers._wrapper import inner_params, wrap
from attention.precision import widen
from attention.records import Normalizer

__all__ = ["selective"]


def selective(scores: Float[Array, "*B N T S"], selection: Float[Array, "*B 1 T S"]) -> Float[Array, "*B N T S"]:
    """Selective attention, ``s_ij - F_ij`` with ``F_ij = Σ_{k<i} max(selection_kj, 0)`` over the queries before i.

    Args:
      scores: ``[*B N T S]``; queries in the order of their positions.
      selection: what each query would hide of each key, ``[*B 1 T S]``, zero where it may not.

    Returns:
      Scores of the same shape and type, computed in float32 or wider.

    Example:
      >>> attention.selective(jnp.zeros((1, 2, 2)), jnp.array([[[0.0, 0.5], [0.0, 0.0]]]))
      [[[0.0, 0.0], [0.0, -0.5]]]

    Source: Leviathan et al. 2024 (arXiv 2410.02703), section 3.
    """
    hidden = jax.nn.relu(widen(selection))
    before = jnp.concatenate([jnp.zeros_like(hidden[..., :1, :]), hidden[..., :-1, :]], axis=-2)
    return (widen(scores) - jax.lax.cumsum(before, axis=before.ndim - 2)).astype(scores.dtype)


def build(inner: Normalizer | str = "softmax") -> Normalizer:
    """Selective attention before ``inner``: head 0 hides keys from all heads, but never the first token nor the query's own.

    Needs a causal mask, and all queries at once. Has no parameters.
    """
    assert isinstance(inner, Normalizer)

    def apply(params, scores, mask, call):
        all_heads("selective", call)
        q, k = call.q_positions[..., None, :, None], call.k_positions[..., None, None, :]
        free = (k == 0) | (q == k)
        free = free if mask is None else free | ~mask[..., :1, :, :]
        selection = jnp.where(free, 0.0, widen(scores)[..., :1, :, :])
        return inner.apply(inner_params(params), selective(widen(scores), selection), mask, call)

    return wrap(inner)._replace(
        apply=apply,
        reads="all",
        streaming=None,
        needs_causal=True,
        positional=True,
        plain=False,
        claims=inner.claims._replace(shift_invariant=False),
    )
