"""Making a run directory or finding it again: for one process at a time, and for one config."""

import os
from collections.abc import Collection, Mapping
from typing import Any, Literal, NamedTuple

from attention.files import TEMPORARY, differences, json_hash, plain
from attention.runs import environment, identity, json_files, locks
from attention.runs.directory import RunDirectory
from attention.runs.locks import InUseError, Lock

LAST_OF_FORMAT_1 = "56dc08c"  # the last commit that trains such runs
_LOCK = ".lock"
Status = Literal["new", "unfinished", "finished"]


class OldRunError(ValueError):
    """A run that an older version began, and that this one cannot go on with."""


class Opened(NamedTuple):
    """A run that this process, and no other, may write; it is let go when ``with`` ends or the process does.

    Attributes:
      run: the paths.
      status: "new" (just made), "unfinished" (resume it) or "finished" (``result.json`` is there).
      moved: by field, the paths of the config that are not those it was begun with, as "FIELD is OLD there, NEW given".
      notes: lines for the user: what of the environment has changed since the run began.
      lock: that of the folder.
    """

    run: RunDirectory
    status: Status
    moved: dict[str, str]
    notes: tuple[str, ...]
    lock: Lock

    def __enter__(self) -> "Opened":
        return self

    def __exit__(self, *_: object) -> None:
        self.lock.close()


def open_run(
    workdir: str | os.PathLike[str],
    config: dict[str, Any],
    *,
    paths: Collection[str] = (),
    beside: Collection[str] = (),
    usual: Mapping[str, Any] | None = None,
) -> Opened:
    """Makes a run directory or finds it again, and locks it for this process.

    Args:
      workdir: the folder; made where missing, with its parents.
      config: what JSON can hold; the run is new where the folder is empty.
      paths: fields of it, as ``data.source``, that say where something lies: they may differ, and the caller compares what lies
        there.
      beside: fields at its top that no weight depends on, which may differ; an unfinished run goes on with those given.

      usual: the defaults of fields, which a run of before had not yet.

    Returns:
      The run and whether it is new, unfinished or finished.

    Raises:
      ValueError: where the folder cannot be written, is in use by another process, has files but is no run, or holds a
        run of another config, listing each differing field with both values.
    """
    run = RunDirectory(workdir)
    lock = _lock(run)
    try:
        return Opened(run, *_enter(run, plain(config), paths, beside, plain(usual or {})), lock)
    except BaseException:
        lock.close()
        raise


def _enter(
    run: RunDirectory, config: dict[str, Any], paths: Collection[str], beside: Collection[str], usual: dict[str, Any]
) -> tuple[Status, dict[str, str], tuple[str, ...]]:
    # Of a process that was killed while it wrote: the lock is ours.
    for leftover in (*run.path.glob(f"{TEMPORARY}*"), *run.tokenizer.glob(f"{TEMPORARY}*")):
        leftover.unlink()
    if not run.config.exists():
        # A process killed before its config was written leaves a lock, temporary files and records, which make no run.
        first = {run.environment.name, run.sources.name, run.config_file.name}
        others = sorted(p.name for p in run.path.iterdir() if not p.name.startswith((_LOCK, TEMPORARY)))
        if set(others) - first:
            raise ValueError(
                f"workdir {run.path} is not empty and holds no run (it has {others[0]!r}, no config.json); "
                "give a new or empty folder"
            )
        run.write_environment()
        run.write_config(config)
        return "new", {}, ()
    stored = identity.completed(run.read_config(), usual)
    was, given = ({name: value for name, value in each.items() if name not in beside} for each in (stored, config))
    different, moved = identity.differing(was, given, paths)
    if different:
        raise ValueError(
            f"workdir {run.path} holds a run of another config; give another --workdir, or the same config. "
            f"Differing: {'; '.join(different.values())}"
        )
    if run.data.exists() and not run.finished and json_files.format_of(run.config) == 1:
        raise OldRunError(
            f"workdir {run.path} holds an unfinished run of format 1, which this version cannot go on with; "
            f"commit {LAST_OF_FORMAT_1} can finish it, or give another --workdir"
        )
    if not run.environment.exists():  # a folder that someone gave a config.json
        run.write_environment()
    since = _since(run)
    if run.data.exists() and not run.finished:
        run.add_sources()
        if any(stored.get(name) != config.get(name) for name in beside):
            run.write_config({**stored, **{name: config[name] for name in beside}})
    return ("finished" if run.finished else "unfinished"), moved, since


def _since(run: RunDirectory) -> tuple[str, ...]:
    """Lines on what of the environment is not as it was when the run began."""
    began, now = run.read_environment(), environment.environment()
    known = [name for name in now if name in began and name != "sources"]
    changed = differences(*({name: each[name] for name in known} for each in (began, now)))
    notes = [f"{name} was {was} when the run began, is {given} now" for name, was, given in changed]
    before = run.read_sources()
    files = [name for name, _, _ in differences(before, environment.sources())] if before else []
    if files:
        several = f" and {len(files) - 3} more" if len(files) > 3 else ""
        notes.append(f"files of the package are not those the run began with: {', '.join(files[:3])}{several}")
    return tuple(notes)


def _lock(run: RunDirectory) -> Lock:
    if run.path.exists() and not run.path.is_dir():
        raise ValueError(f"workdir {run.path} is a file, not a folder")
    try:
        run.path.mkdir(parents=True, exist_ok=True)
        return locks.take(run.path / _LOCK)
    except InUseError:
        raise InUseError(f"workdir {run.path} is in use by another process; wait for it or give another") from None
    except OSError as error:
        raise ValueError(f"workdir {run.path} cannot be written ({error.strerror})") from None


def default_name(config_name: str, config: dict[str, Any]) -> str:
    """``<config>-<hash8>``: two settings never share a folder."""
    return f"{config_name}-{json_hash(config)[:8]}"
