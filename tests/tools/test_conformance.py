"""The conformance page: what is counted, and that it is up to date."""

import pytest

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


@pytest.mark.slow
def test_the_page_is_what_the_tool_writes():
    assert conformance.page() == conformance.PAGE.read_text(encoding="utf-8"), "run python -m tools.pages"
