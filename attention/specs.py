"""Spec strings: how a variant of a kind is named, checked, listed and built.

A spec is a name with options: ``rope``, ``rope(base=5e5, fraction=0.5)``, ``softmax(temperature=2)``. Encodings and trackers
compose with ``+`` (``sinusoidal + t5``), masks with ``&`` (``causal & local(window=64)``), and an option may itself be a spec.
The text is parsed with ``ast`` and never evaluated. The folder of a kind is its registry: a variant is the file of that
name, and the signature of its ``build`` says which options there are, of which type and with which default.
"""

import ast
import difflib
import functools
import importlib
import inspect
import os
import pickle
import pkgutil
import re
import sys
import types
import typing
from collections.abc import Iterable
from typing import Any, NamedTuple

from attention import installation, signatures
from attention.messages import quoted, shown

KINDS = {
    "encoding": "attention.encodings",
    "normalizer": "attention.normalizers",
    "score": "attention.scores",
    "mask": "attention.masks",
    "mixer": "attention.mixers",
    "pooling": "attention.poolings",
    "gate": "attention.gates",
    "kernel": "attention.kernels",
    "encoder": "attention.encoders",
    "decoder": "attention.decoders",
    "source": "attention.data.sources",
    "tokenizer": "attention.data.tokenizers",
    "task": "attention.tasks",
    "rival": "attention.rivals",
    "optimizer": "attention.optimizers",
    "tracker": "attention.runs.trackers",
    "executor": "attention.lab.executors",
}
# The operator of a kind that composes; its package provides `combine(*records)`.
OPERATORS = {"encoding": "+", "mask": "&", "tracker": "+"}
_LONG = 100  # characters, more than any name has
_PATH = re.compile(r"[^()='\"]*[./\\~*?][^()='\"]*")  # what is no spec and looks like a path


class Spec(NamedTuple):
    """A parsed spec. ``name`` is a variant, or the operator when ``terms`` are composed."""

    name: str
    options: tuple[tuple[str, Any], ...] = ()
    terms: tuple["Spec", ...] = ()

    def __str__(self) -> str:
        if self.terms:
            return f" {self.name} ".join(str(term) for term in self.terms)
        if not self.options:
            return self.name
        return f"{self.name}({', '.join(f'{key}={_show(value)}' for key, value in self.options)})"


def parse(text: str) -> Spec:
    """Reads a spec string.

    Example:
      >>> parse("rope(base=5e5)")
      Spec(name='rope', options=(('base', 500000.0),), terms=())

    Args:
      text: names, options as ``name=value``, values that are numbers, strings, booleans, None, tuples or specs.

    Raises:
      ValueError: where the text is not a spec, naming the place.
    """
    if not isinstance(text, str):
        raise ValueError(f"a spec is a string such as 'rope(base=500000)', got {quoted(text)}")
    try:
        return _parsed(text.strip())
    except ValueError as error:
        if (meant := _requoted(text.strip())) is None:
            raise
        raise ValueError(f'{error}; strings want quotes, and in a shell others around the whole: "{meant}"') from None


def _parsed(text: str) -> Spec:
    try:
        tree = signatures.syntax(text, mode="eval")
    except (SyntaxError, ValueError, RecursionError) as error:
        column = getattr(error, "offset", None)
        place = (f" near column {column}" if column else "") + (" (a backslash is written twice)" if "\\" in text else "")
        raise ValueError(f"cannot read the spec {quoted(text)}{place}; want NAME or NAME(option=value, ...)") from None
    return _spec(tree.body, text)


def _requoted(text: str) -> Spec | None:
    """A spec whose quotes are missing, as a shell takes them away, with the quotes put back; None for what is none."""
    if len(text) > 10 * _LONG or "'" in text or '"' in text:
        return None
    try:
        return _parsed(
            re.sub(r"(?<=[(\s,])(\w+)\s*=\s*([^\s,()=]*[^\w\s,()=.+-][^,()=]*|[^\s,()=]*[A-Za-z_]\.[^,()=]*)", r"\1='\2'", text)
        )
    except ValueError:
        return None


def _spec(node: ast.expr, text: str) -> Spec:
    if isinstance(node, ast.Name):
        return Spec(node.id)
    if isinstance(node, ast.BinOp) and isinstance(node.op, (ast.Add, ast.BitAnd)):
        sign = "+" if isinstance(node.op, ast.Add) else "&"
        terms: list[Spec] = []
        for side in (node.left, node.right):
            spec = _spec(side, text)
            terms.extend(spec.terms if spec.name == sign else (spec,))
        return Spec(sign, terms=tuple(terms))
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        if node.args:
            given = ast.unparse(node.args[0])
            raise ValueError(f"spec {quoted(text)}: options are named, as in {node.func.id}(option={given})")
        options: list[tuple[str, Any]] = []
        for keyword in node.keywords:
            if keyword.arg is None:
                raise ValueError(f"spec {quoted(text)}: '**' is not allowed")
            options.append((keyword.arg, _value(keyword.value, text)))
        return Spec(node.func.id, tuple(options))
    raise ValueError(
        f"spec {quoted(text)}: {quoted(ast.unparse(node))} at column {node.col_offset + 1} is neither a name nor"
        " NAME(option=value)"
    )


def _value(node: ast.expr, text: str) -> Any:
    if isinstance(node, ast.Constant) and isinstance(node.value, (bool, int, float, str, type(None))):
        return node.value
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.USub, ast.UAdd)):
        number = _value(node.operand, text)
        if isinstance(number, (int, float)) and not isinstance(number, bool):
            return -number if isinstance(node.op, ast.USub) else number
    if isinstance(node, (ast.Tuple, ast.List)):
        return tuple(_value(item, text) for item in node.elts)
    return _spec(node, text)


def _show(value: Any) -> str:
    if isinstance(value, Spec):
        return str(value)
    if isinstance(value, tuple):
        return f"({', '.join(_show(item) for item in value)}{',' if len(value) == 1 else ''})"
    return repr(value)


def nearest(word: str, words: Iterable[str]) -> str:
    """`` (nearest: 'x')`` for the closest of ``words``, or one of which it is a part, as f1 of macro_f1.

    An empty string where there is none, as for what is no name but a long text.
    """
    if len(word) > _LONG:
        return ""
    known = [each for each in words if len(each) <= _LONG]
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.5) or [each for each in known if word in each.split("_")]
    return f" (nearest: {close[0]!r})" if close else ""


@functools.cache
def names(kind: str) -> tuple[str, ...]:
    """The variants of a kind: the public files of its folder, sorted."""
    folder = signatures.folder(_package(kind))  # not imported: listing needs none of what its files need
    found = (module.name for module in pkgutil.iter_modules([str(folder)]))
    return tuple(sorted(name for name in found if not name.startswith("_")))


def _package(kind: str) -> str:
    if kind not in KINDS:
        raise ValueError(f"unknown kind {kind!r}{nearest(str(kind), KINDS)}; kinds: {', '.join(KINDS)}")
    return KINDS[kind]


def _dotted(kind: str, name: str) -> str:
    """The file that defines a variant, by dotted name. Raises ValueError for one that there is not."""
    if name not in names(kind):
        raise ValueError(f"unknown {kind} {quoted(name)}{nearest(name, names(kind))}; known: {', '.join(names(kind))}")
    return f"{_package(kind)}.{name}"


def module(kind: str, name: str) -> types.ModuleType:
    """The file that defines a variant."""
    dotted = _dotted(kind, name)
    with installation.naming_what_is_missing():
        return importlib.import_module(dotted)


class Option(NamedTuple):
    """One option of a variant, read from the signature of its ``build``."""

    name: str
    type: Any
    default: Any  # inspect.Parameter.empty where the option must be given

    def __str__(self) -> str:
        if self.default is inspect.Parameter.empty:
            return self.name
        is_spec = _nested_kind(self.type) and isinstance(self.default, str)
        return f"{self.name}={self.default if is_spec else _show(self.default)}"


def options(kind: str, name: str) -> tuple[Option, ...]:
    """The options of a variant, in the order of its ``build``; its file is read, and not imported where that will do."""
    parameters = _parameters(kind, name)
    return tuple(Option(p.name, p.type, p.default) for p in parameters if p.kind != inspect.Parameter.VAR_KEYWORD)


def _passes_on(kind: str, name: str) -> bool:
    """Whether a variant takes options that it does not list, and checks them itself: ``build(*, name, **options)``."""
    return any(parameter.kind == inspect.Parameter.VAR_KEYWORD for parameter in _parameters(kind, name))


def _parameters(kind: str, name: str) -> tuple[signatures.Written, ...]:
    try:
        return signatures.parameters(_dotted(kind, name), "build")
    except signatures.NotWrittenDown:  # it is made by another function
        build_function = module(kind, name).build
    hints, parameters = typing.get_type_hints(build_function), inspect.signature(build_function).parameters.values()
    return tuple(signatures.Written(p.name, hints.get(p.name, Any), p.default, p.kind) for p in parameters)


class Description(NamedTuple):
    """What ``--list`` prints of a variant."""

    name: str
    summary: str
    options: tuple[Option, ...]

    def __str__(self) -> str:
        listed = f"({', '.join(map(str, self.options))})" if self.options else ""
        return f"{self.name}{listed}: {self.summary}"


def describe(kind: str, name: str) -> Description:
    """The name, first line of documentation, and options of a variant."""
    summary, *_ = signatures.documentation(_dotted(kind, name)).split("\n")
    return Description(name, summary, options(kind, name))


def build(kind: str, spec: str | Spec) -> Any:
    """Builds the record that a spec names.

    Example:
      >>> attention.build("encoding", "rope(base=5e5)").rotate

    Args:
      kind: one of ``KINDS``.
      spec: the spec, as text or parsed.

    Returns:
      The kind's record (``attention.records``); equal specs give one object.

    Raises:
      ValueError: for an unknown kind, name or option, a value of the wrong type or out of range. The message names the
        place, the nearest known name and everything that is allowed.
    """
    checked = check(kind, spec)
    canonical = str(_without_defaults(kind, checked))
    if (kind, canonical) not in _BUILT:
        record = _built(kind, checked)
        if "spec" not in getattr(record, "_fields", ()):
            return record
        _BUILT[kind, canonical] = record._replace(spec=canonical)
    return _BUILT[kind, canonical]


def by_spec(record: Any) -> tuple[Any, tuple[str, str]]:
    """How ``pickle`` keeps a record: as its spec. Raises PicklingError for one that ``build`` did not make."""
    if not record.spec or build(record.kind, record.spec) is not record:
        raise pickle.PicklingError(f"the {record.kind} is pickled as its spec, and this one was changed or made by hand")
    return build, (record.kind, record.spec)


_BUILT: dict[tuple[str, str], Any] = {}  # records that know their spec: equal specs are one object


def _built(kind: str, checked: Spec) -> Any:
    if checked.terms:
        package = importlib.import_module(_package(kind))
        return package.combine(*(build(kind, term) for term in checked.terms))
    known = {option.name: option for option in options(kind, checked.name)}
    values = {
        key: build(_nested_kind(known[key].type) or kind, value) if isinstance(value, Spec) else value
        for key, value in checked.options
    }
    for option in known.values():  # a default that is a spec, as in softcap(inner=softmax)
        nested = _nested_kind(option.type)
        if nested and option.name not in values and isinstance(option.default, str):
            values[option.name] = build(nested, option.default)
    try:
        return module(kind, checked.name).build(**values)
    except ValueError as error:
        raise ValueError(f"{kind} '{shown(checked)}': {error}") from None


def canonical(kind: str, spec: str | Spec) -> str:
    """The one way to write a spec: options in the order of ``build``, of their types, defaults left out.

    Example:
      >>> canonical("encoding", "rope( base = 1e4 )")
      'rope'
    """
    return str(_without_defaults(kind, check(kind, spec)))


def _without_defaults(kind: str, spec: Spec) -> Spec:
    if spec.terms:
        return Spec(spec.name, terms=tuple(_without_defaults(kind, term) for term in spec.terms))
    kept = []
    given = dict(spec.options)
    for option in options(kind, spec.name):
        if option.name not in given:
            continue
        value, default = given[option.name], option.default
        if isinstance(value, Spec):
            nested = _nested_kind(option.type) or kind
            value = _without_defaults(nested, value)
            default = check(nested, default) if isinstance(default, str) else default
        if value != default:
            kept.append((option.name, value))
    listed = {option.name for option in options(kind, spec.name)}
    return Spec(spec.name, (*kept, *sorted((name, value) for name, value in given.items() if name not in listed)))


def check(kind: str, spec: str | Spec) -> Spec:
    """Parses a spec, or a bare path, and checks names, options and types; ranges are checked by ``build``."""
    parsed = of_path(kind, spec) or parse(spec) if isinstance(spec, str) else spec
    if not isinstance(parsed, Spec):
        raise ValueError(f"a {kind} spec is a string such as {names(kind)[0]!r}, got {quoted(spec)}")
    if parsed.terms:
        if OPERATORS.get(kind) != parsed.name:
            allowed = ", ".join(f"{key}s with '{sign}'" for key, sign in OPERATORS.items())
            raise ValueError(f"{kind} '{shown(parsed)}': '{parsed.name}' does not compose {kind}s; composed are {allowed}")
        return Spec(parsed.name, terms=tuple(check(kind, term) for term in parsed.terms))
    known = {option.name: option for option in options(kind, parsed.name)}
    listed = ", ".join(map(str, known.values())) or "none"
    checked: dict[str, Any] = {}
    passes_on = _passes_on(kind, parsed.name)
    for key, value in parsed.options:
        if key not in known and not passes_on:
            raise ValueError(
                f"{kind} '{shown(parsed)}': unknown option {quoted(key)}{nearest(key, known)}; options of {parsed.name}:"
                f" {listed}"
            )
        if key in checked:
            raise ValueError(f"{kind} '{shown(parsed)}': option {quoted(key)} is given twice")
        try:
            checked[key] = _coerce(known[key].type if key in known else _Plain, value)
        except TypeError as error:
            raise ValueError(f"{kind} '{shown(parsed)}': option {key!r} {error}") from None
    missing = [o.name for o in known.values() if o.default is inspect.Parameter.empty and o.name not in checked]
    if missing:
        raise ValueError(f"{kind} '{shown(parsed)}': option {missing[0]!r} must be given; options of {parsed.name}: {listed}")
    return Spec(parsed.name, tuple(checked.items()))


def of_path(kind: str, text: str) -> Spec | None:
    """The spec that a bare path stands for, as the first variant whose file has ``from_path`` takes it; None for a spec.

    Raises:
      ValueError: for what is there and no variant takes.
    """
    exists = len(text) < 4096 and text.isprintable() and os.path.exists(os.path.expanduser(os.path.expandvars(text)))
    try:
        parsed = parse(text)
        if parsed.options or parsed.terms or parsed.name in names(kind) or not exists:
            return None
    except ValueError:
        if not exists and not _PATH.fullmatch(text):
            return None
    takers = {n: module(kind, n).from_path for n in names(kind) if signatures.defines(_dotted(kind, n), "from_path")}
    for name, take in takers.items():
        if (found := take(text)) is not None:
            return Spec(name, tuple(found.items()))
    if exists and takers:
        wanted = ", ".join(f"{name}({options(kind, name)[0].name}=...)" for name in takers)
        raise ValueError(f"no {kind} takes {shown(text)} as it stands; say what it is: {wanted}")
    return None


_Plain = bool | int | float | str | tuple | None  # of options that a variant passes on


def _nested_kind(hint: Any) -> str | None:
    """The kind whose record an option wants, read from the option's annotation."""
    for part in (hint, *typing.get_args(hint)):
        kind = getattr(part, "kind", None) if isinstance(part, type) else None
        if kind in KINDS:
            return kind
    return None


def _coerce(hint: Any, value: Any) -> Any:
    """The value as the type an option declares. Raises TypeError saying what is wanted."""
    nested = _nested_kind(hint)
    if nested is not None:
        if isinstance(value, (str, Spec)):
            return check(nested, value)
        if value is None and type(None) in typing.get_args(hint):
            return None
        raise TypeError(f"wants a spec of a {nested}, got {value!r}")
    if isinstance(value, Spec) and not value.options and not value.terms:
        value = value.name  # a bare word is a string: activation=gelu
    origin = typing.get_origin(hint)
    if origin is typing.Literal:
        choices = typing.get_args(hint)
        if value not in choices:
            raise TypeError(
                f"wants one of {', '.join(map(repr, choices))}{nearest(str(value), map(str, choices))}, got {_show(value)}"
            )
        return value
    if origin in (typing.Union, types.UnionType):
        for part in typing.get_args(hint):
            try:
                return _coerce(part, value)
            except TypeError:
                continue
        raise TypeError(f"wants {_type_name(hint)}, got {_show(value)}")
    if origin is tuple:
        items = value if isinstance(value, tuple) else (value,)
        return tuple(_coerce(typing.get_args(hint)[0], item) for item in items)
    if hint is type(None):
        if value is None:
            return None
    elif hint is Any:
        return value
    elif hint is float:
        if isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) <= sys.float_info.max:
            return float(value)
    elif hint is int:
        if isinstance(value, int) and not isinstance(value, bool):
            return value
    elif isinstance(value, hint):
        return value
    raise TypeError(f"wants {_type_name(hint)}, got {_show(value)}")


def _type_name(hint: Any) -> str:
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return " or ".join(_type_name(part) for part in typing.get_args(hint))
    if typing.get_origin(hint) is typing.Literal:
        return " or ".join(map(repr, typing.get_args(hint)))
    if hint is type(None):
        return "None"
    words = {int: "a whole number", float: "a number", bool: "True or False", str: "a string"}
    return words.get(hint, str(hint))
