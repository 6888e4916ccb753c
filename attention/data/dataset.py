"""From a source and a tokenizer to arrays of token ids: trained on the training split, measured, cached on disk."""

import dataclasses
import functools
import hashlib
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal

import numpy as np

from attention import heartbeat, specs
from attention.data import _corpus_cache, remarks, rules, workers
from attention.data._token_cache import TokenCache, digest
from attention.data.characters import with_words, words_of
from attention.data.contracts import LENGTHS, NOTHING, Corpus, Dataset, Encoded, Scale, Source, Split, Tokenizer
from attention.data.counting import Numbered
from attention.data.encode import Policy, Truncate, encode_targets, encoded_split, examples, rows
from attention.data.repeats import lines_before, seen_before
from attention.data.segments import BETWEEN, Positions, Segments
from attention.data.texts import Chained, FileTexts, in_file
from attention.data.token_hash import token_hash
from attention.data.tokenizer_text import pack, unpack
from attention.data.windows import Windows, described
from attention.files import cache_folder
from attention.messages import shown

_READ = 2**20  # bytes that are hashed at once


def load(
    source: str,
    tokenizer: str,
    *,
    max_length: int,
    truncate: Truncate,
    seed: int,
    segments: Segments = "none",
    positions: Positions = "text",
    windows: Windows | Literal["none"] = "none",
    stride: int = 0,
    characters: int = 0,
    training: bool = False,
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
      segments: what texts are cut into, each cut tokenized on its own: "none", "sentences", "lines" or "columns".
      positions: whether positions count through the "text" or anew in each "segment".
      windows: "none", or that each token of a text is to predict the next, and how texts become rows for that, as in
        ``windows.rows``: none is truncated, and each is begun and ended by one more id than the tokenizer has. Where a source
        says itself what is wanted at each word, that stands.
      stride: tokens that a window asks for, as in ``windows.rows``.
      characters: of each word that has a class, so many are kept, as ``characters.spelled`` has them; 0 for none.
      training: whether train is to be trained on: its windows begin elsewhere in each epoch.
      tokenizer_state: a state trained before, used as it is.
      cache_dir: where arrays and trained tokenizers are kept; default $ATTENTION_CACHE_DIR, else ``attention-lab`` in
        the user's cache folder. A damaged file is named in the notes and made again.

    Raises:
      ValueError: for an unknown spec or policy, an empty split, a text without tokens (naming split and row).
    """
    policy = Policy(max_length, truncate, segments, positions, windows, stride, characters)
    policy.check()
    record: Tokenizer = specs.build("tokenizer", tokenizer)
    origin: Source = specs.build("source", source)
    with workers.kept():
        return _load(
            origin, record, specs.canonical("tokenizer", tokenizer), policy, seed, training, tokenizer_state, cache_dir
        )


def _load(
    origin: Source,
    record: Tokenizer,
    spec: str,
    policy: Policy,
    seed: int,
    training: bool,
    tokenizer_state: Any,
    cache_dir: str | os.PathLike[str] | None,
) -> Dataset:
    """``load`` of records."""
    cache = TokenCache(cache_folder(cache_dir) / "tokens", [])
    corpus, hashes = _corpus_cache.load(origin, seed, cache, content_hash)
    _check_splits(corpus)
    if policy.segments == "columns" and not any(BETWEEN in text for text in corpus.splits["train"].texts):
        raise ValueError(f"{corpus.resolved}: segments='columns' wants texts of several columns, as text='premise,hypothesis'")
    scale = _scale(corpus.splits["train"])
    corpus, left_out = (corpus, []) if policy.windows == "none" else _of_tokens(corpus)
    notes = [*corpus.notes, *left_out]
    numbered: Numbered | None = None
    if tokenizer_state is None:
        learned_from = content_hash(corpus.splits["train"]) if left_out else hashes["train"]
        tokenizer_state, numbered = _trained(record, spec, _learned_from(corpus), learned_from, cache)
    state_hash = digest(pack(record, tokenizer_state))
    splits: dict[str, Encoded] = {}
    statistics: dict[str, remarks.Facts] = {}
    seen: dict[str, np.ndarray] = {}
    tokens: dict[str, str] = {}
    words_of_train = words_of(corpus.splits["train"])
    for name, split in corpus.splits.items():
        key = digest(name, hashes, spec, state_hash, *policy[:3], policy.windows != "none", corpus.classes)
        here = policy._replace(max_length=sys.maxsize) if name == LENGTHS else policy
        known_tokens = numbered if name == "train" else None
        ids, arrays = cache.tokens(
            key, functools.partial(_encode_split, record, tokenizer_state, corpus, name, here, known_tokens)
        )
        splits[name] = dataclasses.replace(examples(ids, arrays, _labels(split), policy), scale=scale)
        elsewhere = arrays["elsewhere"]
        known = None if name == "train" else words_of_train
        splits[name] = with_words(splits[name], split.texts, corpus.classes, most=policy.characters, known=known)
        if split.targets is not None:
            what = f"{corpus.resolved}: {name} target"
            splits[name] = encode_targets(
                splits[name], record, tokenizer_state, split.targets, max_length=policy.max_length, what=what
            )
        statistics[name] = remarks.statistics(splits[name], elsewhere, name=name)
        if name != "train" and splits[name].wanted is not None and not splits[name].classes:
            tokens[name] = token_hash(splits[name], record.vocabulary(tokenizer_state))
        if (lines := arrays.get("lines")) is not None:
            statistics[name] |= {"lines_in_train": int(lines[0]), "lines": int(lines[1])}
        if name == "train" and scale is not None:
            statistics[name] |= scale._asdict()
        splits[name] = rows(splits[name], policy, train=training and name == "train")
        if (documents := splits[name].documents) is not None:
            statistics[name] |= {"windows": len(splits[name]), "ends": len(documents) - 2 + split.ends}
        if name != "train":
            seen[name] = elsewhere > 0 if splits[name].documents is None else np.zeros(len(splits[name]), bool)
    notes += _of_windows(splits, policy)
    said = () if splits["train"].documents is not None else origin.rules  # which tell classes and not tokens
    learned = rules.fitted(said, corpus.splits["train"])
    return Dataset(
        splits=splits,
        tokenizer=record,
        tokenizer_state=tokenizer_state,
        vocab_size=record.size(tokenizer_state) + (policy.windows != "none" or corpus.splits["train"].targets is not None),
        classes=corpus.classes,
        rules=learned,
        baselines={name: rules.scores(said, learned, split, splits[name]) for name, split in corpus.splits.items()},
        notes=(*notes, *cache.notes),
        hashes=hashes,
        tokens=tokens,
        source=corpus.resolved,
        statistics=statistics,
        seen=seen,
        texts={name: split.texts for name, split in corpus.splits.items()},
        targets={name: split.targets for name, split in corpus.splits.items() if split.targets is not None},
        wanted={name: split.wanted for name, split in corpus.splits.items() if split.wanted is not None},
        trained_length=corpus.trained_length if splits["train"].documents is None else None,
        files=corpus.files,
    )


def content_hash(split: Split) -> str:
    """SHA-256 over the texts of a split and what is right of them, the same on every platform."""
    sha256 = hashlib.sha256()
    for mark, texts in ((b"", split.texts), (b"targets", split.targets), (b"wanted", split.wanted)):
        if texts is not None:
            sizes = _sizes(texts)
            if split.begins is not None:  # wherever the blocks are cut
                sizes = np.add.reduceat(sizes, np.flatnonzero(split.begins))
            sha256.update(mark + np.concatenate([[len(sizes)], sizes]).astype("<i8").tobytes())
            for content in _contents(texts):
                sha256.update(content)
    if split.labels is not None:
        labels = np.asarray(split.labels)
        kind, mark = ("<f8", b"numbers") if labels.dtype.kind == "f" else ("<i4", b"labels")
        several = np.array(labels.shape[1:], "<i8").tobytes()  # nothing where a text has one
        sha256.update(mark + several + labels.astype(kind).tobytes())
    if not split.ends:
        sha256.update(b"goes on")
    return sha256.hexdigest()


def _sizes(texts: Sequence[str]) -> np.ndarray:
    """Bytes of each text."""
    if isinstance(texts, FileTexts):
        return texts.spans[:, 1] - texts.spans[:, 0]
    return np.fromiter((len(_bytes(text)) for text in texts), np.int64, len(texts))


def _contents(texts: Sequence[str]) -> Iterator[bytes]:
    """The bytes of texts, one after the other."""
    if not isinstance(texts, FileTexts):
        yield from map(_bytes, texts)
        return
    for first, last in texts.chunks(_READ):
        data, spans = texts.bytes(first, last)
        gaps = (spans[1:, 0] != spans[:-1, 1]).any()
        yield b"".join([data[start:stop] for start, stop in spans.tolist()]) if gaps else data


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


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


def _check_splits(corpus: Corpus) -> None:
    if "train" not in corpus.splits:
        raise ValueError(f"{corpus.resolved} has no train split; it has: {', '.join(corpus.splits) or 'none'}")
    for name, split in corpus.splits.items():
        if len(split.texts) == 0:
            raise ValueError(f"{corpus.resolved}: the {name} split is empty")
        for what, given in (("labels", split.labels), ("targets", split.targets), ("wanted", split.wanted)):
            if given is not None and len(given) != len(split.texts):
                raise ValueError(f"{corpus.resolved}: the {name} split has {len(split.texts)} texts and {len(given)} {what}")


def _of_tokens(corpus: Corpus) -> tuple[Corpus, list[str]]:
    """The corpus for telling each token from those before it, and what that leaves out, in words."""
    train = corpus.splits["train"]
    if train.targets is not None:
        field, what, hint = "targets", "targets", "config.task=seq2seq writes them"
    elif train.wanted is not None and corpus.classes:
        field, what, hint = "wanted", "classes of words", "config.task=tagging tells them"
    else:
        return corpus, []
    splits = {name: split._replace(**{field: None}) for name, split in corpus.splits.items()}
    return corpus._replace(splits=splits), [f"{what} are left out: each token of a text tells the next; {hint}"]


def _encode_split(
    record: Tokenizer,
    state: Any,
    corpus: Corpus,
    name: str,
    policy: Policy,
    numbered: Numbered | None,
    put: Callable[[np.ndarray], object],
) -> dict[str, np.ndarray]:
    """What ``encoded_split`` makes of a split, and where else each of its texts is, as ``remarks.statistics`` has it.

    Of a part of a stream also how many of its ``lines`` are in train, and how many there are.
    """
    split, what = corpus.splits[name], f"{corpus.resolved}: {name} row"
    elsewhere = np.zeros(len(split.texts), np.int8)
    if name != "train":
        elsewhere += remarks.IN_TRAIN * seen_before(split.texts, corpus.splits["train"].texts)
    if name == "test" and "validation" in corpus.splits:
        elsewhere += remarks.IN_VALIDATION * seen_before(split.texts, corpus.splits["validation"].texts)
    if split.begins is not None:  # a document is elsewhere where all of its blocks are
        elsewhere = np.bitwise_and.reduceat(elsewhere, np.flatnonzero(split.begins))
    arrays = {**encoded_split(record, state, split, corpus.classes, policy, what, put, numbered), "elsewhere": elsewhere}
    if name != "train" and not split.ends:
        arrays["lines"] = np.array(lines_before(split.texts, corpus.splits["train"].texts))
    return arrays


def _of_windows(splits: Mapping[str, Encoded], policy: Policy) -> list[str]:
    """What a loss per token is measured with."""
    cut = {name: encoded for name, encoded in splits.items() if encoded.documents is not None}
    if not cut:
        return []
    lost = [f"bits per byte of {name} are undefined: {encoded.lost}" for name, encoded in cut.items() if encoded.lost]
    return [described(policy.windows, policy.max_length, policy.stride), *lost]


def _learned_from(corpus: Corpus) -> Sequence[str]:
    """The texts that a tokenizer is trained on, with the tokens that are to be told of them."""
    train = corpus.splits["train"]
    if train.wanted is None or corpus.classes:
        return Chained(train.texts, train.targets) if train.targets else train.texts
    told = (" ".join(word for word in each.split(" ") if word != NOTHING) for each in train.wanted)
    return [*train.texts, *filter(None, told)]


def _labels(split: Split) -> np.ndarray:
    if split.labels is None:
        return np.full(len(split.texts), -1, np.int32)
    labels = np.asarray(split.labels)
    return labels.astype(np.float64 if labels.dtype.kind == "f" else np.int32 if labels.ndim == 1 else np.int8)


def _scale(train: Split) -> Scale | None:
    if train.labels is None or np.asarray(train.labels).dtype.kind != "f":
        return None
    return Scale(float(np.mean(train.labels)), float(np.std(train.labels)) or 1.0)


def _trained(
    record: Tokenizer, spec: str, texts: Sequence[str], train_hash: str, cache: TokenCache
) -> tuple[Any, Numbered | None]:
    """What a tokenizer learns of texts, and their tokens where it had to look for them and they are very many."""
    key = digest("tokenizer", spec, train_hash)
    packed = cache.read(key)
    if packed is not None:
        return unpack(record, packed), None
    many = in_file(texts)
    if many is not None and record.learn is not None and record.spec:
        numbered = Numbered(many, record.spec)
        state = record.learn(numbered.counts())
    else:
        numbered = None
        with heartbeat.doing("learning tokens"):
            state = record.train(texts)
    cache.write(key, pack(record, state))
    return state, numbered
