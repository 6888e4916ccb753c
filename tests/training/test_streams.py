"""Streams that are closed, end, or lack signs stop no command; a system without what the commands need is one line."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
SCRIPT = """
import sys
sys.path.insert(0, {root!r})
{before}
from attention.training import command_line

def main(argv):
    for number in range(20_000):
        print("a table of 91.67 ± 42.35 %", flush=number % 1000 == 0)
    print("to stderr ±", file=sys.stderr)
    with open(argv[1], "w") as file:
        file.write("done")
        assert file.fileno() > 2
    {last}

sys.exit(command_line.run_main(main, ["x.py", sys.argv[1]]))
"""


def run(tmp_path, redirected="", before="", last="", **environment):
    """The exit code, what is printed, and whether the command came to its end."""
    script, done = tmp_path / "script.py", tmp_path / "done"
    script.write_text(SCRIPT.format(root=str(ROOT), before=before, last=last), encoding="utf-8")
    command = f'"{sys.executable}" "{script}" "{done}" {redirected}; exit ${{PIPESTATUS[0]}}'
    ended = subprocess.run(["bash", "-c", command], capture_output=True, env={**os.environ, **environment})
    return ended.returncode, ended.stdout, ended.stderr, done.exists() and done.read_text() == "done"


@pytest.mark.parametrize("redirected", [">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-", "| head -1", "2>&1 | head -1"])
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_nobody_who_listens_stops_no_command(tmp_path, redirected, unbuffered):
    code, _, stderr, done = run(tmp_path, redirected, PYTHONUNBUFFERED=unbuffered)
    assert (code, done) == (0, True)
    assert b"Traceback" not in stderr


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "latin-1", "cp437"])
def test_no_encoding_stops_a_command(tmp_path, encoding):
    code, stdout, stderr, done = run(tmp_path, PYTHONIOENCODING=encoding)
    assert (code, done) == (0, True)
    sign = b"\\xb1" if encoding == "ascii" else "±".encode(encoding)
    assert stdout.splitlines()[0] == b"a table of 91.67 " + sign + b" 42.35 %"
    assert stderr == b"to stderr " + sign + b"\n"


def test_a_full_device_is_worth_trying_again(tmp_path):
    code, _, stderr, _ = run(tmp_path, ">/dev/full")
    assert (code, stderr.splitlines()[-1]) == (75, b"error: the system: No space left on device")


LESS = "what takes less: --config.training.accumulation=4"


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        ("MemoryError()", 2, f"error: not enough memory; {LESS}"),
        ("jax.errors.JaxRuntimeError('RESOURCE_EXHAUSTED: Out of memory allocating 8 bytes')", 2, f"not enough memory; {LESS}"),
    ],
)
def test_want_of_memory_is_one_line(tmp_path, error, code, message):
    found, _, stderr, _ = run(tmp_path, last=f"import jax; raise {error}")
    assert found == code
    assert message in stderr.decode().splitlines()[-1]
    assert "Traceback" not in stderr.decode()


def test_windows_is_refused_in_one_line(tmp_path):
    code, _, stderr, done = run(tmp_path, before="sys.modules['fcntl'] = None")
    assert (code, done) == (2, False)
    assert stderr.decode().splitlines()[-1] == "error: runs are locked by fcntl, which Linux and macOS have; on Windows use WSL"


@pytest.mark.parametrize("command", ["train.py", "eval.py", "sweep.py"])
def test_every_command_says_so_before_it_imports_what_windows_lacks(command):
    without = f"import sys, runpy; sys.modules['fcntl'] = None; sys.argv = [{command!r}]; "
    run_it = f"runpy.run_path({command!r}, run_name='__main__')"
    done = subprocess.run([sys.executable, "-c", without + run_it], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 2
    assert "on Windows use WSL" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
