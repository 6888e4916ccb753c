"""Optimizers and schedules, one rule for all.

::

  w <- w - eta_t (direction(g) + lambda w)      lambda w for matrices only

``direction`` is optax's transform of the gradient: Adam, momentum, Lion or Adafactor. The learning rate multiplies
both terms and the decay never enters the direction, so that decay is decoupled for every optimizer.
"""

import inspect
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax

from attention import specs


def adamw(*, b1: float = 0.9, b2: float = 0.999, eps: float = 1e-8) -> optax.GradientTransformation:
    """Adam with decoupled decay (Loshchilov & Hutter, arXiv:1711.05101): ``m_hat / (sqrt(v_hat) + eps)``."""
    _fraction(b1=b1, b2=b2)
    _positive(eps=eps)
    return optax.scale_by_adam(b1=b1, b2=b2, eps=eps)


def sgd(*, momentum: float = 0.9, nesterov: bool = False) -> optax.GradientTransformation:
    """Gradient descent with momentum: ``t <- momentum t + g``; with ``nesterov`` the step is ``momentum t + g``."""
    _fraction(momentum=momentum)
    return optax.trace(decay=momentum, nesterov=nesterov)


def lion(*, b1: float = 0.9, b2: float = 0.99) -> optax.GradientTransformation:
    """Lion (Chen et al., arXiv:2302.06675): ``sign(b1 m + (1 - b1) g)``, then ``m <- b2 m + (1 - b2) g``."""
    _fraction(b1=b1, b2=b2)
    return optax.scale_by_lion(b1=b1, b2=b2)


def adafactor(*, decay_rate: float = 0.8, clip: float = 1.0, factor_from: int = 128) -> optax.GradientTransformation:
    """Adafactor (Shazeer & Stern, arXiv:1804.04235): factored second moments, block-wise clipping, relative steps.

    Moments of a matrix are factored where its two largest axes have at least ``factor_from`` entries. The step of a
    parameter is scaled by its root mean square, at least 1e-3, so learning rates are larger than Adam's.
    """
    _fraction(decay_rate=decay_rate)
    _positive(clip=clip, factor_from=factor_from)
    return optax.chain(
        optax.scale_by_factored_rms(decay_rate=decay_rate, min_dim_size_to_factor=factor_from),
        optax.clip_by_block_rms(clip),
        optax.scale_by_param_block_rms(),
    )


OPTIMIZERS = {factory.__name__: factory for factory in (adamw, sgd, lion, adafactor)}


def direction(spec: str) -> optax.GradientTransformation:
    """The direction that a spec names.

    Example:
      >>> direction("sgd(momentum=0.9, nesterov=True)")

    Raises:
      ValueError: for an unknown optimizer or option, or a value of the wrong type or out of range.
    """
    parsed = specs.parse(spec)
    factory = OPTIMIZERS.get(parsed.name)
    if factory is None:
        near = specs.nearest(parsed.name, OPTIMIZERS)
        raise ValueError(f"unknown optimizer {parsed.name!r}{near}; known: {', '.join(OPTIMIZERS)}")
    known = inspect.signature(factory).parameters
    listed = ", ".join(f"{name}={parameter.default!r}" for name, parameter in known.items())
    values: dict[str, Any] = {}
    for name, value in parsed.options:
        if name not in known:
            near = specs.nearest(name, known)
            raise ValueError(f"optimizer '{parsed}': unknown option {name!r}{near}; options: {listed}")
        wanted = type(known[name].default)
        whole_number = wanted is float and type(value) is int
        if type(value) is not wanted and not whole_number:
            raise ValueError(f"optimizer '{parsed}': option {name!r} wants {wanted.__name__}, got {value!r}")
        values[name] = wanted(value)
    try:
        return factory(**values)
    except ValueError as error:
        raise ValueError(f"optimizer '{parsed}': {error}") from None


def schedule(name: str, *, steps: int, warmup: int) -> Callable[[Any], jax.Array]:
    """The factor of the learning rate at update ``t`` = 0, 1, ..., ``steps`` - 1.

    ``(t + 1) / warmup`` while ``t < warmup``; then, with ``p = (t - warmup) / (steps - warmup)``, constant 1, linear
    ``1 - p`` or cosine ``(1 + cos(pi p)) / 2``: the last update still moves.

    Args:
      name: constant, linear or cosine.
      steps: updates in all, more than ``warmup``.
      warmup: 0 or more.
    """
    decay = {
        "constant": lambda p: jnp.ones_like(p),
        "linear": lambda p: 1.0 - p,
        "cosine": lambda p: 0.5 * (1.0 + jnp.cos(math.pi * p)),
    }[name]

    def factor(t: Any) -> jax.Array:
        t = jnp.asarray(t, jnp.float32)
        rise = (t + 1.0) / max(warmup, 1)
        return jnp.where(t < warmup, rise, decay(jnp.clip((t - warmup) / (steps - warmup), 0.0, 1.0)))

    return factor


def decayed(params: Any, *, frozen_embeddings: bool = False) -> Any:
    """A tree of bools: whether a parameter decays.

    Matrices do: weights and tables, which are leaves of two axes or more. Vectors and numbers do not, nor does any
    leaf called ``bias`` (one per head has two axes), nor an embedding that is frozen.
    """

    def decays(path: tuple[Any, ...], leaf: Any) -> bool:
        names = [str(getattr(entry, "key", entry)) for entry in path]
        frozen = frozen_embeddings and names[:1] == ["embedding"]
        return leaf.ndim >= 2 and "bias" not in names[-1] and not frozen

    return jax.tree_util.tree_map_with_path(decays, params)


def apply(params: Any, step: Any, mask: Any, *, learning_rate: Any, weight_decay: Any) -> Any:
    """``w - eta (direction + lambda w)``, the decay where ``mask`` is True."""

    def moved(w: jax.Array, d: jax.Array, decays: bool) -> jax.Array:
        return w - learning_rate * (d + weight_decay * w if decays else d)

    return jax.tree.map(moved, params, step, mask)


def clip(gradients: Any, norm: jax.Array, limit: Any) -> Any:
    """Gradients scaled so that their global norm, which is ``norm``, is ``limit`` at most."""
    scale = jnp.minimum(1.0, limit / jnp.maximum(norm, 1e-12))
    return jax.tree.map(lambda g: g * scale, gradients)


def moving_average(average: Any, params: Any, decay: Any, step: jax.Array) -> Any:
    """``d e + (1 - d) w`` with ``d = min(decay, (1 + t) / (10 + t))`` at update ``t`` = 0, 1, ...

    The ramp lets the average leave the random initialisation behind within the first updates.
    """
    t = step.astype(jnp.float32)
    d = jnp.minimum(decay, (1.0 + t) / (10.0 + t))
    return jax.tree.map(lambda e, w: d * e + (1.0 - d) * w, average, params)


def _fraction(**values: float | int) -> None:
    for name, value in values.items():
        if not 0 <= value < 1:
            raise ValueError(f"{name} wants a number in [0, 1), got {value:g}")


def _positive(**values: float | int) -> None:
    for name, value in values.items():
        if not (value > 0 and math.isfinite(value)):
            raise ValueError(f"{name} wants a number above 0, got {value:g}")
