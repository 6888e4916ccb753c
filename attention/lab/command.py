"""What ``sweep.py`` does: plan, train, collect, report; or compare two runs."""

import dataclasses
import os
import shlex
from collections.abc import Sequence
from pathlib import Path

from attention import heartbeat, installation, specs
from attention.files import write_atomic
from attention.lab import dry_run as outline
from attention.lab import execute, plan, report, results, sweep_record
from attention.lab.collect import collect
from attention.lab.store import Points, choices
from attention.runs.opening import default_name
from attention.training import command_line, following


def folder(given: command_line.Config, workdir: str | os.PathLike[str] | None) -> Path:
    """The directory of a sweep: ``runs/<config>-<hash>`` where None is given."""
    return Path(workdir or Path("runs") / default_name(given.name, _asked(given).words()))


def _asked(given: command_line.Config) -> plan.Sweep:
    return plan.read(given.fields.to_dict(), given.name)


def _command(arguments: Sequence[str] | None) -> str:
    """How a sweep is started with the flags of ``Config.arguments``."""
    if arguments is None:
        return "attention.sweep(config)  # in Python"
    return shlex.join([*installation.program("sweep").split(), *arguments])


@heartbeat.watching()
def sweep(
    given: command_line.Config,
    *,
    workdir: Path,
    dry_run: bool = False,
    export: str | None = None,
    only: str | None = None,
    retry_failed: bool = False,
    retrain_changed: bool = False,
    executor: str = "local",
) -> int:
    """Runs a sweep, or the part of it that the flags ask for.

    Args:
      given: the config file with its overrides.
      workdir: the directory.
      dry_run: whether to print the plan and stop.
      export: "shell" to print commands and stop.
      only: the cohort to train alone.
      retry_failed: whether failed points are tried again.
      retrain_changed: whether points that were trained with other files of the package are trained again.
      executor: spec of what trains.

    Returns:
      The exit code.
    """
    asked, trains = _asked(given), specs.build("executor", executor)
    planned, path = plan.plan(asked), workdir
    if export is not None:
        print(outline.export(planned, str(path), given.arguments or ()))
        return 0
    if dry_run:
        print(outline.outline(planned, Points(path) if path.exists() else None, timed=True))
        print(f"nothing was trained; the sweep would go into {path}")
        return 0
    state = "going on" if (path / "sweep.json").exists() else "new"
    with execute.opened(path, planned, part=only is not None) as points:
        print(given.opening(path, state), flush=True)
        begun = sweep_record.begun(path, given.name, _command(given.arguments), keep=not given.arguments)
        planned = planned._replace(sweep=dataclasses.replace(planned.sweep, name=begun.name))
        if given.text is not None and not points.config_file.exists():
            write_atomic(points.config_file, given.text.encode())
        if retrain_changed:
            print(execute.set_changed_aside(planned, points), flush=True)
        elif stale := points.with_other_sources([*planned.trials(), *planned.points(choices(planned, points))]):
            print(
                f"note: {len(stale)} members were trained with other files of the package; --retrain_changed trains them again"
            )
        print(outline.outline(planned, points, timed=False), flush=True)
        execute.run(planned, points, retry_failed=retry_failed, only=only, executor=trains)
        for line in following.missed():
            print(f"note: {line}", flush=True)
        code = execute.outcome(planned, points, only)
        if only is not None:
            return code
        with heartbeat.doing("collecting the rows"):
            found = collect(planned, points, choices(planned, points), begun.command)
            results.write(path / "results.parquet", found)
        with heartbeat.doing("drawing the report"):
            print(report.write(path))
        return code
