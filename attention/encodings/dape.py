r"""Another encoding's bias, adapted to the scores by a small network over the heads.

```math
s \leftarrow s + B + W_2^\top\, \text{LeakyReLU}(W_s^\top s + W_B^\top B + b_1) + b_2 \quad \text{(over the heads)}
```

The bias B of another encoding, adapted to each pair's scores by a network that sees all heads.

Parameters: the network, 2N → `width` 32 → N per layer, and those of `inner`, by default `kerple`; `inner` adds a bias and
nothing else (`alibi`, `fire`).
Claim: trained on 128 tokens, lower perplexity than static biases on up to 8,192.
Traps: before the mask, never after, or -∞ enters the network. The network runs for every pair: the price is time. Biases
of other terms of a `+` are in the scores that it reads. The official NeoX class slices away the slopes at its default
`mp_rank=1`.
Source: Zheng et al. 2024 (arXiv 2405.14722), eq. 3.
Family: Biases with a shape
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from attention.broadcast import spread
from attention.encodings._mlp import init_mlp, mixed
from attention.encodings._rows import by_rows, row_size
from attention.encodings._wrapper import wrap
from attention.heads import all_heads
from attention.records import Encoding

__all__ = ["dape_scores"]


def dape_scores(
    scores: Float[Array, "*B N T S"],
    bias: Float[Array, "*#B #N T S"],
    of_scores: Float[Array, "N W"],
    of_bias: Float[Array, "N W"],
    hidden: Float[Array, " W"],
    kernel: Float[Array, "W N"],
    output: Float[Array, " N"],
) -> Float[Array, "*B N T S"]:
    """Scores with an adapted bias, ``s + B + W₂ᵀ φ(W_sᵀ s + W_Bᵀ B + b₁) + b₂`` over the heads, φ = LeakyReLU of slope 0.01.

    Args:
      scores: s, before masking.
      bias: B.
      of_scores: W_s, the rows of the first layer for s.
      of_bias: W_B, its rows for B.
      hidden: b₁.
      kernel: W₂.
      output: b₂.

    Returns:
      ``[*B N T S]``.

    Example:
      >>> attention.dape_scores(*(jnp.ones((1, 1, 1)),) * 2, *(jnp.ones((1, 1)),) * 2, *(jnp.ones(n) for n in (1, (1, 1), 1)))
      [[[6.0]]]

    Source: Zheng et al. 2024 (arXiv 2405.14722), eq. 3 and the code in its appendix.
    """
    per_row = lambda b: b[:, None, None]
    of_pair, of_distance = mixed(scores, of_scores), mixed(bias, of_bias) + per_row(hidden)
    inner = jax.nn.leaky_relu(of_pair + spread(of_distance, of_pair.shape), 0.01)
    return scores + spread(bias + per_row(output), scores.shape) + mixed(inner, kernel)


def build(inner: Encoding | str = "kerple", width: int = 32) -> Encoding:
    """DAPE over ``inner``, an encoding whose scores are moved by a bias alone: kerple, alibi, fire; rope + dape composes.

    The network, ``2N`` → ``width`` → N per layer, starts as torch's Linear layers. It reads the scores of a pair in all heads,
    with the biases of other terms of a ``+`` in them, and before the mask. Zheng et al. 2024 (arXiv 2405.14722).
    """
    assert isinstance(inner, Encoding)
    if width < 1:
        raise ValueError(f"width must be >= 1, got {width}")
    if inner.bias is None or any(hook is not None for hook in (inner.modify, inner.rotate, inner.embed)):
        raise ValueError(
            "inner must be an encoding that adds a bias to the scores, and that alone, as kerple, alibi and fire do"
        )
    outer = wrap(inner)

    def shared(rng, dims):
        assert outer.shared is not None
        return outer.shared(jax.random.split(rng)[1], dims)

    def init(rng, dims):
        rng, rng_inner = jax.random.split(rng)
        nested = {} if outer.init is None else outer.init(rng_inner, dims)
        return {**nested, **init_mlp(rng, 2 * dims.num_heads, width, dims.num_heads)}

    def modify(params, scores, q_features, k_features, rest, call):
        all_heads("dape", call)
        N, first = scores.shape[-3], params["in"]["kernel"]
        weights = (first[:N], first[N:], params["in"]["bias"], params["out"]["kernel"], params["out"]["bias"])
        assert outer.bias is not None  # as `inner` was asked for above
        found = outer.bias(params, q_features, k_features, rest, call)
        assert found is not None
        found = jnp.broadcast_to(found, (*found.shape[:-2], *scores.shape[-2:]))
        return by_rows(lambda s, b: dape_scores(s, b, *weights), scores, found, width=(width + 2 * N) * row_size(scores) // N)

    hooks = {"shared": shared if outer.shared is not None else None, "init": init, "bias": None, "modify": modify}
    return outer._replace(**hooks)
