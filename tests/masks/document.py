"""Evidence of the mask of packed texts."""

import jax.numpy as jnp
import pytest

import attention
from attention.records import Call
from tests.support.evidence import MaskCase, MaskEvidence
from tests.support.helpers import inputs
from tests.support.masks import T
from tests.support.row import Row

ROW = Row("document", {}, MaskEvidence((MaskCase("document", lambda p: p.s == p.t, {90}),), {"document": T * T}))


@pytest.mark.parametrize(
    ("given", "missing"),
    [((), "q_segments and k_segments"), (("q_segments",), "no k_segments"), (("k_segments",), "no q_segments")],
)
def test_it_wants_segments(given, missing):
    call = Call(**{name: jnp.zeros(5, jnp.int32) for name in given})
    with pytest.raises(ValueError, match=rf"{missing}; give attend call=Call\(q_segments=\.\.\., k_segments=\.\.\.\)"):
        attention.attend(*inputs(T=5, S=5), mask="document", call=call)
