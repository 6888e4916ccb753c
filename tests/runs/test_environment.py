"""What only Linux has is asked for before it is used."""

import ast
import os
from pathlib import Path

import attention
from attention.runs import environment

ROOT = Path(attention.__file__).parent.parent
# Names of `os` that macOS lacks, and modules.
LINUX = {"sched_getaffinity", "sched_setaffinity", "posix_fadvise", "posix_fallocate", "copy_file_range", "memfd_create"}
LINUX |= {"pidfd_open", "splice", "eventfd", "getrandom", "O_DIRECT", "O_TMPFILE", "fdatasync", "setxattr", "getxattr"}
FILES = [
    *ROOT.glob("*.py"),
    *(path for name in ("attention", "studies", "benchmarks", "tools") for path in (ROOT / name).rglob("*.py")),
]


def linux_alone(source):
    """The lines that use what macOS lacks without having asked for it."""
    found = []
    for function in ast.walk(ast.parse(source)):
        if not isinstance(function, (ast.FunctionDef, ast.Module)):
            continue
        asked = {
            node.args[1].value
            for node in ast.walk(function)
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "hasattr" and isinstance(node.args[1], ast.Constant)
        }
        if isinstance(function, ast.Module):
            asked = LINUX  # the functions are walked by themselves
        read = {
            id(part)
            for node in ast.walk(function)
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "system_text"
            for part in ast.walk(node.args[0])
        }
        for node in ast.walk(function):
            if id(node) in read:  # `environment.system_text` has nothing to say of a file that is not there
                continue
            if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "os" and node.attr in LINUX - asked:
                found.append(f"line {node.lineno}: os.{node.attr}")
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.startswith("/proc/"):
                found.append(f"line {node.lineno}: {node.value}")
    return found


def test_nothing_is_for_linux_alone():
    assert {
        str(path): linux_alone(path.read_text(encoding="utf-8")) for path in FILES if linux_alone(path.read_text("utf-8"))
    } == {}


def test_what_is_for_linux_alone_is_found():
    assert linux_alone("import os\ndef f():\n    return os.sched_getaffinity(0)\n") == ["line 3: os.sched_getaffinity"]
    assert linux_alone("def f():\n    return open('/proc/meminfo')\n")
    assert not linux_alone("def f():\n    return system_text('/proc/meminfo')\n")
    assert not linux_alone("def f():\n    return os.fdatasync(1) if hasattr(os, 'fdatasync') else None\n")


def test_the_environment_of_a_system_without_affinity(monkeypatch):
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    assert environment.environment()["cores"] == os.cpu_count()
