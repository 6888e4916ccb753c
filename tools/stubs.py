"""Writes ``attention/__init__.pyi``, by which a type checker knows the public names and what ``build`` returns for each kind.

python -m tools.stubs [--check]
"""

import argparse
import functools
import sys
import textwrap
import typing
from collections.abc import Iterator, Sequence
from pathlib import Path

import attention
from attention import specs

SOURCE = Path(attention.__file__)
STUB = SOURCE.with_suffix(".pyi")


def written() -> str:
    """The text of the stub."""
    parts = [
        '"""The public names of the library, by kind. Written by ``python -m tools.stubs``."""\n# ruff: noqa: I001',
        "from typing import Any, Literal, overload",
        "\n".join(_imports()),
        "\n".join(_variants()).lstrip(),
        "\n".join(_modules()),
        "\n".join(_record_imports()),
        "__version__: str\nPURE_KINDS: tuple[str, ...]",
        "\n".join(_overloads()),
    ]
    return "\n\n".join(parts) + "\n"


def _imports() -> Iterator[str]:
    """The functions and records that are of no variant, but ``build``, which is typed by kind below."""
    lazy = {**vars(attention)["_OF_JAX_ALONE"], **vars(attention)["_OF_TRAINING"]}
    for module, names in sorted({**lazy, "attention.specs": ("canonical", "describe", "names")}.items()):
        yield _line(module, names)


def _variants() -> Iterator[str]:
    """The mathematics of every variant of the pure kinds."""
    for kind in attention.PURE_KINDS:
        yield f"\n# {kind}"
        modules = (specs.module(kind, name) for name in specs.names(kind))
        yield from (_line(module.__name__, module.__all__) for module in modules if module.__all__)


def _modules() -> Iterator[str]:
    """The files and folders of the package, but those whose name a function has."""
    yield from (
        f"from . import {name} as {name}" for name in sorted(vars(attention)["_MODULES"] - {*vars(attention)["_files"]})
    )


def _line(module: str, names: Sequence[str]) -> str:
    line = f"from {module} import {', '.join(f'{name} as {name}' for name in names)}"
    if len(line) <= 128:
        return line
    listed = ",\n".join(f"{name} as {name}" for name in names)
    return f"from {module} import (\n{textwrap.indent(listed, '    ')},\n)"


def _record_imports() -> Iterator[str]:
    """The records that are no public names."""
    found = {record for record in map(_record, specs.KINDS) if _shown(record) != record.__name__}
    for record in sorted(found, key=lambda record: (record.__module__, record.__name__)):
        yield f"from {record.__module__} import {record.__name__} as {_shown(record)}"
    yield "from attention.specs import Spec as _Spec"


def _overloads() -> Iterator[str]:
    """``build`` with the record of each kind."""
    for kind in specs.KINDS:
        yield f'@overload\ndef build(kind: Literal["{kind}"], spec: str | _Spec) -> {_shown(_record(kind))}: ...'
    yield "@overload\ndef build(kind: str, spec: str | _Spec) -> Any: ..."


def _shown(record: type) -> str:
    public = getattr(attention, record.__name__, None) is record
    return record.__name__ if public else f"_{record.__name__}"


@functools.cache
def _record(kind: str) -> type:
    """The nearest class of all that ``build`` of a kind's variants returns."""
    found = [typing.get_type_hints(specs.module(kind, name).build)["return"] for name in specs.names(kind)]
    return next(each for each in found[0].__mro__ if all(issubclass(other, each) for other in found))


def main(arguments: list[str] | None = None) -> int:
    """Writes the stub, or checks it; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="compare, write nothing")
    options = parser.parse_args(arguments)
    new, old = written(), STUB.read_text(encoding="utf-8") if STUB.exists() else ""
    if options.check and new != old:
        print("attention/__init__.pyi is not what the library says: run python -m tools.stubs", file=sys.stderr)
        return 1
    if new != old:
        STUB.write_text(new, encoding="utf-8")
        print(f"wrote {STUB}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
