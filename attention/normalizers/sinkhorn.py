r"""Rows and columns normalised in turn: towards a doubly stochastic matrix.

```math
\text{repeat: rows of } e^{s} \text{ divided by their sums, columns by theirs; rows last}
```

Towards a doubly stochastic matrix: every query spends 1, and every key receives about the same.

When: matching, or no key may be neglected. Queries see each other's scores, as the gradient map shows: not for causal
models. One iteration is softmax; the number is odd, so that rows end normalised. Padded queries must be masked too, or
they take their share of the columns.
Source: Sander et al. 2021 (arXiv 2110.11773), Mena et al. 2018 (arXiv 1802.08665).
Family: More than one row
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from attention.normalizers._common import close_weights, exponentials, open_scores
from attention.records import Normalizer

__all__ = ["sinkhorn"]


def sinkhorn(
    scores: Float[Array, "*A"],
    where: Bool[Array, "..."] | None = None,
    *,
    axis: int = -1,
    query_axis: int = -2,
    iterations: int = 3,
) -> Float[Array, "*A"]:
    """Sinkhorn weights: ``exp(s)`` with rows, columns, ..., and last rows divided by their sums; in logarithms.

    One iteration is softmax. With as many queries as keys and many iterations, columns sum to 1 too, so that no key is
    neglected. Rows couple: a causal model would look ahead. Derivatives of second order are supported.

    Args:
      scores: ``[..., S]``, any float type; computed in float32 or wider and cast back.
      where: bool, broadcast to ``scores``, True = may attend; None allows all.
      axis: the axis of the keys.
      query_axis: the axis of the queries.
      iterations: how many normalisations there are in all, odd, so that the last one is that of rows.

    Returns:
      Weights of the shape and type of ``scores``; rows sum to 1, masked entries are exactly 0 with gradient exactly 0, and a
      row without an allowed key is all zeros. Padded queries have to be masked too. A NaN or +inf reaches its row and column,
      and with more iterations everything.

    Raises:
      ValueError: for an even or non-positive number of iterations, or a mask that is not boolean or does not broadcast.

    Example:
      >>> attention.sinkhorn(jnp.array([[0.0, 0.0], [0.0, 5.0]]), iterations=21)
      [[0.9195927, 0.0804073], [0.0715464, 0.9284536]]

    Source: Sander et al. 2021 (arXiv 2110.11773), section 3; Mena et al. 2018 (arXiv 1802.08665). Every step is differentiated;
    the published code leaves the columns' out.
    """
    check_iterations(iterations)
    z = open_scores(scores, where, fill=-jnp.inf)
    for i in range(iterations):
        z = log_normalize(z, axis if i % 2 == 0 else query_axis)
    return close_weights(jnp.exp(z), scores, where)


def log_normalize(z: jax.Array, axis: int) -> jax.Array:
    """``z - logsumexp(z)`` along an axis, -inf where z is, and everywhere in a line of nothing else."""
    u, top = exponentials(z, axis)
    sums = jnp.sum(u, axis=axis, keepdims=True)
    masked = z == -jnp.inf
    # The largest is taken off first: beside a score of 1e4 the logarithm would lose its digits.
    shifted = jnp.where(masked, 0.0, z) - top
    return jnp.where(masked, -jnp.inf, shifted - jnp.log(jnp.where(sums == 0.0, 1.0, sums)))


def check_iterations(iterations: int) -> None:
    """Refuses numbers that are not odd and positive."""
    if iterations < 1 or iterations % 2 == 0:
        raise ValueError(f"iterations must be odd and >= 1, so that rows are normalised last, got {iterations}")


def build(iterations: int = 3) -> Normalizer:
    """Rows and columns normalised in turn, ``iterations`` in all; not for causal models, and without the chunked kernel."""
    check_iterations(iterations)
    return Normalizer(
        apply=lambda params, scores, mask, call: sinkhorn(scores, mask, iterations=iterations),
        reads="all" if iterations > 1 else "rows",
    )
