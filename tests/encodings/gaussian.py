"""Evidence of the Gaussian penalty."""

import numpy as np

import attention
from tests.support.encodings import N, biased, softplus, starts
from tests.support.evidence import EncodingCase, EncodingEvidence
from tests.support.helpers import float64
from tests.support.row import Row


def bias(params, h, i, j, heads, last):
    return -abs(softplus(params["w"][h]) * (i - j) ** 2 - softplus(params["b"][h]))


def oracles():
    from tests.support.encoding_oracles import B, F, bias_of, torch

    theirs = lambda distance, w, b: -torch.abs(F.softplus(w) * distance[..., None] ** 2 - F.softplus(b))
    return {"torch: softplus": bias_of("gaussian", theirs, ("w", "b"), B.normal(1, B.N), B.normal(2, B.N))}


def picture():
    from tools.kinds.encoding_maps import Image, added, of_distance, per_head

    found = added("gaussian")
    return (
        Image("head 1", found[0], limit=20.0),
        Image("head 2", found[1], limit=20.0),
        of_distance("by distance", per_head(found), lowest=-20.0),
    )


ROW = Row(
    "gaussian",
    {},
    EncodingEvidence(
        (EncodingCase("gaussian", scores=biased(bias)),),
        oracles,
        (0, 2 * N),
        directed=False,
        picture=picture,
        errors={"gaussian(width=3)": "unknown option 'width'"},
    ),
)


def test_start():
    found = starts("gaussian", num_heads=4000)
    np.testing.assert_allclose(np.logaddexp(0, float64(found["w"])), attention.alibi_slopes(4000) ** 2, rtol=1e-4)
