"""Rotary positions: angles, pairs of channels turned by them, and frequencies, also for texts longer than trained."""

import math
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from attention.precision import widen

Layout = Literal["interleaved", "half"]
Scaling = Literal["none", "pi", "ntk", "dynamic_ntk", "yarn", "llama3", "longrope"]


def angles(positions: jax.Array, frequencies: np.ndarray, row: jax.Array | None = None) -> jax.Array:
    """``positions · frequencies`` modulo 2π, float32.

    Integer positions are multiplied in 32-bit fixed point, where a full turn is 2³² and the product wraps as angles do. So the
    error stays below 1e-6 for every int32 position, where the float32 product is off by 1.6e-2 at position 1e6. Of float
    positions (which some encodings make) the whole part is multiplied so, and what is left as float32.

    Args:
      positions: ``[*B T]``, int32 or float32.
      frequencies: radians per position, float64 ``[F]``, static; with ``row`` a table of them ``[R F]``.
      row: the row of the table that each token takes, ``[*#B #T]``.

    Returns:
      ``[*B T F]``.
    """
    if jnp.issubdtype(positions.dtype, jnp.floating):
        nearest = jnp.round(positions)
        rest = (positions - nearest).astype(jnp.float32)[..., None] * _taken(frequencies, row, np.float32)
        return angles(nearest.astype(jnp.int32), frequencies, row) + rest
    turns = np.asarray(frequencies, np.float64) / (2 * np.pi) * 2.0**32
    whole = np.round(turns)
    wrapped = positions.astype(jnp.uint32)[..., None] * _taken(np.mod(whole, 2.0**32), row, np.uint32)
    rest = positions.astype(jnp.float32)[..., None] * _taken(turns - whole, row, np.float32)
    signed = jax.lax.bitcast_convert_type(wrapped, jnp.int32)
    return (signed.astype(jnp.float32) + rest) * jnp.float32(2 * np.pi / 2.0**32)


def _taken(table: np.ndarray, row: jax.Array | None, dtype: type) -> jax.Array:
    """``[F]``, or each token's row ``[*#B #T F]``."""
    here = jnp.asarray(np.asarray(table).astype(dtype))
    return here if row is None else here[row]


def geometric(dim: int, base: float) -> np.ndarray:
    """``base^(-2t/dim)`` for t = 0 .. ⌈dim/2⌉-1."""
    return base ** (-np.arange(0, dim, 2, dtype=np.float64) / dim)


def check_base(base: float) -> None:
    """Refuses a base that is not positive."""
    if not base > 0:
        raise ValueError(f"base must be > 0, got {base}")


class Rescaled(NamedTuple):
    """A scaling with all its options; the fields are those of ``rope_frequencies``."""

    scaling: Scaling = "none"
    factor: float = 1.0
    train_length: int | None = None
    beta_fast: float = 32.0
    beta_slow: float = 1.0
    truncate: bool = True
    low: float = 1.0
    high: float = 4.0
    factors: tuple[float, ...] = ()
    attention_factor: float | None = None

    def check(self) -> None:
        """Raises ValueError for options out of range, or given to a scaling that has no use for them."""
        for name, default in Rescaled._field_defaults.items():
            users = [scaling for scaling, used in USES.items() if name in used]
            if name != "scaling" and getattr(self, name) != default and self.scaling not in users:
                raise ValueError(f"{name} is for scaling={' or '.join(users)}, got scaling={self.scaling}")
        if not (math.isfinite(self.factor) and self.factor >= 1):
            raise ValueError(f"factor must be a finite number >= 1, got {self.factor}")
        if self.train_length is not None:
            self.trained(None)
        if not self.beta_fast > self.beta_slow > 0:
            raise ValueError(f"want beta_fast > beta_slow > 0, got {self.beta_fast} and {self.beta_slow}")
        if not self.high > self.low > 0:
            raise ValueError(f"want high > low > 0, got {self.high} and {self.low}")
        if not all(math.isfinite(each) and each > 0 for each in self.factors):
            raise ValueError(f"factors must be finite numbers > 0, got {self.factors}")
        if self.scaling == "longrope" and not self.factors:
            raise ValueError("longrope wants its factors, one for each pair of channels that is turned")
        if self.attention_factor is not None and not (math.isfinite(self.attention_factor) and self.attention_factor > 0):
            raise ValueError(f"attention_factor must be None or a finite number > 0, got {self.attention_factor}")

    def trained(self, length: int | None) -> int:
        """L, the option or else the longest text of training. Raises ValueError where nobody said."""
        found = length if self.train_length is None else self.train_length
        if found is None:
            raise ValueError(f"{self.scaling} needs the training length: give train_length, or max_length in Call")
        if found < 2:
            raise ValueError(f"train_length must be >= 2, got {found}")
        return found

    def frequencies(self, dim: int, base: float, max_length: int | None, lengths: np.ndarray) -> np.ndarray:
        """Radians per position ``[dim/2]``; of ``dynamic_ntk`` for each of the ``lengths``, ``[*A dim/2]``."""
        theta = geometric(dim, base)
        if self.scaling in ("ntk", "dynamic_ntk") and dim < 4:
            raise ValueError(f"{self.scaling} wants at least 4 rotated channels, got {dim}")
        if self.scaling == "pi":
            return theta / self.factor
        if self.scaling == "ntk":
            return geometric(dim, base * self.factor ** (dim / (dim - 2)))
        if self.scaling == "dynamic_ntk":
            grown = np.maximum(lengths, self.trained(max_length)) / self.trained(max_length)
            growth = np.asarray(self.factor * grown - (self.factor - 1))[..., None]
            return theta * growth ** (-np.arange(0, dim, 2) / (dim - 2))  # (base·g^(d/(d-2)))^(-2t/d)
        if self.scaling == "yarn":
            return self._yarn(theta, base, self.trained(max_length))
        if self.scaling == "llama3":
            return self._llama3(theta, self.trained(max_length))
        if self.scaling == "longrope":
            if len(self.factors) != len(theta):
                raise ValueError(f"longrope wants a factor for each of {len(theta)} pairs, got {len(self.factors)}")
            return theta / np.asarray(self.factors)
        return theta

    def gain(self, max_length: int | None) -> float:
        """What rotated queries and keys are multiplied by."""
        if self.attention_factor is not None:
            return self.attention_factor
        if self.scaling == "yarn":
            return 0.1 * math.log(self.factor) + 1.0
        if self.scaling == "longrope":
            return math.sqrt(1.0 + math.log(self.factor) / math.log(self.trained(max_length)))
        return 1.0

    def _yarn(self, theta: np.ndarray, base: float, length: int) -> np.ndarray:
        """Frequencies that turn often within L stay, those that turn less than once are divided, with a ramp between."""
        if not base > 1:
            raise ValueError(f"yarn wants a base > 1, got {base}")
        dim = 2 * len(theta)
        pair_of = lambda turns: dim * math.log(length / (2 * math.pi * turns)) / (2 * math.log(base))
        first, last = pair_of(self.beta_fast), pair_of(self.beta_slow)
        if self.truncate:
            first, last = math.floor(first), math.ceil(last)
        first = max(first, 0)
        last = max(min(last, dim - 1), first)
        last = last + 0.001 if last == first else last
        ramp = np.clip((np.arange(len(theta)) - first) / (last - first), 0.0, 1.0)
        return theta * ((1.0 - ramp) + ramp / self.factor)

    def _llama3(self, theta: np.ndarray, length: int) -> np.ndarray:
        """Waves shorter than L/high stay, those longer than L/low are divided, and those between are mixed."""
        turns = length * theta / (2 * math.pi)  # L/w, with w the wavelength
        smooth = np.clip((turns - self.low) / (self.high - self.low), 0.0, 1.0)
        return theta * ((1.0 - smooth) / self.factor + smooth)


USES: dict[str, tuple[str, ...]] = {
    "none": (),
    "pi": ("factor",),
    "ntk": ("factor",),
    "dynamic_ntk": ("factor", "train_length"),
    "yarn": ("factor", "train_length", "beta_fast", "beta_slow", "truncate", "attention_factor"),
    "llama3": ("factor", "train_length", "low", "high"),
    "longrope": ("factor", "train_length", "factors", "attention_factor"),
}


def turn(x: jax.Array, cos: jax.Array, sin: jax.Array, layout: Layout) -> jax.Array:
    """``y₁ = x₁ cos - x₂ sin``, ``y₂ = x₁ sin + x₂ cos`` of the first 2F channels, in at least float32; the others stay.

    Args:
      x: ``[*B T N H]``.
      cos: ``[*#B T #N F]``, a cosine of the angle or whatever a method puts in its place.
      sin: the same for the sine.
      layout: pairs are (2t, 2t+1) for ``'interleaved'``, (t, t+F) for ``'half'``.

    Returns:
      ``[*B T N H]`` of the type of ``x``.
    """
    F = cos.shape[-1]
    turned, kept = widen(x[..., : 2 * F]), x[..., 2 * F :]
    if layout == "interleaved":
        first, second = turned[..., 0::2], turned[..., 1::2]
    else:
        first, second = turned[..., :F], turned[..., F:]
    pair = (first * cos - second * sin, first * sin + second * cos)
    turned = jnp.stack(pair, axis=-1).reshape(turned.shape) if layout == "interleaved" else jnp.concatenate(pair, axis=-1)
    return jnp.concatenate([turned.astype(x.dtype), kept], axis=-1)
