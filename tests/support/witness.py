"""A function of ours and another package's on the same numbers: the value, and the gradient by every float array."""

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from tests.support.helpers import jit

FLOAT32 = 2e-6  # of an oracle that computes in float32, whatever it is given


class Witness(NamedTuple):
    """``ours`` and ``theirs`` take ``inputs`` as arrays of their framework; floats are float64."""

    ours: Callable[..., Any]
    theirs: Callable[..., Any]
    inputs: tuple[np.ndarray, ...]
    tolerance: float = 1e-11
    gradient: bool = True
    framework: Literal["torch", "jax"] = "torch"


# Witnesses by name, made when asked for: the packages are imported inside. A text says why a method has none.
Oracles = Callable[[], dict[str, Witness]] | str


def differences(witness):
    """The largest differences of the values and of the gradients, None without; relative to 1 or to the largest entry."""
    value, pull = _in_jax(witness.ours, witness.inputs)
    upstream = np.random.default_rng(99).normal(size=value.shape)
    run = _in_torch if witness.framework == "torch" else _in_jax
    wanted, wanted_pull = run(witness.theirs, witness.inputs)
    of_value = _difference(value, wanted)
    if not witness.gradient:
        return of_value, None
    return of_value, max(_difference(a, b) for a, b in zip(pull(upstream), wanted_pull(upstream), strict=True))


def _difference(a, b):
    assert a.shape == b.shape
    assert a.dtype == b.dtype == np.float64
    return float(np.max(np.abs(a - b)) / max(1.0, np.max(np.abs(b))))


def _is_float(array):
    return array.dtype == np.float64


def _in_jax(function, inputs):
    floats = [x for x in inputs if _is_float(x)]

    def of_floats(*given):
        given = iter(given)
        return function(*(next(given) if _is_float(x) else jnp.asarray(x) for x in inputs))

    def pull(upstream):
        with jax.enable_x64(True):
            return [np.asarray(x) for x in jit(lambda g, *x: jax.vjp(of_floats, *x)[1](g))(upstream, *floats)]

    with jax.enable_x64(True):
        return np.asarray(jit(of_floats)(*floats)), pull


def _in_torch(function, inputs):
    import torch

    tensors = [torch.tensor(x) for x in inputs]
    floats = [x.requires_grad_() for x in tensors if x.dtype == torch.float64]
    value = function(*tensors)

    def pull(upstream):
        found = torch.autograd.grad(value, floats, torch.tensor(upstream), allow_unused=True)
        return [np.zeros(x.shape) if grad is None else grad.numpy() for x, grad in zip(floats, found)]

    return value.detach().numpy(), pull
