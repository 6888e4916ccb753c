r"""Nyströmformer: softmax attention through a few landmarks, and an iterated inverse between them.

```math
\mathrm{softmax}(Q \tilde K^\top)\; \mathrm{softmax}(\tilde Q \tilde K^\top)^+\; \mathrm{softmax}(\tilde Q K^\top)\, V
```

Landmarks are means of consecutive tokens, the inverse six steps of an iteration of third order; `conv=33` adds a
convolution of the values.

Parameters: 4(D² + D) (+ width·N with `conv`)
Cost in T: T·m
Padding: landmarks are means of ⌊n/m⌋ or one more *valid* tokens; there are min(m, n) of them.
Traps: the iteration starts at Aᵀ over two norms. Both public codes take the largest norms of the whole batch, so that a
text's output depends on its neighbours (by 4e-4); here each matrix has its own.
Source: Xiong et al. 2021 (arXiv 2102.03902), eq. 11-13.
"""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from attention.mixers._heads import check_heads, init_heads, merge, project, self_only, without_padding
from attention.normalizers.softmax import softmax
from attention.precision import check_floating, widen
from attention.records import Mixer

__all__ = ["iterated_inverse", "landmark_means", "nystrom_attention"]


def iterated_inverse(matrix: Float[Array, "*B M M"], iterations: int = 6) -> Float[Array, "*B M M"]:
    """An approximate pseudo-inverse, ``Z ← ¼ Z (13I - AZ (15I - AZ (7I - AZ)))`` from ``Z = Aᵀ / (‖A‖₁ ‖A‖_∞)``.

    Args:
      matrix: A, ``[*B M M]``; rows and columns of zeros stay so.
      iterations: >= 0; each triples the digits once AZ is near a projection.

    Returns:
      Z, of the shape and type of ``matrix``.

    Example:
      >>> attention.iterated_inverse(jnp.array([[2.0, 0.0], [0.0, 4.0]]), 12)
      [[0.5, 0.0], [0.0, 0.25]]

    Source: Xiong et al. 2021 (arXiv 2102.03902), eq. 11 and 12; Razavi et al. 2014. The two norms are those of each matrix; the
    authors' code takes the largest of the whole batch, so that the neighbours of a text change its output.
    """
    size = jnp.abs(matrix)
    norms = jnp.max(jnp.sum(size, axis=-1), axis=-1) * jnp.max(jnp.sum(size, axis=-2), axis=-1)
    z = jnp.swapaxes(matrix, -1, -2) / jnp.where(norms == 0.0, 1.0, norms)[..., None, None]
    one = jnp.eye(matrix.shape[-1], dtype=matrix.dtype)

    @jax.checkpoint  # else the backward pass holds eight matrices of each step, in place of one
    def step(z):
        az = matrix @ z
        return 0.25 * z @ (13.0 * one - az @ (15.0 * one - az @ (7.0 * one - az)))

    for _ in range(iterations):
        z = step(z)
    return z


def landmark_means(
    x: Float[Array, "*B T N H"], where: Bool[Array, "*#B T"] | None = None, *, landmarks: int
) -> tuple[Float[Array, "*B M N H"], Bool[Array, "*#B M"]]:
    """Means of consecutive tokens, ``x̃_l = mean{x_i : ⌊r_i min(m, n) / n⌋ = l}`` with r_i the valid tokens before i.

    Args:
      x: ``[*B T N H]``.
      where: bool ``[*#B T]``, the n tokens that count; None for all.
      landmarks: m >= 1.

    Returns:
      ``[*B m N H]``, zeros where there is none, and which there are: ``min(m, n)``, each of ⌊n/m⌋ or one more tokens.

    Raises:
      ValueError: for landmarks below 1.

    Example:
      >>> attention.landmark_means(jnp.array([1.0, 3.0, 5.0]).reshape(3, 1, 1), jnp.array([True, True, False]), landmarks=1)[0]
      [[[2.0]]]

    Source: Xiong et al. 2021 (arXiv 2102.03902), section 3.2 "segment-means", over the valid tokens alone.
    """
    if landmarks < 1:
        raise ValueError(f"landmarks must be >= 1, got {landmarks}")
    check_floating(x)
    where = jnp.ones(x.shape[-3], bool) if where is None else where
    count = jnp.sum(where, axis=-1, keepdims=True)
    of = (jnp.cumsum(where, axis=-1) - 1) * jnp.minimum(count, landmarks) // jnp.maximum(count, 1)
    member = (of[..., None] == jnp.arange(landmarks)) & where[..., None]
    size = jnp.sum(member, axis=-2)
    mean = member / jnp.maximum(size, 1)[..., None, :].astype(x.dtype)
    return jnp.einsum("...tm,...tnh->...mnh", mean.astype(x.dtype), without_padding(x, where)), size > 0


def nystrom_attention(
    query: Float[Array, "*B T N H"],
    key: Float[Array, "*B T N H"],
    value: Float[Array, "*B T N H"],
    where: Bool[Array, "*#B T"] | None = None,
    *,
    landmarks: int,
    iterations: int = 6,
) -> Float[Array, "*B T N H"]:
    """Attention through landmarks, ``O = softmax(QK̃ᵀ) softmax(Q̃K̃ᵀ)⁺ softmax(Q̃Kᵀ) V``, each score over √H.

    Args:
      query: ``[*B T N H]``.
      key: ``[*B T N H]``.
      value: ``[*B T N H]``.
      where: bool ``[*#B T]``, the tokens that count; None for all.
      landmarks: m, of which there are no more than tokens.
      iterations: of the pseudo-inverse.

    Returns:
      ``[*B T N H]`` of the type of ``value``, computed in float32; zeros where no token counts. With as many landmarks as
      tokens it is softmax attention, as far as the inverse has converged.

    Raises:
      ValueError: for landmarks below 1.

    Example:
      >>> attention.nystrom_attention(jnp.zeros((2, 1, 1)), jnp.zeros((2, 1, 1)), jnp.array([[[1.0]], [[3.0]]]), landmarks=1)
      [[[2.0]], [[2.0]]]

    Source: Xiong et al. 2021 (arXiv 2102.03902), eq. 13.
    """
    query, key, values = map(widen, (query, key, value))
    query, T = query / math.sqrt(query.shape[-1]), query.shape[-3]
    if isinstance(T, int):  # jax.export may leave it open
        landmarks = min(landmarks, max(T, 1))  # there are no more of them, and the others would take memory
    (q_marks, there), (k_marks, _) = (landmark_means(x, where, landmarks=landmarks) for x in (query, key))
    columns, rows = there[..., None, None, :], there[..., None, :, None]
    scores = lambda a, b: jnp.einsum("...tnh,...snh->...nts", a, b)
    to_marks = softmax(scores(query, k_marks), columns)
    between = softmax(scores(q_marks, k_marks), columns & rows)
    of_marks = softmax(
        scores(q_marks, without_padding(key, where)), rows if where is None else rows & where[..., None, None, :]
    )
    summed = jnp.einsum("...nms,...snh->...nmh", of_marks, without_padding(values, where))
    inner = iterated_inverse(between, iterations) @ summed
    return jnp.einsum("...ntm,...nmh->...tnh", to_marks, inner).astype(value.dtype)


def build(
    heads: int = 4,
    head_dim: int | None = None,
    bias: bool = True,
    landmarks: int = 64,
    iterations: int = 6,
    conv: int = 0,
) -> Mixer:
    """Nyström attention of a sequence with itself; 4(D² + D) parameters, and ``conv`` per head.

    ``conv``, an odd width such as 33, adds a convolution of each head's values along the sequence, padding as zeros. There is
    no causal form. Dropout acts on what the block adds alone.
    """
    check_heads(heads, head_dim=head_dim, landmarks=landmarks)
    if iterations < 0:
        raise ValueError(f"iterations must be >= 0, got {iterations}")
    if conv < 0 or (conv and conv % 2 == 0):
        raise ValueError(f"conv must be 0 or an odd width, got {conv}")

    def init(rng, dims):
        params = init_heads(rng, dims, bias=bias)
        if conv:
            kernel = jax.random.normal(jax.random.fold_in(rng, 1), (conv, dims.num_heads))
            params["conv"] = {"kernel": kernel / math.sqrt(conv)}
        return params

    def apply(params, x, context, call):
        self_only(context)
        query, key, value = (project(params[name], x) for name in ("query", "key", "value"))
        output = nystrom_attention(query, key, value, call.k_valid, landmarks=landmarks, iterations=iterations)
        if conv:
            output = output + _along(without_padding(value, call.k_valid), params["conv"]["kernel"].astype(x.dtype))
        return merge(params["output"], output)

    return Mixer(apply=apply, init=init, num_heads=heads, kv_heads=heads, head_dim=head_dim, uses=(), attends=False)


def _along(value: jax.Array, kernel: jax.Array) -> jax.Array:
    """``y_t = Σ_c w_c v_{t + c - w/2}`` of values ``[*B T N H]`` and a kernel ``[w N]``."""
    *batch, T, N, H = value.shape
    channels = value.reshape(math.prod(batch), T, N * H)
    kernel = jnp.repeat(kernel, H, axis=-1)[:, None, :]
    options = {"dimension_numbers": ("NWC", "WIO", "NWC"), "feature_group_count": N * H}
    return jax.lax.conv_general_dilated(channels, kernel, (1,), "SAME", **options).reshape(value.shape)
