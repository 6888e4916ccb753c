"""Every method against other packages, on random numbers in float64 where the package can."""

import pytest

import attention
from tests.oracles import (
    oracle_decoders,
    oracle_encodings_absolute,
    oracle_encodings_bias,
    oracle_encodings_content,
    oracle_encodings_rotary,
)
from tests.support.witness import differences

pytestmark = [pytest.mark.oracle, pytest.mark.filterwarnings("ignore:flex_attention called without:UserWarning")]

FAMILIES = (oracle_encodings_absolute, oracle_encodings_bias, oracle_encodings_content, oracle_encodings_rotary)
TABLES = (
    ("decoder", oracle_decoders.DECODERS),
    *(("encoding", family.ENCODINGS) for family in FAMILIES),
)
# Encodings without a package of their own: their numbers are published ones, references in NumPy, or those of what they wrap.
ALONE = {
    "encoding": {"none", "sinusoidal", "learned", "shaw", "randomized", "shift", "cape", "every"},
}
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


@pytest.mark.parametrize("kind", ["normalizer", "score", "encoding", "decoder"])
def test_every_method_has_an_oracle(kind):
    found = {method for of, method, _ in WITNESSES if of == kind}
    assert found == set(attention.names(kind)) - ALONE.get(kind, set())
