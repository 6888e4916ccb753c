"""Plain text files as a corpus for language models: one stream, or a document for each file, line or paragraph."""

import functools as _functools
import glob
import itertools
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from attention.data import paths as _paths
from attention.data import plain_files as _plain_files
from attention.data import tables as _tables
from attention.data.contracts import Corpus, Source, Split
from attention.data.formats import tree as _tree
from attention.data.sources import _given, _splits
from attention.messages import quoted, shown


def build(
    path: str | tuple[str, ...],
    validation: float | str | tuple[str, ...] = 0.05,
    test: float | str | tuple[str, ...] = 0.1,
    documents: _plain_files.Documents = "stream",
) -> Source:
    """Plain text files, of which the end is test and what stands before it validation, unless these have files of their own.

    Nothing of the text is changed, line breaks included, and none is read by two splits. It is UTF-8; files are read piece by
    piece, so that they may be larger than memory (packed ones are unpacked into it). A bare path of a ``.txt`` file that is no
    table, or of a folder of such files, is read so too.

    Example:
      >>> attention.build("source", "text(path='books/*.txt', documents=file)")

    Args:
      path: a file, a glob such as ``'books/*.txt'``, or several of these; ``~`` and environment variables are replaced. Each
        may end in .gz, .bz2, .xz, .zst or .zip.
      validation: a share between 0 and 1, taken from the end of what test leaves; or files, as ``path``.
      test: a share from 0, for no test, to less than 1, taken from the end; or files.
      documents: what is told apart: nothing, files following each other as one "stream"; each "file"; each "line" that is not
        blank; or what stands between "blank" lines. Shares are of the bytes of a stream, rounded to a character, and else of
        the documents; a share is rounded up.

    Raises:
      ValueError: for an unset variable or a share out of range; ``load`` for a missing file, one of two splits, bytes that are
        not UTF-8, naming the file, the byte and the line, and for a split that is left without text.
    """
    given = {"path": path, "validation": validation, "test": test}
    shares = {name: _share(name, each) for name, each in given.items() if isinstance(each, float)}
    patterns = {name: _given.expanded(each) for name, each in given.items() if not isinstance(each, float)}
    written = {name: each[0] if len(each) == 1 else each for name, each in patterns.items()} | shares
    spec = _splits.resolved("text", **written, documents=documents)

    def load(seed: int) -> Corpus:
        files = {name: _given.found(each, "*.txt") for name, each in patterns.items()}
        _given.check_apart(files, patterns)
        _given.check_once(files)
        read = {name: _plain_files.PlainFiles(each) for name, each in files.items()}
        where = {name: f"{shown(each[0])}{', ...' if len(each) > 1 else ''}" for name, each in files.items()}
        splits = _parted(read.pop("path"), shares, documents, where["path"])
        splits |= {name: _parted(each, {}, documents, where[name])["train"] for name, each in read.items()}
        ordered = {name: splits[name] for name in ("train", "validation", "test") if name in splits}
        return Corpus(ordered, (), _note(shares), spec, files=tuple(_given.looked_at(files, patterns)))

    return Source(load, resolved=spec, read=_functools.partial(_whole, "file" if documents == "stream" else documents))


def _whole(documents: _plain_files.Documents, files: Sequence[Path]) -> _tables.Table | None:
    """The documents of plain text files; None where one is none."""
    found = _plain_files.whole(documents, files)
    return None if found is None else _tables.Table([*found.texts], [], (_tables.Part(files[0], "", range(len(found.texts))),))


def _share(name: str, given: float) -> float:
    least = "from 0, for none," if name == "test" else "above 0"
    if not (0 < given < 1 or (name == "test" and given == 0)):
        raise ValueError(f"{name} is a share {least} to less than 1, or files; got {quoted(given)}")
    return given


def _parted(
    files: _plain_files.PlainFiles, shares: Mapping[str, float], documents: _plain_files.Documents, where: str
) -> dict[str, Split]:
    """The splits of some files: the end is test, what stands before it validation, and what is left train."""
    spans = None if documents == "stream" else _plain_files.documents(files, documents)
    count = int(files.borders[-1]) if spans is None else len(spans)
    if not count:
        raise ValueError(f"{where}: the corpus is empty, there is no text")
    test = count - _rounded_up(count * shares.get("test", 0.0))
    borders = [0, test - _rounded_up(test * shares.get("validation", 0.0)), test, count]
    if spans is None:
        borders = [_plain_files.character(files, border) for border in borders]
    found: dict[str, Split] = {}
    for name, (start, stop) in zip(("train", "validation", "test"), itertools.pairwise(borders)):
        if start < stop:
            own = _plain_files.stream(files, start, stop) if spans is None else _plain_files.blocks(files, spans[start:stop])
            found[name] = Split(own.texts, None, begins=own.begins, ends=spans is not None)
        elif name == "train" or shares.get(name):
            what = f"{count} {'bytes' if spans is None else 'documents'}"
            raise ValueError(f"{where}: of {what} nothing is left for the {name} split; give other shares or files")
    return found


def _rounded_up(count: float) -> int:
    return math.ceil(round(count, 6))


def _note(shares: Mapping[str, float]) -> tuple[str, ...]:
    """What was parted from the text."""
    said = [f"{name} is the last {100 * shares[name]:.3g} % of" for name in ("test", "validation") if shares.get(name)]
    return (f"{' the text, '.join(said)} {'what stands before it' if len(said) == 2 else 'the text'}",) if said else ()


def from_path(path: str) -> Mapping[str, Any] | None:
    """The options of a bare path: plain text in a ``.txt`` file or a glob of such, or a folder of them; None for another."""
    place = _paths.followed(path)
    if not os.path.isdir(place):
        return {"path": path} if _plain_files.is_plain(path) else None
    if splits := _given.splits_in(path):
        train = splits.pop("train")
        return {"path": train, **splits} if _plain_files.is_plain(train) else None
    inside, root = os.path.join(glob.escape(path), "*.txt"), Path(place)
    alone = not _tree.folders(root) and _tree.is_texts(root)
    return {"path": inside} if alone and _plain_files.is_plain(inside) else None
