"""Evidence of KERPLE's kernels."""

import math

import jax
import jax.numpy as jnp
import numpy as np

import attention
from tests.support.encodings import N, biased, softplus, starts
from tests.support.evidence import EncodingCase, EncodingEvidence
from tests.support.helpers import float64
from tests.support.row import Row


def log(params, h, i, j, heads, last):
    return -softplus(params["r1"][h]) * math.log(1 + softplus(params["r2"][h]) * abs(i - j))


def power(params, h, i, j, heads, last):
    return -softplus(params["r1"][h]) * abs(i - j) ** (2 / (1 + math.exp(-params["r2"][h])))


def oracles():
    from tests.support.encoding_oracles import B, F, bias_of, torch

    def log(distance, r1, r2):
        return -F.softplus(r1) * torch.log(1 + F.softplus(r2) * distance.abs()[..., None])

    def power(distance, r1, r2):
        size = distance.abs().double()[..., None]
        return -F.softplus(r1) * torch.where(size > 0, torch.pow(size.clamp(min=1), 2 * torch.sigmoid(r2)), 0.0)

    own = ("r1", "r2"), B.normal(1, B.N), B.normal(2, B.N)
    return {
        "torch, log": bias_of("kerple(form=log)", log, *own),
        "torch, power": bias_of("kerple(form=power)", power, *own),
    }


def picture():
    from tools.kinds.encoding_maps import Image, added, by_distance, of_distance

    log, power = added("kerple"), added("kerple(form=power)")
    curves = {f"log, head {h}": by_distance(log[h - 1]) for h in (1, 2)}
    curves |= {f"power, head {h}": by_distance(power[h - 1]) for h in (1, 2)}
    return Image("log, head 1", log[0]), Image("power, head 1", power[0]), of_distance("by distance", curves)


ROW = Row(
    "kerple",
    {"form": "power"},
    EncodingEvidence(
        (EncodingCase("kerple", scores=biased(log)), EncodingCase("kerple(form=power)", scores=biased(power))),
        oracles,
        (0, 2 * N),
        directed=False,
        picture=picture,
        errors={"kerple(form=exp)": "wants one of 'log', 'power'"},
    ),
)


def test_power_of_one_is_alibi():
    slopes = jnp.asarray(attention.alibi_slopes(3))
    distance = jnp.array([-1_000_000, -3, 0, 1, 7])
    wanted = attention.alibi_bias(distance, jnp.array([0]), slopes)[..., 0].T
    np.testing.assert_allclose(attention.kerple_bias(distance, slopes, jnp.ones(3), form="power"), wanted, rtol=2e-5)


def test_distance_zero_has_gradients():
    for form in ("log", "power"):
        loss = lambda r1, r2, form=form: jnp.sum(attention.kerple_bias(jnp.zeros(3, jnp.int32), r1, r2, form=form))
        for r2 in (0.01, 1.0, 2.0):
            value, gradient = jax.value_and_grad(loss, argnums=(0, 1))(jnp.ones(2), jnp.full(2, r2))
            assert value == 0.0
            np.testing.assert_array_equal(gradient, np.zeros((2, 2)))


def test_starts():
    """Uniform as in the paper; what it cuts off at the low end is cut off."""
    for form, upper in (("log", (2.0, 1.0)), ("power", (1.0, 2.0))):
        found = float64(starts(f"kerple(form={form})", num_heads=4000))
        r1 = np.logaddexp(0, found["r1"])
        r2 = np.logaddexp(0, found["r2"]) if form == "log" else 2 / (1 + np.exp(-found["r2"]))
        for r, high in ((r1, upper[0]), (r2, upper[1])):
            assert 0.0099 < r.min() < 0.02
            assert 0.98 * high < r.max() < 1.0001 * high
            np.testing.assert_allclose(r.mean(), high / 2, rtol=0.05)
