"""A sweep small enough for a cluster of one machine, in a process of its own."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from attention.lab import grid, results
from tests.support import sweeps, toy

ROOT = Path(__file__).parents[2]
SCRIPT = """
import json, sys
from pathlib import Path
from attention import specs
from attention.lab import jobs
from attention.training import backend, command_line
from tests.support import sweeps

def main(argv):
    backend.prepare()
    executor = specs.build("executor", argv[3])
    if executor.open is not None:
        executor = executor._replace(every=0.5, patience=3.0)  # quicker than on a cluster of many
    sweeps.run(json.load(open(argv[1])), Path(argv[2]), executor=executor)

sys.exit(command_line.run_main(main))
"""
# Four cohorts of two members, each long enough to be met at work, with checkpoints on the way.
LONG = {"steps": 600, "eval_every": 300, "checkpoint_every": 30}
TABLE = grid.product(
    grid.param("model.pooling", ["mean", "max"]), grid.param("training.learning_rate", {"slow": 0.01, "fast": 0.05})
)


class Sweeps:
    """Starts sweeps over the same data; ``rows`` are those that one process makes of them."""

    def __init__(self, folder: Path):
        self.folder, self.started = folder, list[Running]()
        self.environment = {
            **os.environ,
            "ATTENTION_CACHE_DIR": str(folder / "cache"),
            "RAY_AUTH_MODE": "disabled",  # as the Ray of these tests is begun
            "PYTHONPATH": str(ROOT),
        }
        given = sweeps.fields(toy.write_data(folder), TABLE, baseline="mean, slow", max_members=2, training=LONG)
        (folder / "fields.json").write_text(json.dumps(given))
        self.rows = self.finished(self.start(folder / "local", "local"))

    def start(self, workdir: Path, executor: str) -> "Running":
        command = [sys.executable, "-c", SCRIPT, str(self.folder / "fields.json"), str(workdir), executor]
        streams = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        self.started.append(Running(subprocess.Popen(command, cwd=ROOT, env=self.environment, **streams), workdir))
        return self.started[-1]

    def finished(self, running: "Running"):
        """The rows of a sweep that ends well, without what the machine decides."""
        code, said = running.end()
        assert code == 0, said
        return sweeps.unmeasured(results.read(running.workdir / "results.parquet").rows)

    def end(self):
        """Kills what is still at work, and lets go of what is held, which may have been told to end."""
        for running in self.started:
            for process in running.stopped:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process, signal.SIGCONT)
            running.process.kill()
            running.process.communicate()
        self.started.clear()


class Running:
    """A sweep at work."""

    def __init__(self, process: subprocess.Popen, workdir: Path):
        self.process, self.workdir, self.stopped = process, workdir, list[int]()

    def until(self, reached, seconds=600.0):
        """What ``reached`` gives, as soon as that is something."""
        end = time.monotonic() + seconds
        while time.monotonic() < end and self.process.poll() is None:
            if found := reached():
                return found
            time.sleep(0.02)
        self.process.kill()
        raise AssertionError(f"it does not come to that: {self.process.communicate()[0]}")

    def held(self, process_of=int):
        """The number of a job between its first checkpoint and the middle, and its process, stopped where it is."""
        return self.until(lambda: next(filter(None, (self._hold(*job, process_of) for job in self._training())), None))

    def _training(self):
        """The folders of jobs that have come to a checkpoint, and their numbers."""
        for path in self.workdir.glob("jobs/*/job.json"):
            if self._between(path.parent):
                yield path.parent, json.loads(path.read_text())["id"]

    def _hold(self, folder, number, process_of):
        try:
            process = process_of(number)
            os.kill(process, signal.SIGSTOP)
            while (letter := state(process)[0]) != "T":
                if letter == "Z":
                    return None
        except (LookupError, FileNotFoundError, ProcessLookupError, subprocess.CalledProcessError):  # it has ended just now
            return None
        if self._between(folder):
            self.stopped.append(process)
            return number, process
        os.kill(process, signal.SIGCONT)
        return None

    def _between(self, folder):
        """Whether a job has come to a checkpoint, but no further than to the middle."""
        over = any((folder / name).exists() for name in ("ended.json", "settled"))
        found = (self.workdir / "cohorts" / folder.name.rpartition("-")[0]).glob("checkpoints/step-*")
        reached = [int(path.name[5:13]) for path in found]
        return bool(reached) and max(reached) <= LONG["steps"] / 2 and not over

    def end(self, seconds=600.0):
        """Waits for its end; returns the exit code and what was said."""
        try:
            said = self.process.communicate(timeout=seconds)[0]
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise AssertionError(f"it does not end in {seconds:.0f} s: {self.process.communicate()[0]}") from None
        return self.process.returncode, said

    def stop(self, number=signal.SIGINT):
        """Sends a signal; returns as ``end``."""
        self.process.send_signal(number)
        return self.end(120)


def state(process):
    """Of a process of Linux's: its letter, and its parent."""
    letter, parent = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[:2]
    return letter, int(parent)
