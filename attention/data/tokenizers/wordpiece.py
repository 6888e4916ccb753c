"""WordPiece as in BERT, learned from the training texts: pieces of words, ``##`` before those that continue one.

Words are split at blanks and punctuation. A word that holds a character outside the alphabet is unknown as a whole. The
pieces are learned by merging the most frequent pairs, as the ``tokenizers`` package does, not by the likelihood of the
original (Schuster, Nakajima 2012).
"""

import json
from collections import Counter
from collections.abc import Sequence

import numpy as np
import tokenizers

from attention.data.contracts import PADDING, UNKNOWN, Tokenizer
from attention.data.tokenizers import _packaged, _subwords
from attention.data.tokenizers._vocabulary import SPECIAL, check_size, strings


def build(*, size: int = 8000, lowercase: bool = True) -> Tokenizer:
    """The tokenizer ``wordpiece``.

    Args:
      size: ids at most, with padding and unknown; 16 to 2**20. At most half of them are single characters.
      lowercase: whether upper and lower case are one.
    """
    check_size("size", size, 16)

    def train(texts: Sequence[str]) -> str:
        alphabet = _alphabet(texts, lowercase, (size - len(SPECIAL)) // 2)
        tokenizer = _around({})
        trainer = tokenizers.trainers.WordPieceTrainer(
            vocab_size=size - len(SPECIAL),
            initial_alphabet=alphabet,
            limit_alphabet=len(alphabet),
            # Named beforehand, for the package numbers continuing characters in hash order, and breaks ties by number.
            special_tokens=[f"##{character}" for character in sorted(alphabet)],
            show_progress=False,
        )
        tokenizer.train_from_iterator(_subwords.prepared(texts, lowercase), trainer=trainer)
        # Rebuilt with all tokens as plain entries: the split at punctuation keeps text from matching the special ones.
        pieces = [*SPECIAL, *_subwords.pieces(tokenizer)]
        return _around({piece: identity for identity, piece in enumerate(pieces)}).to_str()

    def encode(state: str, texts: Sequence[str]) -> list[np.ndarray]:
        return _subwords.encode(_subwords.of_state(state), texts, lowercase=lowercase, offset=0)

    return Tokenizer(
        train=train,
        encode=encode,
        decode=_decode,
        size=lambda state: len(json.loads(state)["model"]["vocab"]),
        save=_subwords.save,
        load=lambda folder: _subwords.load(folder, "WordPiece"),
        vocabulary=_subwords.pieces_of_state,
        packaged=lambda state: _packaged.lowered(tokenizers.Tokenizer.from_str(state), lowercase),
    )


def _around(vocabulary: dict[str, int]) -> tokenizers.Tokenizer:
    tokenizer = tokenizers.Tokenizer(tokenizers.models.WordPiece(vocabulary, unk_token=SPECIAL[UNKNOWN]))
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = tokenizers.decoders.WordPiece(cleanup=False)
    return tokenizer


def _alphabet(texts: Sequence[str], lowercase: bool, limit: int) -> list[str]:
    """The most frequent characters. The package would choose among equally frequent ones by hash order."""
    counts: Counter[str] = Counter()
    for text in _subwords.prepared(texts, lowercase):
        counts.update(text)
    ranked = sorted((-count, character) for character, count in counts.items() if not character.isspace())
    return [character for _, character in ranked[:limit]]


def _decode(state: str, ids: Sequence[int]) -> str:
    strings(_subwords.pieces_of_state(state), ids)
    return _subwords.of_state(state).decode([int(i) for i in ids if i != PADDING], skip_special_tokens=False)
