"""A Ray cluster: each cohort is a process under an actor of its own, which Ray places where there is room.

The actor starts the command and says whether it still runs. It outlives the sweep, which finds it by its name when it comes
back, and ends by itself seconds after its command. A process whose actor is killed is told to stop, writes a checkpoint,
and the cohort goes on under another one. The nodes need the package at the same path, and the sweep's directory under the same
name.

Of this process's environment jobs get what begins with a prefix of ``PASSED``; all else is that of the node.

Source: https://docs.ray.io/en/latest/ray-core/actors/named-actors.html
"""

import functools
import os
import socket
import threading
from collections.abc import Collection
from pathlib import Path
from typing import Any

from attention import installation
from attention.lab.executors import PATIENCE, Executor, Job, Seen, Session, at_least

__all__: list[str] = []

PASSED = ("ATTENTION_", "JAX_", "XLA_", "TFDS_", "HF_", "WANDB_", "MLFLOW_")
_NAMESPACE = "attention-lab"
_LISTENS = 10.0  # seconds that a cluster has to take a connection
_ANSWER = 2.0  # seconds that actors have to answer; one that has not been placed does not


def build(*, address: str = "auto", gpus: float = 0.0, cpus: float = 1.0, concurrent: int = 32) -> Executor:
    """Actors of Ray.

    Args:
      address: of the cluster, as ``host:6379``; auto takes that of $RAY_ADDRESS or of this machine.
      gpus: for each job; a part of one, such as 0.5, is shared with others.
      cpus: for each job.
      concurrent: jobs at once, placed or waiting to be.
    """
    for name, value, least in (("gpus", gpus, 0), ("cpus", cpus, 0), ("concurrent", concurrent, 1)):
        at_least(name, value, least)
    return Executor(open=functools.partial(_open, address, gpus, cpus), concurrent=concurrent, every=2.0, patience=PATIENCE)


def _open(address: str, gpus: float, cpus: float) -> Session:
    installation.require("ray")
    import ray as package

    ray: Any = package  # which the file of its name hides from tools
    try:
        _reach(os.environ.get("RAY_ADDRESS", address) if address == "auto" else address)
        ray.init(address=address, namespace=_NAMESPACE, logging_level="ERROR", log_to_driver=False)
    except (OSError, RuntimeError, ValueError) as error:
        raise ValueError(f"no Ray cluster to join at address={address!r}, which 'ray start --head' begins: {error}") from None
    worker, lock = ray.remote(_worker()), threading.Lock()
    actors, asked, over = dict[str, Any](), dict[str, Any](), dict[str, Seen]()

    def start(job: Job) -> None:
        with lock:
            if _found(job) is None:
                own = {"name": job.name, "namespace": _NAMESPACE, "lifetime": "detached", "max_restarts": 0}
                actors[job.name] = worker.options(**own, num_gpus=gpus, num_cpus=cpus).remote()
                passed = {name: value for name, value in os.environ.items() if name.startswith(PASSED)}
                actors[job.name].begin.remote(job.command, {**passed, **job.environment}, str(Path.cwd()), str(job.log))

    def poll(jobs: Collection[Job]) -> dict[str, Seen]:
        with lock:
            there = {job.name: actor for job in jobs if job.name not in over and (actor := _found(job)) is not None}
            for name, actor in there.items():
                asked.setdefault(name, actor.code.remote())
            pending = [asked[name] for name in there]
            ready = set(ray.wait(pending, num_returns=len(pending), timeout=_ANSWER)[0]) if pending else set()
            found = {name: _answer(name, actor, ready) for name, actor in there.items()}
            return found | {job.name: over[job.name] for job in jobs if job.name in over}

    def cancel(jobs: Collection[Job]) -> None:
        seen = poll(jobs)
        with lock:
            for job in jobs:
                if job.name not in seen or seen[job.name].state == "ended":
                    continue
                if seen[job.name].state == "waiting":
                    ray.kill(actors[job.name])
                else:
                    ray.wait([actors[job.name].stop.remote()], timeout=_ANSWER)

    def _found(job: Job) -> Any:
        """The actor of a job, None where there is none."""
        if job.name not in actors:
            try:
                actors[job.name] = ray.get_actor(job.name, namespace=_NAMESPACE)
            except ValueError:
                return None
        return actors[job.name]

    def _awaited() -> str:
        """What actors wait for that have not been placed; nodes may come and go."""
        room = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        if any(of.get("CPU", 0) >= cpus and of.get("GPU", 0) >= gpus for of in room):
            return "for room in the cluster"
        return f"for a node with cpus={cpus:g} and gpus={gpus:g}, of which the cluster has none"

    def _answer(name: str, actor: Any, ready: set[Any]) -> Seen:
        if asked[name] not in ready:
            return Seen("waiting", _awaited())
        try:
            code = ray.get(asked.pop(name))
        except ray.exceptions.RayActorError as error:
            over[name] = Seen("ended", f"its actor died: {str(error).splitlines()[0]}", fault=False)
            return over[name]
        if code is None:
            return Seen("running")
        ray.kill(actor)  # it holds a place for others
        over[name] = Seen("ended", code) if isinstance(code, str) else Seen("ended", f"exit code {code}", code=code)
        return over[name]

    return Session(start, poll, cancel, close=ray.shutdown)


def _reach(address: str) -> None:
    """Raises OSError where nobody listens at ``host:port``: Ray itself tries for minutes, and prints what it tries."""
    host, separate, port = address.rpartition("/")[2].rpartition(":")
    if separate and port.isdigit():
        socket.create_connection((host.strip("[]"), int(port)), timeout=_LISTENS).close()


def _worker() -> type:
    """The class of the actors: made here, so that it travels as a whole to nodes that need nothing to read it."""

    class Worker:
        def __init__(self) -> None:
            self.process: Any = None
            self.failed = ""  # why there is none

        def begin(self, command: list[str], environment: dict[str, str], folder: str, log: str) -> None:
            import ctypes
            import os
            import signal
            import socket
            import subprocess
            import threading
            import time

            def told_to_stop() -> None:
                """Has the system send SIGTERM when the actor dies."""
                ctypes.CDLL(None).prctl(1, signal.SIGTERM)

            def end() -> None:
                self.process.wait()
                time.sleep(5)
                os._exit(0)

            # Of a cluster that is itself a job of Slurm's with several tasks, each process trains a run of its own.
            one_task = {name: "1" for name in ("SLURM_NTASKS", "SLURM_NPROCS") if name in os.environ}
            try:
                with open(log, "ab") as file:
                    self.process = subprocess.Popen(
                        list(command),
                        cwd=folder,
                        env={**os.environ, **one_task, **environment},
                        stdin=subprocess.DEVNULL,
                        stdout=file,
                        stderr=subprocess.STDOUT,
                        start_new_session=True,  # Ray kills what is left of the group of an actor that died
                        preexec_fn=told_to_stop if os.uname().sysname == "Linux" else None,
                    )
            except OSError as error:
                self.failed = f"not begun on {socket.gethostname()}: {error}"
                threading.Timer(60, os._exit, [0]).start()  # where nobody asks
                return
            threading.Thread(target=end, daemon=True).start()

        def code(self) -> int | str | None:
            return self.failed or self.process.poll()

        def stop(self) -> None:
            if self.process is not None:
                self.process.terminate()

    return Worker
