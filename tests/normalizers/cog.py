"""Evidence of signed softmax of absolute scores."""

import jax.numpy as jnp
import numpy as np

import attention
from tests.support.evidence import Law, NormalizerEvidence
from tests.support.normalizers import case
from tests.support.reference_normalizers import softmax
from tests.support.row import Row


def cog(row, mask):
    return np.sign(row) * softmax(np.abs(row), mask)


def oracles():
    from tests.support import oracle_normalizer_layers as layers
    from tests.support import oracle_normalizers as o

    return {
        "torch: sign · softmax(abs)": o.row(attention.cog, lambda z: z.sign() * o.torch.softmax(z.abs(), -1)),
        "x-transformers cog_signed": layers.x_transformers("cog", cog_signed=True),
    }


LAWS = {
    "of positive scores it is softmax": Law(
        lambda s, w: attention.cog(jnp.abs(s), w), lambda s, w: attention.softmax(jnp.abs(s), w)
    ),
}
ROW = Row("cog", {}, NormalizerEvidence((case("cog", cog),), oracles, laws=LAWS))
