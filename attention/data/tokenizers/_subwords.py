"""What ``bpe`` and ``wordpiece`` share: a state that is the JSON text of the ``tokenizers`` package.

Lower-casing is done here, not by the package, and the package knows no special tokens: it would find them in the text.
"""

import functools
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

from attention.data.tokenizers._vocabulary import read_json
from attention.files import write_atomic

# The package's threads do not survive a fork, and it prints a warning at each one unless told beforehand.
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

FILE = "tokenizer.json"
of_state = functools.lru_cache(maxsize=4)(Tokenizer.from_str)  # reading it takes far longer than encoding a text
_CHUNK = 1000  # texts encoded at once: what the package returns takes far more memory than the ids


def prepared(texts: Sequence[str], lowercase: bool) -> Iterator[str]:
    """The texts as the package gets them: half surrogate pairs, which it cannot take, become U+FFFD."""
    for text in texts:
        text = text if text.isascii() else text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
        yield text.lower() if lowercase else text


def encode(tokenizer: Tokenizer, texts: Sequence[str], *, lowercase: bool, offset: int) -> list[np.ndarray]:
    """Ids of each text, ``offset`` added."""
    found: list[np.ndarray] = []
    for start in range(0, len(texts), _CHUNK):
        chunk = list(prepared(texts[start : start + _CHUNK], lowercase))
        encodings = tokenizer.encode_batch_fast(chunk, add_special_tokens=False)
        found.extend(np.array(encoding.ids, np.int32) + np.int32(offset) for encoding in encodings)
    return found


def pieces(tokenizer: Tokenizer) -> list[str]:
    """The package's tokens in the order of its ids."""
    vocabulary = tokenizer.get_vocab(with_added_tokens=False)
    return sorted(vocabulary, key=vocabulary.__getitem__)


@functools.lru_cache(maxsize=4)
def pieces_of_state(state: str) -> tuple[str, ...]:
    """``pieces`` of a state."""
    return tuple(pieces(of_state(state)))


def save(state: str, folder: Path) -> None:
    """Writes ``tokenizer.json``."""
    write_atomic(Path(folder) / FILE, state.encode("utf-8"))


def load(folder: Path, model: str) -> str:
    """Reads what ``save`` wrote.

    Args:
      folder: where it was saved.
      model: "BPE" or "WordPiece".

    Raises:
      ValueError: where the file is missing, no JSON, or of another model.
    """
    path = Path(folder) / FILE
    stored = read_json(path)
    found = stored.get("model") if isinstance(stored, dict) else None
    if not isinstance(found, dict) or found.get("type") != model:
        raise ValueError(f"{path} is not a tokenizer file of the model {model}")
    state = path.read_text(encoding="utf-8")
    try:
        of_state(state)
    except Exception as error:  # the package raises nothing more special
        raise ValueError(f"{path} is not a tokenizer file of the model {model}: {error}") from None
    return state
