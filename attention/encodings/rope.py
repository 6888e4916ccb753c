r"""Rotates queries and keys by angles proportional to their positions, so that q·k depends on the distance.

```math
\begin{pmatrix} y_{2t} \\ y_{2t+1} \end{pmatrix} = \begin{pmatrix} \cos i\theta_t & -\sin i\theta_t \\ \sin
i\theta_t & \cos i\theta_t \end{pmatrix} \begin{pmatrix} x_{2t} \\ x_{2t+1} \end{pmatrix},
\quad \theta_t = 10000^{-2t/H}
```

Pairs of channels of queries and keys are turned by their position; in q·k the difference of the angles remains.

Parameters: none. `fraction` turns only the first channels; `base` sets the slowest hand. `scaling`, for texts `factor` =
s times as long as `train_length`: `pi` divides all frequencies by s; `ntk` takes the base $10000\, s^{H/(H-2)}$;
`dynamic_ntk` the same for the length at hand; `yarn` divides those that turn less than once in training, keeps those that
turn often, and multiplies q and k by $0.1 \ln s + 1$; `llama3` does the like by wavelengths; `longrope` divides by
`factors` found by a search.
Claim: scores fall off with the distance, on average; works with linear attention. Past the training length it degrades,
and the scalings are for that: `pi` took LLaMA to 32,768 tokens with a short fine-tuning; `yarn` needs a tenth of the
tokens of earlier ways; `longrope` reaches 2 million.
Traps: the two [layouts](#slips-seen-in-tutorials-and-references); angles in bfloat16. `dynamic_ntk` counts the valid keys
of each example, where batches elsewhere share one length. HF rounds the ends of `yarn`'s ramp, gpt-oss does not
(`truncate=False`). An odd number of channels is an error. Needs a score that is a function of q·k.
Source: Su et al. 2021 (arXiv 2104.09864); pi arXiv 2306.15595, yarn arXiv 2309.00071, llama3 arXiv 2407.21783, longrope
arXiv 2402.13753; ntk and dynamic_ntk were proposed in forums by bloc97 and emozilla, 2023.
Family: Rotations
"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Num

from attention.encodings._rotary import Layout, Rescaled, Scaling, angles, check_base, geometric, turn
from attention.positions import k_positions, packed_segments, q_positions, same_document
from attention.records import Call, Encoding, EncodingClaims

__all__ = ["rope", "rope_frequencies"]


def rope(
    x: Float[Array, "*B T N H"],
    positions: Num[Array, "*#B T"],
    *,
    base: float = 10000.0,
    fraction: float = 1.0,
    layout: Layout = "interleaved",
    frequencies: np.ndarray | None = None,
    gain: float = 1.0,
) -> Float[Array, "*B T N H"]:
    """Rotary positions: the pair t of channels is turned by ``φ = i · base^(-2t/R)``, t = 0 .. R/2-1.

    ``y₁ = x₁ cos φ - x₂ sin φ``, ``y₂ = x₁ sin φ + x₂ cos φ``.

    Args:
      x: queries or keys ``[*B T N H]``.
      positions: ``[*#B T]``, integers of any size, or floats.
      base: > 0.
      fraction: share of the channels that is rotated, in (0, 1]; the first R = fraction · H, rounded, which must be even.
      layout: pairs are (2t, 2t+1) for ``'interleaved'`` (RoFormer, GPT-J), (t, t+R/2) for ``'half'`` (GPT-NeoX, Llama in HF).
      frequencies: radians per position ``[R/2]`` in place of those of the base, as ``rope_frequencies`` gives them.
      gain: what the rotated channels are multiplied by.

    Returns:
      ``[*B T N H]`` of the type of ``x``, computed in float32; the angle is exact to 1e-6 for every int32 position.

    Raises:
      ValueError: for an odd number of rotated channels, a fraction outside (0, 1], a base that is not positive, or frequencies
        of another number or beside a base.

    Example:
      >>> attention.rope(jnp.ones((1, 1, 6)), jnp.array([3]))
      [[[-1.1311125, -0.8488725, 0.8515226, 1.1291188, 0.9935159, 1.0064424]]]

    Source: Su et al. 2021 (arXiv 2104.09864), eq. 15 and 34.
    """
    _check(base, fraction)
    R = _rotated(x.shape[-1], fraction)
    if frequencies is None:
        frequencies = geometric(R, base)
    elif base != 10000.0 or np.shape(frequencies) != (R // 2,):
        raise ValueError(f"frequencies take the place of base and want shape {(R // 2,)}, got {np.shape(frequencies)}")
    return _turn(x, angles(positions, frequencies), gain, layout)


def rope_frequencies(
    dim: int,
    *,
    base: float = 10000.0,
    scaling: Scaling = "none",
    factor: float = 1.0,
    train_length: int | None = None,
    length: int | None = None,
    beta_fast: float = 32.0,
    beta_slow: float = 1.0,
    truncate: bool = True,
    low: float = 1.0,
    high: float = 4.0,
    factors: tuple[float, ...] = (),
    attention_factor: float | None = None,
) -> tuple[np.ndarray, float]:
    """Frequencies ``θ_t = base^(-2t/d)`` scaled for texts s times as long as those of training, and the gain of q and k.

    With s the ``factor``, L the ``train_length`` and n the ``length``:
    ``none`` θ; ``pi`` θ/s; ``ntk`` θ of ``base·s^(d/(d-2))``; ``dynamic_ntk`` θ of ``base·(s·max(n, L)/L - (s-1))^(d/(d-2))``;
    ``yarn`` ``θ[(1-γ) + γ/s]``, γ a ramp over t from 0 at c(``beta_fast``) to 1 at c(``beta_slow``), ``c(r) = d log(L/2πr) /
    (2 log base)``, gain ``0.1 ln s + 1``; ``llama3`` ``θ[(1-σ)/s + σ]``, σ = (L/w - low)/(high - low) clipped to [0, 1], w the
    wavelength 2π/θ; ``longrope`` ``θ_t/λ_t``, gain ``√(1 + ln s/ln L)``.

    Args:
      dim: d, the number of rotated channels, even.
      base: > 0.
      scaling: which of these.
      factor: s >= 1.
      train_length: L >= 2.
      length: n, of ``dynamic_ntk`` alone; None for L.
      beta_fast: turns within L above which a frequency stays; with it ``beta_slow``, below which it is divided by s.
      beta_slow: see there.
      truncate: whether the ends of yarn's ramp are rounded outwards, as in its own code; gpt-oss does not.
      low: ``low_freq_factor`` of llama3.
      high: ``high_freq_factor`` of llama3.
      factors: λ, d/2 of them, found by a search.
      attention_factor: the gain in place of yarn's or longrope's own.

    Returns:
      float64 ``[d/2]``, and the gain. With s = 1 all but ``longrope`` are ``none`` (``dynamic_ntk`` up to L).

    Raises:
      ValueError: for numbers out of range, an option that the scaling has no use for, or one that it needs and did not get.

    Example:
      >>> attention.rope_frequencies(4, scaling="pi", factor=2.0)[0]
      [0.5, 0.005]

    Source: pi Chen et al. 2023 (arXiv 2306.15595); ntk bloc97, dynamic_ntk emozilla 2023; yarn Peng et al. 2023 (arXiv
    2309.00071); llama3 Llama Team 2024 (arXiv 2407.21783); longrope Ding et al. 2024 (arXiv 2402.13753).
    Where no pair turns once within L, yarn divides all but the first, and not none as the ramp of its code does.
    """
    options = (scaling, factor, train_length, beta_fast, beta_slow, truncate, low, high, factors, attention_factor)
    rescaled = _checked(base, 1.0, Rescaled(*options))
    if length is not None and scaling != "dynamic_ntk":
        raise ValueError(f"length is for scaling=dynamic_ntk, got scaling={scaling}")
    R = _rotated(dim, 1.0)
    return rescaled.frequencies(R, base, None, np.asarray(length or 0)), rescaled.gain(None)


def _turn(x: jax.Array, phi: jax.Array, gain: float, layout: Layout) -> jax.Array:
    phi = phi[..., :, None, :]
    return turn(x, gain * jnp.cos(phi), gain * jnp.sin(phi), layout)


def _check(base: float, fraction: float) -> None:
    check_base(base)
    if not 0 < fraction <= 1:
        raise ValueError(f"fraction must be in (0, 1], got {fraction}")


def _checked(base: float, fraction: float, rescaled: Rescaled) -> Rescaled:
    _check(base, fraction)
    rescaled.check()
    return rescaled


def _rotated(dim: int, fraction: float) -> int:
    R = round(fraction * dim)
    if R % 2 or R < 2:
        raise ValueError(f"rope turns pairs of channels: fraction {fraction} of {dim} is {R}, want an even number >= 2")
    return R


def build(
    base: float = 10000.0,
    fraction: float = 1.0,
    layout: Layout = "interleaved",
    scaling: Scaling = "none",
    factor: float = 1.0,
    train_length: int | None = None,
    beta_fast: float = 32.0,
    beta_slow: float = 1.0,
    truncate: bool = True,
    low: float = 1.0,
    high: float = 4.0,
    factors: tuple[float, ...] = (),
    attention_factor: float | None = None,
) -> Encoding:
    """Rotary positions in every layer; ``rope(scaling=yarn, factor=8)`` scales them as ``rope_frequencies`` says.

    ``train_length`` is by default the longest text of training. ``dynamic_ntk`` counts the valid keys of each example, or
    of each document of a packed row.
    """
    options = (scaling, factor, train_length, beta_fast, beta_slow, truncate, low, high, factors, attention_factor)
    rescaled = _checked(base, fraction, Rescaled(*options))

    def rotate(params, query, key, call):
        R, S = _rotated(query.shape[-1], fraction), key.shape[-3]
        lengths, q_row, k_row = _lengths(rescaled, call, S)
        frequencies, gain = rescaled.frequencies(R, base, call.max_length, lengths), rescaled.gain(call.max_length)
        at = lambda positions, row: angles(positions, frequencies, row)
        return (
            _turn(query, at(q_positions(call, query.shape[-3]), q_row), gain, layout),
            _turn(key, at(k_positions(call, S), k_row), gain, layout),
        )

    # By default they go by how many there are only past the longest text of training, where a window is full.
    counts = scaling == "dynamic_ntk" and train_length is not None
    ahead = "its frequencies go by how many tokens there are; give no train_length" if counts else ""
    return Encoding(rotate=rotate, ahead=ahead, claims=EncodingClaims(extrapolates=scaling != "none"))


def _lengths(rescaled: Rescaled, call: Call, S: int) -> tuple[np.ndarray, jax.Array | None, jax.Array | None]:
    """The lengths there need be frequencies for, and which of them each query and key has, ``[*#B #T]`` and ``[*#B #S]``.

    None where there is one.
    """
    segments = packed_segments(call)
    if rescaled.scaling != "dynamic_ntk" or (shortest := rescaled.trained(call.max_length)) >= S:
        return np.asarray(S), None, None
    lengths, row = np.arange(shortest, S + 1), lambda count: jnp.maximum(count - shortest, 0)
    if segments is None:
        if call.k_valid is None:
            return np.asarray(S), None, None
        both = row(jnp.sum(call.k_valid, axis=-1, keepdims=True))
        return lengths, both, both

    def count(side):
        same = same_document(dataclasses.replace(call, q_segments=side))
        assert same is not None  # as there are segments
        return jnp.sum(same, axis=-1)

    return lengths, row(count(call.q_segments)), row(count(segments))
