"""Content-dependent encodings, against other packages."""

import pytest
from oracle_compare import differences
from oracle_encodings_content import ENCODINGS

pytestmark = pytest.mark.oracle


@pytest.mark.parametrize("row", [(method, oracle) for method, found in ENCODINGS.items() for oracle in found], ids="-".join)
def test_oracle(row, record_property):
    witness = ENCODINGS[row[0]][row[1]]
    value, gradient = differences(witness)
    record_property("oracle", ("encoding", *row, value, gradient))
    assert value <= witness.tolerance
    assert gradient is None or gradient <= 10 * witness.tolerance
