r"""Linear attention: a kernel elu + 1 in place of the exponential, so that keys are summed before queries come.

```math
\frac{\varphi(q_i) \cdot \sum_j \varphi(k_j) v_j^\top}{\varphi(q_i) \cdot \sum_j \varphi(k_j) + 10^{-6}},
\qquad \varphi = \mathrm{elu} + 1
```

Causal: prefix sums in chunks of 128 tokens; memory grows with T.

Parameters: 4(D² + D)
Cost in T: T
Padding: φ(k) is zero there.
Traps: a rotation makes features negative; it acts in the numerator alone (arXiv 2104.09864, eq. 19), and the weights no
longer sum to 1.
Source: Katharopoulos et al. 2020 (arXiv 2006.16236).
"""

from collections.abc import Callable

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from attention.mixers._features import divided, documents_of, weighted_means, weighted_sums
from attention.mixers._heads import check_heads, is_causal, mixer_of_heads, without_padding
from attention.positions import packed_segments
from attention.precision import widen
from attention.records import Mixer

__all__ = ["elu_features", "linear_attention"]

Turn = Callable[[Float[Array, "..."], Float[Array, "..."]], tuple[Float[Array, "..."], Float[Array, "..."]]]


def elu_features(x: Float[Array, "*A"]) -> Float[Array, "*A"]:
    """Positive features, ``φ(x) = elu(x) + 1``: x + 1 above 0, e^x below.

    Args:
      x: any shape.

    Returns:
      φ, of the shape and type of ``x``.

    Example:
      >>> attention.elu_features(jnp.array([-1.0, 0.0, 2.0]))
      [0.3678794, 1.0, 3.0]

    Source: Katharopoulos et al. 2020 (arXiv 2006.16236), eq. 7.
    """
    return jnp.where(x > 0, x + 1.0, jnp.exp(jnp.where(x > 0, 0.0, x)))


def linear_attention(
    query: Float[Array, "*B T N H"],
    key: Float[Array, "*B S N H"],
    value: Float[Array, "*B S N H"],
    where: Bool[Array, "*#B S"] | None = None,
    *,
    causal: bool = False,
    segments: Int[Array, "*#B T"] | None = None,
    epsilon: float = 1e-6,
    rotate: Turn | None = None,
) -> Float[Array, "*B T N H"]:
    """Attention with the kernel elu + 1, ``o_i = φ(q_i)·(Σ_j φ(k_j) v_jᵀ) / (φ(q_i)·Σ_j φ(k_j) + ε)``.

    Args:
      query: ``[*B T N H]``.
      key: ``[*B S N H]``.
      value: ``[*B S N H]``.
      where: bool ``[*#B S]``, the keys that count; None for all.
      causal: whether the sums are over ``j <= i``, in the order of the sequence; S = T then.
      segments: int ``[*#B T]``, of the causal form alone: where another begins, the sums start anew; None for one.
      epsilon: ε >= 0.
      rotate: makes of (φ(q), φ(k)) those of the numerator; None leaves them. The denominator stays, and so stays positive.

    Returns:
      ``[*B T N H]`` of the type of ``value``, computed in float32; zeros where no key counts.

    Raises:
      ValueError: for the causal form with S ≠ T.

    Example:
      >>> attention.linear_attention(jnp.zeros((1, 1, 1)), jnp.zeros((2, 1, 1)), jnp.array([[[1.0]], [[3.0]]]))
      [[[2.0]]]

    Source: Katharopoulos et al. 2020 (arXiv 2006.16236), eq. 4-9; ε is that of their code. Rotation of the numerator: Su et al.
    2021 (arXiv 2104.09864), eq. 19.
    """
    query, key, values = map(widen, (query, key, value))
    q, k = elu_features(query), without_padding(elu_features(key), where)
    values = without_padding(values, where)
    options = {"causal": causal, "documents": documents_of(segments, where, causal)}
    if rotate is None:
        sums, weights = weighted_means(q, k, values, **options)
    else:
        sums = weighted_sums(*rotate(q, k), values, **options)
        weights = weighted_sums(q, k, jnp.ones_like(values[..., :1]), **options)
    return divided(sums, weights + epsilon).astype(value.dtype)


def build(heads: int = 4, head_dim: int | None = None, bias: bool = True) -> Mixer:
    """Linear attention with projections as in ``attention``; 4(D² + D) parameters.

    Under ``mask=causal`` the sums are prefix sums, in the order of the sequence. A rotary encoding turns the features in the
    numerator alone. There are no weights, so dropout acts on what the block adds alone.
    """
    check_heads(heads, head_dim=head_dim)

    def attend(query, key, value, context, call):
        encoding, at, rotate = context.parts.encoding, context.encoding_call or call, None
        if (turn := encoding.rotate) is not None:
            rotate = lambda q, k: turn(context.params.get("encoding", {}), q, k, at)
        options = {"causal": is_causal(context), "segments": packed_segments(call), "rotate": rotate}
        return linear_attention(query, key, value, call.k_valid, **options)

    return mixer_of_heads(attend, heads, head_dim, bias, uses=("rotation",), masks=("causal",))
