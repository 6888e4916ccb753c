"""What a run is: its config without paths, and the content of its data and of the weights it starts from.

Two runs are the same where all of this is, whatever their files are called and wherever they lie.
"""

import os
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from attention.files import differences, plain


class ChangedError(ValueError):
    """Data or starting weights that are not those a run is of."""


class Content(NamedTuple):
    """What paths of a config lead to.

    Attributes:
      splits: hash of the texts and labels of each split.
      classes: their names, in the order of the labels.
      start: hash of the weights or vectors that training starts from; None where it starts from its seed.
    """

    splits: Mapping[str, str]
    classes: tuple[str, ...]
    start: str | None


class Identity(NamedTuple):
    """What a run is. ``config`` has no field that is a path."""

    config: Mapping[str, Any]
    content: Content

    def plain(self) -> dict[str, Any]:
        """As JSON holds it."""
        return plain({"config": self.config, **self.content._asdict()})


def of_json(stored: Mapping[str, Any]) -> Identity:
    """The identity that ``plain`` wrote."""
    return Identity(stored["config"], Content(stored["splits"], tuple(stored["classes"]), stored["start"]))


def check_content(found: Content, recorded: Content, where: str) -> None:
    """Raises ChangedError where data or starting weights are not those recorded, saying which.

    Args:
      found: what there is now.
      recorded: what there was.
      where: what recorded it.
    """
    names = [name for name in (*recorded.splits, *found.splits) if found.splits.get(name) != recorded.splits.get(name)]
    if names:
        name = names[0]
        was, now = (_short(each.splits.get(name)) for each in (recorded, found))
        what = f"the {name} split is not the one recorded (hash {was} there, {now} now)"
    elif found.classes != recorded.classes:
        pairs = [pair for pair in zip(recorded.classes, found.classes) if pair[0] != pair[1]]
        was, now = pairs[0] if pairs else (f"{len(recorded.classes)} classes", f"{len(found.classes)} classes")
        what = f"the names of the classes are not those recorded ({was!r} there, {now!r} now)"
    elif found.start != recorded.start:
        was, now = _short(recorded.start), _short(found.start)
        what = f"the weights it starts from are not those recorded (hash {was} there, {now} now)"
    else:
        return
    raise ChangedError(f"{where}: {what}")


def _short(sha256: str | None) -> str:
    return "none" if sha256 is None else sha256[:12]


class Places(NamedTuple):
    """Where what a run is made of lay when it was last looked at.

    Attributes:
      named: what each path of the config led to, absolute.
      files: ``stamps`` of the files there.
    """

    named: Mapping[str, str]
    files: Mapping[str, Sequence[int]]


def stamps(paths: Sequence[Path]) -> dict[str, list[int]]:
    """Size, times of change and inode of files, by which it is known later that they need not be read again.

    Of a folder, the sizes of its files together, the latest times of these and of itself, and how many they are.
    """
    found = {}
    for path in paths:
        if path.is_file():
            stat = path.stat()
            found[str(path)] = [stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino]
        elif path.is_dir():
            files = [entry.stat() for entry in os.scandir(path) if entry.is_file()]
            times = [(stat.st_mtime_ns, stat.st_ctime_ns) for stat in (path.stat(), *files)]
            found[str(path)] = [sum(stat.st_size for stat in files), *map(max, zip(*times)), len(files)]
    return found


def completed(stored: Mapping[str, Any], usual: Mapping[str, Any]) -> dict[str, Any]:
    """What a config of before says, with the fields that there were not yet as they are in ``usual``: their defaults."""
    whole = {name: stored.get(name, value) for name, value in usual.items()}
    deeper = {name: {**value, **stored[name]} for name, value in usual.items() if isinstance(stored.get(name), dict)}
    return {**stored, **whole, **deeper}


def differing(
    one: Mapping[str, Any], other: Mapping[str, Any], paths: Collection[str]
) -> tuple[dict[str, str], dict[str, str]]:
    """In what two configs differ, as "FIELD is OLD there, NEW given": fields that are no paths, and fields that are."""
    found = {name: f"{name} is {was} there, {given} given" for name, was, given in differences(one, other)}
    moved = {name: text for name, text in found.items() if name in paths}
    return {name: text for name, text in found.items() if name not in paths}, moved
