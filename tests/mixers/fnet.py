"""Evidence of Fourier mixing."""

import math

import jax.numpy as jnp
import numpy as np

import attention
from tests.support.evidence import MixerCase, MixerEvidence
from tests.support.mixers import D, witness
from tests.support.row import Row


def reference(own, x, memory, causal=False, length=24):
    n, D = x.shape
    y = np.zeros((n, D))
    for k, c, t, d in np.ndindex(n, D, n, D):
        y[k, c] += x[t, d] * math.cos(2 * math.pi * (k * t / length + c * d / D))
    return y


def oracles():
    from tests.support.oracle_mixer_packages import FNetBasicFourierTransform, FNetConfig
    from tests.support.oracle_packages import F

    def theirs(x, p):
        module = FNetBasicFourierTransform(FNetConfig(hidden_size=D, use_tpu_fourier_optimizations=False))
        return module(F.pad(x, (0, 0, 0, 24 - len(x)))[None])[0][0, : len(x)]

    return {"transformers FNet": witness("fnet", theirs)}


ROW = Row(
    "fnet",
    {"length": "20"},
    MixerEvidence(
        (MixerCase("fnet", reference, 0, cross=False, ordered=True, max_length="dims"),),
        oracles,
        parts=(({"mask": "causal"}, "mixer=fnet with mask=causal: it uses no mask"),),
        errors={"fnet(length=0)": "length must be >= 1, got 0"},
    ),
)


def test_an_impulse_and_a_constant():
    impulse = jnp.zeros((5, 4)).at[0, 0].set(3.0)
    np.testing.assert_allclose(attention.fourier_mixing(impulse, length=8), 3.0, atol=1e-6)
    found = attention.fourier_mixing(jnp.ones((8, 4)), length=8)
    np.testing.assert_allclose(found, jnp.zeros((8, 4)).at[0, 0].set(32.0), atol=1e-4)
