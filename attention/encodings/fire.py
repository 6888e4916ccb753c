r"""A learned function of the distance as a share of the position, so that longer texts stay within what it has seen.

```math
b_{ij} = f\left( \frac{\psi(|\Delta|)}{\psi(\max(l, \Lambda))} \right), \quad \psi(x) = \log(|c| x + 1)
```

A small network of the distance as a share of the text so far: in a longer text it is asked nothing it has not seen.

Parameters: f: 1 → 32 → N with ReLU, c (0.1 at the start) and Λ (`threshold` 512 times a learned factor), per layer or
`shared`. The figure has Λ = 16 and a network four times as large.
Claim: contains `t5`, `alibi` and `kerple`, and runs on to longer texts better than they do.
Traps: max(l, Λ), not min, as in one reference. In the paper l = i, and the mask causal (`bidirectional=False`). In an
encoder |Δ| exceeds i, so here l is the larger of i and the tokens left; `directed=True` shows f the sign. Goes by
positions as soon as l passes Λ: moving the text changes it.
Source: Li et al. 2023 (arXiv 2310.04418), eq. 4 and 5.
Family: Biases with a shape
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Num

from attention.encodings._distances import relative
from attention.encodings._mlp import init_mlp, mixed
from attention.encodings._rows import by_rows, row_size
from attention.positions import k_positions, same_document
from attention.records import Encoding, EncodingClaims

__all__ = ["fire_share"]

EPSILON = 1e-6


def fire_share(
    distance: Num[Array, "*A"], length: Num[Array, "*#A"], c: Float[Array, ""], threshold: Float[Array, ""]
) -> Float[Array, "*A"]:
    """The number FIRE's network sees, ``ψ(|Δ|) / (ψ(max(l, |L|)) + 1e-6)`` with ``ψ(x) = log(|c| x + 1)``.

    Args:
      distance: Δ = i - j, query minus key.
      length: l, the query's position i, or what else bounds its distances.
      c: c, any number.
      threshold: L, any number; below it the length does not matter.

    Returns:
      float32 ``[*A]``, in [0, 1] where ``|Δ| <= max(l, L)``.

    Example:
      >>> attention.fire_share(jnp.array([0, 4]), jnp.array([9]), jnp.array(1.0), jnp.array(2.0))
      [0.0, 0.69897]

    Source: Li et al. 2023 (arXiv 2310.04418), eq. 4 and 5 and the code in its appendix, for Δ >= 0.
    """
    psi = lambda x: jnp.log1p(jnp.abs(c) * x)
    longest = jnp.maximum(length.astype(jnp.float32), jnp.abs(threshold))
    return psi(jnp.abs(distance).astype(jnp.float32)) / (psi(longest) + EPSILON)


def build(
    width: int = 32, bidirectional: bool = True, directed: bool = False, threshold: float = 512.0, shared: bool = False
) -> Encoding:
    """FIRE, ``f(ψ(|Δ|) / ψ(max(l, L)))`` with f: 1 → ``width`` → N, ReLU; c, L and f learned per layer, or ``shared`` by all.

    With ``bidirectional=False`` it is the paper's: l = i, under a causal mask. The bidirectional form is ours: there |Δ| can
    exceed i, so l = max(i, e - i) with e the last valid key's position, n - 1 for n tokens at 0, 1, ...; ``directed`` shows f
    the sign of Δ too. c starts at 0.1 and L at ``threshold``, a factor of which is learned; f as torch's Linear layers.
    Li et al. 2023 (arXiv 2310.04418), where ``shared`` is FIRE-S.
    """
    if width < 1:
        raise ValueError(f"width must be >= 1, got {width}")
    if not threshold > 0:
        raise ValueError(f"threshold must be > 0, got {threshold}")

    def init(rng, dims):
        network = init_mlp(rng, 2 if directed else 1, width, dims.num_heads)
        return {"c": jnp.asarray(0.1), "factor": jnp.asarray(1.0), "mlp": network}

    def prepare(params, x, query, key, call):
        """The last valid key's position ``[*#B 1]``: known of the whole sequence alone. Of packed ones, for each query."""
        if not bidirectional:
            return (), (), None
        k = k_positions(call, key.shape[-3])
        if (same := same_document(call)) is not None:
            ends = jnp.max(jnp.where(same, k[..., None, :], 0), axis=-1, initial=0)
            return jnp.broadcast_to(ends, query.shape[:-2]), (), ()
        valid = True if call.k_valid is None else call.k_valid
        return (), (), jnp.max(jnp.where(valid, k, 0), axis=-1, keepdims=True, initial=0)

    def bias(params, q_features, k_features, rest, call):
        last = rest if isinstance(q_features, tuple) else q_features
        i, distance = call.q_positions, -relative(call, call.q_positions.shape[-1], call.k_positions.shape[-1])
        length = i if last is None else jnp.maximum(i, last - i)

        network = params["mlp"]
        per_row = lambda b: b[:, None, None]

        def rows(distance, length):
            after = jnp.maximum(distance, 0) if last is None else distance
            x = fire_share(after, length, params["c"], params["factor"] * threshold)[..., None, :, :]
            x = jnp.concatenate([x, jnp.sign(distance)[..., None, :, :].astype(x.dtype)], axis=-3) if directed else x
            hidden = jax.nn.relu(mixed(x, network["in"]["kernel"]) + per_row(network["in"]["bias"]))
            return mixed(hidden, network["out"]["kernel"]) + per_row(network["out"]["bias"])

        distance = jnp.broadcast_to(distance, (*length.shape, distance.shape[-1]))
        return by_rows(rows, distance, length[..., None], width=width * row_size(distance))

    return Encoding(
        shared=init if shared else None,
        init=None if shared else init,
        prepare=prepare,
        whole=bidirectional,
        ahead="distances are divided by the length of the text; use fire(bidirectional=False)" if bidirectional else "",
        bias=bias,
        needs_causal=not bidirectional,
        claims=EncodingClaims(extrapolates=True),
    )
