"""Evidence of the adaptive temperature."""

import jax.numpy as jnp
import numpy as np
from scipy import special

import attention
from attention.records import Call
from tests.support.evidence import NormalizerEvidence
from tests.support.normalizers import case
from tests.support.reference_normalizers import softmax
from tests.support.row import Row


def adaptive_temp(row, mask):
    p = softmax(row, mask)
    entropy = -sum(special.xlogy(p, p))
    value = -0.037 * entropy**4 + 0.481 * entropy**3 - 2.3 * entropy**2 + 4.917 * entropy - 1.791
    return softmax(np.asarray(row) * (max(value, 1.0) if entropy > 0.5 else 1.0), mask)


def oracles():
    from tests.support import oracle_normalizers as o

    def theirs(z):
        p = o.torch.softmax(z, -1)
        entropy = o.torch.special.entr(p).sum()
        powers = o.torch.stack([entropy**4, entropy**3, entropy**2, entropy, o.torch.ones_like(entropy)])
        beta = powers @ o.torch.tensor([-0.037, 0.481, -2.3, 4.917, -1.791], dtype=z.dtype)
        return o.torch.softmax(z * (beta.clamp(min=1.0) if entropy > 0.5 else 1.0), -1)

    return {"torch: softmax(β s)": o.row(attention.adaptive_temp, theirs)}


ROW = Row(
    "adaptive_temp",
    {"when": "always"},
    NormalizerEvidence((case("adaptive_temp", adaptive_temp),), oracles, call={"train": True}),
)


def test_it_is_for_evaluation():
    record, always = (attention.build("normalizer", spec) for spec in ("adaptive_temp", "adaptive_temp(when=always)"))
    flat = jnp.linspace(0, 1, 40)[None, None, None]
    softmax_of_it, adapted = attention.softmax(flat), record.apply({}, flat, None, Call())
    np.testing.assert_allclose(record.apply({}, flat, None, Call(train=True)), softmax_of_it, atol=1e-6)
    assert not np.allclose(adapted, softmax_of_it, atol=1e-4)
    np.testing.assert_allclose(always.apply({}, flat, None, Call(train=True)), adapted, atol=1e-6)
