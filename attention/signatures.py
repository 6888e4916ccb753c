"""What files say of themselves, read without running them: their documentation, their public names, the options of ``build``.

So that variants are listed and checked before JAX is imported, which takes a second. Annotations and defaults are worked out
where they are written down: numbers, strings, ``Literal`` and unions, names for these, and classes, of which only the ``kind``
is known. What else a file computes is not known here.
"""

import ast
import functools
import importlib.util
import inspect
import math
import operator
import re
import threading
import typing
import warnings
from pathlib import Path
from typing import Any, NamedTuple


class NotWrittenDown(Exception):
    """What was asked for cannot be told from the text of a file."""


class Written(NamedTuple):
    """A parameter as it is written down; ``default`` is ``inspect.Parameter.empty`` where there is none."""

    name: str
    type: Any
    default: Any
    kind: Any  # as inspect.Parameter has it


def folder(package: str) -> Path:
    """Where a package lies; only the outermost one is imported, if any."""
    root, *inner = package.split(".")
    spec = importlib.util.find_spec(root)
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError(f"no package {root}", name=root)
    return Path(spec.submodule_search_locations[0]).joinpath(*inner)


@functools.cache
def documentation(module: str) -> str:
    """The docstring of a file, as ``inspect.getdoc`` has it."""
    return ast.get_docstring(_tree(module)) or ""


def public(module: str) -> tuple[str, ...]:
    """The names in ``__all__`` of a file; none where it has no such list."""
    found = re.search(r"^__all__\b[^=\n]*=\s*(\[[^\]]*\])", _text(module), re.MULTILINE)  # sooner than parsing every file
    return tuple(ast.literal_eval(syntax(found[1], mode="eval"))) if found else ()


def defines(module: str, name: str) -> bool:
    """Whether a file defines a function of that name."""
    return any(isinstance(node, ast.FunctionDef) and node.name == name for node in _tree(module).body)


@functools.cache
def parameters(module: str, function: str) -> tuple[Written, ...]:
    """The parameters of a function that a file defines. Raises NotWrittenDown where it is made otherwise, or one of them is."""
    found = [node for node in _tree(module).body if isinstance(node, ast.FunctionDef) and node.name == function]
    if not found or found[-1].decorator_list:
        raise NotWrittenDown(f"{module} does not define {function}")
    given, empty = found[-1].args, inspect.Parameter.empty
    before: list[ast.expr | None] = [*given.posonlyargs, *given.args]  # pyright: ignore[reportAssignmentType]
    defaults = [None] * (len(before) - len(given.defaults)) + given.defaults
    pairs = [*zip([*given.posonlyargs, *given.args], defaults), *zip(given.kwonlyargs, given.kw_defaults)]
    kinds = [inspect.Parameter.POSITIONAL_OR_KEYWORD] * len(before) + [inspect.Parameter.KEYWORD_ONLY] * len(given.kwonlyargs)
    written = [
        Written(
            each.arg,
            Any if each.annotation is None else _value(each.annotation, module),
            empty if default is None else _value(default, module),
            kind,
        )
        for (each, default), kind in zip(pairs, kinds)
    ]
    rest = given.kwarg
    return (*written, *([] if rest is None else [Written(rest.arg, Any, empty, inspect.Parameter.VAR_KEYWORD)]))


@functools.cache
def _tree(module: str) -> ast.Module:
    return syntax(_text(module), module)


_PARSING = threading.RLock()


def syntax(text: str, file: str = "<unknown>", mode: str = "exec") -> Any:
    """``ast.parse`` for threads: those of CPython 3.11 share one count of depth, and two at once raise SystemError."""
    with _PARSING, warnings.catch_warnings():
        warnings.simplefilter("ignore", SyntaxWarning)  # a backslash that escapes nothing is a backslash
        return ast.parse(text, file, mode)


def _text(module: str) -> str:
    path = folder(module)
    file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    try:
        return file.read_text(encoding="utf-8")
    except OSError:
        raise NotWrittenDown(f"{module} has no file that can be read") from None


_BUILT_IN: dict[str, Any] = {each.__name__: each for each in (bool, float, int, str, tuple, list, dict, type(None))}
_OPERATORS = {
    ast.BitOr: operator.or_,
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
}


def _value(node: ast.expr, module: str) -> Any:
    """What an expression in a file comes to. Raises NotWrittenDown."""
    if isinstance(node, ast.Constant):
        return node.value
    if isinstance(node, ast.Name):
        return _named(node.id, module)
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        return _imported(node.attr, _origin(node.value.id, module), module)
    if isinstance(node, ast.Subscript):
        return _value(node.value, module)[_value(node.slice, module)]
    if isinstance(node, (ast.Tuple, ast.List)):
        return tuple(_value(item, module) for item in node.elts)
    if isinstance(node, ast.Call) and not node.keywords and (call := _value(node.func, module)) in (tuple, math.sqrt):
        return call(*(_value(argument, module) for argument in node.args))
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return -_value(node.operand, module)
    if isinstance(node, ast.BinOp) and (operate := _OPERATORS.get(type(node.op))):
        return operate(_value(node.left, module), _value(node.right, module))
    raise NotWrittenDown(f"{module} computes {ast.unparse(node)}")


@functools.cache
def _named(name: str, module: str) -> Any:
    """What a name means in a file: what the file gives it, what it imports it from, or a type of Python's."""
    for node in reversed(_tree(module).body):
        if isinstance(node, ast.ClassDef) and node.name == name:
            return _class(node, module)
        if name in _targets(node):
            return _value(node.value, module)  # pyright: ignore[reportAttributeAccessIssue]
        if isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                if (alias.asname or alias.name) == name:
                    return _imported(alias.name, node.module, module)
    if name in _BUILT_IN:
        return _BUILT_IN[name]
    raise NotWrittenDown(f"{module} has no {name}")


def _imported(name: str, origin: str, module: str) -> Any:
    """What a file gets from another: one of its own package, ``typing`` or ``math``."""
    if origin in ("typing", "math"):
        return getattr(typing if origin == "typing" else math, name)
    if origin.split(".")[0] != module.split(".")[0]:
        raise NotWrittenDown(f"{origin} is not read")
    return _named(name, origin)


def _origin(name: str, module: str) -> str:
    """The module that a name stands for in a file."""
    for node in _tree(module).body:
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            for alias in node.names:
                if (alias.asname or alias.name) == name:
                    return alias.name if isinstance(node, ast.Import) else f"{node.module}.{alias.name}"
    raise NotWrittenDown(f"{module} imports no {name}")


@functools.cache
def _class(node: ast.ClassDef, module: str) -> type:
    """Stands for a class, of which it has the name and the ``kind``."""
    kinds = [_value(each.value, module) for each in node.body if isinstance(each, ast.Assign) and "kind" in _targets(each)]
    return type(node.name, (), {"kind": kinds[0]} if kinds else {})


def _targets(node: ast.AST) -> tuple[str, ...]:
    """The names that a statement gives a value."""
    if isinstance(node, ast.AnnAssign):
        targets = [] if node.value is None else [node.target]
    else:
        targets = node.targets if isinstance(node, ast.Assign) else []
    return tuple(target.id for target in targets if isinstance(target, ast.Name))
