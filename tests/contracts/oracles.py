"""Every method against other packages, on random numbers in float64 where the package can; read with ``-m oracle`` alone."""

import pytest

from attention import specs
from tests.support.rows import rows
from tests.support.witness import differences

pytestmark = [pytest.mark.oracle, pytest.mark.filterwarnings("ignore:flex_attention called without:UserWarning")]

WITNESSES = {
    (kind, name, oracle): witness
    for kind in specs.KINDS
    for name, row in rows(kind).items()
    if callable(oracles := getattr(row.evidence, "oracles", None))
    for oracle, witness in oracles().items()
}


@pytest.mark.parametrize("row", list(WITNESSES), ids="-".join)
def test_oracle(row, record_property):
    witness = WITNESSES[row]
    value, gradient = differences(witness)
    record_property("oracle", (*row, value, gradient))
    assert value <= witness.tolerance
    assert gradient is None or gradient <= 10 * witness.tolerance
