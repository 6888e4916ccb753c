"""Jobs of Slurm: each cohort is one batch job of one task, submitted with sbatch from a login node.

``sbatch``, ``squeue`` and ``scancel`` are all that is asked of the cluster; accounting is not needed. A job asks Slurm for
SIGTERM ``notice`` seconds before its time is over, writes a checkpoint, and goes on in another job. Preemption, a cancelled
job, a lost node and the end of its time are no faults of a cohort. Where the queue takes no more, jobs are submitted once
it does; while Slurm does not answer, what it said last is believed.

Source: https://slurm.schedmd.com/sbatch.html
"""

import functools
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Collection, Sequence
from pathlib import Path

from attention.files import TryAgainError
from attention.lab.executors import PATIENCE, Executor, Job, Seen, Session, at_least
from attention.messages import one_line, quoted
from attention.training.job import ID

__all__: list[str] = []

_RUNNING = {"RUNNING", "COMPLETING", "SIGNALING", "STAGE_OUT"}
_LIMIT = {"TIMEOUT", "DEADLINE"}
_NO_FAULT = {"CANCELLED", "PREEMPTED", "NODE_FAIL", "BOOT_FAIL", "REVOKED", *_LIMIT}
_ENDED = {"COMPLETED", "FAILED", "OUT_OF_MEMORY", *_NO_FAULT}  # in every other state, of which new ones come, a job waits
# What sbatch says where it may take the same job later.
_LATER = ("temporarily unable", "unable to contact", "submit limit", "submitjob", "timed out", "connection", "zero bytes")
_NEVER = re.compile(r"\b(QOS|Assoc)(?!\w*SubmitJob)\w")  # before the words that all limits share: not the one on how many jobs
_TAKEN = re.compile(r"^\D*\d+(;\S*)?\s*$", re.MULTILINE)  # the number of the job, also after words
_MANY = ("-a", "--array", "-M", "--clusters")  # flags of sbatch that make other than one job of one cluster
# Variables that say which Slurm is asked, and who asks. Others of a sweep that is a job itself say nothing of those that it
# submits, and those of a user for squeue and scancel would hide jobs from them, as would an array or another cluster.
_WHICH = ("SLURM_CONF", "SLURM_CLUSTERS", "SLURM_JWT")
_HIDING = ("SLURM_", "SQUEUE_", "SCANCEL_", "SBATCH_ARRAY_INX", "SBATCH_CLUSTERS")
_COLUMNS = {"Name": 64, "State": 24, "Reason": 64, "exit_code": 16}
_ANSWER = 30.0  # seconds that a command of Slurm's may take: sbatch waits for minutes where the queue is full


def build(
    *,
    partition: str = "",
    account: str = "",
    qos: str = "",
    gpus: int = 0,
    cpus: int = 1,
    memory: str = "",
    time: str = "",
    notice: int = 60,
    concurrent: int = 32,
    setup: str = "",
    within: str = "",
    options: str = "",
) -> Executor:
    """Batch jobs.

    Args:
      partition: as ``sbatch --partition``; the cluster's own choice where empty, as for all that follow.
      account: as ``--account``.
      qos: as ``--qos``.
      gpus: of one node, for each job.
      cpus: as ``--cpus-per-task``.
      memory: as ``--mem``, such as 16G.
      time: as ``--time``, such as 2:00:00 or 1-12.
      notice: seconds before its time is over at which a job is told to write a checkpoint; 0 leaves that to Slurm's KillWait.
      concurrent: jobs in the queue at once, waiting or running.
      setup: a line for the shell before the command, such as ``module load cuda``.
      within: what the command is given to, such as ``apptainer exec --nv image.sif``.
      options: further ones of sbatch, as ``--constraint=a100 --nice``.
    """
    for name, value, least in (("gpus", gpus, 0), ("cpus", cpus, 1), ("notice", notice, 0), ("concurrent", concurrent, 1)):
        at_least(name, value, least)
    if time and not re.fullmatch(r"(\d+-)?\d+(:\d\d?){0,2}", time):
        raise ValueError(f"time wants minutes, hours:minutes:seconds or days-hours, got {quoted(time)}")
    try:
        further = shlex.split(options)
    except ValueError as error:
        raise ValueError(f"options wants flags as in a shell ({error}), got {quoted(options)}") from None
    if stray := [word for word in further if not word.startswith("-")]:
        raise ValueError(f"options wants flags, --NAME=VALUE, got {quoted(stray[0])}")
    if many := [word for word in further if word.startswith(_MANY)]:
        raise ValueError(f"options wants flags for one job of this cluster each (or of $SLURM_CLUSTERS), got {quoted(many[0])}")
    named = {"partition": partition, "account": account, "qos": qos, "mem": memory, "time": time}
    flags = [f"--{name}={value}" for name, value in named.items() if value]
    flags += [f"--gres=gpu:{gpus}"] if gpus else []
    flags += [f"--signal=B:TERM@{notice}"] if time and notice else []
    flags += ["--ntasks=1", f"--cpus-per-task={cpus}", "--requeue", *further]
    return Executor(
        open=functools.partial(_open, tuple(flags), setup, within), concurrent=concurrent, every=10.0, patience=PATIENCE
    )


def _open(flags: Sequence[str], setup: str, within: str) -> Session:
    if missing := [name for name in ("sbatch", "squeue", "scancel") if shutil.which(name) is None]:
        raise ValueError(f"{missing[0]} is not to be found here: start the sweep on a machine that submits jobs to Slurm")

    def start(job: Job) -> None:
        script = job.folder / "script.sh"
        if script.exists() and job.name in poll([job]):  # it was taken, and its answer was lost
            return
        script.write_text(_script(job, setup, within), encoding="utf-8")
        log = str(job.log).replace("%", "%%")
        own = [f"--job-name={job.name}", f"--output={log}", "--open-mode=append", f"--chdir={Path.cwd()}"]
        try:
            said = _call("sbatch", "--parsable", *flags, *own, str(script))
        except _FailedError as error:
            if any(sign in str(error).lower() for sign in _LATER) and not _NEVER.search(str(error)):
                raise TryAgainError(f"Slurm takes no job now: {error}") from None
            raise ValueError(f"Slurm refuses the job: {error}") from None
        if not _TAKEN.search(said):
            raise ValueError(f"sbatch {shlex.join(flags)} has submitted no job; it says {quoted(said)}")

    def poll(jobs: Collection[Job]) -> dict[str, Seen]:
        names = ",".join(job.name for job in jobs)
        columns = ",".join(f"{name}:{width}" for name, width in _COLUMNS.items())
        try:
            found = _call("squeue", "--noheader", "--states=all", f"--name={names}", f"--Format={columns}")
        except _FailedError as error:
            raise TryAgainError(f"Slurm does not answer: {error}") from None
        return dict(map(_read, found.splitlines()))

    def cancel(jobs: Collection[Job]) -> None:
        for job in jobs:
            try:
                _call("scancel", f"--name={job.name}")
            except _FailedError as error:
                raise TryAgainError(f"Slurm cancels nothing now: {error}; scancel --name={job.name} does so later") from None

    return Session(start, poll, cancel, close=lambda: None)


class _FailedError(Exception):
    """A command of Slurm's that has failed, with what it said."""


def _call(*command: str) -> str:
    """What a command prints."""
    environment = {name: value for name, value in os.environ.items() if name in _WHICH or not name.startswith(_HIDING)}
    streams = {"stdin": subprocess.DEVNULL, "capture_output": True, "text": True, "errors": "replace"}
    try:
        done = subprocess.run(command, env=environment, timeout=_ANSWER, **streams)
    except subprocess.TimeoutExpired as error:
        said = error.stderr.decode(errors="replace") if isinstance(error.stderr, bytes) else error.stderr or ""
        raise _FailedError(f"timed out after {_ANSWER:.0f} s; {one_line(said)}") from None
    if done.returncode:
        raise _FailedError(one_line(done.stderr) or f"{command[0]} ended with exit code {done.returncode}")
    return done.stdout


def _script(job: Job, setup: str, within: str) -> str:
    variables = [f"export {name}={shlex.quote(value)}" for name, value in job.environment.items()]
    variables.append(f"export {ID}=$SLURM_JOB_ID")
    # In place of the shell, so that the signals that Slurm sends are the program's.
    command = " ".join(["exec", *filter(None, [within]), shlex.join(job.command)])
    return "\n".join(["#!/bin/bash", *filter(None, [setup]), *variables, command, ""])


def _read(line: str) -> tuple[str, Seen]:
    """The name of a job and what a line of squeue says of it."""
    fields, start = [], 0
    for width in _COLUMNS.values():
        fields.append(line[start : start + width].strip())
        start += width
    name, state, reason, status = fields
    known = "" if reason == "None" else reason
    if state in _RUNNING:
        return name, Seen("running")
    if state not in _ENDED:
        return name, Seen("waiting", known)
    code = _code(status)
    why = state.lower().replace("_", " ") + (f", exit code {code}" if code else f" ({known})" if known else "")
    return name, Seen("ended", why, fault=state not in _NO_FAULT, limit=state in _LIMIT, code=code)


def _code(status: str) -> int | None:
    """The exit code, of ``CODE:SIGNAL`` or of a number as ``wait`` gives it; None for a death by signal."""
    code, separate, killed = status.partition(":")
    if not code.isdigit() or (separate and not killed.isdigit()):
        return None
    if separate:
        return None if int(killed) else int(code)
    return None if int(code) & 0x7F else int(code) >> 8
