"""Evidence of Slurm, against programs that only look like its own; tests/cluster has the real ones."""

import json
import os
import shlex
import subprocess

import pytest

from attention import specs
from attention.files import TryAgainError
from attention.lab.executors import Job, Seen, slurm
from tests.support.evidence import ExecutorEvidence
from tests.support.row import Row

ROW = Row(
    "slurm",
    {
        "partition": "'gpu'",
        "account": "'us'",
        "qos": "'low'",
        "gpus": "1",
        "cpus": "4",
        "memory": "'16G'",
        "time": "'2:00:00'",
        "notice": "30, time='1-12'",
        "concurrent": "2",
        "setup": "'module load cuda'",
        "within": "'apptainer exec image.sif'",
        "options": "'--constraint=a100 --nice'",
    },
    ExecutorEvidence(
        lacks="sbatch is not to be found here: start the sweep on a machine that submits jobs to Slurm",
        errors={
            "slurm(gpus=-1)": "gpus wants 0 or more, got -1",
            "slurm(cpus=0)": "cpus wants 1 or more, got 0",
            "slurm(concurrent=0)": "concurrent wants 1 or more, got 0",
            "slurm(time='two hours')": "time wants minutes, hours:minutes:seconds or days-hours, got 'two hours'",
            "slurm(options='a100')": "options wants flags, --NAME=VALUE, got 'a100'",
            "slurm(options='--array=0-3')": "options wants flags for one job of this cluster each .*, got '--array=0-3'",
            "slurm(options='-Mother')": "one job of this cluster each .*, got '-Mother'",
            "slurm(partitoin='gpu')": "nearest: 'partition'",
        },
    ),
)

PROGRAM = """#!/usr/bin/env python3
import json, os, sys, time
name, here = os.path.basename(sys.argv[0]), os.path.dirname(sys.argv[0])
given = {name: value for name, value in os.environ.items() if name.startswith(("SLURM_", "SBATCH_", "SQUEUE_", "SCANCEL_"))}
with open(f"{here}/{name}.jsonl", "a") as file:
    file.write(json.dumps([*sys.argv[1:], given]) + "\\n")
answer = json.load(open(f"{here}/{name}.json")) if os.path.exists(f"{here}/{name}.json") else {}
time.sleep(answer.get("sleep", 0))
sys.stdout.write(answer.get("out", "7\\n" if name == "sbatch" else ""))
sys.stderr.buffer.write(answer.get("err", "").encode("latin-1"))
sys.exit(answer.get("code", 0))
"""


@pytest.fixture
def cluster(tmp_path, monkeypatch):
    """Programs of Slurm's names that answer what they are told, and note what they were asked."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("sbatch", "squeue", "scancel"):
        (folder / name).write_text(PROGRAM)
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    monkeypatch.delenv("SLURM_CONF", raising=False)

    class Cluster:
        def answers(self, program, **answer):
            (folder / f"{program}.json").write_text(json.dumps(answer))

        def asked(self, program):
            file = folder / f"{program}.jsonl"
            return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []

    return Cluster()


def job(tmp_path):
    folder = tmp_path / "it's 50%j" / "a-1"
    folder.mkdir(parents=True)
    command = ("python", "-c", "print('one two')", "--workdir=a b")
    return Job("attention-0-a-1", command, {"ATTENTION_JOB": str(folder)}, folder, tmp_path / "50%j it's.txt")


def test_a_job_is_a_script_with_the_flags_that_options_say(tmp_path, cluster, monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "7")  # of a sweep that is a job itself
    spec = "slurm(partition='gpu', gpus=2, cpus=4, memory='16G', time='2:00:00', "
    spec += "setup='echo set up', within='env A=1', options='--nice=5')"
    session, one = specs.build("executor", spec).open(), job(tmp_path)
    session.start(one)
    (asked,) = cluster.asked("sbatch")
    wanted = [
        "--parsable",
        "--partition=gpu",
        "--mem=16G",
        "--time=2:00:00",
        "--gres=gpu:2",
        "--signal=B:TERM@60",
        "--ntasks=1",
    ]
    assert asked[:7] == wanted
    assert asked[7:10] == ["--cpus-per-task=4", "--requeue", "--nice=5"]
    assert f"--output={tmp_path}/50%%j it's.txt" in asked
    assert f"--chdir={os.getcwd()}" in asked
    assert asked[-1] == {}
    ran = subprocess.run(["bash", asked[-2]], capture_output=True, text=True, env=os.environ)
    assert ran.stdout == "set up\none two\n", ran.stderr
    script = (one.folder / "script.sh").read_text()
    assert script.splitlines()[-1] == f"exec env A=1 {shlex.join(one.command)}"


def test_no_time_asks_for_no_signal(tmp_path, cluster):
    specs.build("executor", "slurm").open().start(job(tmp_path))
    (asked,) = cluster.asked("sbatch")
    assert asked[:4] == ["--parsable", "--ntasks=1", "--cpus-per-task=1", "--requeue"]


@pytest.mark.parametrize(
    ("said", "kind", "message"),
    [
        ("sbatch: error: invalid partition specified: x", ValueError, "Slurm refuses the job: .*invalid partition"),
        (
            "sbatch: error: Job violates accounting/QOS policy (job submit limit)",
            TryAgainError,
            "takes no job now: .*submit limit",
        ),
        (
            "sbatch: error: QOSMaxSubmitJobPerUserLimit\n"
            "sbatch: error: Job violates accounting/QOS policy (job submit limit, user's size and/or time limits)",
            TryAgainError,
            "takes no job now: .*QOSMaxSubmitJobPerUserLimit",
        ),
        (
            "sbatch: error: QOSMaxWallDurationPerJobLimit\n"
            "sbatch: error: Job violates accounting/QOS policy (job submit limit, user's size and/or time limits)",
            ValueError,
            "refuses the job: .*QOSMaxWallDurationPerJobLimit",
        ),
        ("sbatch: error: Gruppe nicht verf\xfcgbar", ValueError, "refuses the job: .*Gruppe nicht verf.gbar"),
        ("sbatch: error: Unable to contact slurm controller (connect failure)", TryAgainError, "takes no job now"),
    ],
)
def test_what_may_go_better_later_is_told_from_what_will_not(tmp_path, cluster, said, kind, message):
    cluster.answers("sbatch", err=f"{said}\nsbatch: more", code=1)
    with pytest.raises(kind, match=message) as caught:
        specs.build("executor", "slurm").open().start(job(tmp_path))
    assert type(caught.value) is kind


def test_a_job_whose_answer_was_lost_is_submitted_once(tmp_path, cluster, monkeypatch):
    monkeypatch.setattr(slurm, "_ANSWER", 1.0)
    session, one = specs.build("executor", "slurm").open(), job(tmp_path)
    cluster.answers("sbatch", sleep=3)
    with pytest.raises(TryAgainError, match="timed out after 1 s"):
        session.start(one)
    cluster.answers("squeue", out=line(one.name, "PENDING", "Priority", "0"))
    session.start(one)
    assert len(cluster.asked("sbatch")) == 1


def line(name, state, reason, status):
    return "".join(word.ljust(width) for word, width in zip((name, state, reason, status), (64, 24, 64, 16))) + "\n"


@pytest.mark.parametrize(
    ("state", "status", "seen"),
    [
        ("PENDING Resources", "0", Seen("waiting", "Resources")),
        ("PENDING", "0", Seen("waiting")),
        ("RESV_DEL_HOLD Reservation", "0", Seen("waiting", "Reservation")),
        ("A_STATE_TO_COME", "0", Seen("waiting")),
        ("RUNNING", "0", Seen("running")),
        ("COMPLETING", "0", Seen("running")),
        ("COMPLETED", "0", Seen("ended", "completed", code=0)),
        ("FAILED JobLaunchFailure", "0:53", Seen("ended", "failed (JobLaunchFailure)")),
        ("FAILED NonZeroExitCode", "512", Seen("ended", "failed, exit code 2", code=2)),
        ("FAILED", "2:0", Seen("ended", "failed, exit code 2", code=2)),
        ("FAILED", "9", Seen("ended", "failed")),
        ("FAILED", "0:9", Seen("ended", "failed")),
        ("OUT_OF_MEMORY", "0:125", Seen("ended", "out of memory")),
        ("CANCELLED", "15", Seen("ended", "cancelled", fault=False)),
        ("PREEMPTED", "15", Seen("ended", "preempted", fault=False)),
        ("NODE_FAIL", "0", Seen("ended", "node fail", fault=False, code=0)),
        ("TIMEOUT", "15", Seen("ended", "timeout", fault=False, limit=True)),
    ],
)
def test_what_squeue_says(tmp_path, cluster, state, status, seen):
    one = job(tmp_path)
    state, _, reason = state.partition(" ")
    cluster.answers("squeue", out=line(one.name, state, reason or "None", status))
    assert specs.build("executor", "slurm").open().poll([one]) == {one.name: seen}


def test_a_slurm_that_does_not_answer(tmp_path, cluster):
    cluster.answers("squeue", err="slurm_load_jobs error: Unable to contact slurm controller (connect failure)", code=1)
    session, one = specs.build("executor", "slurm").open(), job(tmp_path)
    with pytest.raises(TryAgainError, match="Slurm does not answer: slurm_load_jobs error"):
        session.poll([one])
    session.cancel([one])
    assert cluster.asked("scancel") == [[f"--name={one.name}", {}]]


def test_what_a_user_sets_for_other_calls_hides_no_jobs(tmp_path, cluster, monkeypatch):
    """A squeue that leaves jobs out by partition would have them started again; which Slurm is asked stays said."""
    for name in ("SQUEUE_PARTITION", "SCANCEL_INTERACTIVE", "SLURM_JOB_ID", "SBATCH_ARRAY_INX", "SBATCH_CLUSTERS"):
        monkeypatch.setenv(name, "1")
    kept = {"SLURM_CONF": "/etc/conf", "SLURM_CLUSTERS": "here", "SLURM_JWT": "token", "SBATCH_ACCOUNT": "us"}
    for name, value in kept.items():
        monkeypatch.setenv(name, value)
    session, one = specs.build("executor", "slurm").open(), job(tmp_path)
    session.start(one)
    session.poll([one])
    session.cancel([one])
    assert [cluster.asked(program)[0][-1] for program in ("sbatch", "squeue", "scancel")] == [kept] * 3


@pytest.mark.parametrize("said", ["7\n", "7;here\n", "Welcome to the cluster!\n7\n", "Submitted batch job 7\n"])
def test_the_number_of_a_job(tmp_path, cluster, said):
    cluster.answers("sbatch", out=said)
    specs.build("executor", "slurm").open().start(job(tmp_path))


@pytest.mark.parametrize("said", ["", "slurm-wlm 22.05.8\n", "Usage: sbatch [OPTIONS(0)...] script [args(0)...]\n"])
def test_an_answer_without_a_number_is_no_job(tmp_path, cluster, said):
    """As after ``--test-only`` or ``--version``."""
    cluster.answers("sbatch", out=said)
    with pytest.raises(ValueError, match=r"sbatch .*--test-only has submitted no job; it says"):
        specs.build("executor", "slurm(options='--test-only')").open().start(job(tmp_path))
