import ast
import graphlib
import importlib
import inspect
import os
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest

import attention
from attention import PURE_KINDS, specs
from tests.support.helpers import unchecked

ROOT = Path(attention.__file__).parent.parent
FILES = [(kind, name) for kind in PURE_KINDS for name in attention.names(kind)]
PUBLIC = [(kind, name, public) for kind, name in FILES for public in specs.module(kind, name).__all__]


def test_the_type_checker_is_on():
    """The canary of the hook that checks shapes in every other test: see `addopts` in pyproject.toml."""
    with pytest.raises(Exception, match="Type-check error"):
        attention.alibi_bias(jnp.arange(3), jnp.arange(3), jnp.ones((2, 2)))
    with pytest.raises(Exception, match="Type-check error"):
        attention.attend(jnp.ones((2, 1, 4)), jnp.ones((3, 1, 4)), jnp.ones((5, 1, 4)))


def _run(code, **environment):
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, env={**os.environ, **environment}
    )


def test_import_loads_jax_alone():
    unwanted = ["flax", "tensorflow_datasets", "optax", "absl", "ml_collections", "scipy", "tokenizers", "pyarrow"]
    unwanted += [f"attention.{part}" for part in ("training", "model", "seq2seq", "data", "encoders", "decoders")]
    code = f"import sys, attention; attention.build('mask', 'full'); print([m for m in {unwanted!r} if m in sys.modules])"
    done = _run(code)
    assert (done.stdout, done.returncode) == ("[]\n", 0), done.stderr


def test_parts_are_loaded_when_used():
    done = _run("import sys, attention.models.classifier; print('flax' in sys.modules, 'optax' in sys.modules)")
    assert done.stdout == "True False\n", done.stderr
    with pytest.raises(AttributeError, match=r"no attribute 'sparse_max' \(nearest: 'sparsemax'\)"):
        attention.sparse_max


@pytest.mark.parametrize("path", sorted((ROOT / "attention").rglob("*.py")), ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_run_downwards(path):
    """lab → evaluation → training → runs → tasks, rivals → models → encoders → mixers → attend → kernels → kinds → records.

    Data knows no model, and Flax is in few places.
    """
    order = [
        ["installation", "messages"],
        ["records", "signatures", "specs", "files", "text_table", "metrics", "heartbeat"],
        ["carries", "documents", "heads", "placement", "positions", "precision", "tensors"],
        ["decoding", "dropout", "gates", "recurrent", "broadcast"],
        ["encodings", "normalizers", "scores", "masks", "compatibility"],
        ["arguments", "poolings", "sampling"],
    ]
    order += [
        ["kernels"],
        ["attend"],
        ["caches"],
        ["layer"],
        ["projected"],
        ["attention_fn", "module_inputs", "linen", "nnx", "equinox"],
        ["mixers"],
        ["encoders"],
        ["decoders"],
        ["models"],
        ["optimizers", "rivals", "tasks"],
        ["runs"],
        ["training"],
        ["evaluation"],
        ["lab"],
        ["commands"],
    ]
    layer = {part: i for i, parts in enumerate(order) for part in parts}
    here = path.relative_to(ROOT / "attention").with_suffix("").parts[0]
    tree = ast.parse(path.read_text())
    found = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            found |= {f"{node.module}.{alias.name}" for alias in node.names} if node.module == "attention" else {node.module}
    flax = (
        "linen",
        "nnx",
        "encoders",
        "decoders",
        "models",
        "optimizers",
        "tasks",
        "runs",
        "training",
        "evaluation",
        "lab",
        "commands",
    )
    if here not in flax:
        assert not any(name.split(".")[0] in ("flax", "optax", "ml_collections") for name in found)
    if here == "__init__":
        return
    for name in found:
        parts = name.split(".")
        if parts[0] != "attention" or len(parts) < 2:
            continue
        if here == "lab":
            allowed = {"data", "evaluation", "files", "heartbeat", "installation", "lab", "messages"}
            assert parts[1] in allowed | {"runs", "specs", "text_table", "training"}, name
        if here == "data":
            assert parts[1] in ("data", "files", "heartbeat", "installation", "messages", "specs", "tensors"), name
        elif parts[1] != "data":
            assert layer[parts[1]] <= layer[here], name
        else:
            assert here in ("rivals", "tasks", "runs", "training", "evaluation", "lab", "commands"), name


def test_folders_do_not_import_each_other_in_a_circle():
    graph: dict[str, set[str]] = {}
    for path in (ROOT / "attention").rglob("*.py"):
        here = path.relative_to(ROOT / "attention").with_suffix("").parts[0]
        if here == "__init__":
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "attention":
                _, *rest = (node.module or "").split(".")
                graph.setdefault(here, set()).update(rest[:1] or [alias.name for alias in node.names])
    graph = {here: others - {here} for here, others in graph.items()}
    assert list(graphlib.TopologicalSorter(graph).static_order())  # raises CycleError, naming the circle


def test_names_are_unique():
    """Two files do not export one name, nor one of the package's own, and the package offers all of them."""
    names = [public for _, _, public in PUBLIC]
    assert len(names) == len(set(names))
    assert not set(names) & set(attention.__all__)
    for kind, name, public in PUBLIC:
        assert unchecked(getattr(attention, public)) is unchecked(getattr(specs.module(kind, name), public))
        assert inspect.unwrap(getattr(attention, public)).__module__ == f"{specs.KINDS[kind]}.{name}"


@pytest.mark.parametrize(("kind", "name", "public"), PUBLIC, ids=lambda x: x)
def test_public_functions_are_documented(kind, name, public):
    text = inspect.getdoc(unchecked(getattr(attention, public))) or ""
    for section in ("Args:", "Returns:", "Example:", "Source:"):
        assert section in text, section
    assert "``" in text.split("\n")[0], "the first line has no formula"
    assert text.split("\n")[0].rstrip().endswith((".", ":")), "the first line is no sentence"
    function = unchecked(getattr(attention, public))
    listed = text.split("Args:")[1].split("Returns:")[0]
    for parameter in inspect.signature(function).parameters.values():
        assert f"{parameter.name}:" in listed or f"{parameter.name}," in listed, f"{parameter.name} is not described"
    raises = any(
        isinstance(node, ast.Raise) for node in ast.walk(ast.parse(inspect.cleandoc("\n" + inspect.getsource(function))))
    )
    assert not raises or "Raises:" in text


@pytest.mark.parametrize(("kind", "name"), [(k, n) for k in specs.KINDS for n in attention.names(k)])
def test_variants_are_documented(kind, name):
    module = specs.module(kind, name)
    assert (inspect.getdoc(module) or "").split("\n")[0].endswith(".")
    assert inspect.getdoc(module.build)
    assert isinstance(getattr(module, "__all__", None), list) or kind in ("source", "tokenizer")


def _examples():
    """The examples of the documentation that show a result, as (name, call, result)."""
    for _, _, public in PUBLIC:
        lines = inspect.getdoc(unchecked(getattr(attention, public))).partition("Example:\n")[2].split("\n\n")[0].splitlines()
        if len(lines) == 2:
            yield public, lines[0].strip().removeprefix(">>> "), lines[1].split("  #")[0].strip()


@pytest.mark.parametrize(
    ("public", "call", "result"), list(_examples()), ids=lambda x: x if "(" not in x and "[" not in x else ""
)
def test_examples_are_true(public, call, result):
    found = eval(call, {"attention": attention, "jax": jax, "jnp": jnp})
    assert jnp.allclose(jnp.asarray(found), jnp.asarray(eval(result)), atol=1e-4)


def test_package_is_typed():
    assert (ROOT / "attention" / "py.typed").is_file()


def test_modules_import_by_themselves():
    """No hidden order of imports."""
    for kind in ("normalizers", "poolings", "kernels"):
        assert importlib.import_module(f"attention.{kind}").__doc__
