"""Nothing outside a variant's own file tests for its name, in any form."""

import ast
import dataclasses
import functools
import inspect
import re
import typing
from pathlib import Path

import jax
import pytest

import attention
from attention import records, specs
from attention.data import contracts
from attention.models.classifier import classifier
from attention.training import config

ROOT = Path(attention.__file__).parent
SEARCHES = ("startswith", "endswith", "removeprefix", "removesuffix", "find", "index", "count", "partition", "split", "get")
SEARCHES += (
    "match",
    "fullmatch",
    "search",
    "pop",
    "setdefault",
    "rfind",
    "rindex",
    "rpartition",
    "rsplit",
    "replace",
    "compile",
)
SEARCHES += ("strip", "lstrip", "rstrip", "fnmatch", "fnmatchcase", "findall", "finditer", "sub", "getattr", "attrgetter")


def asked(source, names):
    """The names that the code tests for: (line, name).

    A name is tested for where it stands in a comparison, a pattern of ``match``, the key of a dictionary or a subscript, a
    tuple, list or set, what a string is searched for, or a constant of its own, as any word of a string
    that is no sentence.
    """
    return sorted((line, word) for line, word in _tested(source) if word in names)


@functools.cache
def _tested(source):
    """All words that the code tests for, with their lines; files are read for one kind after another."""
    tree = ast.parse(source)
    apart = {node for each in ast.walk(tree) for node in _apart(each)}
    found = set()
    for node in ast.walk(tree):
        for place in _places(node):
            for leaf in ast.walk(place):
                if isinstance(leaf, ast.Constant) and isinstance(leaf.value, str) and leaf not in apart:
                    sentence = re.search(r"\w \w", leaf.value)
                    here = [leaf.value.split("(")[0].strip()] if sentence else re.findall(r"\w+", leaf.value)
                    found |= {(leaf.lineno, word) for word in here}
        if isinstance(node, ast.Call) and getattr(node.func, "id", None) == "dict":
            found |= {(node.lineno, each.arg) for each in node.keywords}
    return found


def _places(node):
    """The parts of a node that are tested for."""
    if isinstance(node, ast.Compare):
        return [node.left, *node.comparators]
    if isinstance(node, ast.MatchValue):
        return [node.value]
    if isinstance(node, ast.MatchMapping):
        return node.keys
    if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "").isupper():
        return [node.value] if isinstance(node.value, ast.Constant) else []
    if isinstance(node, ast.Dict):
        return [key for key in node.keys if key is not None]
    if isinstance(node, ast.Subscript):
        return [node.slice]
    if isinstance(node, (ast.Tuple, ast.List, ast.Set)):
        return node.elts
    if isinstance(node, ast.Call) and getattr(node.func, "attr", getattr(node.func, "id", None)) in SEARCHES:
        return node.args
    return []


def _apart(node):
    """Constants that only look like it: choices of an annotation, and names that a file exports."""
    if isinstance(node, ast.Subscript) and getattr(node.value, "id", None) == "Literal":
        return ast.walk(node.slice)
    if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", None) == "__all__":
        return ast.walk(node.value)
    return []


@functools.cache
def words():
    """Names that are words of their own: of an option or its choices, a parameter, a field, a key, a metric or a package."""
    found = set()
    for kind in specs.KINDS:
        for name in specs.names(kind):
            module = specs.module(kind, name)
            for option in specs.options(kind, name):
                found |= {option.name, *(each for each in _choices(option.type) if isinstance(each, str))}
            for public in getattr(module, "__all__", ()):
                found |= set(inspect.signature(inspect.unwrap(getattr(module, public))).parameters)
    for module in (records, contracts):
        for record in vars(module).values():
            if isinstance(record, type):
                found |= {*getattr(record, "_fields", ()), *getattr(record, "__dataclass_fields__", ())}
    for section in (config.Config, config.DataConfig, config.ModelConfig, config.TrainingConfig, config.CohortConfig):
        for field in dataclasses.fields(section):
            found |= {field.name, *field.metadata.get("choices", ())}
    for name in specs.names("encoder"):
        found |= _keys(name)
    for name in specs.names("task"):
        found |= {metric.name for metric in specs.build("task", name).metrics}
    return frozenset(found | set(specs.KINDS) | _packages())


def _packages():
    """The packages that the library imports."""
    nodes = (node for path in ROOT.rglob("*.py") for node in ast.walk(ast.parse(path.read_text())))
    return {alias.name.split(".")[0] for node in nodes if isinstance(node, ast.Import) for alias in node.names}


def _keys(encoder):
    """Keys of the parameters of a classifier, and of what it captures."""
    model = classifier(encoder=encoder, dim=8, vocab_size=3, num_classes=2, max_length=8)
    example = functools.partial(model.init_with_output, **model.example(), capture=True)
    paths = jax.tree.leaves_with_path(jax.eval_shape(example, jax.random.key(0)))
    return {str(getattr(entry, "key", "")) for path, _ in paths for entry in path}


def _choices(hint):
    if typing.get_origin(hint) is typing.Literal:
        return typing.get_args(hint)
    return [choice for part in typing.get_args(hint) for choice in _choices(part)]


def exempt(kind):
    """Of the names of a kind, those that are words of their own."""
    return words() & set(specs.names(kind))


@pytest.mark.parametrize("kind", specs.KINDS)
def test_no_name_is_tested_for_outside_its_own_file(kind):
    names = set(specs.names(kind)) - exempt(kind)
    folder = ROOT.joinpath(*specs.KINDS[kind].split(".")[1:])
    found = []
    for path in ROOT.rglob("*.py"):
        own = {path.stem} if path.parent == folder else set()
        found += [f"{path.relative_to(ROOT)}:{line} {name}" for line, name in asked(path.read_text(), names - own)]
    assert not found


@pytest.mark.parametrize(
    "planted",
    [
        "x == 'alibi'",
        "'alibi' != x",
        "x in ('none', 'alibi')",
        "x in {'alibi'}",
        "x.startswith('alibi(')",
        "{'alibi': 1}[x]",
        "table['alibi']",
        "table.get('alibi')",
        "f'{x}' == f'alibi{y}'",
        "re.match('alibi', x)",
        "NAMES = ['rope', 'alibi']",
        "match x:\n    case 'alibi':\n        pass",
        "x is 'alibi' or y",
        "match x:\n    case {'alibi': y}:\n        pass",
        "ALIBI = 'alibi'",
        "dict(alibi=1)[x]",
        "x == 'encoding=alibi'",
        "re.compile('^(rope|alibi)$')",
        "x.rpartition('alibi')",
        "getattr(x, 'alibi')",
        "x == 'attention.encodings.alibi'",
        "[y for y in z if y == 'alibi']",
    ],
)
def test_every_form_of_a_test_is_found(planted):
    assert asked(planted, {"alibi"})


@pytest.mark.parametrize(
    "innocent",
    [
        "def build(inner: 'Encoding | str' = 'alibi'): pass",
        "specs.build('encoding', 'alibi')",
        "'''alibi == alibi'''",
        "DEFAULTS = {'encoding': 'alibi'}",
        "Form = Literal['alibi', 'other']",
        "__all__ = ['alibi']",
        "raise ValueError('alibi wants heads')",
    ],
)
def test_naming_is_not_testing(innocent):
    assert not asked(innocent, {"alibi"})


def test_few_names_are_words_of_their_own():
    """What is exempt is computed, and most names are not."""
    names = {(kind, name) for kind in specs.KINDS for name in specs.names(kind)}
    spared = {(kind, name) for kind, name in names if name in exempt(kind)}
    assert len(spared) < len(names) / 4, sorted(spared)
    assert ("encoding", "alibi") not in spared
    assert ("mixer", "attention") not in spared or "attention" in words()
