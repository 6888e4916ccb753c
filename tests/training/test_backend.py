"""A platform that is not there and switches under which nothing trains are one line, before anything is made."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from attention import files
from attention.training import backend

ROOT = Path(__file__).parent.parent.parent
READY = """
import sys
from attention.training import backend, command_line
def main(argv):
    backend.prepare()
    print("ready")
sys.exit(command_line.run_main(main))
"""


def prepared(**environment):
    done = subprocess.run(
        [sys.executable, "-c", READY], capture_output=True, text=True, cwd=ROOT, env={**os.environ, **environment}
    )
    return done.returncode, done.stdout.strip(), done.stderr


@pytest.mark.parametrize("platform", ["cuda", "rocm", "no_such_thing", "no_such_thing,cpu"])
def test_a_platform_that_is_not_there(platform):
    code, out, error = prepared(JAX_PLATFORMS=platform)
    assert (code, out, error.count("\n")) == (2, "", 1)
    assert error.startswith(f"error: JAX_PLATFORMS={platform}: this machine, or this installation of JAX, has no such platform")
    assert "there are: cpu" in error


def test_a_platform_by_its_older_name():
    code, out, error = prepared(JAX_PLATFORM_NAME="cuda", JAX_PLATFORMS="")
    assert (code, out, error.count("\n")) == (2, "", 1)
    assert error.startswith("error: JAX_PLATFORM_NAME=cuda: this machine, or this installation of JAX, has no such platform")


def test_what_jax_says_of_a_platform_is_told():
    """It may be there, and taken by another process."""
    code, _, error = prepared(JAX_PLATFORMS="tpu")
    assert code == 2
    assert re.search("; JAX says: Unable to initialize backend 'tpu': .*libtpu", error)


@pytest.mark.parametrize("count", ["0", "-1"])
def test_no_device_at_all(count):
    flags = f"--xla_force_host_platform_device_count={count}"
    code, out, error = prepared(XLA_FLAGS=flags, JAX_PLATFORMS="", JAX_PLATFORM_NAME="")
    assert (code, out, error.count("\n")) == (2, "", 1)
    assert error.startswith(f"error: XLA_FLAGS={flags}: JAX has no device; JAX says: Unable to initialize backend 'cpu'")


def test_no_home(monkeypatch):
    """As of a container whose user has no entry in the list of users."""

    def nobody():
        raise RuntimeError("Could not determine home directory.")

    for name in ("JAX_COMPILATION_CACHE_DIR", "XDG_CACHE_HOME", "ATTENTION_CACHE_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "home", nobody)
    for make in (backend.prepare, files.cache_folder):
        with pytest.raises(ValueError, match=r"there is no home folder .*: set HOME, or XDG_CACHE_HOME"):
            make()


@pytest.mark.parametrize(
    "switch",
    [
        "JAX_ENABLE_X64=1",
        "JAX_DISABLE_JIT=1",
        "JAX_NO_TRACING=1",
        "JAX_NO_EXECUTION=1",
        "JAX_DEBUG_KEY_REUSE=1",
        "JAX_NUMPY_DTYPE_PROMOTION=strict",
        "JAX_NUMPY_RANK_PROMOTION=raise",
        "JAX_DEFAULT_PRNG_IMPL=rbg",
        "JAX_THREEFRY_PARTITIONABLE=0",
        "JAX_TRANSFER_GUARD=disallow",
    ],
)
def test_switches_under_which_nothing_trains(switch):
    name, _, value = switch.partition("=")
    code, out, error = prepared(**{name: value})
    assert (code, out, error.count("\n")) == (2, "", 1)
    assert error.startswith(f"error: {switch} is not for these commands: ")


def test_other_switches_are_taken():
    assert prepared(JAX_DEBUG_NANS="1", JAX_NUMPY_RANK_PROMOTION="warn", JAX_DEFAULT_PRNG_IMPL="threefry2x32")[:2] == (
        0,
        "ready",
    )


def test_freed_memory_is_kept_before_there_are_devices(monkeypatch, tmp_path):
    """The threads of a device take heaps of their own from the allocator as they start, and nobody can tell them later."""
    calls = []
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(backend, "keep_freed_memory", lambda: calls.append("kept"))
    monkeypatch.setattr(backend.jax, "devices", lambda: calls.append("devices"))
    monkeypatch.setattr(backend.jax.config, "update", lambda *_: None)
    backend.prepare()
    assert calls == ["kept", "devices"]
