"""Byte-pair encoding of the UTF-8 bytes (BPE as in GPT-2), learned from the training texts: nothing is unknown.

Sennrich, Haddow, Birch 2016, arXiv:1508.07909, on bytes; words keep the blank before them. Tokens are shown with
GPT-2's letters for bytes (``Ġ`` is the blank).
"""

import json
from collections.abc import Sequence

import numpy as np
import tokenizers

from attention.data.contracts import Tokenizer
from attention.data.tokenizers import _packaged, _subwords
from attention.data.tokenizers._vocabulary import SPECIAL, check_size, strings

_OFFSET = len(SPECIAL)


def build(*, size: int = 8000, lowercase: bool = True) -> Tokenizer:
    """The tokenizer ``bpe``.

    Args:
      size: ids at most, with padding and unknown; 258 to 2**20, since every byte has one.
      lowercase: whether upper and lower case are one.
    """
    check_size("size", size, 256 + _OFFSET, "padding, unknown and 256 bytes")

    def train(texts: Sequence[str]) -> str:
        tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE())
        tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder = tokenizers.decoders.ByteLevel()
        trainer = tokenizers.trainers.BpeTrainer(
            vocab_size=size - _OFFSET,
            initial_alphabet=sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet()),
            show_progress=False,
        )
        tokenizer.train_from_iterator(_subwords.prepared(texts, lowercase), trainer=trainer)
        return tokenizer.to_str()

    def encode(state: str, texts: Sequence[str]) -> list[np.ndarray]:
        return _subwords.encode(_subwords.of_state(state), texts, lowercase=lowercase, offset=_OFFSET)

    return Tokenizer(
        train=train,
        encode=encode,
        decode=_decode,
        size=lambda state: len(_vocabulary(state)),
        save=_subwords.save,
        load=lambda folder: _subwords.load(folder, "BPE"),
        vocabulary=_vocabulary,
        packaged=lambda state: _packaged.lowered(_numbered(state), lowercase),
    )


def _vocabulary(state: str) -> list[str]:
    return [*SPECIAL, *_subwords.pieces_of_state(state)]


def _numbered(state: str) -> tokenizers.Tokenizer:
    """The package's, its ids moved up for padding and unknown."""
    stored = json.loads(state)
    vocabulary = stored["model"]["vocab"]
    stored["model"]["vocab"] = {piece: identity + _OFFSET for piece, identity in vocabulary.items()}
    return tokenizers.Tokenizer.from_str(json.dumps(stored))


def _decode(state: str, ids: Sequence[int]) -> str:
    strings(_vocabulary(state), ids)
    return _subwords.of_state(state).decode([int(i) - _OFFSET for i in ids if i >= _OFFSET])
