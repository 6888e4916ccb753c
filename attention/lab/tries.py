"""How often a cohort was begun and got no further: after three deaths it is, probably, too large for the memory."""

from pathlib import Path

from attention.runs import json_files

TRIES = 3


class Tries:
    """What is counted of a cohort, beside its folder.

    Args:
      path: the folder of the cohort's run.
    """

    def __init__(self, path: Path):
        self._path, self._cohort = path.with_name(f"{path.name}.tries.json"), path

    def begin(self) -> str | None:
        """Counts one more try, which a process may die of. Returns why another is useless, or None."""
        if self._counted("count") > TRIES:
            return f"out of memory, probably: the process died {TRIES} times while training this"
        return None

    def forgive(self) -> None:
        """The last try has ended by no fault of its own: it is not counted."""
        if self._path.exists():
            stored = json_files.read(self._path)
            json_files.write(self._path, {**stored, "count": max(stored["count"] - 1, 0)})

    def out_of_time(self) -> str | None:
        """Counts a try whose time was over, which is no fault. Returns why another is useless for now, or None."""
        self.forgive()
        if self._counted("out_of_time") >= TRIES:
            return f"stopped {TRIES} times without coming to a checkpoint: give it more time, or smaller cohorts"
        return None

    def end(self) -> None:
        """The process lives."""
        self._path.unlink(missing_ok=True)

    def _counted(self, what: str) -> int:
        """How often ``what`` has come to pass since the last checkpoint, with this time."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        reached = max((entry.name for entry in self._cohort.glob("checkpoints/step-*")), default="")
        counts = {"count": 0, "out_of_time": 0, "reached": reached}
        if self._path.exists():
            stored = json_files.read(self._path)
            counts = {**counts, **stored} if stored["reached"] == reached else counts
        counts[what] += 1
        json_files.write(self._path, counts)
        return counts[what]
