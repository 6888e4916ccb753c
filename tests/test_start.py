"""Commands answer at once: what needs neither data nor a model is said before JAX is imported."""

import inspect
import subprocess
import sys
import typing

import pytest

import attention
from attention import signatures, specs

STARTED = """
import sys
import attention_lab

sys.argv = {argv!r}
try:
    code = attention_lab.{entry}()
except SystemExit as stop:
    code = stop.code
sys.stdout.flush()
heavy = {{"jax", "flax", "optax", "scipy", "sklearn", "matplotlib", "tensorflow_datasets", "tokenizers"}}
print(code, sorted(heavy & {{name.partition(".")[0] for name in sys.modules}}))
"""


@pytest.mark.parametrize(
    ("entry", "argument", "code", "said"),
    [
        ("train", "--help", 0, "--workdir"),
        ("train", "--list", 0, "rope(base=10000.0"),
        ("train", "--version", 0, "attention-lab"),
        ("train", "--wrokdir=x", 2, "nearest: 'workdir'"),
        ("train", "--config=listpos", 2, "nearest: 'listops'"),
        ("train", "--config.model.encodng=rope", 2, "nearest: 'model.encoding'"),
        ("train", "--config.model.encoding=ropee", 2, "nearest: 'rope'"),
        ("train", "--config.model.encoding=randomized(inner=rope(bas=3))", 2, "nearest: 'base'"),
        ("train", "--config.data.source=lisops", 2, "nearest: 'listops'"),
        ("train", "--workdir=nothing-here", 2, "holds no run"),
        ("sweep", "--help", 0, "--dry_run"),
        ("sweep", "--config=sweeps/smok", 2, "nearest: 'sweeps/smoke'"),
        ("sweep", "--config.model.encoding=ropee", 2, "nearest: 'rope'"),
        ("evaluate", "--help", 0, "--split"),
        ("evaluate", "--wrokdir=x", 2, "nearest: 'workdir'"),
    ],
)
def test_an_answer_needs_no_jax(entry, argument, code, said):
    program = STARTED.format(argv=["command", argument], entry=entry)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert said in done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == f"{code} []"


def test_an_interrupt_while_a_command_is_imported_is_one_line():
    begin = "import signal, sys; sys.meta_path.insert(0, type('Late', (), {'find_spec': staticmethod(late)}))"
    late = "def late(name, *_):\n    if name == 'absl': signal.raise_signal(signal.SIGINT)\n"
    done = subprocess.run(
        [sys.executable, "-c", f"{late}{begin}; import attention_lab; sys.exit(attention_lab.train())", "--describe"],
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "error: interrupted\n")


def test_importing_the_package_imports_neither_jax_nor_a_variant():
    code = "import sys, attention; print([m for m in sys.modules if m in ('jax', 'numpy') or 'attention.encodings' in m])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


@pytest.mark.parametrize("name", ["attend", "attention_fn", "dropout", "layer"])
def test_a_function_stays_itself_where_the_file_of_its_name_is_imported_first(name):
    code = (
        f"import attention.{name}, attention; from attention import {name}; print(callable({name}), attention.{name} is {name})"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "True True\n"


def test_what_is_public_can_be_listed_and_had():
    for name in dir(attention):
        assert getattr(attention, name) is not None
    assert set(attention.__all__) <= set(dir(attention))
    everything: dict[str, object] = {}
    exec("from attention import *", everything)
    assert set(attention.__all__) <= set(everything)


# ---- options as they are written down are those of the function


def alike(written, real):
    """Whether a type is the same but for classes, of which a written one has name and kind alone."""
    if typing.get_args(written) or typing.get_args(real):
        pairs = list(zip(typing.get_args(written), typing.get_args(real), strict=True))
        return all(one == other if not isinstance(other, type) else alike(one, other) for one, other in pairs)
    kinds = [getattr(each, "kind", None) for each in (written, real)]
    return written == real or (kinds[0] == kinds[1] is not None and written.__name__ == real.__name__)


@pytest.mark.parametrize("kind", specs.KINDS)
def test_options_are_those_of_build(kind):
    for name in specs.names(kind):
        build = specs.module(kind, name).build
        real, hints = inspect.signature(build).parameters, typing.get_type_hints(build)
        listed = [parameter for parameter in real.values() if parameter.kind != parameter.VAR_KEYWORD]
        assert [(o.name, o.default) for o in specs.options(kind, name)] == [(p.name, p.default) for p in listed], name
        for option in specs.options(kind, name):
            assert alike(option.type, hints[option.name]), (name, option)
        assert specs.describe(kind, name).summary == (inspect.getdoc(specs.module(kind, name)) or "").split("\n")[0]


@pytest.mark.parametrize("kind", attention.PURE_KINDS)
def test_options_of_mathematics_are_written_down(kind):
    for name in specs.names(kind):
        assert signatures.parameters(f"{specs.KINDS[kind]}.{name}", "build") is not None


@pytest.mark.parametrize(
    "text",
    ["build = make()", "def build(size=len([])): pass", "def build(size: Unknown = 1): pass", "@made\ndef build(): pass", ""],
)
def test_what_is_computed_is_not_written_down(tmp_path, monkeypatch, text):
    folder = tmp_path / "computed"
    folder.mkdir()
    (folder / "__init__.py").touch()
    name = f"part_{abs(hash(text))}"
    (folder / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(signatures.NotWrittenDown, match=name):
        signatures.parameters(f"computed.{name}", "build")
