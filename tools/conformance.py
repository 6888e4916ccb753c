"""``docs/conformance.md``: which tests each variant has to pass, and with which other packages it is compared.

Nothing is run: the tests are collected, and counted by the variant that their parameter names.
"""

import ast
import importlib
import re
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path

from attention import specs
from tests.support import rows
from tools.markdown import table

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "conformance.md"
HEAD = """<!-- Made by python -m tools.pages, from the tests. -->
# Conformance

How many tests of its kind's contract every variant has to pass: a column per test, counted over the cases of the variant's
evidence (a case is the variant with options). *Own* counts the tests of that variant alone, in its evidence file.
*Compared with* names what it is compared with beside the NumPy reference written from the formula, in value and gradient
(`python -m pytest -m oracle tests/contracts/oracles.py`); where there is nothing, the reason.
"""


def collected() -> list[tuple[str, str, str]]:
    """(file, test, parameter) of the contract tests of all kinds.

    Raises:
      RuntimeError: where they cannot be collected, with what pytest says.
    """
    command = [sys.executable, "-m", "pytest", "--collect-only", "-n", "0", "tests/contracts"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(done.stdout + done.stderr)
    return re.findall(r"^tests/contracts/(\w+)\.py::(\w+)\[(.*)\]$", done.stdout, re.MULTILINE)


def counted(tests: Iterable[tuple[str, str, str]]) -> dict[str, dict[str, Counter[str]]]:
    """By kind and test, how often each variant is its parameter; a file begins with the name of its kind."""
    found: dict[str, dict[str, Counter[str]]] = defaultdict(lambda: defaultdict(Counter))
    for file, test, parameter in tests:
        kind = next((kind for kind in specs.KINDS if file.startswith(kind)), None)
        names = sorted(specs.names(kind), key=len, reverse=True) if kind else []
        name = re.search(rf"(?<![a-z_])(?:{'|'.join(names)})(?![a-z0-9_])", parameter) if names else None
        if kind and name:
            found[kind][test][name[0]] += 1
    return found


def _own(kind: str, name: str) -> int:
    """Test functions of the evidence file."""
    file = importlib.import_module(f"{rows.package(kind)}.{name}").__file__ or ""
    body = ast.parse(Path(file).read_text(encoding="utf-8")).body
    return sum(isinstance(node, ast.FunctionDef) and node.name.startswith("test_") for node in body)


def _oracles(kind: str, name: str) -> str:
    """The names of the witnesses that the evidence returns, or why there is none."""
    found = getattr(rows.rows(kind)[name].evidence, "oracles", "")
    if isinstance(found, str):
        return found
    return "; ".join(_keys(Path(found.__code__.co_filename), found.__code__.co_firstlineno))


def _keys(path: Path, line: int) -> list[str]:
    """The keys of the dictionary that a function returns; it is not called, for that would import the packages.

    Raises:
      ValueError: where the function does not end with ``return {...}`` whose keys are written out.
    """
    tree = ast.parse(path.read_text(encoding="utf-8"))
    function = next(node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.lineno == line)
    last = function.body[-1]
    given = last.value.keys if isinstance(last, ast.Return) and isinstance(last.value, ast.Dict) else []
    keys = [key.value for key in given if isinstance(key, ast.Constant) and isinstance(key.value, str)]
    if not keys or len(keys) < len(given):
        raise ValueError(f"{path}, line {line}: {function.name} has to return a dictionary whose keys are written out")
    return keys


def page() -> str:
    """The text of the page."""
    parts = [HEAD]
    found = counted(collected())
    for kind, tests in ((kind, found[kind]) for kind in specs.KINDS if kind in found):
        order = sorted(tests, key=lambda test: (-sum(tests[test].values()), test))
        head = [kind, *(test.removeprefix("test_").replace("_", " ") for test in order), "own", "compared with"]
        names = [name for name in specs.names(kind) if name in rows.files(kind)]
        lines = (
            [f"`{name}`", *(str(tests[test][name] or "") for test in order), str(_own(kind, name) or ""), _oracles(kind, name)]
            for name in names
        )
        parts.append(table(head, lines) + "\n")
    return "\n".join(parts)
