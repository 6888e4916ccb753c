"""Files that the options of a source name, as paths and globs, by split."""

import glob
import itertools
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from attention.data import paths, unpacking
from attention.messages import quoted, shown

# Files of a folder that are its splits: of train, test and validation by these names, in pieces too.
_SPLITS = {"train": ("train",), "validation": ("validation", "valid", "val", "dev"), "test": ("test",)}
_NAMED = re.compile(r"\.(tsv|csv|jsonl?|ndjson|parquet|arrow|feather|txt)(\.\w+)?$", re.IGNORECASE)


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


def check_once(files: Mapping[str, Sequence[Path]]) -> None:
    """Raises ValueError where one file is of two splits, whatever it is called there."""
    seen: dict[object, tuple[str, Path]] = {}
    for name, read in files.items():
        for path in read:
            other, first = seen.setdefault(_file(path), (name, path))
            if other != name:
                what = f"{shown(path)} of {name} and {shown(first)} of {other}" if path != first else f"{shown(path)}"
                here = "are one file" if path != first else f"is a file of {other} and of {name}"
                raise ValueError(f"{what} {here}: no text is read by two splits; give {name} other files, or a share")


def _file(path: Path) -> object:
    """What a file is known by: links to it are it."""
    if not os.path.exists(path):
        return os.path.realpath(path)  # in an archive, or missing
    found = os.stat(path)
    return found.st_dev, found.st_ino


def looked_at(files: Mapping[str, Sequence[Path]], given: Mapping[str, Sequence[str]]) -> Iterator[Path]:
    """What was read; of a glob also the folders, to which a file may come."""
    for name, read in files.items():
        yield from dict.fromkeys(map(unpacking.archive, read))
        for path in filter(paths.is_glob, given[name]):
            yield from paths.searched(path)


def splits_in(folder: str) -> dict[str, str]:
    """The files of a folder by split, none without train; of one in pieces, ``train-00000-of-00002.parquet``, their glob."""
    place = paths.followed(folder)
    names = sorted(os.listdir(place)) if os.path.isdir(place) else []
    found: dict[str, str] = {}
    for split, words in _SPLITS.items():
        here = [name for name in names if _NAMED.search(name) and re.split(r"[-._]", name.lower())[0] in words]
        if len(here) == 1:
            found[split] = os.path.join(folder, here[0])
        elif here and len({(re.split(r"[-._]", name)[0], Path(name).suffix) for name in here}) == 1:
            pieces = f"{re.split(r'[-._]', here[0])[0]}[-._]*{Path(here[0]).suffix}"
            found[split] = os.path.join(glob.escape(folder), pieces)
        elif here:
            raise ValueError(f"{shown(folder)}: {here[0]} and {here[1]} would both be {split}; say files({split}=...)")
    return found if "train" in found else {}
