"""What sources load of large files, kept on disk by a hash of all of them, so that these are taken apart once."""

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from attention import heartbeat
from attention.data._token_cache import TokenCache, digest
from attention.data.contracts import Corpus, Source, Split
from attention.data.texts import FileTexts, Kept, joined
from attention.files import file_hash

LARGE = 2**24  # bytes of files above which what is loaded of them is kept
_READ = 2**20  # bytes that are read at once
_SEQUENCES = ("texts", "targets", "wanted")

Hashes = dict[str, str]


def load(source: Source, seed: int, cache: TokenCache, hashed: Callable[[Split], str]) -> tuple[Corpus, Hashes]:
    """What a source loads, and the ``hashed`` content of each split; of large files as they were loaded before.

    Args:
      source: the record.
      seed: as ``source.load`` takes it.
      cache: where it is kept.
      hashed: of a split.
    """
    before = _known(source)
    if before is None:
        return _hashed(source.load(seed), hashed)
    with heartbeat.doing("looking whether files are as they were"):
        key = digest("corpus", source.resolved, seed, [(str(path), _content(path)) for path in before])
    found = cache.kept(key)
    if found is not None:
        return _unpacked(*found, source.resolved)
    corpus, hashes = _hashed(source.load(seed), hashed)
    if _known(source) == before and all(split.begins is None for split in corpus.splits.values()):
        with heartbeat.doing("keeping texts"):
            cache.keep(key, lambda put: _packed(corpus, hashes, put))
    return corpus, hashes


def _hashed(corpus: Corpus, hashed: Callable[[Split], str]) -> tuple[Corpus, Hashes]:
    return corpus, {name: hashed(split) for name, split in corpus.splits.items()}


def _known(source: Source) -> dict[Path, object] | None:
    """The files of a source with what changes with each; None where they are not known or not large."""
    try:
        paths = source.files() if source.files is not None and source.resolved else ()
        found = {path: os.stat(path) for path in paths}
    except (OSError, ValueError):  # which loading says
        return None
    size = sum(each.st_size for path, each in found.items() if path.is_file())
    return {path: (each.st_ino, each.st_size, each.st_mtime_ns) for path, each in found.items()} if size > LARGE else None


def _content(path: Path) -> str:
    """A hash of a file, or the names in a folder."""
    return file_hash(path) if path.is_file() else repr(sorted(os.listdir(path)))


def _packed(corpus: Corpus, hashes: Hashes, put: Callable[[np.ndarray], object]) -> Mapping[str, np.ndarray]:
    """The arrays of a corpus; ``put`` is given the bytes of its texts."""
    arrays: dict[str, np.ndarray] = {}
    for name, split in corpus.splits.items():
        for what in _SEQUENCES:
            texts = getattr(split, what)
            if texts is None:
                continue
            sizes = []
            for content, some in _contents(texts):
                put(np.frombuffer(content, np.uint8))
                sizes.append(some)
            arrays[f"{name}/{what}"] = np.concatenate([np.zeros(0, np.int64), *sizes])
        if split.labels is not None:
            arrays[f"{name}/labels"] = split.labels
        if isinstance(split.texts, FileTexts) and split.texts.digests is not None:
            arrays[f"{name}/digests"] = split.texts.digests
    said = {
        "splits": {name: split.ends for name, split in corpus.splits.items()},
        "hashes": hashes,
        "classes": corpus.classes,
        "notes": corpus.notes,
        "trained_length": corpus.trained_length,
        "files": [os.fspath(path) for path in corpus.files],
    }
    return {**arrays, "said": np.frombuffer(json.dumps(said).encode(), np.uint8)}


def _contents(texts: Sequence[str]) -> Iterator[tuple[bytes, np.ndarray]]:
    """The bytes of some texts after the other, and how many each has."""
    if isinstance(texts, FileTexts):
        for first, last in texts.chunks(_READ):
            yield joined(texts.read(texts.spans[first:last]))
    else:
        yield joined(texts)


def _unpacked(kept: Kept, arrays: Mapping[str, np.ndarray], resolved: str) -> tuple[Corpus, Hashes]:
    said: dict[str, Any] = json.loads(bytes(arrays["said"]))
    splits, start = {}, 0
    for name, ends in said["splits"].items():
        found: dict[str, FileTexts | None] = dict.fromkeys(_SEQUENCES)
        for what in _SEQUENCES:
            if (sizes := arrays.get(f"{name}/{what}")) is not None:
                borders = start + np.concatenate([[0], np.cumsum(sizes)])
                found[what] = FileTexts(kept, np.stack([borders[:-1], borders[1:]], 1))
                start = int(borders[-1])
        texts = found.pop("texts")
        assert texts is not None
        texts.digests = arrays.get(f"{name}/digests")
        splits[name] = Split(texts, arrays.get(f"{name}/labels"), found["targets"], found["wanted"], ends=ends)
    classes, notes, files = (tuple(said[name]) for name in ("classes", "notes", "files"))
    return Corpus(splits, classes, notes, resolved, said["trained_length"], tuple(map(Path, files))), said["hashes"]
