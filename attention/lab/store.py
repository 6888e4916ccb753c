"""The points of a sweep on the disk: cohorts under way, finished members as runs of their own, and failures.

::

  runs/<sweep>/sweep.json        what the sweep is, and of which data: a directory belongs to one
               config_file.txt   the file that asked for it, to be read by people
               cohorts/<hash>/   the run of a cohort under way, which checkpoints as any run does
               aside/<name>.0/   a cohort too large for the memory, until its members are finished otherwise
               replaced/<name>.0/   a member that was trained again: it had failed, or the package has other files by now
               points/<name>/    a finished member as a run of its own, which eval.py reads
               failures/<key>.json   why a point could not be trained
               logs/<hash>.txt   what a cohort printed
               jobs/<hash>-<n>/  what its n-th job says of itself, where an executor trains it
               results.parquet   a row per member

A cohort that has finished is taken apart: each member gets its config, its weights, its lines of metrics and its result, in a
folder that appears by one rename, and then the cohort goes. Whatever the instant of a kill, a point is there whole or its
cohort is.
"""

import itertools
import os
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from attention import specs
from attention.files import TEMPORARY, json_hash, sync_folder
from attention.lab.plan import BEYOND, Phase, Plan, Point, key
from attention.lab.results import LONGER
from attention.runs import checkpoints, environment, json_files, tracking
from attention.runs.directory import RunDirectory
from attention.runs.identity import Identity, Places
from attention.training import by_length, contexts, identities, job
from attention.training import config as configs
from attention.training.result import summary

_PHASES: tuple[Phase, ...] = ("final", "search")


class Points:
    """The points of a sweep directory."""

    def __init__(self, workdir: str | os.PathLike[str]):
        self.path = Path(workdir)
        self.config_file = self.path / "config_file.txt"
        self._known: set[Path] = set()  # folders that hold what their names say

    def run(self, point: Point) -> RunDirectory:
        """Where a point lies, or would: its folder may have been made under another name of its variant.

        Raises:
          ValueError: where another run lies there.
        """
        found = sorted((self.path / "points").glob(f"[!.]*-{point.key[:12]}"))
        run = RunDirectory(found[0] if found else self.path / "points" / folder_name(point))
        if found and run.path not in self._known:
            stored = run.read_identity()
            if stored is not None and key(configs.from_dict(run.read_config()), point.phase, stored[0].content) != point.key:
                raise ValueError(f"{run.path} holds another run than its name says: put it where it was, or elsewhere")
            self._known.add(run.path)
        return run

    def failure(self, point: Point) -> str | None:
        """Why a point could not be trained; None where that is not known."""
        path = self._failure(point)
        return json_files.read(path)["reason"] if path.exists() else None

    def fail(self, points: Sequence[Point], reason: str) -> None:
        """Records that points could not be trained."""
        for point in points:
            path = self._failure(point)
            path.parent.mkdir(parents=True, exist_ok=True)
            failed = {"variant": point.variant.name, "seed": point.config.seeds[0], "reason": reason}
            json_files.write(path, failed)

    def forget_failures(self, points: Sequence[Point]) -> None:
        """Drops what is recorded of points that are to be tried again."""
        for point in points:
            self._failure(point).unlink(missing_ok=True)

    def pending(self, points: Sequence[Point]) -> list[Point]:
        """Those that are neither finished nor failed."""
        return [point for point in points if not self.run(point).finished and not self._failure(point).exists()]

    def cohort(self, points: Sequence[Point]) -> RunDirectory:
        """Where points are trained together."""
        return RunDirectory(self.path / "cohorts" / cohort_name(points))

    def log(self, points: Sequence[Point]) -> Path:
        """What their training prints."""
        return self.path / "logs" / f"{cohort_name(points)}.txt"

    def begun(self, points: Sequence[Point]) -> list[list[Point]]:
        """The cohorts that were cut off, or were left to jobs, all of whose members are ``points``."""
        return [cohort for _, cohort in self._cohorts("cohorts", points)]

    def with_other_sources(self, points: Sequence[Point]) -> list[Point]:
        """Those finished that were trained with other files of the package than there are now."""
        now = environment.sources()
        finished = [point for point in points if self.run(point).finished]
        return [point for point in finished if self.run(point).read_sources() != now]

    def put_away(self, point: Point) -> None:
        """Puts a point into ``replaced``, so that it is trained again."""
        self._known.discard(self.run(point).path)
        self._put_away(self.run(point).path, "replaced")

    def set_aside(self, points: Sequence[Point]) -> None:
        """Puts away a cohort that cannot be gone on with; ``clear`` drops it once its members are finished."""
        self._put_away(self.cohort(points).path)

    def clear(self, points: Sequence[Point]) -> None:
        """Drops what was set aside of cohorts all of whose members are finished."""
        for path, cohort in self._cohorts("aside", points):
            if all(self.run(point).finished for point in cohort):
                shutil.rmtree(path)

    def _put_away(self, path: Path, where: str = "aside") -> None:
        if not path.exists():
            return
        folder = self.path / where
        folder.mkdir(exist_ok=True)
        names = (f"{path.name}.{number}" for number in itertools.count())
        os.rename(path, next(folder / name for name in names if not (folder / name).exists()))

    def _cohorts(self, folder: str, points: Sequence[Point]) -> list[tuple[Path, list[Point]]]:
        """The cohorts in a folder all of whose members are ``points``."""
        known = {point.key: point for point in points}
        found = []
        for path in sorted((self.path / folder).glob("*/config.json")):
            run = RunDirectory(path.parent)
            try:
                planned = None if run.data.exists() else job.planned(run.path)
                if planned is None and not run.data.exists():  # cut off before it began: its name begins it anew
                    continue
                content = identities.recorded(run).content if planned is None else planned.expected
                settings = configs.from_dict(run.read_config())
            except ValueError:  # of another version, or damaged
                continue
            for phase in _PHASES:
                keys = [key(one, phase, content) for one in configs.members(settings)]
                if known.keys() >= set(keys):
                    found.append((path.parent, [known[key] for key in keys]))
        return found

    def take_apart(self, points: Sequence[Point]) -> None:
        """Makes each member of a finished cohort a run of its own, and removes the cohort."""
        cohort = self.cohort(points)
        best = checkpoints.read_named(cohort.checkpoints, checkpoints.BEST)
        if best is not None:
            cohort.check_of_this_run(best.meta, cohort.checkpoints)
        result, lines = cohort.read_result(), cohort.read_metrics().lines
        places = (cohort.read_identity() or (None, Places({}, {})))[1]
        for number, point in enumerate(points):
            target = self.run(point).path
            if RunDirectory(target).finished:
                continue
            run = RunDirectory(target.with_name(f"{TEMPORARY}{target.name}"))
            if run.path.exists():
                shutil.rmtree(run.path)
            run.path.mkdir(parents=True)
            run.write_config(configs.to_dict(point.config))
            run.write_identity(Identity(configs.content(point.config), point.content), places)
            for file in (cohort.environment, cohort.sources):
                shutil.copyfile(file, run.path / file.name)
            shutil.copytree(cohort.tokenizer, run.tokenizer)
            run.write_data(cohort.read_data())
            if best is not None and result["members"][number]["best_step"] is not None:
                step = result["members"][number]["best_step"]
                meta = {"seeds": list(point.config.seeds), "steps": [step], "run": run.token}
                checkpoints.save_named(run.checkpoints, checkpoints.BEST, step, _member(best.tree, number), meta)
            for line in lines:
                run.append_metrics(tracking.of_member(line, number, len(points)))
            predictions = cohort.read_predictions()
            if predictions is not None:
                run.write_predictions([{name: array[number] for name, array in predictions.items()}])
            for file in (cohort.rival, cohort.rival_predictions):
                if file.exists():
                    shutil.copyfile(file, run.path / file.name)
            tracking.hand_over(cohort, number, run, self.path.resolve().name, target.name)
            run.write_result(_own_result(result, number, point))
            sync_folder(run.path)
            self._put_away(target)  # a folder that lost its result: it may hold weights
            os.rename(run.path, target)
            sync_folder(target.parent)
        shutil.rmtree(cohort.path)

    def _failure(self, point: Point) -> Path:
        return self.path / "failures" / f"{point.key[:12]}.json"


def choices(plan: Plan, points: Points) -> dict[str, dict[str, float]]:
    """The values of the best trial of each variant, by validation; a variant all of whose trials failed is not there."""
    found = {}
    search = plan.sweep.search
    draws = [] if search is None else search.draws()
    task = plan.sweep.task
    trials = plan.trials()
    for start in range(0, len(trials), max(len(draws), 1)):
        scored = []
        for drawn, trial in zip(draws, trials[start : start + len(draws)]):
            run = points.run(trial)
            member = run.read_result()["members"][0] if run.finished else {"failed": True, "validation": None}
            if member["validation"] is not None and not member["failed"]:
                scored.append((task.quality(member["validation"]), drawn))
        if scored:
            found[trials[start].variant.name] = max(scored, key=lambda each: each[0])[1]
    return found


def test_scores(result: Mapping[str, Any]) -> dict[str, float | None] | None:
    """The test scores of a finished point by metric, with ``BEYOND`` and ``LONGER`` where its data have them; None for none."""
    scores, lengths, longer = result["members"][0]["test"], result["by_length"], result.get("contexts")
    if scores is None:
        return None
    beyond = {} if lengths is None else {BEYOND: by_length.beyond(lengths, 0)}
    return {**scores, **beyond, **({} if longer is None else {LONGER: contexts.worth(longer, 0)})}


def folder_name(point: Point) -> str:
    """``rope-seed3-0123456789ab``, with ``search`` for a trial: the key makes it unique."""
    words = re.sub(r"[^A-Za-z0-9]+", "-", point.variant.name).strip("-")[:60]
    part = "search" if point.phase == "search" else f"seed{point.config.seeds[0]}"
    return f"{words}-{part}-{point.key[:12]}"


def cohort_name(points: Sequence[Point]) -> str:
    """Twelve digits of a hash of the members' keys."""
    return json_hash({"members": [point.key for point in points]})[:12]


def _member(tree: Any, number: int) -> Any:
    """The leaves of one member, with a leading axis of 1."""
    if isinstance(tree, dict):
        return {name: _member(inner, number) for name, inner in tree.items()}
    return tree[number : number + 1]


def _own_result(result: Mapping[str, Any], number: int, point: Point) -> dict[str, Any]:
    """The result of one member. Times are its share of the cohort's, whose size stands beside them."""
    count, member = len(result["members"]), result["members"][number]
    split, lengths, longer = result["summary_split"], result["by_length"], result.get("contexts")
    if lengths is not None:
        ranges = []
        for row in lengths["ranges"]:
            own = row["accuracy"][number]
            ranges.append({**row, "accuracy": [own], "mean": own, "std": None, "ci95": None})
        lengths = {**lengths, "ranges": ranges}
    clean, task = result.get("clean"), specs.build("task", result["task"])
    times = ("train_seconds", "step_seconds", "process_seconds", "compile_seconds", "examples_per_second", "tokens_per_second")
    shares = {name: result[name] / count for name in times if result.get(name) is not None}
    return {
        **result,
        **shares,
        "config_hash": json_hash(configs.words(point.config)),
        "members": [member],
        "summary": summary([member[split]], task),
        "clean": clean and {**clean, "summary": summary([member["clean"]], task)},
        "by_length": lengths,
        "contexts": longer and contexts.of_member(longer, number),
        "cohort": {"members": count, "member": number},
    }
