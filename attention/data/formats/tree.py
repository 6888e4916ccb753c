"""Folders of texts: one folder for each class, one file for each text."""

from collections.abc import Sequence
from pathlib import Path

from attention.data.file_text import read_text
from attention.messages import shown

WANTED = "no folder in it has texts; wanted is one folder for each class, with one file for each text"
_TABLES = (".json", ".jsonl", ".csv", ".tsv", ".parquet", ".arrow")
_SPLITS = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "val", "dev"),
    "test": ("test", "testing"),
}


def folders(path: Path) -> list[Path]:
    """The folders in a folder, by name, without hidden ones."""
    return sorted(entry for entry in path.iterdir() if entry.is_dir() and not entry.name.startswith((".", "__MACOSX")))


def splits(path: Path) -> dict[str, Path]:
    """The folders of splits in a folder, as it has them; empty where it has none for train."""
    there = {entry.name.lower(): entry for entry in folders(path)}
    found = {split: [there[name] for name in names if name in there] for split, names in _SPLITS.items()}
    for split, several in found.items():
        if len(several) > 1:
            raise ValueError(f"{shown(path)}: {several[0].name} and {several[1].name} would both be {split}")
    return {split: several[0] for split, several in found.items() if several} if found["train"] else {}


def files(path: Path, classes: Sequence[str] = ()) -> list[tuple[Path, str]]:
    """The files of the folders of a folder, each with the name of its class, sorted; those of some classes where given."""
    return [(file, entry.name) for entry in folders(path) if not classes or entry.name in classes for file in texts(entry)]


def is_texts(path: Path) -> bool:
    """Whether a folder is of classes, or of text files, and neither divided into splits nor with tables in it."""
    inner, own = folders(path), _files(path)
    if inner:
        return not splits(path) and not any(file.suffix in _TABLES for file in own)
    return bool(own) and all(file.suffix == ".txt" for file in own)


def stray(path: Path) -> list[Path]:
    """The files that keep a folder, most of whose files are texts, from being one of texts."""
    others = [file for file in _files(path) if file.suffix != ".txt"]
    return others if not folders(path) and 2 * len(others) < len(_files(path)) else []


def texts(path: Path) -> list[Path]:
    """The files of a folder that has files alone."""
    if inner := folders(path):
        raise ValueError(f"{shown(inner[0])} is a folder where texts are wanted: a class is a folder of files alone")
    return _files(path)


def _files(path: Path) -> list[Path]:
    return sorted(entry for entry in path.iterdir() if not entry.is_dir() and not entry.name.startswith("."))


def text(path: Path, encoding: str | None) -> str:
    """The text of a file, without the line break that ends it."""
    return read_text(path, encoding).rstrip("\r\n")
