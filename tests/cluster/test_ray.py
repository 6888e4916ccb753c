"""Sweeps on a real Ray cluster of one node, whatever happens to its workers: the rows are those of one process."""

import importlib.util
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.cluster.support import Sweeps

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="needs requirements-cluster.txt"),
]
PORT = 6399
RAY = f"ray(address='127.0.0.1:{PORT}', cpus=1, concurrent=2)"


@pytest.fixture(scope="module")
def sweep(tmp_path_factory):
    """Beside it runs a cluster, whose folder has a short name because its sockets are in it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        program = Path(sys.executable).with_name("ray")
        flags = ["--head", f"--port={PORT}", "--num-cpus=2", "--include-dashboard=false", "--disable-usage-stats"]
        subprocess.run([program, "start", *flags], check=True, capture_output=True, timeout=300)
        yield Sweeps(tmp_path_factory.mktemp("ray"))
        subprocess.run([program, "stop"], capture_output=True, timeout=120)


def at_work(running):
    """The process of a job that has come to a checkpoint."""
    return int(running.until(lambda: next(iter(running.training().values()), None)))


def parent(process):
    return int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])


def worker_killed(running):
    os.kill(parent(at_work(running)), signal.SIGKILL)


def process_killed(running):
    os.kill(at_work(running), signal.SIGKILL)


@pytest.mark.parametrize("event", [worker_killed, process_killed])
def test_whatever_happens_rows_are_the_same(sweep, tmp_path, event):
    running = sweep.start(tmp_path / "it's a sweep", RAY)
    event(running)
    assert sweep.finished(running) == sweep.rows


def test_it_is_left_and_joined(sweep, tmp_path):
    running = sweep.start(tmp_path / "sweep", RAY)
    at_work(running)
    running.process.kill()
    running.process.communicate()
    assert sweep.finished(sweep.start(tmp_path / "sweep", RAY)) == sweep.rows
    assert {path.name.rpartition("-")[2] for path in (tmp_path / "sweep" / "jobs").iterdir()} == {"1"}  # none was started twice


def test_an_interrupt_stops_what_it_started(sweep, tmp_path):
    running = sweep.start(tmp_path / "sweep", RAY)
    process = at_work(running)
    code, _ = running.stop(signal.SIGINT)
    assert code == 130
    end = time.monotonic() + 60
    while Path(f"/proc/{process}").exists() and time.monotonic() < end:
        time.sleep(0.2)
    assert not Path(f"/proc/{process}").exists()
    assert sweep.finished(sweep.start(tmp_path / "sweep", RAY)) == sweep.rows


def test_a_cluster_that_is_not_there_is_one_line(sweep, tmp_path):
    running = sweep.start(tmp_path / "sweep", "ray(address='127.0.0.1:6398')")
    said = running.process.communicate(timeout=300)[0]
    assert running.process.returncode == 2
    assert said.strip().splitlines()[-1].startswith("error: there is no Ray cluster at address='127.0.0.1:6398'")
