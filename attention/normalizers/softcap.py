r"""c · tanh(s/c) before any normalizer: scores stay within ±c.

```math
s \leftarrow c \tanh(s / c), \quad \text{then } \texttt{inner}
```

When: runaway scores in deep or wide models. c is 50 in Gemma 2 and 30 in Grok 1; the figure has c = 1, to be visible. Cap
before the mask: a capped mask constant lets masked keys in. The weights' ratio is at most $e^{2c}$.
Source: Bello et al. 2016 (arXiv 1611.09940); Gemma 2 (arXiv 2408.00118).
Family: Before the normalizer
"""

import jax.numpy as jnp
from jaxtyping import Array, Float

from attention.normalizers._common import check_positive
from attention.normalizers._wrapper import wrap
from attention.precision import widen
from attention.records import Normalizer

__all__ = ["softcap"]


def softcap(scores: Float[Array, "*A"], cap: float = 50.0) -> Float[Array, "*A"]:
    """Soft-capped scores, ``c tanh(s / c)``: close to s for small scores, never beyond ±c. Twice differentiable.

    Args:
      scores: of any shape and float type; computed in float32 or wider and cast back.
      cap: c > 0; 50 in Gemma 2, 30 in Grok 1.

    Returns:
      Scores of the same shape and type. Cap before masking: a capped mask constant would let masked keys in.

    Raises:
      ValueError: for a cap that is not finite and > 0.

    Example:
      >>> attention.softcap(jnp.array([1.0, 100.0]), cap=5.0)
      [0.9868766, 5.0]

    Source: Bello et al. 2016 (arXiv 1611.09940), section 4; Gemma 2 (arXiv 2408.00118), section 2.
    """
    check_positive("cap", cap)
    return (cap * jnp.tanh(widen(scores) / cap)).astype(scores.dtype)


def build(cap: float = 50.0, inner: Normalizer | str = "softmax") -> Normalizer:
    """Soft-caps the scores, biases included, and hands them to ``inner``: ``softcap(cap=30, inner=sparsemax)``."""
    check_positive("cap", cap)
    assert isinstance(inner, Normalizer)
    claims = inner.claims._replace(shift_invariant=False)
    return wrap(inner, transform=lambda scores: softcap(scores, cap), claims=claims, plain=False)
