"""Every method against other packages, on random numbers in float64 where the package can."""

import pytest
from oracle_compare import differences
from oracle_layers import LAYERS
from oracle_rows import ROWS
from oracle_scores import PAIRS

import attention

pytestmark = [pytest.mark.oracle, pytest.mark.filterwarnings("ignore:flex_attention called without:UserWarning")]

TABLES = (("normalizer", ROWS), ("normalizer", LAYERS), ("score", PAIRS))
WITNESSES = {
    (kind, method, oracle): witness
    for kind, table in TABLES
    for method, found in table.items()
    for oracle, witness in found.items()
}


@pytest.mark.parametrize("row", list(WITNESSES), ids="-".join)
def test_oracle(row, record_property):
    witness = WITNESSES[row]
    value, gradient = differences(witness)
    record_property("oracle", (*row, value, gradient))
    assert value <= witness.tolerance
    assert gradient is None or gradient <= 10 * witness.tolerance


@pytest.mark.parametrize("kind", ["normalizer", "score"])
def test_every_method_has_an_oracle(kind):
    assert {method for of, method, _ in WITNESSES if of == kind} == set(attention.names(kind))
