"""How the package hangs together: imports run downwards, in short chains, and a flag is not far from the logits."""

import ast
import functools
import os
import subprocess
import sys
from pathlib import Path

import attention

ROOT = Path(attention.__file__).parent.parent
LONGEST = 12  # files in a chain of imports at module level
ENTERED = 36  # files on the way from `--config.model.encoding=rope` to the first logits

# Goes the way twice and counts the second time, so that what imports run is left out.
TRAVEL = """
import os, sys
import jax
from attention import specs
from attention.training import command_line, config, recipe
from attention.commands import train

def travel():
    given = command_line.parse_config(["train.py", "--config.model.encoding=rope"], default=train.DEFAULT)
    model = recipe.checked_model(config.from_dict(given.fields.to_dict()))
    example = model.example()
    jax.eval_shape(lambda rng: model.init_with_output(rng, **example), jax.random.key(0))

def enter(frame, event, _):
    if event == "call" and frame.f_code.co_filename.startswith(root):
        seen.add(os.path.relpath(frame.f_code.co_filename, root))

root, seen = os.path.join(os.getcwd(), "attention"), set()
travel()
specs._BUILT.clear()
sys.setprofile(enter)
travel()
sys.setprofile(None)
print(*sorted(seen), sep="\\n")
"""


@functools.cache
def imports():
    """The files that each file imports at module level, by dotted names."""
    files = {}
    for path in (ROOT / "attention").rglob("*.py"):
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        files[name] = path.read_text()
    graph = {}
    for name, source in files.items():
        found = set()
        for node in ast.parse(source).body:
            if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "attention":
                found |= {
                    inner if (inner := f"{node.module}.{alias.name}") in files else str(node.module) for alias in node.names
                }
            elif isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names if alias.name in files}
        graph[name] = found - {name, "attention"}
    del graph["attention"]
    return graph


@functools.cache
def chain(name):
    """The longest chain of imports that begins with a file."""
    return (name, *max((chain(other) for other in imports()[name]), key=len, default=()))


def test_chains_of_imports_are_short():
    longest = max(map(chain, imports()), key=len)
    assert len(longest) <= LONGEST, " -> ".join(longest)


def test_a_flag_is_not_far_from_the_logits():
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", TRAVEL], capture_output=True, text=True, cwd=ROOT, env=environment)
    entered = done.stdout.split()
    assert done.returncode == 0, done.stderr
    assert len(entered) <= ENTERED, entered
    assert {"training/config.py", "encodings/rope.py", "attend.py", "specs.py"} <= set(entered)
