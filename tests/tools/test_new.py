"""The two files that ``tools.new`` writes are a variant that keeps its kind's contract."""

import re
import shutil
import subprocess
import sys

import pytest

from attention import specs
from tools import new

COPIED = (
    "attention",
    "benchmarks",
    "configs",
    "docs",
    "pyproject.toml",
    "requirements.txt",
    "README.md",
    "studies",
    "tests",
    "tools",
)
KINDS = [kind for kind in specs.KINDS if (new.SKELETONS / f"{kind}.txt").exists()]


@pytest.mark.slow
def test_skeletons_keep_their_contracts(tmp_path):
    """In a copy with a newcomer of every kind, once words are put in place of the TODOs."""
    for name in COPIED:
        source = new.ROOT / name
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(source, tmp_path / name, ignore=ignored) if source.is_dir() else shutil.copy(source, tmp_path / name)
    written = [path for kind in KINDS for path in new.skeletons(kind, f"newcomer_{kind}").items()]
    for path, text in written:
        (tmp_path / path).write_text(text.replace("TODO", "Done"))
    run = lambda *command: subprocess.run([sys.executable, "-m", *command], cwd=tmp_path, capture_output=True, text=True)
    files = [path for path, _ in written]
    for command in (("ruff", "format", "--check", *files), ("ruff", "check", *files)):
        done = run(*command)
        assert not done.returncode, done.stdout
    done = run("pytest", "tests/contracts", "-n", "0", "-k", "newcomer", "--tb=short")
    assert not done.returncode, done.stdout[-5000:]
    assert int(done.stdout.split(" passed")[0].split()[-1]) > 10 * len(KINDS)
    made = "from tools import pages; [pages.page(kind) for kind in ('score', 'mask', 'mixer', 'pooling', 'decoder')]"
    done = subprocess.run([sys.executable, "-c", made], cwd=tmp_path, capture_output=True, text=True)
    assert not done.returncode, done.stderr


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_left_to_do_is_marked(kind):
    method, evidence = new.skeletons(kind, "newcomer").values()
    assert method.count("TODO") >= 2
    assert "newcomer" in evidence
    assert not re.search(r"\$\{|\$(name|Name|family)", method + evidence)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["encodin", "x"], "error: unknown kind 'encodin' (nearest: 'encoding'); kinds: encoding, "),
        (["encoding", "rope"], "error: the encoding 'rope' is there already: attention/encodings/rope.py"),
        (["source", "listops"], "error: the source 'listops' is there already: attention/data/sources/listops.py"),
        (["mask", "A-b"], "error: a name is lower case with underscores, such as 'bigbird'; got 'A-b'"),
        (["mask", "lambda"], "error: 'lambda' is a word of Python's own, and no module can be called that"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(arguments, message, capsys):
    assert new.main(arguments) == 2
    said = capsys.readouterr().err
    assert said.startswith(message)
    assert said.count("\n") == 1


def test_files_are_written_where_they_belong(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(new, "ROOT", tmp_path)
    for folder in ("attention/data/sources", "tests/data/sources"):
        (tmp_path / folder).mkdir(parents=True)
    assert new.main(["source", "palindrome"]) == 0
    assert "wrote attention/data/sources/palindrome.py" in capsys.readouterr().out
    assert (tmp_path / "tests/data/sources/palindrome.py").exists()
