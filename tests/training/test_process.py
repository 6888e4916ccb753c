"""The heap of a process that compiles and then computes, and the signals that end it."""

import platform
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from attention.training import process

ROOT = Path(__file__).parent.parent.parent
# Every second block of 128 KiB is freed again, and where the next ones come from is told, with the memory in use.
SCRIPT = """
import ctypes, sys, jax
from attention.training import process

process.keep_freed_memory()
jax.default_backend()  # takes memory
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes, libc.free.argtypes = ctypes.c_size_t, [ctypes.c_size_t], [ctypes.c_size_t]
blocks = [libc.malloc(2**17) for _ in range(600)]
for block in blocks:
    ctypes.memset(block, 1, 2**17)
for block in blocks[::2]:
    libc.free(block)

def used():
    return int(open("/proc/self/statm").read().split()[1])

before = used()
if sys.argv[1] == "aside":
    process.set_gaps_aside()
after = used()
print(libc.malloc(2**16) > max(blocks), before - after)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc's heap")
@pytest.mark.parametrize(("given", "behind"), [("aside", "True"), ("left", "False")])
def test_gaps_set_aside_are_given_back_and_not_used_again(given, behind):
    done = subprocess.run([sys.executable, "-c", SCRIPT, given], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    found, pages = done.stdout.split()
    assert found == behind
    if given == "aside":
        assert int(pages) > 200 * 2**17 / 2**14  # most of 300 gaps, in pages of at most 16 KiB


def test_signals_that_come_together_are_one_and_a_later_one_acts_as_without_us(monkeypatch):
    with process.signals() as caught:
        for number in (signal.SIGTERM, signal.SIGTERM, signal.SIGINT):
            signal.raise_signal(number)
        assert caught == [signal.SIGTERM]
        monkeypatch.setattr(process, "_TOGETHER", 0.0)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.parametrize(
    ("variables", "platforms", "noted"),
    [
        ({"SLURM_JOB_GPUS": "0,1"}, "", "SLURM_JOB_GPUS=0,1, and JAX computes on the CPU"),
        ({"CUDA_VISIBLE_DEVICES": "3"}, "", "CUDA_VISIBLE_DEVICES=3, and JAX computes on the CPU"),
        ({"CUDA_VISIBLE_DEVICES": "3", "SLURM_JOB_GPUS": "3"}, "cpu", None),
        ({"CUDA_VISIBLE_DEVICES": "-1"}, "", None),
        ({"CUDA_VISIBLE_DEVICES": ""}, "", None),
        ({}, "", None),
    ],
    ids=str,
)
def test_gpus_that_are_not_used(variables, platforms, noted, monkeypatch):
    monkeypatch.setattr(process.jax, "default_backend", lambda: "cpu")
    for name in process._GPUS:
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    before = process.jax.config.values["jax_platforms"]
    process.jax.config.update("jax_platforms", platforms)
    try:
        found = process.unused_gpus()
    finally:
        process.jax.config.update("jax_platforms", before)
    assert len(found) == (noted is not None)
    assert all(note.startswith(noted) for note in found)
