"""The characters (Unicode code points) that occur in the training texts, by count."""

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from attention.data.contracts import UNKNOWN, Tokenizer
from attention.data.tokenizers import _packaged, _vocabulary


def build(*, max_size: int = 8000) -> Tokenizer:
    """The tokenizer ``characters``.

    Args:
      max_size: ids at most, with padding and unknown; at least 3.
    """
    _vocabulary.at_least("max_size", max_size, 3, "padding, unknown and one character")

    def train(texts: Sequence[str]) -> dict[str, int]:
        counts: Counter[str] = Counter()
        for text in texts:
            counts.update(text)
        return learn(counts)

    def learn(counts: Mapping[str, int]) -> dict[str, int]:
        return _vocabulary.ranked(counts, max_size=max_size)

    return Tokenizer(
        train=train,
        encode=_encode,
        decode=lambda state, ids: "".join(_vocabulary.strings(_vocabulary.vocabulary(state), ids)),
        size=_vocabulary.size,
        save=_vocabulary.save,
        load=_vocabulary.load,
        vocabulary=_vocabulary.vocabulary,
        packaged=lambda state: _packaged.looked_up(state, r"[\s\S]"),
        pieces=list,
        parts=list,
        learn=learn,
    )


def _encode(state: dict[str, int], texts: Sequence[str]) -> list[np.ndarray]:
    ids = np.full(0x110000, UNKNOWN, np.int32)  # one entry for each code point
    ids[[ord(character) for character in state]] = list(state.values())
    return [ids[np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4")] for text in texts]
