"""What a type checker knows of the library, and what ``help`` says."""

import json
import subprocess
import sys

import pytest

import attention
from tools import stubs

USER = """
import attention
import jax.numpy as jnp

weights = attention.sparsemax(jnp.ones(3))
record = attention.build("encoding", "rope")
output = attention.attend(jnp.ones((2, 1, 4)), jnp.ones((2, 1, 4)), jnp.ones((2, 1, 4)), encoding=record)
reveal_type(weights)
reveal_type(record)
reveal_type(attention.build("normalizer", "softmax"))
reveal_type(attention.build("encoder", "bilstm"))
reveal_type(attention.build("source", "listops"))
reveal_type(attention.evaluation)
attention.sparsmax(jnp.ones(3))
record.rotat
attention.sparsemax("scores")
"""


def test_the_stub_is_what_the_tool_writes(capsys):
    assert stubs.main(["--check"]) == 0, "run python -m tools.stubs"


def test_check_finds_a_difference(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(stubs, "STUB", tmp_path / "__init__.pyi")
    assert stubs.main(["--check"]) == 1
    assert stubs.main([]) == 0
    assert stubs.main(["--check"]) == 0
    assert "run python -m tools.stubs" in capsys.readouterr().err


def test_every_public_name_is_in_the_stub():
    text = stubs.STUB.read_text(encoding="utf-8")
    for name in attention.__all__:
        assert f"import {name} as {name}" in text or f"{name} as {name}" in text or f"def {name}(" in text, name


@pytest.mark.slow
def test_a_type_checker_knows_the_library(tmp_path):
    file = tmp_path / "user.py"
    file.write_text(USER)
    (tmp_path / "pyrightconfig.json").write_text(json.dumps({"extraPaths": [str(stubs.SOURCE.parents[1])]}))
    command = [sys.executable, "-m", "pyright", "--outputjson", "--pythonpath", sys.executable, "-p", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    said = [each for each in json.loads(done.stdout)["generalDiagnostics"] if each["file"] == str(file)]
    types = [each["message"].split('" is "')[1].rstrip('"') for each in said if each["severity"] == "information"]
    assert types[:5] == ["Array", "Encoding", "Normalizer", "Encoder", "Source"]
    assert types[5].startswith("Module")
    errors = [(each["range"]["start"]["line"], each["message"]) for each in said if each["severity"] == "error"]
    assert [USER.split("\n")[line].split("(")[0] for line, _ in errors] == [
        "attention.sparsmax",
        "record.rotat",
        "attention.sparsemax",
    ]
    assert '"sparsmax" is not a known attribute' in errors[0][1]


def test_help_lists_the_methods_by_kind():
    for kind, function in (("encoding", "alibi_slopes"), ("normalizer", "sparsemax"), ("gate", "input_gate")):
        listed = (attention.__doc__ or "").partition(f"\n{kind}:\n")[2].partition(":\n")[0]
        assert function in listed.replace(",", " ").split()
