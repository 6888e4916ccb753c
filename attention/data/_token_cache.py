"""Token ids and trained tokenizers kept on disk, by a digest of all they depend on."""

import hashlib
import io
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from attention.files import read_sealed, write_sealed

# Part of every key: raise it whenever a tokenizer or `dataset.py` gives other arrays for the same options.
_VERSION = 4


def digest(*parts: object) -> str:
    """The key of what depends on ``parts``."""
    return hashlib.sha256(repr((_VERSION, *parts)).encode()).hexdigest()


class TokenCache:
    """Sealed files by key. What goes wrong is said in ``notes`` and costs the time of making the content again."""

    def __init__(self, folder: Path, notes: list[str]):
        self.folder = folder
        self.notes = notes

    def read(self, key: str) -> bytes | None:
        """What was written, None where there is nothing whole."""
        path = self.folder / key[:32]
        try:
            return read_sealed(path)
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            self.notes.append(f"token cache: {error}; made again")
            return None

    def write(self, key: str, content: bytes) -> None:
        """Keeps ``content``, where the folder can be written."""
        try:
            write_sealed(self.folder / key[:32], content)
        except OSError as error:
            self.notes.append(f"token cache: {self.folder} cannot be written ({error.strerror}); nothing is kept there")

    def arrays(self, key: str, count: int) -> tuple[np.ndarray, ...] | None:
        """The ``count`` arrays that ``write_arrays`` wrote."""
        content = self.read(key)
        if content is None:
            return None
        buffer = io.BytesIO(content)
        return tuple(np.load(buffer, allow_pickle=False) for _ in range(count))

    def write_arrays(self, key: str, arrays: Iterable[np.ndarray]) -> None:
        """Keeps arrays, one after the other."""
        buffer = io.BytesIO()
        for array in arrays:
            np.save(buffer, array, allow_pickle=False)
        self.write(key, buffer.getvalue())
