"""The bytes of the UTF-8 text, id = byte + 2: nothing to learn, nothing unknown.

Texts are as long as their bytes, three a character in Chinese. Truncation may cut a character in two; ``decode`` then
shows U+FFFD in its place.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from attention.data.contracts import Tokenizer
from attention.data.tokenizers import _packaged
from attention.data.tokenizers._vocabulary import SPECIAL, read_json, strings
from attention.files import write_atomic
from attention.messages import quoted

_OFFSET = len(SPECIAL)
_STATE = {"offset": _OFFSET}
_TOKENS = (*SPECIAL, *(chr(byte) if 32 <= byte < 127 else f"<0x{byte:02X}>" for byte in range(256)))


def build() -> Tokenizer:
    """The tokenizer ``bytes``: 258 ids.

    Example:
      >>> t = build(); t.encode(t.train([]), ["AB"])
      [array([67, 68], dtype=int32)]
    """
    return Tokenizer(
        train=lambda texts: _STATE,
        encode=_encode,
        decode=_decode,
        size=lambda state: len(_TOKENS),
        save=_save,
        load=_load,
        vocabulary=lambda state: _TOKENS,
        packaged=lambda state: _packaged.of_bytes(_OFFSET),
    )


def _encode(state: dict, texts: Sequence[str]) -> list[np.ndarray]:
    # surrogatepass: half a surrogate pair is no UTF-8, but no reason to stop either.
    encoded = (text.encode("utf-8", "surrogatepass") for text in texts)
    return [np.frombuffer(text, np.uint8).astype(np.int32) + np.int32(_OFFSET) for text in encoded]


def _decode(state: dict, ids: Sequence[int]) -> str:
    strings(_TOKENS, ids)
    return bytes(int(i) - _OFFSET for i in ids if i >= _OFFSET).decode("utf-8", "replace")


def _save(state: dict, folder: Path) -> None:
    write_atomic(Path(folder) / "bytes.json", b'{"offset": 2}\n')


def _load(folder: Path) -> dict:
    stored = read_json(Path(folder) / "bytes.json")
    if stored != _STATE:
        raise ValueError(f"{Path(folder) / 'bytes.json'}: want {_STATE}, got {quoted(stored)}")
    return _STATE
