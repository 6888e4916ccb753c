"""Evidence of no encoding at all."""

import jax.numpy as jnp
import numpy as np

import attention
from tests.support.evidence import EncodingCase, EncodingEvidence
from tests.support.row import Row


def picture():
    from tools.kinds.encoding_maps import Image, Lines, T

    ones = jnp.ones((T, 1, 1))
    weigh = lambda mask: np.asarray(attention.attend(ones, ones, ones, mask=mask, return_weights=True)[1][0])
    full, causal = weigh("full"), weigh("causal")
    return (
        Image("weights of equal tokens", full, limit=0.25),
        Image("the same, causal mask", np.where(causal == 0, np.nan, causal), limit=0.25),
        Lines("weight of the first token", "query", np.arange(T), {"full": full[:, 0], "causal": causal[:, 0]}, beside=True),
    )


ROW = Row(
    "none",
    {},
    EncodingEvidence((EncodingCase("none"),), "there is nothing to compare", directed=False, ordered=False, picture=picture),
)
