"""Sweeps on a real Slurm of one node, whatever happens to their jobs: the rows are those of one process."""

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.skipif(
        shutil.which("sinfo") is None or subprocess.run(["sinfo"], capture_output=True).returncode != 0,
        reason="no Slurm answers here: bash .ci/slurm python -m pytest ...",
    ),
]
SLURM = "slurm(cpus=2, concurrent=3)"
OWN = os.environ.get("ATTENTION_TESTS_SLURM")  # folder of a Slurm that is there for these tests
owned = pytest.mark.skipif(OWN is None, reason="ends the controller of Slurm, of one of its own: bash .ci/slurm")


@pytest.fixture(autouse=True)
def emptied():
    yield

    for name in queued():
        if name.startswith("attention-") or name == "another":
            call("scancel", f"--name={name}")


def call(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def queued():
    """The names of jobs that wait or run, with their states and numbers."""
    lines = call("squeue", "--noheader", "--format=%j|%T|%i").splitlines()
    return {name: (state, number) for name, state, number in (line.split("|") for line in lines)}


def process_of(number):
    """The process of a running job: that of the batch step."""
    return int(call("scontrol", "listpids", number).splitlines()[1].split()[0])


def until(reached, seconds=120.0):
    end = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < end, "it does not come to that"
        time.sleep(0.2)


def without_controller(meanwhile):
    """Ends Slurm's controller, and begins it again after ``meanwhile``."""
    path = Path(f"{OWN}/slurmctld.pid")
    os.kill(int(path.read_text()), signal.SIGTERM)
    until(lambda: not path.exists())
    meanwhile()
    subprocess.run(["slurmctld"], check=True)
    until(lambda: subprocess.run(["sinfo"], capture_output=True).returncode == 0)


def requeued(running):
    """Slurm begins it again two minutes later, which is not waited for."""
    number, _ = running.held(process_of)
    call("scontrol", "requeue", number)
    running.until(lambda: any(state == "PENDING" and there == number for state, there in queued().values()))
    subprocess.run(["scontrol", "update", f"JobId={number}", "StartTime=now"], capture_output=True)


def cancelled(running):
    call("scancel", running.held(process_of)[0])


def cancelled_with_all(running):
    running.held(process_of)
    for name in queued():
        call("scancel", f"--name={name}")


def killed(running):
    os.kill(running.held(process_of)[1], signal.SIGKILL)


def test_whatever_happens_to_jobs_rows_are_the_same(sweep, tmp_path):
    running = sweep.start(tmp_path / "it's a sweep", SLURM)
    for event in (requeued, cancelled, killed, cancelled_with_all):
        event(running)
    assert sweep.finished(running) == sweep.rows
    assert len(list(running.workdir.glob("jobs/*"))) >= 7  # four cohorts; one that is requeued stays the same job


@owned
def test_a_controller_that_goes_away_is_waited_for(sweep, tmp_path):
    """A job ends meanwhile."""
    running = sweep.start(tmp_path / "sweep", SLURM)
    _, process = running.held(process_of)

    def ends():
        before = len(list(running.workdir.glob("jobs/*/ended.json")))
        os.kill(process, signal.SIGCONT)
        running.until(lambda: len(list(running.workdir.glob("jobs/*/ended.json"))) > before)

    without_controller(ends)
    assert sweep.finished(running) == sweep.rows


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_it_is_left_and_joined(sweep, tmp_path, number):
    running = sweep.start(tmp_path / "sweep", SLURM)
    job, process = running.held(process_of)
    code, said = running.stop(number)
    assert code == (143 if number == signal.SIGTERM else -number), said
    assert job in {there for _, there in queued().values()}
    os.kill(process, signal.SIGCONT)
    assert sweep.finished(sweep.start(tmp_path / "sweep", SLURM)) == sweep.rows
    assert {path.name.rpartition("-")[2] for path in (tmp_path / "sweep" / "jobs").iterdir()} == {"1"}  # none was started twice


def test_an_interrupt_cancels_what_it_started_and_nothing_else(sweep, tmp_path):
    other = call("sbatch", "--parsable", "--job-name=another", "--hold", "--wrap=true").strip()
    running = sweep.start(tmp_path / "sweep", SLURM)
    running.held(process_of)
    code, said = running.stop(signal.SIGINT)
    assert code == 130, said
    until(lambda: set(queued()) == {"another"})
    call("scancel", other)
    assert sweep.finished(sweep.start(tmp_path / "sweep", SLURM)) == sweep.rows


@owned
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
        running.until(lambda: set(queued()) - {"another"})
    finally:
        limited(10000)
    assert sweep.finished(running) == sweep.rows


def limited(most):
    """Has the controller hold so many jobs."""
    path = Path(f"{OWN}/slurm.conf")
    lines = [line for line in path.read_text().splitlines() if not line.startswith(("MaxJobCount", "MinJobAge"))]
    lines += [f"MaxJobCount={most}", f"MinJobAge={2 if most < 10 else 300}"]
    without_controller(lambda: path.write_text("\n".join([*lines, ""])))


def test_time_that_is_over_is_no_fault(sweep, tmp_path):
    """A minute, of which Slurm's grid makes up to two."""
    running = sweep.start(tmp_path / "sweep", "slurm(cpus=2, concurrent=2, time='0:01:00', notice=0)")
    number, _ = running.held(process_of)
    running.until(lambda: all(there != number for _, there in queued().values()))
    assert sweep.finished(running) == sweep.rows
    assert len(list((tmp_path / "sweep" / "jobs").iterdir())) >= 5


def test_a_partition_that_is_not_there_is_one_line(sweep, tmp_path):
    code, said = sweep.start(tmp_path / "sweep", "slurm(partition='nope')").end()
    assert code == 2
    assert said.strip().splitlines()[-1].startswith("error: Slurm refuses the job: sbatch: error: invalid partition")
