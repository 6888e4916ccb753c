"""Sweeps on a real Slurm of one node, whatever happens to their jobs: the rows are those of one process."""

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from attention import specs
from tests.cluster.support import Sweeps

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.skipif(
        shutil.which("sinfo") is None or subprocess.run(["sinfo"], capture_output=True).returncode != 0,
        reason="no Slurm answers here: bash .ci/slurm",
    ),
]
SLURM = "slurm(cpus=2, concurrent=2)"


@pytest.fixture(scope="module")
def sweep(tmp_path_factory):
    return Sweeps(tmp_path_factory.mktemp("slurm"))


@pytest.fixture(autouse=True)
def emptied():
    yield

    for name in queued():
        if name.startswith("attention-"):
            call("scancel", f"--name={name}")


def call(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def queued():
    """The names of our jobs that wait or run, with their states."""
    lines = call("squeue", "--noheader", "--format=%j|%T|%i").splitlines()
    return {name: (state, number) for name, state, number in (line.split("|") for line in lines)}


def at_work(running):
    """The number at Slurm of a job that has come to a checkpoint."""
    return running.until(lambda: next(iter(running.training().values()), None))


def process_of(number):
    """The process of a running job: that of the batch step."""
    return int(call("scontrol", "listpids", number).splitlines()[1].split()[0])


def requeued(running):
    call("scontrol", "requeue", at_work(running))
    number = next(number for state, number in queued().values() if state != "RUNNING")
    running.until(lambda: any(state == "PENDING" for state, _ in queued().values()))
    subprocess.run(["scontrol", "update", f"JobId={number}", "StartTime=now"], capture_output=True)


def cancelled(running):
    call("scancel", at_work(running))


def cancelled_with_all(running):
    at_work(running)
    for name in queued():
        call("scancel", f"--name={name}")


def killed(running):
    os.kill(process_of(at_work(running)), signal.SIGKILL)


def restarted(running):
    """The controller goes away in mid-sweep and comes back."""
    at_work(running)
    pid = int(call("pgrep", "-x", "slurmctld").split()[0])
    os.kill(pid, signal.SIGTERM)
    time.sleep(5)
    subprocess.run(["slurmctld"], check=True)


@pytest.mark.parametrize("event", [requeued, cancelled, cancelled_with_all, killed, restarted])
def test_whatever_happens_rows_are_the_same(sweep, tmp_path, event):
    running = sweep.start(tmp_path / "it's a sweep", SLURM)
    event(running)
    assert sweep.finished(running) == sweep.rows


def test_it_is_left_and_joined(sweep, tmp_path):
    running = sweep.start(tmp_path / "sweep", SLURM)
    at_work(running)
    running.process.kill()
    running.process.communicate()
    before = queued()
    assert before
    again = sweep.start(tmp_path / "sweep", SLURM)
    assert sweep.finished(again) == sweep.rows
    assert {path.name.rpartition("-")[2] for path in (tmp_path / "sweep" / "jobs").iterdir()} == {"1"}  # none was started twice


def test_an_interrupt_cancels_what_it_started_and_nothing_else(sweep, tmp_path):
    other = call("sbatch", "--parsable", "--job-name=another", "--hold", "--wrap=true").strip()
    running = sweep.start(tmp_path / "sweep", SLURM)
    at_work(running)
    code, _ = running.stop(signal.SIGINT)
    assert code == 130
    end = time.monotonic() + 60
    while set(queued()) != {"another"} and time.monotonic() < end:
        time.sleep(0.5)
    assert set(queued()) == {"another"}
    call("scancel", other)
    assert sweep.finished(sweep.start(tmp_path / "sweep", SLURM)) == sweep.rows


def test_a_sweep_told_to_end_leaves_its_jobs(sweep, tmp_path):
    running = sweep.start(tmp_path / "sweep", SLURM)
    at_work(running)
    code, _ = running.stop(signal.SIGTERM)
    assert code == 143
    assert queued()
    assert sweep.finished(sweep.start(tmp_path / "sweep", SLURM)) == sweep.rows


def test_a_full_queue_is_waited_for(sweep, tmp_path):
    """Two places, both held by others, until they give them back."""
    others = [call("sbatch", "--parsable", "--job-name=another", "--hold", "--wrap=true").strip() for _ in range(2)]
    limited(2)
    try:
        running = sweep.start(tmp_path / "sweep", SLURM)
        running.until(lambda: any((tmp_path / "sweep").glob("jobs/*/script.sh")))
        time.sleep(5)
        assert set(queued()) == {"another"}
        for job in others:
            call("scancel", job)
        assert sweep.finished(running) == sweep.rows
    finally:
        limited(10000)


def limited(most):
    """Has the controller hold so many jobs."""
    path = Path("/etc/slurm/slurm.conf")
    lines = [line for line in path.read_text().splitlines() if not line.startswith(("MaxJobCount", "MinJobAge"))]
    path.write_text("\n".join([*lines, f"MaxJobCount={most}", f"MinJobAge={2 if most < 10 else 300}"]) + "\n")
    pid = int(call("pgrep", "-x", "slurmctld").split()[0])
    os.kill(pid, signal.SIGTERM)
    time.sleep(3)
    subprocess.run(["slurmctld"], check=True)
    end = time.monotonic() + 30
    while subprocess.run(["sinfo"], capture_output=True).returncode and time.monotonic() < end:
        time.sleep(0.5)


def test_time_that_is_over_is_no_fault(sweep, tmp_path):
    """A minute, of which Slurm's grid makes up to two; the process is held, so that it does not end before."""
    running = sweep.start(tmp_path / "sweep", "slurm(cpus=2, concurrent=1, time='0:01:00', notice=0)")
    number = at_work(running)
    process = process_of(number)
    os.kill(process, signal.SIGSTOP)
    running.until(lambda: all(there != number for _, there in queued().values()))
    assert sweep.finished(running) == sweep.rows
    assert len(list((tmp_path / "sweep" / "jobs").iterdir())) >= 5


def test_a_partition_that_is_not_there_is_one_line(sweep, tmp_path):
    running = sweep.start(tmp_path / "sweep", "slurm(partition='nope')")
    said = running.process.communicate(timeout=300)[0]
    assert running.process.returncode == 2
    assert said.strip().splitlines()[-1].startswith("error: Slurm refuses the job: sbatch: error: invalid partition")
    assert specs.build("executor", "slurm").open is not None
