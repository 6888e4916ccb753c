"""Evidence of slot attention."""

import jax.numpy as jnp
import numpy as np

import attention
from tests.support.evidence import Law, NormalizerCase, NormalizerEvidence
from tests.support.reference_normalizers import slot
from tests.support.row import Row


def oracles():
    from tests.support import oracle_normalizer_layers as layers
    from tests.support import oracle_normalizers as o

    def inverted():
        """Inverted attention takes the padded queries apart from the keys."""
        module = layers.x_attend.Attend(heads=layers.N, inverted_attention=True, qk_norm=True).double().eval()
        rows = np.random.default_rng(13).random((layers.B, layers.T)) > 0.3

        def ours(query, key, value, where, rows):
            both = rows[:, None, :, None] & where[:, None, None, :]
            return attention.attend(query, key, value, normalizer="slot(epsilon=0)", where=both)

        def theirs(query, key, value, where, rows):
            found = module(*(x.transpose(1, 2) for x in (query, key, value)), mask=where[:, None, None, :], row_mask=rows)
            return found[0].transpose(1, 2)

        return o.Witness(ours, theirs, (*layers.inputs(heads=layers.N), rows))

    return {
        "torch.softmax + ε, F.normalize(p=1)": o.matrix(
            lambda s, w: attention.slot(s, w, epsilon=1e-3),
            lambda s: o.F.normalize(o.torch.softmax(s, -2) + 1e-3, p=1, dim=-1),
        ),
        "x-transformers inverted_attention": inverted(),
    }


LAWS = {
    "ε = 0 is double_norm": Law(lambda s, w: attention.slot(s, w, epsilon=0.0), lambda s, w: attention.double_norm(s, w)),
}
ROW = Row(
    "slot",
    {"epsilon": "0.1"},
    NormalizerEvidence(
        (NormalizerCase("slot", slot, monotone=False),),
        oracles,
        laws=LAWS,
        errors={"slot(epsilon=-1)": r"epsilon must be in \[0, 1\), got -1.0"},
    ),
)


def test_queries_compete():
    """A key that one query wants far more goes to it; with ε a query that lost all keys gets their mean."""
    scores = jnp.array([[30.0, 30.0, 30.0], [0.0, 0.0, 0.0]])
    np.testing.assert_allclose(attention.slot(scores, epsilon=1e-4), np.full((2, 3), 1 / 3), atol=1e-5)
    np.testing.assert_allclose(attention.slot(10 * scores, epsilon=0.0), [[1 / 3] * 3, [0] * 3], atol=1e-6)
