"""Texts in folders: one folder for each class, one file for each text."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from attention.data import file_text as _file_text
from attention.data import paths as _paths
from attention.data import tables as _tables
from attention.data.contracts import Corpus, Source
from attention.data.formats import tree as _tree
from attention.data.rules import MAJORITY
from attention.data.sources import _splits, _tabular
from attention.messages import listed, quoted, shown
from attention.specs import nearest


def build(
    path: str,
    validation: str | None = None,
    test: str | None = None,
    classes: tuple[str, ...] = (),
    encoding: str | None = None,
    skip_empty: bool = False,
    validation_share: float = 0.1,
) -> Source:
    """Texts in files whose folder is their class, ``path/neg/1.txt``; or ``path/train/neg/1.txt`` where there are splits.

    Classes are the folders of train, sorted. The folders ``train``, ``validation`` (or ``valid``, ``val``, ``dev``) and
    ``test`` of ``path`` are splits; without validation a share of each class is carved off train. Hidden files are passed
    over, and packed ones unpacked. A bare path of such a folder is read so too.

    Example:
      >>> attention.build("source", "folder(path='aclImdb', classes=('neg', 'pos'))")

    Args:
      path: the folder; ``~`` and environment variables are replaced.
      validation: a folder of classes elsewhere.
      test: the same.
      classes: the folders that are read; () for all of them. A class of train that test or validation has not wants them
        named, for it may be none, as ``unsup`` of aclImdb.
      encoding: of files that are neither UTF-8 nor begin with a byte order mark, as ``latin-1``.
      skip_empty: whether files without a text are left out, with a note, in place of an error.
      validation_share: between 0 and 1.

    Raises:
      ValueError: for an unset variable, a share out of range, an unknown encoding; ``load`` for what is wrong with the
        folders, naming the file.
    """
    _splits.check_share(validation_share)
    _file_text.check_encoding(encoding)
    places = {name: _paths.expand(given) for name, given in (("validation", validation), ("test", test)) if given is not None}
    root, form = _paths.expand(path), _tables.Form(encoding=encoding)
    own = {"classes": classes, "encoding": encoding, "skip_empty": skip_empty, "validation_share": validation_share}
    spec = _splits.resolved("folder", path=root, **places, **own)

    def load(seed: int) -> Corpus:
        inner = _tree.splits(_existing(root)) or {"train": root}
        folders = {**inner, **{name: _existing(place) for name, place in places.items()}}
        _check_classes(folders, classes)
        read = {"text": "text", "label": "label", "form": form, "skip_empty": skip_empty, "classes": classes}
        tables = {name: _tables.read(place, **read) for name, place in folders.items()}
        files = [each for place in folders.values() for each in (place, *_tree.folders(place))]
        shared = {"seed": seed, "validation_share": validation_share, "resolved": spec}
        made = _tabular.corpus(tables, files=files, where=folders["train"], **shared)
        return made._replace(notes=(*_empty(folders["train"], classes), *made.notes))

    return Source(load, (MAJORITY,), spec)


def from_path(path: str) -> Mapping[str, Any] | None:
    """The options of a bare path: a folder with two folders of files, or with one of these for train; None for another."""
    place = Path(_paths.followed(path))
    if not place.is_dir():
        return None
    within = _tree.splits(place).get("train", place)
    return {"path": path} if sum(any(map(Path.is_file, each.iterdir())) for each in _tree.folders(within)) > 1 else None


def _empty(train: Path, classes: Sequence[str]) -> tuple[str, ...]:
    """A note on folders that are no class, as there is no text in them."""
    found = [entry.name for entry in _tree.folders(train) if (not classes or entry.name in classes) and not _tree.texts(entry)]
    return (f"{shown(train)}: folders without a text are no classes: {listed(found)}",) if found else ()


def _existing(path: Path) -> Path:
    if not path.is_dir():
        beside = [entry.name for entry in path.parent.iterdir()] if path.parent.is_dir() else []
        raise ValueError(f"there is no folder {shown(path)}{nearest(path.name, beside)}")
    return path


def _check_classes(folders: Mapping[str, Path], classes: Sequence[str]) -> None:
    """Raises ValueError for a class that a split has not: one asked for, or one of train that may be none."""
    there = {split: [entry.name for entry in _tree.folders(place)] for split, place in folders.items()}
    for split, names in there.items():
        for name in classes or there["train"]:
            if name in names:
                continue
            where = f"{shown(folders[split])} has no folder {quoted(name)}"
            if classes:
                raise ValueError(f"{where}{nearest(name, names)}; it has {listed(names) or 'none'}")
            kept = tuple(each for each in there["train"] if each in names)
            has = f"{where}, {shown(folders['train'])} has one"
            raise ValueError(f"{has}: classes={kept!r} leaves it out, classes={tuple(there['train'])!r} is all of them")
