"""Evidence of the kernel that is chosen by size: it computes nothing itself."""

from attention.attend import parts_of
from attention.kernels import Ask, chosen
from attention.kernels.auto import MOST
from tests.support.evidence import KernelEvidence
from tests.support.row import Row

ROW = Row("auto", {}, KernelEvidence())


def test_what_is_chosen():
    """Dense up to a number of scores, and where chunked cannot."""
    parts, coupled = (parts_of(normalizer=name) for name in ("softmax", "sinkhorn"))
    choose = lambda scores, parts=parts, weights=False: chosen("auto", Ask(parts, scores, weights)).spec
    assert choose((MOST,)) == "dense"
    assert choose((2, MOST)) == "chunked"
    assert choose((2, MOST), coupled) == "dense"
    assert choose((2, MOST), weights=True) == "dense"
