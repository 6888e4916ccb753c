"""Texts as arrays of token ids: cut into segments, truncated, end to end; with what is to be written of them."""

import dataclasses
import json
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple, get_args

import numpy as np

from attention import specs
from attention.data import windows
from attention.data.contracts import UNKNOWN, Encoded, Split, Tokenizer
from attention.data.places import placed
from attention.data.segments import Positions, Segments, cut, numbered, renumbered, restarted
from attention.messages import quoted

Truncate = Literal["head", "tail", "middle"]


class Policy(NamedTuple):
    """What is kept of a text and how it is cut, as in ``load``."""

    max_length: int
    truncate: str
    segments: Segments
    positions: Positions
    whole: bool = False

    def check(self) -> None:
        """Raises ValueError for what there is not."""
        if self.max_length < 1:
            raise ValueError(f"max_length must be at least 1, got {self.max_length}")
        for name, choices in (("truncate", Truncate), ("segments", Segments), ("positions", Positions)):
            value, known = getattr(self, name), get_args(choices)
            if value not in known:
                raise ValueError(f"unknown {name} {quoted(value)}{specs.nearest(value, known)}; known: {', '.join(known)}")
        if self.positions == "segment" and self.segments == "none":
            known = "segments='sentences', 'lines' or 'columns'"
            raise ValueError(f"positions='segment' wants texts cut into segments: {known}, got 'none'")


def encode_texts(
    tokenizer: Tokenizer,
    state: Any,
    texts: Sequence[str],
    *,
    max_length: int,
    truncate: Truncate,
    segments: Segments = "none",
    positions: Positions = "text",
    whole: bool = False,
    wanted: Sequence[str] | None = None,
    classes: Sequence[str] = (),
) -> Encoded:
    """Token ids of each text, at most ``max_length`` of them.

    Args:
      tokenizer: the tokenizer's record.
      state: what it learned.
      texts: the texts; none may be empty.
      max_length: tokens kept, at least 1.
      truncate: "head", "tail" or "middle", as in ``dataset.load``.
      segments: "none", "sentences", "lines" or "columns", as in ``dataset.load``.
      positions: "text" or "segment", as in ``dataset.load``.
      whole: whether the texts are documents, as in ``dataset.load``.
      wanted: what is right at each word, as in ``Split``.
      classes: which it names, as in ``Corpus``.

    Returns:
      The texts, without labels.

    Raises:
      ValueError: for a text without tokens, naming its index.
    """
    policy = Policy(max_length, truncate, segments, positions, whole)
    policy.check()
    found = encoded_split(tokenizer, state, Split(texts, None, wanted=wanted), classes, policy, "text")
    return examples(found, np.full(len(texts), -1, np.int32), policy)


def encoded_split(
    tokenizer: Tokenizer, state: Any, split: Split, classes: Sequence[str], policy: Policy, what: str
) -> tuple[np.ndarray, ...]:
    """The arrays of a split.

    Returns:
      Ids and segments end to end, the offsets, which texts are truncated, what is wanted at each token where anything is, and
      what ``_fidelity`` says of documents.
    """
    nothing = np.zeros(0, np.int32)
    if split.wanted is not None:
        if policy.segments != "none":
            raise ValueError(f"{what}s say what is wanted at each word: they are not cut, config.data.segments=none")
        each = placed(tokenizer, state, split.texts, split.wanted, classes, what)
        pieces = [(ids, np.zeros(len(ids), np.int32)) for ids, _ in each]
        wanted = np.concatenate([_truncated(right, policy) for _, right in each])
        return (*_joined(pieces, policy), wanted, nothing)
    pieces = _encode_all(tokenizer, state, split.texts, policy.segments, what)
    if not policy.whole:
        return (*_joined(pieces, policy), nothing, nothing)
    ids = [found for found, _ in pieces]
    begins = np.ones(len(ids), bool) if split.begins is None else split.begins
    flat, wanted, offsets = windows.joined(ids, begins, tokenizer.size(state), ends=split.ends)
    uncut = np.zeros(len(offsets) - 1, bool)
    return flat, np.zeros(0, np.int32), offsets, uncut, wanted, _fidelity(tokenizer, state, split.texts, ids)


def _fidelity(tokenizer: Tokenizer, state: Any, texts: Sequence[str], ids: Sequence[np.ndarray]) -> np.ndarray:
    """The UTF-8 bytes of texts where their ids give them back, and otherwise why not, as bytes of JSON."""
    size, unknown, changed = 0, 0, ""
    for text, own in zip(texts, ids):
        size += len(text.encode("utf-8", "surrogatepass"))
        unknown += int(np.sum(own == UNKNOWN))
        back = tokenizer.decode(state, own.tolist())
        if back != text and not changed:
            changed = "case is lost" if back.lower() == text.lower() else "tokens do not give the text back"
    lost = f"{unknown} tokens are unknown" if unknown else changed
    return np.frombuffer(json.dumps([None if lost else size, lost]).encode(), np.uint8).astype(np.int32)


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


def _truncated(ids: np.ndarray, policy: Policy) -> np.ndarray:
    most, truncate = policy.max_length, policy.truncate
    if len(ids) <= most:
        return ids
    if truncate == "head":
        return ids[:most]
    if truncate == "tail":
        return ids[-most:]
    last = most // 2
    return np.concatenate([ids[: most - last], ids[len(ids) - last :]])


def _joined(encoded: list[tuple[np.ndarray, np.ndarray]], policy: Policy) -> tuple[np.ndarray, ...]:
    """Ids and segments end to end, the offsets, and which texts are truncated."""
    kept = [_truncated(ids, policy).astype(np.int32) for ids, _ in encoded]
    offsets = np.concatenate([[0], np.cumsum([len(ids) for ids in kept])]).astype(np.int64)
    segments = np.concatenate([renumbered(_truncated(numbers, policy)) for _, numbers in encoded])
    return np.concatenate(kept), segments, offsets, np.array([len(ids) > policy.max_length for ids, _ in encoded], bool)


def examples(arrays: Sequence[np.ndarray], labels: np.ndarray, policy: Policy) -> Encoded:
    """The examples of what ``encoded_split`` makes."""
    flat, segments, offsets, truncated, wanted, fidelity = arrays
    answers = wanted if len(wanted) else None
    if len(fidelity):
        size, lost = json.loads(bytes(fidelity.astype(np.uint8)))
        return Encoded(flat, offsets, np.full(len(offsets) - 1, -1, np.int32), wanted=answers, bytes=size, lost=lost)
    if policy.segments == "none":
        return Encoded(flat, offsets, labels, truncated=truncated, wanted=answers)
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
