"""What ``sweep.py`` does: plan, train, collect, report; or compare two runs."""

import shlex
from collections.abc import Sequence
from pathlib import Path

from attention.files import write_atomic
from attention.lab import dry_run as outline
from attention.lab import execute, plan, report, results
from attention.lab.collect import collect
from attention.lab.store import Points
from attention.runs.opening import default_name
from attention.training import command_line, heartbeat, process


@heartbeat.watching()
def sweep(
    given: command_line.Config,
    arguments: Sequence[str],
    *,
    workdir: str | None,
    dry_run: bool,
    export: str | None,
    only: str | None,
    retry_failed: bool,
    retrain_changed: bool,
) -> int:
    """Runs a sweep, or the part of it that the flags ask for.

    Args:
      given: the config file with its overrides.
      arguments: the flags that gave it, for the commands that are printed.
      workdir: the directory; ``runs/<config>-<hash>`` where None.
      dry_run: whether to print the plan and stop.
      export: "shell" to print commands and stop.
      only: the cohort to train alone.
      retry_failed: whether failed points are tried again.
      retrain_changed: whether points that were trained with other files of the package are trained again.

    Returns:
      The exit code.
    """
    asked = plan.read(given.fields.to_dict(), given.name)
    path = Path(workdir or Path("runs") / default_name(given.name, asked.words()))
    planned = plan.plan(asked)
    if export is not None:
        print(outline.export(planned, str(path), arguments))
        return 0
    process.keep_freed_memory()
    if dry_run:
        print(outline.outline(planned, Points(path) if path.exists() else None, timed=True))
        print(f"nothing was trained; the sweep would go into {path}")
        return 0
    with execute.opened(path, planned, shared=only is not None) as points:
        if not points.config_file.exists():
            write_atomic(points.config_file, given.text.encode())
        if retrain_changed:
            print(execute.set_changed_aside(planned, points), flush=True)
        elif stale := points.with_other_sources([*planned.trials(), *planned.points(execute.choices(planned, points))]):
            print(
                f"note: {len(stale)} members were trained with other files of the package; --retrain_changed trains them again"
            )
        print(outline.outline(planned, points, timed=False), flush=True)
        print(f"into {path}", flush=True)
        execute.run(planned, points, retry_failed=retry_failed, only=only)
        code = execute.outcome(planned, points, only)
        if only is not None:
            return code
        command = shlex.join(["python", "sweep.py", *arguments])
        with heartbeat.doing("collecting the rows"):
            found = collect(planned, points, execute.choices(planned, points), command)
            results.write(path / "results.parquet", found)
        with heartbeat.doing("drawing the report"):
            print(report.write(path))
        return code
