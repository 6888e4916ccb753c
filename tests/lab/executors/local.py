"""Evidence of this machine."""

import json
import os
import subprocess
import sys
import time

import pytest

from attention import specs
from attention.lab.executors import Job
from tests.support.evidence import ExecutorEvidence
from tests.support.row import Row

ROW = Row(
    "local",
    {"processes": "2"},
    ExecutorEvidence(
        jobs=False,
        errors={
            "local(processes=0)": "processes wants 1 or more, got 0",
            "local(proceses=2)": "nearest: 'processes'",
            "local(processes='two')": "wants a whole number",
        },
    ),
)
cores = getattr(os, "sched_getaffinity", lambda _: ())(0)
two = pytest.mark.skipif(len(cores) < 2, reason="needs two cores that a process can be bound to")


def job(folder, name, code):
    """A job that runs a Python program."""
    (folder / name).mkdir()
    command = (sys.executable, "-c", code)
    return Job(name, command, {"ATTENTION_JOB": str(folder / name)}, folder / name, folder / f"{name} it's.txt")


def ended(session, one):
    end = time.monotonic() + 60
    while time.monotonic() < end:
        (seen,) = session.poll([one]).values()
        if seen.state == "ended":
            return seen
        time.sleep(0.02)
    raise AssertionError("it does not end")


@two
def test_processes_have_cores_of_their_own(tmp_path):
    code = "import json, os, time; print(json.dumps([*os.sched_getaffinity(0)])); time.sleep(1)"
    session, before = specs.build("executor", "local(processes=2)").open(), os.sched_getaffinity(0)
    jobs = [job(tmp_path, name, code) for name in ("a", "b")]
    for each in jobs:
        session.start(each)
    assert [ended(session, each).code for each in jobs] == [0, 0]
    one, other = (set(json.loads(each.log.read_text())) for each in jobs)
    assert one.isdisjoint(other)
    assert one | other == before == os.sched_getaffinity(0)


@two
def test_how_a_process_ended_and_what_stops_it(tmp_path):
    session = specs.build("executor", "local(processes=2)").open()
    killed = job(tmp_path, "killed", "import os; os.kill(os.getpid(), 9)")
    waits = job(tmp_path, "waits", "import time; time.sleep(60)")
    session.start(killed)
    session.start(waits)
    assert ended(session, killed)[:3] == ("ended", "killed by SIGKILL", True)
    assert session.poll([waits])["waits"].state == "running"
    # One that comes later finds it, and stops nothing that it has not started.
    later = specs.build("executor", "local(processes=2)").open()
    assert later.poll([waits, killed]) == {"waits": ("running", "", True, False, None)}
    later.cancel([waits])
    assert session.poll([waits])["waits"].state == "running"
    session.cancel([waits])
    assert ended(session, waits).why == "killed by SIGTERM"
    assert later.poll([waits]) == {}


@two
def test_a_task_of_slurms_is_one_task(tmp_path, monkeypatch):
    monkeypatch.setenv("SLURM_NTASKS", "4")
    session = specs.build("executor", "local(processes=2)").open()
    asks = job(tmp_path, "asks", "import os; print(os.environ['SLURM_NTASKS'])")
    session.start(asks)
    ended(session, asks)
    assert asks.log.read_text() == "1\n"


def test_more_processes_than_cores_are_refused():
    most = len(cores) or os.cpu_count()
    with pytest.raises(ValueError, match=f"processes={most + 1} is more than the {most} cores"):
        specs.build("executor", f"local(processes={most + 1})").open()


def test_every_session_is_of_the_machine_alone():
    """Nothing of the executor is imported before it is asked for."""
    command = "import attention.commands.sweep, sys; print('attention.lab.executors.slurm' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", command], capture_output=True, text=True).stdout == "False\n"
