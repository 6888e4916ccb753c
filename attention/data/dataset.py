"""From a source and a tokenizer to arrays of token ids: trained on the training split, measured, cached on disk."""

import dataclasses
import hashlib
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple, get_args

import numpy as np

from attention import specs
from attention.data import remarks, rules
from attention.data._token_cache import TokenCache, digest
from attention.data.contracts import LENGTHS, Corpus, Dataset, Encoded, Source, Split, Tokenizer
from attention.data.repeats import seen_before
from attention.data.segments import Positions, Segments, cut, numbered, renumbered, restarted
from attention.data.tokenizer_text import pack, unpack
from attention.files import cache_folder
from attention.messages import quoted, shown

Truncate = Literal["head", "tail", "middle"]


def load(
    source: str,
    tokenizer: str,
    *,
    max_length: int,
    truncate: Truncate,
    seed: int,
    segments: Segments = "none",
    positions: Positions = "text",
    tokenizer_state: Any = None,
    cache_dir: str | os.PathLike[str] | None = None,
) -> Dataset:
    """Loads a source, trains the tokenizer on its training split, and encodes every split.

    Example:
      >>> load("listops", "words(pattern=whitespace)", max_length=256, truncate="head", seed=0).vocab_size

    Args:
      source: spec of the source.
      tokenizer: spec of the tokenizer.
      max_length: tokens kept of each text, at least 1; those of ``LENGTHS`` are kept whole.
      truncate: which tokens of a longer text are kept: the first ("head"), the last ("tail"), or the first half and the
        last half ("middle").
      seed: what the source generates or carves off depends on it.
      segments: what texts are cut into, each cut tokenized on its own: "none", "sentences" or "lines".
      positions: whether positions count through the "text" or anew in each "segment".
      tokenizer_state: a state trained before, used as it is.
      cache_dir: where arrays and trained tokenizers are kept; default $ATTENTION_CACHE_DIR, else ``attention-lab`` in
        the user's cache folder. A damaged file is named in the notes and made again.

    Raises:
      ValueError: for an unknown spec or policy, an empty split, a text without tokens (naming split and row).
    """
    policy = _Policy(max_length, truncate, segments, positions)
    policy.check()
    record: Tokenizer = specs.build("tokenizer", tokenizer)
    origin: Source = specs.build("source", source)
    corpus = origin.load(seed)
    _check_splits(corpus)
    spec = specs.canonical("tokenizer", tokenizer)
    hashes = {name: content_hash(split) for name, split in corpus.splits.items()}
    notes = list(corpus.notes)
    cache = TokenCache(cache_folder(cache_dir) / "tokens", notes)
    if tokenizer_state is None:
        train = corpus.splits["train"]
        tokenizer_state = _trained(record, spec, [*train.texts, *(train.targets or ())], hashes["train"], cache)
    state_hash = digest(pack(record, tokenizer_state))
    splits: dict[str, Encoded] = {}
    statistics: dict[str, remarks.Facts] = {}
    seen: dict[str, np.ndarray] = {}
    for name, split in corpus.splits.items():
        key = digest(name, hashes, spec, state_hash, max_length, truncate, segments)
        arrays = cache.arrays(key, 5)
        if arrays is None:
            here = policy._replace(max_length=sys.maxsize) if name == LENGTHS else policy
            arrays = _encode_split(record, tokenizer_state, corpus, name, here)
            cache.write_arrays(key, arrays)
        *tokens, elsewhere = arrays
        splits[name] = _encoded(tokens, _labels(split), policy)
        if split.targets is not None:
            what = f"{corpus.resolved}: {name} target"
            splits[name] = encode_targets(
                splits[name], record, tokenizer_state, split.targets, max_length=max_length, what=what
            )
        statistics[name] = remarks.statistics(splits[name], elsewhere, name=name)
        if name != "train":
            seen[name] = elsewhere > 0
    learned = rules.fitted(origin.rules, corpus.splits["train"])
    return Dataset(
        splits=splits,
        tokenizer=record,
        tokenizer_state=tokenizer_state,
        vocab_size=record.size(tokenizer_state) + (corpus.splits["train"].targets is not None),
        classes=corpus.classes,
        rules=learned,
        baselines={name: rules.accuracies(origin.rules, learned, split) for name, split in corpus.splits.items()},
        notes=tuple(notes),
        hashes=hashes,
        source=corpus.resolved,
        statistics=statistics,
        seen=seen,
        texts={name: split.texts for name, split in corpus.splits.items()},
        targets={name: split.targets for name, split in corpus.splits.items() if split.targets is not None},
        trained_length=corpus.trained_length,
        files=corpus.files,
    )


def encode_texts(
    tokenizer: Tokenizer,
    state: Any,
    texts: Sequence[str],
    *,
    max_length: int,
    truncate: Truncate,
    segments: Segments = "none",
    positions: Positions = "text",
) -> Encoded:
    """Token ids of each text, at most ``max_length`` of them.

    Args:
      tokenizer: the tokenizer's record.
      state: what it learned.
      texts: the texts; none may be empty.
      max_length: tokens kept, at least 1.
      truncate: "head", "tail" or "middle", as in ``load``.
      segments: "none", "sentences" or "lines", as in ``load``.
      positions: "text" or "segment", as in ``load``.

    Returns:
      The texts, without labels.

    Raises:
      ValueError: for a text without tokens, naming its index.
    """
    policy = _Policy(max_length, truncate, segments, positions)
    policy.check()
    tokens = _joined(_encode_all(tokenizer, state, texts, segments, "text"), policy)
    return _encoded(tokens, np.full(len(texts), -1, np.int32), policy)


def content_hash(split: Split) -> str:
    """SHA-256 over the texts, labels and targets of a split, the same on every platform."""
    sha256 = hashlib.sha256()
    for mark, texts in ((b"", split.texts), (b"targets", split.targets)):
        if texts is not None:
            encoded = [text.encode("utf-8", "surrogatepass") for text in texts]
            sha256.update(mark + np.array([len(encoded), *map(len, encoded)], "<i8").tobytes())
            sha256.update(b"".join(encoded))
    if split.labels is not None:
        sha256.update(b"labels" + np.asarray(split.labels).astype("<i4").tobytes())
    return sha256.hexdigest()


def verify_hashes(found: Mapping[str, str], recorded: Mapping[str, str]) -> None:
    """Checks that the data is what a run was trained on.

    Args:
      found: ``Dataset.hashes`` of the data at hand.
      recorded: those written into the run.

    Raises:
      ValueError: for the first recorded split that is missing or has another hash, naming both hashes.
    """
    for name, wanted in recorded.items():
        given = found.get(name, "no such split")
        if given != wanted:
            what = f"recorded hash {shown(wanted)[:16]}, found {given[:16]}"
            raise ValueError(f"the {shown(name)} split is not the one recorded: {what}")


class _Policy(NamedTuple):
    """What is kept of a text and how it is cut, as in ``load``."""

    max_length: int
    truncate: str
    segments: Segments
    positions: Positions

    def check(self) -> None:
        """Raises ValueError for what there is not."""
        if self.max_length < 1:
            raise ValueError(f"max_length must be at least 1, got {self.max_length}")
        for name, choices in (("truncate", Truncate), ("segments", Segments), ("positions", Positions)):
            value, known = getattr(self, name), get_args(choices)
            if value not in known:
                raise ValueError(f"unknown {name} {quoted(value)}{specs.nearest(value, known)}; known: {', '.join(known)}")
        if self.positions == "segment" and self.segments == "none":
            raise ValueError("positions='segment' wants texts cut into segments: segments='sentences' or 'lines', got 'none'")


def _check_splits(corpus: Corpus) -> None:
    if "train" not in corpus.splits:
        raise ValueError(f"{corpus.resolved} has no train split; it has: {', '.join(corpus.splits) or 'none'}")
    for name, split in corpus.splits.items():
        if len(split.texts) == 0:
            raise ValueError(f"{corpus.resolved}: the {name} split is empty")
        for what, given in (("labels", split.labels), ("targets", split.targets)):
            if given is not None and len(given) != len(split.texts):
                raise ValueError(f"{corpus.resolved}: the {name} split has {len(split.texts)} texts and {len(given)} {what}")


def _encode_all(
    record: Tokenizer, state: Any, texts: Sequence[str], segments: Segments, what: str
) -> list[tuple[np.ndarray, np.ndarray]]:
    """The ids of each text and the segments they are in."""
    for row, text in enumerate(texts):
        if not isinstance(text, str):
            raise ValueError(f"{what} {row} (counted from 0) is no string but {quoted(text, 40)}")
    pieces = [cut(text, segments) for text in texts]
    ids = iter(record.encode(state, [piece for each in pieces for piece in each]))
    encoded, size = [numbered([next(ids) for _ in each]) for each in pieces], record.size(state)
    for row, (found, _) in enumerate(encoded):
        if len(found) == 0:
            reason = "has no tokens" if texts[row].strip() else "is empty"
            raise ValueError(f"{what} {row} (counted from 0) {reason}: {texts[row][:40]!r}")
        if not 0 <= found.min() <= found.max() < size:
            outside = f"the token ids {found.min()} to {found.max()}"
            raise ValueError(f"{what} {row} (counted from 0) has {outside}, outside of a vocabulary of {size}")
    return encoded


def _truncated(ids: np.ndarray, policy: _Policy) -> np.ndarray:
    most, truncate = policy.max_length, policy.truncate
    if len(ids) <= most:
        return ids
    if truncate == "head":
        return ids[:most]
    if truncate == "tail":
        return ids[-most:]
    last = most // 2
    return np.concatenate([ids[: most - last], ids[len(ids) - last :]])


def _joined(encoded: list[tuple[np.ndarray, np.ndarray]], policy: _Policy) -> tuple[np.ndarray, ...]:
    """Ids and segments end to end, the offsets, and which texts are truncated."""
    kept = [_truncated(ids, policy).astype(np.int32) for ids, _ in encoded]
    offsets = np.concatenate([[0], np.cumsum([len(ids) for ids in kept])]).astype(np.int64)
    segments = np.concatenate([renumbered(_truncated(numbers, policy)) for _, numbers in encoded])
    return np.concatenate(kept), segments, offsets, np.array([len(ids) > policy.max_length for ids, _ in encoded], bool)


def _encoded(tokens: Sequence[np.ndarray], labels: np.ndarray, policy: _Policy) -> Encoded:
    """The examples of what ``_joined`` makes."""
    flat, segments, offsets, truncated = tokens
    if policy.segments == "none":
        return Encoded(flat, offsets, labels, truncated=truncated)
    positions = restarted(segments, offsets) if policy.positions == "segment" else None
    return Encoded(flat, offsets, labels, segments, positions, truncated=truncated)


def encode_targets(
    encoded: Encoded, tokenizer: Tokenizer, state: Any, texts: Sequence[str], *, max_length: int, what: str = "target"
) -> Encoded:
    """Sources with what is to be written of them: the ids of each text and the one that ends it. None is truncated.

    Raises:
      ValueError: for a text that with its end has more than ``max_length`` tokens, naming its index.
    """
    end = tokenizer.size(state)
    targets = [np.append(ids, end).astype(np.int32) for ids in tokenizer.encode(state, texts)]
    for row, ids in enumerate(targets):
        if len(ids) > max_length:
            have = f"has {len(ids)} tokens with its end, max_length is {max_length}"
            raise ValueError(f"{what} {row} (counted from 0) {have}: {texts[row][:40]!r}")
    offsets = np.concatenate([[0], np.cumsum([len(ids) for ids in targets])]).astype(np.int64)
    written = Encoded(np.concatenate(targets), offsets, np.full(len(texts), -1, np.int32))
    return dataclasses.replace(encoded, targets=written)


def _encode_split(record: Tokenizer, state: Any, corpus: Corpus, name: str, policy: _Policy) -> tuple[np.ndarray, ...]:
    """What ``_joined`` makes of a split, and where else each of its texts is, as ``remarks.statistics`` has it."""
    texts = corpus.splits[name].texts
    encoded = _encode_all(record, state, texts, policy.segments, f"{corpus.resolved}: {name} row")
    elsewhere = np.zeros(len(texts), np.int8)
    if name != "train":
        elsewhere += remarks.IN_TRAIN * seen_before(texts, corpus.splits["train"].texts)
    if name == "test" and "validation" in corpus.splits:
        elsewhere += remarks.IN_VALIDATION * seen_before(texts, corpus.splits["validation"].texts)
    return (*_joined(encoded, policy), elsewhere)


def _labels(split: Split) -> np.ndarray:
    if split.labels is None:
        return np.full(len(split.texts), -1, np.int32)
    return np.asarray(split.labels).astype(np.int32)


def _trained(record: Tokenizer, spec: str, texts: Sequence[str], train_hash: str, cache: TokenCache) -> Any:
    key = digest("tokenizer", spec, train_hash)
    packed = cache.read(key)
    if packed is not None:
        return unpack(record, packed)
    state = record.train(texts)
    cache.write(key, pack(record, state))
    return state
