"""Token ids and trained tokenizers kept on disk, by a digest of all they depend on."""

import contextlib
import hashlib
import io
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np

from attention.data.texts import Kept
from attention.files import read_sealed, regular, write_sealed, writing

# Part of every key: raise it whenever a tokenizer or `encode.py` gives other arrays for the same options.
_VERSION = 6
_MAPPED = 2**24  # bytes of token ids above which they are not read into memory
_READ = 2**20  # bytes that are read at once
_HASH, _PLACE = 32, 8  # bytes of what a file of token ids begins and ends with

Make = Callable[[Callable[[np.ndarray], object]], Mapping[str, np.ndarray]]


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
        return self._whole(key, read_sealed)

    def write(self, key: str, content: bytes) -> None:
        """Keeps ``content``, where the folder can be written."""
        with self._kept():
            write_sealed(self._path(key), content)

    def tokens(self, key: str, make: Make) -> tuple[np.ndarray, Mapping[str, np.ndarray]]:
        """Token ids, and the arrays beside them, as they are kept or else made, kept and read.

        Many ids stay on disk, mapped into memory, in the type that they are made in; others are int32.

        Args:
          key: of all that they depend on.
          make: hands the ids over, one array after the other, and returns the arrays beside them.
        """
        found = self._whole(key, _read)
        if found is None:
            with self._kept():
                _write(self._path(key), make)
            found = self._whole(key, _read)
        if found is None:
            parts: list[np.ndarray] = []
            arrays = make(parts.append)
            found = np.concatenate(parts), arrays
        return found

    def kept(self, key: str) -> tuple[Kept, Mapping[str, np.ndarray]] | None:
        """Bytes on disk and the arrays beside them, as ``keep`` wrote them; None where there is nothing whole."""
        return self._whole(key, _read_kept)

    def keep(self, key: str, make: Make) -> None:
        """Writes bytes, which ``make`` hands over as arrays of them, and the arrays that it returns, where that can be."""
        with self._kept():
            _write(self._path(key), make)

    def _path(self, key: str) -> Path:
        return self.folder / key[:32]

    def _whole(self, key: str, read: Callable[[Path], Any]) -> Any:
        try:
            return read(self._path(key))
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (OSError, ValueError) as error:
            self._say(f"{error}; made again")
            return None

    @contextlib.contextmanager
    def _kept(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self._say(f"{self.folder} cannot be written ({error.strerror}); nothing is kept there")

    def _say(self, what: str) -> None:
        """Says what went wrong, once."""
        note = f"token cache: {what}"
        if note not in self.notes:
            self.notes.append(note)


def _write(path: Path, make: Make) -> None:
    """A hash of all that follows, the ids as they are, the arrays beside them as ``.npz``, and where these begin."""
    sha256, dtypes = hashlib.sha256(), set()
    with writing(path) as file:

        def put(content: bytes | memoryview) -> None:
            sha256.update(content)
            file.write(content)

        def put_ids(ids: np.ndarray) -> None:
            dtypes.add(ids.dtype)
            put(np.ascontiguousarray(ids).data)

        file.write(bytes(_HASH))
        arrays = make(put_ids)
        begin, (dtype,) = file.tell(), dtypes
        beside = io.BytesIO()
        np.savez(beside, allow_pickle=False, ids=np.zeros(0, dtype), **arrays)
        put(beside.getvalue())
        put(begin.to_bytes(_PLACE, "little"))
        file.seek(0)
        file.write(sha256.digest())


def _read(path: Path) -> tuple[np.ndarray, Mapping[str, np.ndarray]]:
    """What ``_write`` wrote. Raises ValueError where it is not whole."""
    with _checked(path) as (file, begin, arrays):
        dtype = arrays.pop("ids").dtype
        shape = ((begin - _HASH) // dtype.itemsize,)
        if begin - _HASH > _MAPPED:
            return np.asarray(np.memmap(file, dtype, "r", _HASH, shape)), arrays
        file.seek(_HASH)
        return np.frombuffer(file.read(begin - _HASH), dtype).astype(np.int32), arrays


def _read_kept(path: Path) -> tuple[Kept, Mapping[str, np.ndarray]]:
    with _checked(path) as (file, begin, arrays):
        return Kept(file, _HASH, begin - _HASH), arrays


@contextlib.contextmanager
def _checked(path: Path) -> Iterator[tuple[IO[bytes], int, dict[str, np.ndarray]]]:
    """A file that ``_write`` wrote, where its arrays begin, and these. Raises ValueError where it is not whole."""
    with open(regular(path), "rb") as file:
        known, size = file.read(_HASH), file.seek(0, io.SEEK_END)
        if _hash(file) != known:
            raise ValueError(f"{path} is damaged: its content does not have the hash it was written with")
        file.seek(size - _PLACE)
        begin = int.from_bytes(file.read(_PLACE), "little")
        file.seek(begin)
        yield file, begin, dict(np.load(io.BytesIO(file.read(size - _PLACE - begin)), allow_pickle=False))


def _hash(file: IO[bytes]) -> bytes:
    file.seek(_HASH)
    sha256 = hashlib.sha256()
    while content := file.read(_READ):
        sha256.update(content)
    return sha256.digest()
