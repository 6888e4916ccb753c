"""Data sets of the ``datasets`` library: what it saved to disk, has in its cache, reads of a folder, or loads from the hub."""

import importlib
import os
import re
import socket
import sys
import urllib.parse
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from attention import installation
from attention.data import paths as _paths
from attention.data import tables as _tables
from attention.data.contracts import Corpus, Source
from attention.data.sources import _splits, _tabular
from attention.messages import listed, one_line, quoted, shown
from attention.specs import nearest

_SAVED = ("dataset_dict.json", "state.json")  # what ``save_to_disk`` writes beside the data
_USUAL = {"validation": ("validation", "valid", "val", "dev"), "test": ("test",)}
_HUB = r"\w[\w.-]*(/\w[\w.-]*)?"
_ELSEWHERE = "save it elsewhere with save_to_disk and give that folder"


def build(
    path: str,
    name: str | None = None,
    train: str = "train",
    validation: str | None = None,
    test: str | None = None,
    text: str | tuple[str, ...] = "text",
    label: str = "label",
    labels: str | None = None,
    number: str | None = None,
    target: str | None = None,
    revision: str | None = None,
    skip_empty: bool = False,
    validation_share: float = 0.1,
) -> Source:
    """A set of the ``datasets`` library, which ``pip install 'attention-lab[hf]'`` brings.

    Classes are the names of a ClassLabel, sorted; of another column they are its values in train. A split whose labels are
    all -1 or null counts as unlabelled. A bare path of what ``save_to_disk`` wrote is read so too.

    Example:
      >>> attention.build("source", "hf(path='stanfordnlp/sst2', text='sentence', test='validation')")

    Args:
      path: a folder, as ``save_to_disk`` writes it or with Parquet and other files that the library knows, or the name of a
        set on the hub, which is taken from the library's cache where it is there and there is no network.
      name: of a configuration, where there are several.
      train: split to train on; slices such as ``'train[:90%]'`` are understood.
      validation: the same; None for ``validation``, ``valid``, ``val`` or ``dev`` where the set has one, else
        ``validation_share`` of each training class is drawn by the seed.
      test: the same; None for ``test`` where the set has it.
      text: column of the text, or several, as of ``files``.
      label: column of the class.
      labels: column of a list of classes, for ``task=multilabel``.
      number: column of a number, for ``task=regression``.
      target: column of the text to write, for ``task=seq2seq``. Of these four one is given.
      revision: of a set on the hub: branch, tag or commit.
      skip_empty: whether rows without a text or a label are left out, with a note, in place of an error.
      validation_share: between 0 and 1.

    Raises:
      ValueError: for a share out of range or columns that cannot be; ``load`` for a set, split or column that is not there.
    """
    _splits.check_share(validation_share)
    told = _tabular.told(text, label=label, labels=labels, number=number, target=target)
    folder = _paths.expand(path)
    place = str(folder) if folder.exists() or not re.fullmatch(_HUB, path) else path
    wanted = {"train": train, "validation": validation, "test": test}
    own = {**wanted, "text": text, "label": label, "labels": labels, "number": number, "target": target}
    own |= {"revision": revision, "skip_empty": skip_empty}
    spec = _splits.resolved("hf", path=place, name=name, **own, validation_share=validation_share)

    def load(seed: int) -> Corpus:
        sets = _sets(place, name, revision)
        chosen = {split: _chosen(split, given, sets) for split, given in wanted.items()}
        read = {"text": text, "label": told.column, "answer": told.answer, "skip_empty": skip_empty}
        tables = {}
        for split, rows_of in chosen.items():
            if rows_of is not None:
                bare = split == "test" and told.optional  # it may have no labels
                tables[split] = _tables.of_arrow(_rows(sets, rows_of), Path(place, rows_of), optional=bare, **read)
        shared = {"seed": seed, "validation_share": validation_share, "resolved": spec, "told": told}
        return _tabular.corpus(tables, files=_files(place, sets), where=Path(place), **shared)

    return Source(load, told.rules, spec)


def from_path(path: str) -> Mapping[str, Any] | None:
    """The options of a bare path: what ``save_to_disk`` wrote; None for another."""
    return {"path": path} if _is_saved(_paths.followed(path)) else None


def _is_saved(place: str) -> bool:
    return any(os.path.isfile(os.path.join(place, name)) for name in _SAVED)


def _sets(place: str, name: str | None, revision: str | None) -> Mapping[str, Any]:
    """The splits by name, as the library has them.

    Raises:
      ValueError: where it is not installed, or has no such set.
    """
    datasets = _library(online=not os.path.isdir(place))
    import pyarrow

    try:
        if _is_saved(place):
            if name is not None or revision is not None:
                raise ValueError("what save_to_disk wrote has neither name= nor revision=")
            found = datasets.load_from_disk(place)
            return found if isinstance(found, dict) else {"train": found}
        return datasets.load_dataset(place, name, revision=revision)
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, pyarrow.ArrowException) as error:
        help = "" if os.path.isabs(place) else f"; it is no folder here: without a network, {_ELSEWHERE}"
        raise ValueError(f"{shown(place)}: {one_line(str(error).splitlines()[0]).rstrip('.')}{help}") from None


def _library(*, online: bool) -> Any:
    """The ``datasets`` module, told beforehand where there is no network, else it tries for half a minute."""
    installation.require("datasets")
    if online and not _reachable():
        os.environ.setdefault("HF_HUB_OFFLINE", "1")
    datasets = importlib.import_module("datasets")  # an extra
    if not sys.stderr.isatty():
        datasets.disable_progress_bars()
    return datasets


def _reachable() -> bool:
    """Whether the hub may be: its name is known, or a proxy knows it."""
    host = urllib.parse.urlsplit(os.environ.get("HF_ENDPOINT", "https://huggingface.co")).hostname
    try:
        return bool(urllib.request.getproxies()) or bool(socket.getaddrinfo(host, None))
    except OSError:
        return False


def _chosen(split: str, given: str | None, sets: Mapping[str, Any]) -> str | None:
    """What is read as a split; None where it is not asked for and there is none."""
    if given is None:
        return next((name for name in _USUAL[split] if name in sets), None)
    for part in given.split("+"):
        plain = part.split("[")[0].strip()
        if plain not in sets:
            raise ValueError(f"there is no split {quoted(plain)}{nearest(plain, sets)}; splits: {listed(sets)}")
    return given


def _rows(sets: Mapping[str, Any], split: str) -> Any:
    """The Arrow table of a split or a slice of one."""
    datasets = _library(online=False)
    try:
        parts = datasets.ReadInstruction.from_spec(split).to_absolute({name: len(rows) for name, rows in sets.items()})
    except (AssertionError, ValueError) as error:
        raise ValueError(f"the split {quoted(split)}: {error}") from None
    read = [sets[part.splitname].select(range(part.from_, part.to)) for part in parts]
    return datasets.concatenate_datasets(read).with_format("arrow")[:]


def _files(place: str, sets: Mapping[str, Any]) -> list[Path]:
    """What was read: the files of the library, and the folders that they are made of."""
    kept = [Path(file["filename"]) for rows in sets.values() for file in rows.cache_files]
    root = Path(place)
    return [*kept, root, *(each for each in sorted(root.rglob("*")) if each.is_dir())] if root.is_dir() else kept
