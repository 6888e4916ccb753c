"""Tokenizers of the ``tokenizers`` package that give the ids of those here."""

from collections.abc import Mapping

import tokenizers
from tokenizers import Regex, decoders, models, normalizers, pre_tokenizers

from attention.data.contracts import UNKNOWN

# Begins with a blank, which no token does, so that no text can forge it.
_UNKNOWN = " <unknown>"
_PASSED, _PAST = r"\p{Case_Ignorable}", 8
_LETTER = r"[\p{Cased}&&\P{Case_Ignorable}]"


def lowered(tokenizer: tokenizers.Tokenizer, lowercase: bool) -> tokenizers.Tokenizer:
    """With texts in lower case first, where wanted.

    The package goes letter by letter. Python writes a sigma that ends a word as ς: it looks past marks, apostrophes and the
    like, here past as many as ``_PAST``.
    """
    if lowercase:
        behind = "|".join(_LETTER + _PASSED * count for count in range(_PAST + 1))  # one length each, as the package wants it
        last_sigma = normalizers.Replace(Regex(rf"(?<={behind})Σ(?!{_PASSED}*{_LETTER})"), "ς")
        tokenizer.normalizer = normalizers.Sequence([last_sigma, normalizers.Lowercase()])
    return tokenizer


def looked_up(state: Mapping[str, int], pattern: str) -> tokenizers.Tokenizer:
    """What a pattern finds, each looked up."""
    tokenizer = tokenizers.Tokenizer(models.WordLevel({**state, _UNKNOWN: UNKNOWN}, unk_token=_UNKNOWN))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(pattern), behavior="removed", invert=True)
    return tokenizer


def of_bytes(offset: int) -> tokenizers.Tokenizer:
    """Each byte of the UTF-8 text, ``offset`` added."""
    tokenizer = tokenizers.Tokenizer(models.BPE({sign: byte + offset for byte, sign in enumerate(_signs())}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def _signs() -> list[str]:
    """The package's letter for each byte: Latin-1's where it prints, and those from 256 on for the others, in order."""
    prints = lambda byte: 33 <= byte <= 126 or (byte >= 161 and byte != 173)
    others = iter(range(256, 512))
    return [chr(byte if prints(byte) else next(others)) for byte in range(256)]
