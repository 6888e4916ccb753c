"""``sweep.json``: to which sweep a directory belongs, and of which data."""

import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from attention.files import differences, plain
from attention.lab.plan import Plan
from attention.runs import json_files
from attention.runs.opening import OldRunError


def enter(path: Path, plan: Plan) -> None:
    """Checks that a directory belongs to a plan, or makes it so.

    Raises:
      ValueError: where it belongs to another sweep, or where data have changed since it was begun, saying what differs.
    """
    record, data = path / "sweep.json", _data(plan)
    identity = plain(plan.sweep.identity())
    if not record.exists():
        json_files.write(record, {**identity, "data": data, "sweep": uuid.uuid4().hex})
        return
    stored = json_files.read(record)
    if "data" not in stored:
        raise OldRunError(
            f"{path} holds a sweep of an older version, which knew its members by other names; give another --workdir, or "
            f"--report={path} for its results"
        )
    different = differences({name: stored[name] for name in identity}, identity)
    if different:
        listed = "; ".join(f"{name} is {was} there, {given} given" for name, was, given in different)
        made = f" (it was made by: {stored['command']})" if "command" in stored else ""
        raise ValueError(f"{path} holds another sweep: {listed}; give another --workdir{made}")
    _check(path, stored["data"], data)
    if not data.items() <= stored["data"].items():
        json_files.write(record, {**stored, "data": {**stored["data"], **data}})


class Begun(NamedTuple):
    """What a sweep is called, and the command that makes it again."""

    name: str
    command: str


def begun(path: Path, name: str, command: str, *, keep: bool) -> Begun:
    """What a sweep's directory says of itself, which it learns here.

    Args:
      path: the directory, which has been entered.
      name: of the config it is given now.
      command: that gives it.
      keep: whether the first name and command stay, if there are such: as for a config that has neither.
    """
    record = path / "sweep.json"
    stored = json_files.read(record)
    if keep and "command" in stored:
        return Begun(stored["name"], stored["command"])
    if {**stored, "name": name, "command": command} != stored:
        json_files.write(record, {**stored, "name": name, "command": command})
    return Begun(name, command)


def token(path: Path) -> str | None:
    """What a sweep's directory and its results have in common, and those of no other; None where there is no record of it."""
    record = path / "sweep.json"
    return json_files.read(record).get("sweep") if record.exists() else None


def _data(plan: Plan) -> dict[str, dict[str, str]]:
    """The hash of each split, by what the variants of a plan call their data."""
    sections = ((built.config.data, built.content.splits) for built in plan.built)
    return {f"{section.source}, seed {section.seed}": dict(splits) for section, splits in sections}


def _check(path: Path, stored: Mapping[str, Mapping[str, str]], given: Mapping[str, Mapping[str, Any]]) -> None:
    for name, splits in given.items():
        for split in sorted({*splits, *stored.get(name, splits)}):
            if stored.get(name, splits).get(split) != splits.get(split):
                raise ValueError(
                    f"{path} holds a sweep of other data: the {split} split of {name} is not what it was; put back what was "
                    "there, or give another --workdir"
                )
    if not any(splits in stored.values() for splits in given.values()):
        raise ValueError(
            f"{path} holds a sweep of other data: {'; '.join(stored)} there, {'; '.join(given)} given; give another --workdir"
        )
