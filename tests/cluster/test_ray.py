"""Sweeps on a real Ray cluster of one node, whatever happens to its workers: the rows are those of one process."""

import contextlib
import importlib.util
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from tests.cluster.support import ROOT, state

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="needs requirements-cluster.txt"),
    pytest.mark.skipif(sys.platform != "linux", reason="finds processes in /proc"),
]
RAY = Path(sys.executable).with_name("ray")


@pytest.fixture(scope="module")
def executor():
    """That of a cluster with a folder and ports of its own, beside whatever Ray there is."""
    port, client = free_ports(2)
    # A short name, for sockets have it in theirs.
    with tempfile.TemporaryDirectory(prefix="ray", dir="/tmp", ignore_cleanup_errors=True) as folder:
        own = [f"--temp-dir={folder}", "--node-ip-address=127.0.0.1", f"--port={port}", f"--ray-client-server-port={client}"]
        own += ["--min-worker-port=0", "--max-worker-port=0", "--dashboard-agent-listen-port=0", "--include-dashboard=false"]
        size = ["--num-cpus=2", "--object-store-memory=100000000"]
        command = [RAY, "start", "--head", "--block", *own, *size, "--disable-usage-stats"]
        with open(f"{folder}/said", "w+") as said:
            open_to_all = {**os.environ, "RAY_AUTH_MODE": "disabled"}  # whatever token a Ray before has left in the home folder
            process = subprocess.Popen(command, stdout=said, stderr=subprocess.STDOUT, start_new_session=True, env=open_to_all)
            try:
                answers = [RAY, "health-check", f"--address=127.0.0.1:{port}"]
                end = time.monotonic() + 300
                while subprocess.run(answers, capture_output=True, env=open_to_all).returncode:
                    if process.poll() is not None or time.monotonic() > end:
                        pytest.fail(f"Ray does not begin: {Path(said.name).read_text()}")
                    time.sleep(0.5)
                yield f"ray(address='127.0.0.1:{port}', cpus=1, concurrent=2)"
            finally:
                process.terminate()
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(60)
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)


def free_ports(count):
    with contextlib.ExitStack() as stack:
        held = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [each.getsockname()[1] for each in held]


def gone(process):
    """Also one for which nobody waits."""
    try:
        return state(process)[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def test_whatever_happens_to_workers_and_processes_rows_are_the_same(sweep, executor, tmp_path):
    running = sweep.start(tmp_path / "it's a sweep", executor)
    _, process = running.held()
    os.kill(state(process)[1], signal.SIGKILL)
    os.kill(process, signal.SIGCONT)  # to be told to stop, since its worker has died
    running.until(lambda: gone(process))
    assert "stopped" in [json.loads(path.read_text())["how"] for path in running.workdir.glob("jobs/*/ended.json")]
    os.kill(running.held()[1], signal.SIGKILL)
    assert sweep.finished(running) == sweep.rows
    assert len(list(running.workdir.glob("jobs/*"))) >= 6  # of four cohorts


def test_it_is_left_and_joined(sweep, executor, tmp_path):
    running = sweep.start(tmp_path / "sweep", executor)
    _, process = running.held()
    running.stop(signal.SIGKILL)
    os.kill(process, signal.SIGCONT)
    assert sweep.finished(sweep.start(tmp_path / "sweep", executor)) == sweep.rows
    assert {path.name.rpartition("-")[2] for path in (tmp_path / "sweep" / "jobs").iterdir()} == {"1"}  # none was started twice


def test_an_interrupt_stops_what_it_started(sweep, executor, tmp_path):
    running = sweep.start(tmp_path / "sweep", executor)
    _, process = running.held()
    os.kill(process, signal.SIGCONT)
    code, said = running.stop(signal.SIGINT)
    assert code == 130, said
    end = time.monotonic() + 60
    while not gone(process) and time.monotonic() < end:
        time.sleep(0.2)
    assert gone(process)
    assert sweep.finished(sweep.start(tmp_path / "sweep", executor)) == sweep.rows


def test_a_node_that_does_not_see_what_it_is_to_run(executor, tmp_path):
    """Or that has no room, ever: both are said, by executors of which no other is in the way."""
    said = subprocess.run(
        [sys.executable, "-c", UNFIT, executor, str(tmp_path)],
        capture_output=True,
        text=True,
        env={**os.environ, "RAY_AUTH_MODE": "disabled", "PYTHONPATH": str(ROOT)},
    )
    assert said.returncode == 0, said.stderr
    blind, large = map(json.loads, said.stdout.splitlines()[-2:])
    assert blind[0] == "ended"
    assert blind[1].startswith("not begun on ")
    assert blind[1].endswith("No such file or directory: 'not there'")
    assert large[:2] == ["waiting", "for a node with cpus=64 and gpus=0, of which the cluster has none"]


UNFIT = """
import json, sys
from pathlib import Path
from attention import specs
from attention.lab.executors import Job

folder = Path(sys.argv[2])

def seen(spec, name, command):
    job = Job(f"{name}-{folder.name}", (command,), {}, folder, folder / "log.txt")
    with specs.build("executor", spec).open() as session:
        session.start(job)
        while True:
            seen = session.poll([job])[job.name]
            if seen.state == "ended" or seen.why != "for room in the cluster":
                session.cancel([job])
                return seen

print(json.dumps(seen(sys.argv[1], "blind", "not there")))
print(json.dumps(seen(sys.argv[1].replace("cpus=1", "cpus=64"), "large", "true")))
"""


def test_a_cluster_that_is_not_there_is_one_line(sweep, tmp_path):
    address = f"127.0.0.1:{free_ports(1)[0]}"
    code, said = sweep.start(tmp_path / "sweep", f"ray(address='{address}')").end()
    assert code == 2
    assert said.strip().splitlines()[-1].startswith(f"error: no Ray cluster to join at address='{address}'")
