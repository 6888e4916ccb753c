"""One process at a time: by the kernel's lock, and by a lease where the file system has none."""

import errno
import fcntl
import json
import os
import socket
import subprocess
import sys
import time

import pytest

from attention.runs import locks, opening


@pytest.fixture(params=["kernel", "lease"])
def system(request, monkeypatch):
    if request.param == "lease":

        def none(file, flags):
            raise OSError(errno.ENOLCK, "No locks available")

        monkeypatch.setattr(fcntl, "flock", none)
    return request.param


def test_one_has_it_at_a_time(system, tmp_path):
    with locks.take(tmp_path / ".lock"), pytest.raises(locks.InUseError, match="is in use by another process"):
        locks.take(tmp_path / ".lock")
    locks.take(tmp_path / ".lock").close()
    assert [path.name for path in tmp_path.iterdir()] == [".lock"]


def test_runs_are_opened_with_it(system, tmp_path):
    config = {"a": 1}
    with opening.open_run(tmp_path / "run", config), pytest.raises(opening.InUseError, match="wait for it or give another"):
        opening.open_run(tmp_path / "run", config)
    with opening.open_run(tmp_path / "run", config) as again:
        assert again.status == "unfinished"


def test_it_goes_with_its_process(tmp_path):
    code = "import sys, time; from pathlib import Path; from attention.runs import locks; "
    code += "held = locks.take(Path(sys.argv[1])); print('held', flush=True); time.sleep(60)"
    process = subprocess.Popen([sys.executable, "-c", code, str(tmp_path / ".lock")], stdout=subprocess.PIPE)
    with process:
        process.stdout.readline()
        with pytest.raises(locks.InUseError):
            locks.take(tmp_path / ".lock")
        process.kill()
    locks.take(tmp_path / ".lock").close()


def held(path, *, host, process, age):
    """A lease that somebody else has not renewed for so many seconds."""
    path.write_text(json.dumps({"host": host, "process": process, "token": "theirs"}))
    os.utime(path, (time.time() - age,) * 2)


@pytest.mark.parametrize("system", ["lease"], indirect=True)
@pytest.mark.parametrize(
    ("host", "process", "age", "free"),
    [
        ("elsewhere", 1, 60, False),
        ("elsewhere", 1, 200, True),
        (None, os.getpid(), 60, False),
        (None, 2**22 + 1, 0, True),  # a process of this machine that there is not
    ],
    ids=["elsewhere", "elsewhere, and silent", "this process", "a process that has ended"],
)
def test_a_lease_that_nobody_renews_is_nobodys(system, tmp_path, host, process, age, free):
    held(tmp_path / ".lock.lease", host=host or socket.gethostname(), process=process, age=age)
    if free:
        locks.take(tmp_path / ".lock").close()
        assert [path.name for path in tmp_path.iterdir()] == [".lock"]
    else:
        with pytest.raises(locks.InUseError):
            locks.take(tmp_path / ".lock")
        assert "theirs" in (tmp_path / ".lock.lease").read_text()
        assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("system", ["lease"], indirect=True)
def test_a_lease_is_renewed_while_it_is_held(system, tmp_path, monkeypatch):
    monkeypatch.setattr(locks, "RENEWED", 0.02)
    with locks.take(tmp_path / ".lock"):
        os.utime(tmp_path / ".lock.lease", (0, 0))
        end = time.monotonic() + 30
        while (tmp_path / ".lock.lease").stat().st_mtime < 1 and time.monotonic() < end:
            time.sleep(0.01)
        assert time.time() - (tmp_path / ".lock.lease").stat().st_mtime < 60
        # One that another has taken meanwhile is left to it.
        held(tmp_path / ".lock.lease", host="elsewhere", process=1, age=0)
    assert "theirs" in (tmp_path / ".lock.lease").read_text()


def test_an_error_of_another_kind_is_one(monkeypatch, tmp_path):
    def broken(file, flags):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(fcntl, "flock", broken)
    with pytest.raises(ValueError, match="cannot be written"):
        opening.open_run(tmp_path / "run", {})
