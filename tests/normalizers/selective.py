"""Evidence of selective attention."""

import jax.numpy as jnp
import numpy as np

import attention
from tests.support.evidence import NormalizerCase, NormalizerEvidence
from tests.support.normalizers import OFFSET
from tests.support.reference_normalizers import by_row, softmax
from tests.support.row import Row


def selective(scores, mask, own):
    """Head 0 hides: scores less what all queries before it have hidden of a key."""
    hides = lambda k, j: max(scores[0, k, j], 0.0) if mask[0, k, j] and j not in (0, k + OFFSET) else 0.0
    lowered = scores.copy()
    for n, t, j in np.ndindex(scores.shape):
        lowered[n, t, j] -= sum(hides(k, j) for k in range(t))
    return by_row(softmax)(lowered, mask, own)


def oracles():
    from tests.support import oracle_normalizer_layers as layers
    from tests.support import oracle_normalizers as o

    # Causal scores; what is above the diagonal is not theirs to hide.
    free = (jnp.arange(6) == 0) | jnp.eye(6, dtype=bool)
    ours = lambda s: attention.selective(s, jnp.where(free, 0.0, s[:, :1]))
    scores = np.random.default_rng(6).normal(size=(2, 3, 6, 6))
    return {
        "x-transformers selective_attn": o.Witness(ours, o.x_attend.selective_attn, (scores,)),
        "x-transformers selective": layers.x_transformers("selective", selective=True, causal=True),
    }


def picture():
    from tools.kinds.normalizer_weights import shown

    return shown("selective", "selective, head 0, causal")


ROW = Row(
    "selective",
    {"inner": "sparsemax"},
    NormalizerEvidence(
        (NormalizerCase("selective", selective, monotone=False, order=True),), oracles, public=None, picture=picture
    ),
)
