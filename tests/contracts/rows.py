"""A variant is two files: what holds of the rows of every kind."""

import inspect
from fnmatch import fnmatch

import pytest

from attention import specs
from tests.support.row import Row
from tests.support.rows import files, knobs, package, rows, title

KINDS = pytest.mark.parametrize("kind", specs.KINDS)
ROWS = [pytest.param(kind, name, id=f"{kind}-{name}") for kind in specs.KINDS for name in files(kind)]
every = pytest.mark.parametrize(("kind", "name"), ROWS)


@KINDS
def test_every_method_has_its_evidence(kind):
    methods, evidence = set(specs.names(kind)), set(files(kind))
    assert not methods - evidence, f"no {package(kind)}: {sorted(methods - evidence)}; python -m tools.new begins both files"
    assert not evidence - methods, f"evidence of no {kind}: {sorted(evidence - methods)}"


@KINDS
def test_evidence_files_are_collected(kind, request):
    """Tests of a variant's own stand in its evidence file; a new kind has a line in pyproject.toml."""
    file = f"{package(kind).replace('.', '/')}/name.py"
    assert any(fnmatch(file, pattern) for pattern in request.config.getini("python_files"))


@every
def test_the_row_is_of_the_variant(kind, name):
    row = rows(kind)[name]
    assert type(row) is Row
    assert specs.check(kind, row.spec).name == name
    if cases := getattr(row.evidence, "cases", ()):
        found = [getattr(case, "spec", None) or case.specs[kind] for case in cases]
        assert len({title(case) for case in cases}) == len(cases)
        assert found[0] == row.spec
        assert {specs.check(kind, spec).name for spec in found} == {name}


@every
def test_every_option_has_another_value(kind, name):
    """Beside that of the row's spec, so that a test of dead options can turn each."""
    given, there = set(rows(kind)[name].options), {option.name for option in specs.options(kind, name)}
    assert not there - given, f"Row.options of {name} has no other value of {sorted(there - given)}"
    assert not given - there, f"{name} has no option {sorted(given - there)}"
    for knob in knobs(kind):
        if knob.name == name:
            assert specs.canonical(kind, knob.without) != specs.canonical(kind, knob.with_)


@every
def test_bad_options_are_refused(kind, name):
    for spec, message in getattr(rows(kind)[name].evidence, "errors", {}).items():
        with pytest.raises(ValueError, match=message) as caught:
            specs.build(kind, spec)
        assert "\n" not in str(caught.value)


@every
def test_there_are_witnesses_or_a_reason(kind, name):
    evidence = rows(kind)[name].evidence
    if "oracles" in evidence._fields:
        assert evidence.oracles
        assert inspect.isfunction(evidence.oracles) or isinstance(evidence.oracles, str)
