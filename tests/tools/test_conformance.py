"""The conformance page: what is counted, and that it is up to date."""

import pytest

from attention import specs
from tests.support import rows
from tools import conformance


def test_tests_are_counted_by_the_variant_that_their_parameter_names():
    tests = [
        ("encodings", "test_reference", "counted-alibi(form=asymmetric)"),
        ("encodings", "test_reference", "alibi"),
        ("encodings", "test_reference", "p_rope"),
        ("normalizer_claims", "test_claims", "entmax15"),
        ("rows", "test_rows", "encoding-alibi"),
        ("encodings", "test_other", "no_variant_of_that_name"),
    ]
    found = conformance.counted(tests)
    assert found["encoding"] == {"test_reference": {"alibi": 2, "p_rope": 1}}
    assert found["normalizer"] == {"test_claims": {"entmax15": 1}}
    assert set(found) == {"encoding", "normalizer"}


def test_oracles_are_named_without_their_packages(tmp_path):
    file = tmp_path / "evidence.py"
    file.write_text(
        'x = 1\n\n\ndef oracles():\n    import nothing_here\n\n    f = {"inner": 1}\n    return {"torch: a": f, "b": 2}\n'
    )
    assert conformance._keys(file, 4) == ["torch: a", "b"]


@pytest.mark.parametrize("returned", ["found", '{f"{x}": 1 for x in "ab"}', '{"a": 1, **found}', '{"a": 1, f"{b}": 2}', "{}"])
def test_names_of_oracles_that_are_not_written_out_are_refused(tmp_path, returned):
    file = tmp_path / "evidence.py"
    file.write_text(f"def oracles():\n    return {returned}\n")
    with pytest.raises(ValueError, match=r"evidence.py, line 1: oracles has to return a dictionary whose keys are written out"):
        conformance._keys(file, 1)


def test_every_name_of_an_oracle_can_be_read():
    for kind in specs.KINDS:
        for name, row in rows.rows(kind).items():
            assert "oracles" not in row.evidence._fields or conformance._oracles(kind, name)


@pytest.mark.slow
def test_the_page_is_what_the_tool_writes():
    assert conformance.page() == conformance.PAGE.read_text(encoding="utf-8"), "run python -m tools.pages"
