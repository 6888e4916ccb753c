"""Files that the options of a source name, as paths and globs, by split."""

import itertools
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from attention.data import paths, unpacking
from attention.messages import quoted, shown


def expanded(given: str | tuple[str, ...]) -> tuple[str, ...]:
    """The absolute path of each of one or several."""
    found = tuple(str(paths.expand(path)) for path in ((given,) if isinstance(given, str) else given))
    if not found:
        raise ValueError("a split wants at least one file, got none")
    return found


def found(given: Sequence[str], like: str = "*.csv") -> list[Path]:
    """The files that paths and globs name, those of a glob in order; ``like`` is what such files are called."""
    files = [path for each in given for path in paths.matches(each)]
    if folder := next(filter(os.path.isdir, files), None):
        raise ValueError(
            f"{shown(folder)} is a folder; files in it are 'FOLDER/{like}', and folder(path=...) reads folders of texts"
        )
    if len(set(files)) < len(files):
        twice = next(path for number, path in enumerate(files) if path in files[:number])
        raise ValueError(f"{shown(twice)} is given twice for one split")
    return files


def check_apart(files: Mapping[str, Sequence[Path]], given: Mapping[str, Sequence[str]]) -> None:
    """Raises ValueError where a glob of one split takes a file that is of another."""
    for name, other in itertools.permutations(files, 2):
        for path in filter(paths.is_glob, given[name]):
            both = set(paths.matches(path)) & set(files[other])
            if both:
                raise ValueError(f"{name}={quoted(path)} matches {shown(min(both))}, which is a file of {other}")


def looked_at(files: Mapping[str, Sequence[Path]], given: Mapping[str, Sequence[str]]) -> Iterator[Path]:
    """What was read; of a glob also the folders, to which a file may come."""
    for name, read in files.items():
        yield from dict.fromkeys(map(unpacking.archive, read))
        for path in filter(paths.is_glob, given[name]):
            yield from paths.searched(path)
