"""Paths as people write them: with variables and ``~``, and globs that stand for several files."""

import glob
import os
import re
from pathlib import Path

from attention.messages import quoted, shown


def expand(path: str) -> Path:
    """The absolute path, with ``~`` and environment variables such as ``$ATTENTION_DATA_DIR`` replaced.

    A path that is there as it is written, dollar signs and all, is taken so.

    Raises:
      ValueError: where a variable is not set, for an address, for a path of Windows, and for one with a line break or the like
        in it.
    """
    if re.match(r"[A-Za-z]:[\\/]|[A-Za-z]:$", path) and os.name == "posix":
        raise ValueError(f"path {quoted(path)} is one of Windows; here folders are divided by /, as in /mnt/c/data/train.csv")
    check_local(path)
    if not path.isprintable():
        raise ValueError(f"path {quoted(path)} holds a sign that does not print; in a spec a backslash is written twice")
    if os.path.exists(path):
        return Path(os.path.abspath(path))
    expanded = os.path.expanduser(os.path.expandvars(path))
    unset = re.search(r"\$\{?(\w+)", expanded)
    if unset:
        what = f"the environment variable {unset[1]!r} is not set, nor is there a file of that very name"
        raise ValueError(f"path {quoted(path)}: {what}")
    return Path(os.path.abspath(expanded))


def check_local(path: str) -> None:
    """Raises ValueError for an address, as ``https://...``."""
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]+://", path):
        raise ValueError(f"path {quoted(path)} is an address; files of this machine are read: download it first")


def followed(path: str) -> str:
    """The path with ``~`` and the variables that are set replaced, to look what is there."""
    return os.path.expanduser(os.path.expandvars(path))


def leads(path: str) -> bool:
    """Whether there is what a path or glob stands for, or the archive that holds it."""
    place = followed(path)
    inside = any(parent.suffix.lower() == ".zip" and os.path.isfile(parent) for parent in Path(place).parents)
    return os.path.exists(place) or inside or bool(glob.glob(place, recursive=True))


def is_glob(path: str) -> bool:
    """Whether a path stands for several: it has ``*``, ``?`` or ``[``, and no file has that very name."""
    return glob.has_magic(path) and not os.path.lexists(path)


def matches(path: str) -> list[Path]:
    """The files that a glob stands for, sorted; what is no glob stands for itself. Raises ValueError where there are none."""
    if not is_glob(path):
        return [Path(path)]
    found = sorted(Path(each) for each in glob.glob(path, recursive=True) if not os.path.isdir(each))
    if not found:
        raise ValueError(f"no file matches {shown(path)}")
    return found


def searched(path: str) -> list[Path]:
    """The folders where a glob has found files, down from the one that it begins in."""
    root = next(parent for parent in Path(path).parents if not glob.has_magic(str(parent)))
    return sorted({place for file in matches(path) for place in file.parents if place == root or root in place.parents})
