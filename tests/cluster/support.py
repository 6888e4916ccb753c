"""A sweep small enough for a cluster of one machine, in a process of its own."""

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
        executor = executor._replace(every=1.0, patience=8.0)  # quicker than on a cluster of many
    sweeps.run(json.load(open(argv[1])), Path(argv[2]), executor=executor)

sys.exit(command_line.run_main(main))
"""
# Four cohorts of two members, each long enough to be met at work, with checkpoints on the way.
LONG = {"steps": 600, "eval_every": 100, "checkpoint_every": 40}
TABLE = grid.product(
    grid.param("model.pooling", ["mean", "max"]), grid.param("training.learning_rate", {"slow": 0.01, "fast": 0.05})
)


class Sweeps:
    """Starts sweeps over the same data; ``rows`` are those that one process makes of them."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.environment = {
            **os.environ,
            "ATTENTION_CACHE_DIR": str(folder / "cache"),
            "PYTHONPATH": str(ROOT),
        }
        given = sweeps.fields(toy.write_data(folder), TABLE, baseline="mean, slow", max_members=2, training=LONG)
        (folder / "fields.json").write_text(json.dumps(given))
        self.rows = self.finished(self.start(folder / "local", "local"))

    def start(self, workdir: Path, executor: str) -> "Running":
        command = [sys.executable, "-c", SCRIPT, str(self.folder / "fields.json"), str(workdir), executor]
        streams = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        return Running(subprocess.Popen(command, cwd=ROOT, env=self.environment, **streams), workdir)

    def finished(self, running: "Running"):
        """The rows of a sweep that ends well, without what the machine decides."""
        said = running.process.communicate(timeout=600)[0]
        assert running.process.returncode == 0, said
        return sweeps.unmeasured(results.read(running.workdir / "results.parquet").rows)


class Running:
    """A sweep at work."""

    def __init__(self, process: subprocess.Popen, workdir: Path):
        self.process, self.workdir = process, workdir

    def until(self, reached, seconds=600.0):
        """What ``reached`` gives, as soon as that is something."""
        end = time.monotonic() + seconds
        while time.monotonic() < end and self.process.poll() is None:
            if found := reached():
                return found
            time.sleep(0.1)
        self.process.kill()
        raise AssertionError(self.process.communicate()[0])

    def training(self):
        """The numbers of the processes that have come to a checkpoint, by the names of their jobs."""
        found = {}
        for path in self.workdir.glob("jobs/*/job.json"):
            cohort = path.parent.name.rpartition("-")[0]
            begun = any((self.workdir / "cohorts" / cohort / "checkpoints").glob("step-*"))
            if begun and not (path.parent / "ended.json").exists():
                found[path.parent.name] = json.loads(path.read_text())["id"]
        return found

    def stop(self, number=signal.SIGINT):
        """Sends a signal; returns the exit code and what was said."""
        self.process.send_signal(number)
        said = self.process.communicate(timeout=120)[0]
        return self.process.returncode, said
