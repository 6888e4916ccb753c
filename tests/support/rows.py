"""The rows of a kind, found by walking its folder, and the tables that contracts run over."""

import functools
import importlib
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from attention import specs
from attention.specs import Spec
from tests.support.row import Row


def package(kind: str) -> str:
    """The package of the evidence files of a kind.

    Example:
      >>> package("source")
      'tests.data.sources'
    """
    return specs.KINDS[kind].replace("attention.", "tests.", 1)


def files(kind: str) -> tuple[str, ...]:
    """The names of a kind's evidence files, sorted; helpers and tests of no single variant are none."""
    folder = Path(__file__).parents[2] / package(kind).replace(".", "/")
    return tuple(sorted(path.stem for path in folder.glob("*.py") if not path.stem.startswith(("_", "test_"))))


@functools.cache
def rows(kind: str) -> dict[str, Row]:
    """Every evidence file's row, by name of the variant."""
    return {name: importlib.import_module(f"{package(kind)}.{name}").ROW for name in files(kind)}


def title(case: Any) -> str:
    """What tells a case from the others of its kind: its spec, where it has no ``title``."""
    return getattr(case, "title", None) or case.spec


def cases(kind: str) -> dict[str, tuple[str, Any]]:
    """By title, the variant and the case, of the kinds whose evidence has several ``cases``."""
    return {title(case): (name, case) for name, row in rows(kind).items() for case in row.evidence.cases}


class Knob(NamedTuple):
    """Two specs that differ in one option alone."""

    name: str
    option: str
    without: str
    with_: str


def knobs(kind: str) -> list[Knob]:
    """One per variant, option and value of ``Row.options``."""
    found = []
    for name, row in rows(kind).items():
        for option, values in row.options.items():
            for value in (values,) if isinstance(values, str) else values:
                given = dict(specs.parse(f"{name}({option}={value})").options)
                wanted = given.pop(option)
                base = dict(specs.parse(row.spec).options) | given
                without, with_ = (str(Spec(name, tuple(each.items()))) for each in (base, base | {option: wanted}))
                found.append(Knob(name, option, without, with_))
    return found


# With the scope of a module, all tests of a row stand together: they share its compiled programs.


def over_rows(kind: str) -> pytest.MarkDecorator:
    """Runs a test with ``name`` and ``row`` of every variant of a kind."""
    found = [pytest.param(*each, id=each[0]) for each in rows(kind).items()]
    return pytest.mark.parametrize(("name", "row"), found, scope="module")


def over_cases(kind: str) -> pytest.MarkDecorator:
    """Runs a test with every ``case`` of a kind."""
    found = [pytest.param(case, id=title) for title, (_, case) in cases(kind).items()]
    return pytest.mark.parametrize("case", found, scope="module")


def over_knobs(kind: str) -> pytest.MarkDecorator:
    """Runs a test with every ``knob`` of a kind."""
    return pytest.mark.parametrize("knob", [pytest.param(knob, id=knob.with_) for knob in knobs(kind)])
