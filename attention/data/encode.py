"""Texts as arrays of token ids: cut into segments, truncated, end to end; with what is to be written of them."""

import dataclasses
import functools
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple, get_args

import numpy as np

from attention import specs
from attention.data import workers
from attention.data.characters import with_words
from attention.data.contracts import ELSEWHERE, UNKNOWN, Encoded, Split, Tokenizer
from attention.data.counting import Numbered
from attention.data.places import placed
from attention.data.segments import Positions, Segments, cut, numbered, renumbered, restarted
from attention.data.texts import in_file
from attention.data.tokenizer_text import pack, unpack
from attention.data.windows import Windows, begun
from attention.data.windows import check as check_windows
from attention.data.windows import rows as cut_rows
from attention.messages import quoted

Truncate = Literal["head", "tail", "middle"]
Put = Callable[[np.ndarray], object]
_TEXTS, _CHARACTERS = 1000, 2**20  # tokenized at once, at most


class Policy(NamedTuple):
    """What is kept of a text and how it is cut, as in ``load``."""

    max_length: int
    truncate: str
    segments: Segments
    positions: Positions
    windows: Windows | Literal["none"] = "none"
    stride: int = 0
    characters: int = 0

    def check(self) -> None:
        """Raises ValueError for what there is not."""
        if self.max_length < 1:
            raise ValueError(f"max_length must be at least 1, got {self.max_length}")
        choices = {"truncate": Truncate, "segments": Segments, "positions": Positions, "windows": Windows}
        for name, among in choices.items():
            value, known = getattr(self, name), (*get_args(among), *(["none"] if name == "windows" else []))
            if value not in known:
                raise ValueError(f"unknown {name} {quoted(value)}{specs.nearest(value, known)}; known: {', '.join(known)}")
        if self.windows != "none":
            check_windows(self.windows, self.max_length, self.stride)
            if self.segments != "none":
                raise ValueError(f"windows={self.windows!r} are of whole texts: segments wants 'none', got {self.segments!r}")
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
    windows: Windows | Literal["none"] = "none",
    stride: int = 0,
    characters: int = 0,
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
      windows: "none", or how texts become rows of a language model, as in ``dataset.load``.
      stride: as in ``dataset.load``.
      characters: as in ``dataset.load``.
      wanted: what is right at each word, as in ``Split``.
      classes: which it names, as in ``Corpus``.

    Returns:
      The texts, without labels.

    Raises:
      ValueError: for a text without tokens, naming its index.
    """
    policy = Policy(max_length, truncate, segments, positions, windows, stride, characters)
    policy.check()
    parts: list[np.ndarray] = []
    arrays = encoded_split(tokenizer, state, Split(texts, None, wanted=wanted), classes, policy, "text", parts.append)
    ids, unlabelled = np.concatenate(parts).astype(np.int32), np.full(len(texts), -1, np.int32)
    encoded = with_words(examples(ids, arrays, unlabelled, policy), texts, tuple(classes), most=characters, known=None)
    return rows(encoded, policy)


def encoded_split(
    tokenizer: Tokenizer,
    state: Any,
    split: Split,
    classes: Sequence[str],
    policy: Policy,
    what: str,
    put: Put,
    numbered: Numbered | None = None,
) -> dict[str, np.ndarray]:
    """The ids of a split, which ``put`` is given end to end, some at a time, of the smallest type that holds them all.

    Where its tokens have been ``numbered`` they are not sought again.

    Returns:
      The arrays beside them, of which only ``offsets`` is always there: ``segments``; which texts are ``truncated``; what is
      ``wanted`` at each token, where that is said, and of which of the ``words`` it is, where these have classes; and what
      ``_Fidelity`` says of documents.
    """
    told = None if classes and policy.windows != "none" else split.wanted  # a language model is asked for no classes
    if told is not None and policy.segments != "none":
        raise ValueError(f"{what}s say what is wanted at each word: they are not cut, config.data.segments=none")
    dtype = _dtype(tokenizer.size(state))
    if policy.windows != "none" and told is None:
        return _documents(tokenizer, state, split, what, lambda ids: put(ids.astype(dtype)))
    if told is not None:
        made = _placed(tokenizer, state, split.texts, told, classes, policy, what)
    elif numbered is not None and policy.segments == "none":
        made = _known(numbered, state, split.texts, policy, what)
    else:
        made = _pieces(tokenizer, state, split.texts, policy, what)
    beside: dict[str, list[np.ndarray]] = {}
    for ids, arrays in made:
        put(ids.astype(dtype))
        for name, array in arrays.items():
            beside.setdefault(name, []).append(array)
    joined = {name: np.concatenate(arrays) for name, arrays in beside.items()}
    return {"offsets": np.concatenate([[0], np.cumsum(joined.pop("lengths"))]).astype(np.int64), **joined}


def _dtype(size: int) -> type[np.generic]:
    """The smallest type that holds the ids of a vocabulary."""
    return next((each for each in (np.uint8, np.uint16) if size <= np.iinfo(each).max), np.int32)


_Made = Iterator[tuple[np.ndarray, dict[str, np.ndarray]]]  # the ids of some texts, and the arrays beside them


def _placed(
    tokenizer: Tokenizer,
    state: Any,
    texts: Sequence[str],
    told: Sequence[str],
    classes: Sequence[str],
    policy: Policy,
    what: str,
) -> _Made:
    """Of texts of which it is said what is wanted at each word."""
    incomplete: dict[int, int] = {}  # texts that lose a token that is wanted, and how long they are
    for first, some in _groups(texts):
        each = placed(tokenizer, state, some, told[first : first + len(some)], classes, what, first)
        kept = [_truncated(one.ids, policy) for one in each]
        arrays = {
            "lengths": np.array([len(ids) for ids in kept], np.int64),
            "truncated": np.array([len(one.ids) > policy.max_length for one in each], bool),
            "wanted": np.concatenate([_truncated(one.wanted, policy) for one in each]),
        }
        if classes:
            arrays["words"] = np.concatenate([_truncated(one.words, policy) for one in each])
        else:
            incomplete |= {row: len(one.ids) for row, one in enumerate(each, first) if _loses(one.wanted, policy)}
        yield np.concatenate(kept), arrays
    if incomplete:
        have = f"{what} {min(incomplete)} (counted from 0) has {incomplete[min(incomplete)]} tokens, and"
        cut = f"config.data.max_length={policy.max_length} cuts off some that are to be told"
        raise ValueError(f"{have} {cut}; the longest text wants {max(incomplete.values())}")


def _known(numbered: Numbered, state: Any, texts: Sequence[str], policy: Policy, what: str) -> _Made:
    """Of texts whose tokens have numbers."""
    first, most, last = 0, policy.max_length, policy.max_length // 2
    for ids, lengths in numbered.ids(state):
        if not lengths.all():
            row = first + int(np.argmin(lengths))
            raise _without_tokens(what, row, texts[row])
        long = lengths > most
        if long.any():
            behind = np.repeat(np.cumsum(lengths), lengths) - np.arange(len(ids))  # tokens of the text from this one on
            before = np.repeat(lengths, lengths) - behind
            kept = {"head": before < most, "tail": behind <= most, "middle": (before < most - last) | (behind <= last)}
            ids = ids[kept[policy.truncate] | ~np.repeat(long, lengths)]
        yield ids, {"lengths": np.minimum(lengths, most), "truncated": long}
        first += len(lengths)


def _without_tokens(what: str, row: int, text: str) -> ValueError:
    reason = "has no tokens" if text.strip() else "is empty"
    return ValueError(f"{what} {row} (counted from 0) {reason}: {text[:40]!r}")


def _pieces(tokenizer: Tokenizer, state: Any, texts: Sequence[str], policy: Policy, what: str) -> _Made:
    """Of texts of which nothing is said, in several processes where they are very many."""
    many = in_file(texts) if tokenizer.spec else None
    if many is None:
        for first, some in _groups(texts):
            yield _some_pieces(tokenizer, state, some, policy, what, first)
        return
    for done in workers.each(many, "tokenizing texts", "attention.data.encode:piecing", _told(tokenizer, state, policy, what)):
        ids, *arrays = done.arrays
        yield ids, dict(zip(done.told["names"], arrays))


def _told(tokenizer: Tokenizer, state: Any, policy: Policy, what: str) -> dict[str, Any]:
    """What a process is told that is to tokenize."""
    return {"spec": tokenizer.spec, "state": pack(tokenizer, state).decode(), "policy": list(policy), "what": what}


def piecing(spec: str, state: str, policy: Sequence[Any], what: str) -> workers.Work:
    """Work of ``_pieces``."""
    tokenizer: Tokenizer = specs.build("tokenizer", spec)
    own, asked = unpack(tokenizer, state.encode()), Policy(*policy)
    dtype = _dtype(tokenizer.size(own))

    def work(first: int, texts: list[str]) -> tuple[dict[str, Any], list[np.ndarray]]:
        ids, arrays = _some_pieces(tokenizer, own, texts, asked, what, first)
        return {"names": [*arrays]}, [ids.astype(dtype), *arrays.values()]

    return work


def _some_pieces(
    tokenizer: Tokenizer, state: Any, texts: Sequence[str], policy: Policy, what: str, first: int
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    pieces = _encode_all(tokenizer, state, texts, policy.segments, what, first)
    kept = [_truncated(ids, policy) for ids, _ in pieces]
    arrays = {
        "lengths": np.array([len(ids) for ids in kept], np.int64),
        "truncated": np.array([len(ids) > policy.max_length for ids, _ in pieces], bool),
    }
    if policy.segments != "none":
        arrays["segments"] = np.concatenate([renumbered(_truncated(numbers, policy)) for _, numbers in pieces])
    return np.concatenate(kept), arrays


def _documents(tokenizer: Tokenizer, state: Any, split: Split, what: str, give: Put) -> dict[str, np.ndarray]:
    """``encoded_split`` of whole texts, each begun by one more id, which also ends the last: inputs are all but the last id."""
    fidelity, end = _Fidelity(tokenizer, state), tokenizer.size(state)
    total, starts = 0, []
    for first, texts in _groups(split.texts):
        begins = np.ones(len(texts), bool) if split.begins is None else split.begins[first : first + len(texts)]
        ids = [found for found, _ in _encode_all(tokenizer, state, texts, "none", what, first, blocks=split.begins is not None)]
        fidelity.look(texts, ids)
        some, here = begun(ids, begins, end)
        give(some)
        starts.append(total + here)
        total += len(some)
    if total == sum(map(len, starts)):
        raise ValueError(f"{what}s have no tokens")
    if split.ends:
        give(np.array([end]))
    offsets = np.append(np.concatenate(starts), total - (not split.ends))
    return {"offsets": offsets, "fidelity": fidelity.array()}


def _groups(texts: Sequence[str]) -> Iterator[tuple[int, list[str]]]:
    """The texts in groups that are tokenized at once, each with the number of its first."""
    first, group, size = 0, [], 0
    for text in texts:
        group.append(text)
        size += len(text) if isinstance(text, str) else 0
        if size >= _CHARACTERS or len(group) == _TEXTS:
            yield first, group
            first, group, size = first + len(group), [], 0
    if group:
        yield first, group


class _Fidelity:
    """The UTF-8 bytes of texts where their ids give them back, and otherwise why not."""

    def __init__(self, tokenizer: Tokenizer, state: Any):
        self._decode = functools.partial(tokenizer.decode, state)
        self._bytes, self._unknown, self._changed = 0, 0, ""

    def look(self, texts: Sequence[str], ids: Sequence[np.ndarray]) -> None:
        """Takes some more texts."""
        for text, own in zip(texts, ids):
            self._bytes += len(text.encode("utf-8", "surrogatepass"))
            self._unknown += int(np.sum(own == UNKNOWN))
            if not self._unknown and not self._changed and (back := self._decode(own.tolist())) != text:
                same = back.lower() == text.lower()
                self._changed = "case is lost" if same else "tokens do not give the text back"

    def array(self) -> np.ndarray:
        """Both as JSON, in an array."""
        lost = f"{self._unknown} tokens are unknown" if self._unknown else self._changed
        return np.frombuffer(json.dumps([None if lost else self._bytes, lost]).encode(), np.uint8)


def _encode_all(
    record: Tokenizer, state: Any, texts: Sequence[str], segments: Segments, what: str, first: int, *, blocks: bool = False
) -> list[tuple[np.ndarray, np.ndarray]]:
    """The ids of each text and the segments they are in; ``first`` is the number of the first text.

    Raises:
      ValueError: for what is no text, one without tokens, unless texts are ``blocks`` of others, and an id that there is not.
    """
    for row, text in enumerate(texts, first):
        if not isinstance(text, str):
            raise ValueError(f"{what} {row} (counted from 0) is no string but {quoted(text, 40)}")
    pieces = [cut(text, segments) for text in texts]
    ids = iter(record.encode(state, [piece for each in pieces for piece in each]))
    encoded, size = [numbered([next(ids) for _ in each]) for each in pieces], record.size(state)
    for row, (text, (found, _)) in enumerate(zip(texts, encoded), first):
        if len(found) == 0 and not blocks:
            raise _without_tokens(what, row, text)
        if len(found) and not 0 <= found.min() <= found.max() < size:
            outside = f"the token ids {found.min()} to {found.max()}"
            raise ValueError(f"{what} {row} (counted from 0) has {outside}, outside of a vocabulary of {size}")
    return encoded


def _loses(wanted: np.ndarray, policy: Policy) -> bool:
    """Whether what is kept of a text lacks a place that is asked."""
    asked = wanted != ELSEWHERE
    return len(wanted) > policy.max_length and bool(_truncated(asked, policy).sum() < asked.sum())


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


def examples(ids: np.ndarray, arrays: Mapping[str, np.ndarray], labels: np.ndarray, policy: Policy) -> Encoded:
    """The examples of what ``encoded_split`` makes."""
    offsets = arrays["offsets"]
    if (fidelity := arrays.get("fidelity")) is not None:
        size, lost = json.loads(bytes(fidelity))
        labels = np.full(len(offsets) - 1, -1, np.int32)
        return Encoded(ids[:-1], offsets, labels, wanted=ids[1:], documents=offsets, bytes=size, lost=lost)
    segments = arrays.get("segments")
    kept = {"truncated": arrays["truncated"], **{name: arrays.get(name) for name in ("wanted", "words")}}
    positions = restarted(segments, offsets) if segments is not None and policy.positions == "segment" else None
    return Encoded(ids, offsets, labels, segments, positions, **kept)


def rows(encoded: Encoded, policy: Policy, *, train: bool = False) -> Encoded:
    """The examples: documents cut into windows, and all else as it is."""
    if policy.windows == "none" or encoded.documents is None:
        return encoded
    how = {"windows": policy.windows, "stride": policy.stride, "train": train}
    return cut_rows(encoded, length=policy.max_length, **how)


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
