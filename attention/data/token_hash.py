"""Whether two tokenizers make the same tokens of a text: only then can a mean over tokens be compared."""

import hashlib
from collections.abc import Sequence

import numpy as np

from attention.data.contracts import Encoded

_AT_ONCE = 2**16  # tokens


def token_hash(encoded: Encoded, vocabulary: Sequence[str]) -> str:
    """SHA-256 over the tokens of a split, what is wanted at each, and all that could be: the vocabulary.

    Ids count by what they stand for: it is the same in whatever order a vocabulary is numbered.

    Args:
      encoded: examples with what is wanted, or the documents before these are cut into windows.
      vocabulary: the token string of each id; one more id ends documents.
    """
    order = sorted(range(len(vocabulary)), key=lambda number: (vocabulary[number], number))
    ranks = np.empty(len(order) + 1, np.int32)
    ranks[[*order, len(order)]] = np.arange(len(ranks))
    sha256 = hashlib.sha256("".join(f"{vocabulary[n]!r} " for n in order).encode("utf-8", "surrogatepass"))
    sha256.update(encoded.offsets.astype("<i8").tobytes())
    assert encoded.wanted is not None
    for ids in (encoded.flat, encoded.wanted):
        for start in range(0, len(ids), _AT_ONCE):
            some = np.asarray(ids[start : start + _AT_ONCE], np.int32)
            sha256.update(np.where(some < 0, some, ranks[some]).astype("<i4").tobytes())
    return sha256.hexdigest()
