"""Words and punctuation marks, or whatever stands between blanks; optionally with pairs of neighbouring words.

With ``ngrams=2`` the ids of a text are its words in order, then its pairs of neighbours in order. Pairs share the
vocabulary with the words, by count; a pair outside it is left out, not counted as unknown, so that a text is at most
twice as long as its words. ``max_length`` counts both: truncation by ``head`` drops pairs first.

``pattern=punctuation`` is for raw text with blanks between words. One token each: an HTML tag (``<br />``), an HTML
entity (``&amp;``, ``#39;``), a number with its points and commas (``1,000.5``), a word with inner apostrophes
(``don't``), a clitic that was split off (``'s``), a run of dots, any other mark. ``pattern=whitespace`` is for text
that is already split: ListOps (``[MAX``). Scripts without blanks (Chinese) want ``characters``, ``bytes`` or ``bpe``.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal

import numpy as np

from attention.data.contracts import UNKNOWN, Tokenizer
from attention.data.tokenizers import _packaged, _vocabulary


def _punctuation(word: str, digit: str, blank: str) -> str:
    """The pattern of words and marks, in a dialect that has these for what is in a class."""
    w, d = f"[{word}]", f"[{digit}]"
    marked = rf"</?[A-Za-z][^<>]*>|&{w}+;|&?#{d}+;|{d}+(?:[.,]{d}+)+"
    return rf"{marked}|{w}+(?:['’]{w}+)*|['’](?i:s|t|d|m|re|ve|ll)(?!{w})|\.{{2,}}|[^{word}{blank}]"


_BLANK = r"\s\x1c-\x1f"  # what Python takes for one, where others do not
_PATTERNS = {"punctuation": _punctuation(r"\p{L}\p{N}_", r"\p{Nd}", _BLANK), "whitespace": f"[^{_BLANK}]+"}  # of the package
_PUNCTUATION = re.compile(_punctuation(r"\w", r"\d", r"\s"))


def build(
    *,
    max_size: int = 30_000,
    min_count: int = 1,
    lowercase: bool = True,
    pattern: Literal["punctuation", "whitespace"] = "punctuation",
    ngrams: int = 1,
) -> Tokenizer:
    """The tokenizer ``words``.

    Args:
      max_size: ids at most, with padding and unknown; at least 3. The most frequent are kept, ties alphabetically.
      min_count: words (and pairs) that occur less often in the training texts are unknown; at least 1.
      lowercase: whether upper and lower case are one.
      pattern: what separates words: blanks and punctuation, or whitespace only.
      ngrams: 2 appends the pairs of neighbouring words; 1 or 2.
    """
    _vocabulary.at_least("max_size", max_size, 3, "padding, unknown and one word")
    _vocabulary.at_least("min_count", min_count, 1)
    if ngrams not in (1, 2):
        raise ValueError(f"ngrams must be 1 or 2, got {ngrams}")
    split = str.split if pattern == "whitespace" else _PUNCTUATION.findall

    def words(text: str) -> list[str]:
        return split(text.lower() if lowercase else text)

    def parts(text: str) -> list[str]:
        text = text.lower() if lowercase else text
        return [text] if "<" in text else text.split()  # it begins tags, which alone may hold blanks

    def train(texts: Sequence[str]) -> dict[str, int]:
        counts: Counter[str] = Counter()
        for text in texts:
            found = words(text)
            counts.update(found)
            if ngrams == 2:
                counts.update(_pairs(found))
        return learn(counts)

    def learn(counts: Mapping[str, int]) -> dict[str, int]:
        return _vocabulary.ranked(counts, max_size=max_size, min_count=min_count)

    def encode(state: dict[str, int], texts: Sequence[str]) -> list[np.ndarray]:
        find = state.get
        if ngrams == 1:
            return [np.array([find(word, UNKNOWN) for word in words(text)], np.int32) for text in texts]
        return [_encode_pairs(find, words(text)) for text in texts]

    def decode(state: dict[str, int], ids: Sequence[int]) -> str:
        found = _vocabulary.strings(_vocabulary.vocabulary(state), ids)
        special = _vocabulary.SPECIAL
        return " ".join(token for token in found if ngrams == 1 or token in special or len(split(token)) == 1)

    def packaged(state: dict[str, int]) -> Any:
        return _packaged.lowered(_packaged.looked_up(state, _PATTERNS[pattern]), lowercase)

    return Tokenizer(
        train=train,
        encode=encode,
        decode=decode,
        size=_vocabulary.size,
        save=_vocabulary.save,
        load=_vocabulary.load,
        vocabulary=_vocabulary.vocabulary,
        packaged=packaged if ngrams == 1 else None,
        pieces=words if ngrams == 1 else None,
        parts=parts if ngrams == 1 else None,
        learn=learn if ngrams == 1 else None,
        in_order=ngrams == 1,
    )


def _pairs(words: Sequence[str]) -> Iterable[str]:
    # A blank tells the two apart: tags are the only words that hold one, and they end with their ">".
    return map("{} {}".format, words, words[1:])


def _encode_pairs(find: Callable[[str, int], int], words: Sequence[str]) -> np.ndarray:
    single = [find(word, UNKNOWN) for word in words]
    pairs = (find(pair, UNKNOWN) for pair in _pairs(words))
    return np.array(single + [identity for identity in pairs if identity != UNKNOWN], np.int32)
