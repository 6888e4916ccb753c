r"""Performer: softmax attention estimated by positive random features, FAVOR+.

```math
a_{ij} \propto \varphi(q_i) \cdot \varphi(k_j),
\quad \varphi(x) = m^{-1/2} \big[e^{\omega y - \lVert y \rVert^2/2 - c} + \varepsilon\big], \quad y = x / H^{1/4}
```

The weights sum to 1; ω is drawn in orthogonal blocks with Gaussian lengths. The error against softmax falls as m^(-1/2) and
grows with ‖q‖‖k‖.

Parameters: 4(D² + D); ω is no parameter.
Cost in T: T·m
Padding: out of c and of the sums.
Traps: c of the keys is the largest of *all* keys in public code, causal or not; through ε later tokens leak. The causal
form here has c = 0 for keys. ω is drawn from `seed` and not in the checkpoint; `redraw=True` takes another one in every
training step.
Source: Choromanski et al. 2020 (arXiv 2009.14794).
"""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key

from attention.mixers._features import divided, documents_of, weighted_means
from attention.mixers._heads import check_heads, is_causal, mixer_of_heads, without_padding
from attention.positions import packed_segments
from attention.precision import widen
from attention.records import Mixer

__all__ = ["orthogonal_gaussian", "performer_attention", "performer_features"]


def orthogonal_gaussian(rng: Key[Array, ""], features: int, dim: int) -> Float[Array, "{features} {dim}"]:
    """Random directions, ``ω = χ ⊙ Q``: rows orthogonal in blocks of d, each as long as a Gaussian vector.

    Args:
      rng: key.
      features: m >= 1, the number of rows.
      dim: d >= 1.

    Returns:
      ω ``[m d]``, float32; every row is N(0, I) by itself.

    Raises:
      ValueError: for sizes below 1.

    Example:
      >>> attention.orthogonal_gaussian(jax.random.key(0), 8, 4)

    Source: Choromanski et al. 2020 (arXiv 2009.14794), section 2.4 and appendix B.1.
    """
    if features < 1 or dim < 1:
        raise ValueError(f"features and dim must be >= 1, got {features} and {dim}")
    blocks, of_lengths = jax.random.split(rng)
    square = jax.random.normal(blocks, (-(-features // dim), dim, dim), jnp.float32)
    rows, upper = jnp.linalg.qr(square)
    # With this choice of signs the rotations are uniform (Mezzadri 2007, arXiv math-ph/0609050).
    rows = jnp.swapaxes(rows * jnp.sign(jnp.diagonal(upper, axis1=-2, axis2=-1))[..., None, :], -1, -2)
    lengths = jnp.linalg.norm(jax.random.normal(of_lengths, (features, dim), jnp.float32), axis=-1, keepdims=True)
    return lengths * rows.reshape(-1, dim)[:features]


def performer_features(
    x: Float[Array, "*B T N H"],
    omega: Float[Array, "M H"],
    *,
    shift: Float[Array, "*#B #T #N #M"] | float | None = None,
    epsilon: float = 1e-4,
) -> Float[Array, "*B T N M"]:
    """Positive features, ``φ(x) = m^(-1/2) [exp(ω y - ‖y‖²/2 - c) + ε]`` with ``y = x / d^(1/4)``.

    For ω ~ N(0, I), c = 0 and ε = 0, the mean of ``φ(q)·φ(k)`` is ``exp(q·k/√d)``.

    Args:
      x: queries or keys ``[*B T N H]``.
      omega: ω, ``[m H]``, for all heads.
      shift: c, which divides out where it is one for all features and tokens of a sum; None for the largest ``ω y`` of each
        token.
      epsilon: ε >= 0.

    Returns:
      φ ``[*B T N m]``.

    Example:
      >>> attention.performer_features(jnp.zeros((1, 1, 2)), jnp.eye(2), epsilon=0.0)
      [[[0.70710678, 0.70710678]]]

    Source: Choromanski et al. 2020 (arXiv 2009.14794), lemma 1 and eq. 8; c and ε are those of their code.
    """
    y = x / x.shape[-1] ** 0.25
    along = _along(x, omega)
    c = jax.lax.stop_gradient(jnp.max(along, axis=-1, keepdims=True)) if shift is None else shift
    half = 0.5 * jnp.sum(jnp.square(y), axis=-1, keepdims=True)
    return (jnp.exp(along - half - c) + epsilon) / math.sqrt(omega.shape[0])


def performer_attention(
    query: Float[Array, "*B T N H"],
    key: Float[Array, "*B S N H"],
    value: Float[Array, "*B S N H"],
    omega: Float[Array, "M H"],
    where: Bool[Array, "*#B S"] | None = None,
    *,
    causal: bool = False,
    segments: Int[Array, "*#B T"] | None = None,
    epsilon: float = 1e-4,
) -> Float[Array, "*B T N H"]:
    """An estimate of softmax attention, ``o_i = φ(q_i)·(Σ_j φ(k_j) v_jᵀ) / φ(q_i)·Σ_j φ(k_j)``, with error ~ m^(-1/2).

    Args:
      query: ``[*B T N H]``.
      key: ``[*B S N H]``.
      value: ``[*B S N H]``.
      omega: ω, ``[m H]``.
      where: bool ``[*#B S]``, the keys that count; None for all.
      causal: whether the sums are over ``j <= i``, in the order of the sequence; S = T then.
      segments: int ``[*#B T]``, of the causal form alone: where another begins, the sums start anew; None for one.
      epsilon: ε >= 0, beside the largest feature; it makes the estimate a little more even than softmax.

    Returns:
      ``[*B T N H]`` of the type of ``value``, computed in float32; zeros where no key counts.

    Raises:
      ValueError: for the causal form with S ≠ T, or segments without it.

    Example:
      >>> attention.performer_attention(query, key, value, attention.orthogonal_gaussian(jax.random.key(0), 64, 16))

    Source: Choromanski et al. 2020 (arXiv 2009.14794), section 2.3. The shift of the keys is the largest ``ω y`` of those that
    count. The causal form has none, where the authors' code takes that of all keys, later ones too: through ε they would leak.
    """
    query, key, values = map(widen, (query, key, value))
    shift = 0.0
    if not causal:
        along = without_padding(_along(key, omega), where, -jnp.inf)
        top = jnp.max(along, axis=(-3, -1), keepdims=True, initial=-jnp.inf)
        shift = jax.lax.stop_gradient(jnp.where(top == -jnp.inf, 0.0, top))
    q = performer_features(query, omega, epsilon=epsilon)
    k = without_padding(performer_features(without_padding(key, where), omega, shift=shift, epsilon=epsilon), where)
    options = {"causal": causal, "documents": documents_of(segments, where, causal)}
    return divided(*weighted_means(q, k, without_padding(values, where), **options)).astype(value.dtype)


def _along(x: jax.Array, omega: jax.Array) -> jax.Array:
    """``ω y`` ``[*B T N m]``."""
    return jnp.einsum("...tnh,mh->...tnm", x / x.shape[-1] ** 0.25, omega.astype(x.dtype))


def build(
    heads: int = 4,
    head_dim: int | None = None,
    bias: bool = True,
    features: int | None = None,
    epsilon: float = 1e-4,
    seed: int = 0,
    redraw: bool = False,
) -> Mixer:
    """FAVOR+ with ``features`` m, or H ln H; projections as in ``attention``, 4(D² + D) parameters.

    ω is drawn from ``seed``, one for all heads of a layer, and no parameter: it is not trained, and not in a checkpoint. With
    ``redraw`` every training step has another one, and evaluation that of the seed. Under ``mask=causal`` the sums are prefix
    sums, in the order of the sequence. Dropout acts on what the block adds alone.
    """
    check_heads(heads, head_dim=head_dim, features=features)
    if not (math.isfinite(epsilon) and epsilon >= 0):
        raise ValueError(f"epsilon must be a finite number >= 0, got {epsilon}")

    def omega(H, call):
        m = max(1, round(H * math.log(H))) if features is None else features
        if redraw and call.train:
            if call.rng is None:
                raise ValueError("redraw=True draws from call.rng, which is None")
            return orthogonal_gaussian(jax.random.fold_in(call.rng, 1), m, H)
        with jax.ensure_compile_time_eval():  # a constant of the program
            return orthogonal_gaussian(jax.random.fold_in(jax.random.key(seed), call.layer), m, H)

    def attend(query, key, value, context, call):
        options = {"causal": is_causal(context), "segments": packed_segments(call), "epsilon": epsilon}
        return performer_attention(query, key, value, omega(query.shape[-1], call), call.k_valid, **options)

    return mixer_of_heads(attend, heads, head_dim, bias, masks=("causal",))
