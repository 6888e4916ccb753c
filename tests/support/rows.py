"""The rows of a kind, found by walking its folder, and the tables that contracts run over."""

import functools
import importlib
import pkgutil
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
    found = (module.name for module in pkgutil.iter_modules(importlib.import_module(package(kind)).__path__))
    return tuple(sorted(name for name in found if not name.startswith(("_", "test_"))))


@functools.cache
def rows(kind: str) -> dict[str, Row]:
    """Every evidence file's row, by name of the variant."""
    return {name: importlib.import_module(f"{package(kind)}.{name}").ROW for name in files(kind)}


def cases(kind: str) -> dict[str, tuple[str, Any]]:
    """By spec, the variant and the case, of the kinds whose evidence has several ``cases``."""
    return {case.spec: (name, case) for name, row in rows(kind).items() for case in row.evidence.cases}


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


def over_rows(kind: str) -> pytest.MarkDecorator:
    """Runs a test with ``name`` and ``row`` of every variant of a kind."""
    return pytest.mark.parametrize(("name", "row"), [pytest.param(*each, id=each[0]) for each in rows(kind).items()])


def over_cases(kind: str) -> pytest.MarkDecorator:
    """Runs a test with every ``case`` of a kind."""
    return pytest.mark.parametrize("case", [pytest.param(case, id=spec) for spec, (_, case) in cases(kind).items()])


def over_knobs(kind: str) -> pytest.MarkDecorator:
    """Runs a test with every ``knob`` of a kind."""
    return pytest.mark.parametrize("knob", [pytest.param(knob, id=knob.with_) for knob in knobs(kind)])
