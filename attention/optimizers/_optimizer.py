"""The record of an optimizer, and what those files share.

::

  w <- w - eta_t (direction(g) + lambda w)      lambda w for matrices only

The learning rate ``eta_t`` multiplies both terms and the decay never enters the direction, so that decay is decoupled for every
optimizer. Both are numbers of a member and may be traced; all other options are fixed in the program.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from attention.specs import by_spec


class Optimizer(NamedTuple):
    """An optimizer.

    Hooks:
      make(learning_rate, weight_decay, mask) -> a transformation whose updates are added to the weights. It is made anew in
        each step: the first two may be traced, and the structure of its state does not depend on them. ``mask`` is a tree of
        bools, which weights decay.
      evaluated(state, params) -> the weights to evaluate; None where these are the weights themselves.
    """

    make: Callable[[Any, Any, Any], optax.GradientTransformation]
    evaluated: Callable[[Any, Any], Any] | None = None
    spec: str = ""

    kind = "optimizer"

    def __reduce__(self) -> Any:
        return by_spec(self)


def decoupled(direction: optax.GradientTransformation) -> Optimizer:
    """The optimizer ``w <- w - eta (direction(g) + lambda w)``."""

    def make(learning_rate: Any, weight_decay: Any, mask: Any) -> optax.GradientTransformation:
        decay = optax.add_decayed_weights(weight_decay, mask)
        return optax.chain(direction, decay, optax.scale_by_learning_rate(learning_rate))

    return Optimizer(make)


def decayed(params: Any, *, frozen_embeddings: bool = False, decay_embeddings: bool = True) -> Any:
    """A tree of bools: whether a parameter decays.

    Matrices do: weights and tables, which are leaves of two axes or more. Vectors and numbers do not, nor does any
    leaf called ``bias`` (one per head has two axes), nor an embedding that is frozen. Without ``decay_embeddings`` neither the
    embedding does, nor what encodings have.
    """

    def decays(path: tuple[Any, ...], leaf: Any) -> bool:
        names = [str(getattr(entry, "key", entry)) for entry in path]
        embedding, encoding = names[:1] == ["embedding"], any("encoding" in name for name in names)
        spared = (frozen_embeddings and embedding) or (not decay_embeddings and (embedding or encoding))
        return leaf.ndim >= 2 and "bias" not in names[-1] and not spared

    return jax.tree_util.tree_map_with_path(decays, params)


def schedule(name: str, *, steps: int, warmup: int, end: float = 0.0) -> Callable[[Any], jax.Array]:
    """The factor of the learning rate at update ``t`` = 0, 1, ..., ``steps`` - 1.

    ``(t + 1) / warmup`` while ``t < warmup``: the first update moves, which optax's own warmups leave out. Then, with
    ``p = (t - warmup) / (steps - warmup)``, constant 1, linear ``1 - p`` or cosine ``(1 + cos(pi p)) / 2``, the latter two
    times ``1 - end``, plus ``end``: the last update still moves.

    Args:
      name: constant, linear or cosine.
      steps: updates in all, more than ``warmup``.
      warmup: 0 or more.
      end: in [0, 1).
    """
    decay: optax.Schedule = {
        "constant": lambda: optax.constant_schedule(1.0),
        "linear": lambda: optax.linear_schedule(1.0, end, steps - warmup),
        "cosine": lambda: optax.cosine_decay_schedule(1.0, steps - warmup, end),
    }[name]()
    joined = optax.join_schedules([lambda t: (t + 1.0) / max(warmup, 1), decay], [warmup])
    return lambda t: jnp.asarray(joined(jnp.asarray(t, jnp.float32)), jnp.float32)


def fraction(**values: float) -> None:
    """Raises ValueError for a number outside [0, 1)."""
    for name, value in values.items():
        if not 0 <= value < 1:
            raise ValueError(f"{name} must be in [0, 1), got {value:g}")


def positive(**values: float) -> None:
    """Raises ValueError for a number that is not above 0 and finite."""
    for name, value in values.items():
        if not (value > 0 and math.isfinite(value)):
            raise ValueError(f"{name} must be above 0, got {value:g}")
