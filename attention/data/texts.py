"""Texts that stand in files and are read when they are asked for, so that of many no more than places are in memory."""

import contextlib
import itertools
import os
import tempfile
import weakref
from collections.abc import Iterator, Sequence
from typing import IO, Any, Protocol, overload

import numpy as np

from attention.messages import shown

_READ = 2**18  # bytes that are read at once
_DISTINCT = 2**16  # labels above which they are many
HELD = 2**24  # bytes of texts above which they are written to a file


class Bytes(Protocol):
    """Bytes in one place or several, counted through: place i begins at byte ``borders[i]``."""

    borders: np.ndarray

    def of(self, byte: int) -> int:
        """The number of the place that a byte is in."""
        ...

    def read(self, start: int, stop: int) -> bytes:
        """The bytes from ``start`` to ``stop``, which are in one place."""
        ...

    def changed(self, byte: int) -> ValueError:
        """What is raised where they are no text any more."""
        ...


class FileTexts(Sequence[str]):
    """Texts in files, read when they are asked for.

    Args:
      files: the bytes of the files.
      spans: int64 ``[n 2]``, in order: the first byte of each text and the one behind its last, both in one file.
    """

    def __init__(self, files: Bytes, spans: np.ndarray):
        self.files, self.spans = files, spans
        self.digests: np.ndarray | None = None  # once they are known, as ``repeats.digests`` makes them
        self.together: Any = None  # and ``repeats.together``

    def __len__(self) -> int:
        return len(self.spans)

    @overload
    def __getitem__(self, index: int) -> str: ...

    @overload
    def __getitem__(self, index: slice) -> "FileTexts": ...

    def __getitem__(self, index: int | slice) -> "str | FileTexts":
        if isinstance(index, slice):
            return FileTexts(self.files, self.spans[index])
        return self.read(self.spans[index][None])[0]

    def __iter__(self) -> Iterator[str]:
        for first, last in self.chunks(_READ):
            yield from self.read(self.spans[first:last])

    @property
    def size(self) -> int:
        """Bytes of all of them."""
        return int((self.spans[:, 1] - self.spans[:, 0]).sum())

    def chunks(self, size: int) -> Iterator[tuple[int, int]]:
        """Parts of the texts of about ``size`` bytes of one file, at least one text each: the first, and the one behind."""
        first = 0
        while first < len(self):
            start = self.spans[first, 0]
            most = min(start + size, self.files.borders[self.files.of(start) + 1])
            last = max(first + 1, int(np.searchsorted(self.spans[:, 1], most, "right")))
            yield first, last
            first = last

    def bytes(self, first: int, last: int) -> tuple[bytes, np.ndarray]:
        """The bytes that hold some texts of a chunk, and the spans of these in them."""
        spans = self.spans[first:last]
        return self.files.read(int(spans[0, 0]), int(spans[-1, 1])), spans - spans[0, 0]

    def read(self, spans: np.ndarray) -> list[str]:
        """The text of each of ``spans``, which are in one file and in order: read at once."""
        begin = int(spans[0, 0])
        try:
            return parted(self.files.read(begin, int(spans[-1, 1])), spans - begin)
        except UnicodeDecodeError:
            raise self.files.changed(begin) from None

    def take(self, chosen: np.ndarray) -> "FileTexts":
        """Some of the texts, by rising numbers."""
        taken = FileTexts(self.files, self.spans[chosen])
        taken.digests = None if self.digests is None else self.digests[chosen]
        return taken


class Chained(Sequence[str]):
    """Texts and then others."""

    def __init__(self, *parts: Sequence[str]):
        self._parts = parts

    def __len__(self) -> int:
        return sum(map(len, self._parts))

    def __getitem__(self, index: Any) -> Any:
        return [*self][index]

    def __iter__(self) -> Iterator[str]:
        return itertools.chain(*self._parts)


def parted(data: bytes, spans: np.ndarray) -> list[str]:
    """The texts that stand at ``spans`` of some bytes. Half surrogate pairs, which JSON may hold, are texts too."""
    ends = spans.tolist()
    if data.isascii():
        whole = data.decode("ascii")
        return [whole[start:stop] for start, stop in ends]
    return [data[start:stop].decode("utf-8", "surrogatepass") for start, stop in ends]


def take(texts: Sequence[Any], chosen: np.ndarray) -> Sequence[Any]:
    """Some texts, or what is told of them, by rising numbers."""
    return texts.take(chosen) if isinstance(texts, FileTexts) else [texts[number] for number in chosen.tolist()]


def in_file(texts: Sequence[str]) -> FileTexts | None:
    """The texts, where they stand in files and are many."""
    return texts if isinstance(texts, FileTexts) and texts.size > HELD else None


class Kept:
    """Bytes of one open file from ``begin`` on, which stay as they are: nobody else writes it, and its name may go."""

    def __init__(self, file: IO[bytes], begin: int, size: int):
        self._handle, self._begin = os.dup(file.fileno()), begin
        self.borders = np.array([0, size])
        weakref.finalize(self, os.close, self._handle)

    def append(self, content: bytes) -> None:
        """Writes at the end."""
        while content:
            written = os.pwrite(self._handle, content, self._begin + int(self.borders[-1]))
            self.borders[-1] += written
            content = content[written:]

    def of(self, byte: int) -> int:
        """0, the only place."""
        return 0

    def read(self, start: int, stop: int) -> bytes:
        """The bytes from ``start`` to ``stop``."""
        parts = []
        while start < stop:
            data = os.pread(self._handle, stop - start, self._begin + start)
            if not data:
                raise self.changed(start)
            parts.append(data)
            start += len(data)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def changed(self, byte: int) -> ValueError:
        """What is raised where they are not as they were written."""
        return ValueError(f"what is kept aside has changed since it was written, at byte {byte}")


def aside() -> Kept:
    """A file without a name, in the folder of temporary files, which goes with the process. Raises ValueError without room."""
    with writable(), tempfile.TemporaryFile() as file:
        return Kept(file, 0, 0)


@contextlib.contextmanager
def writable() -> Iterator[None]:
    """Says in a ValueError that the folder of temporary files has no room."""
    try:
        yield
    except OSError as error:
        where = f"{shown(tempfile.gettempdir())} cannot be written ({error.strerror})"
        raise ValueError(f"{where}: much text is kept aside there; TMPDIR names another folder") from None


class Collected:
    """Texts one after the other: a list of few, and of many the bytes in a file that has no name."""

    def __init__(self):
        self._texts: list[str] = []
        self._size, self._sizes = 0, [np.zeros(1, np.int64)]
        self._kept: Kept | None = None

    def add(self, texts: Sequence[str]) -> None:
        """Some more texts."""
        self._texts += texts
        self._size += sum(map(len, texts))
        if self._size > (_READ if self._kept else HELD):
            self._write()

    def done(self) -> Sequence[str]:
        """All of them."""
        if self._kept is None:
            return self._texts
        self._write()
        ends = np.cumsum(np.concatenate(self._sizes))
        return FileTexts(self._kept, np.stack([ends[:-1], ends[1:]], 1))

    def _write(self) -> None:
        """Moves what is held to the file."""
        content, sizes = joined(self._texts)
        self._kept = self._kept or aside()
        with writable():
            self._kept.append(content)
        self._sizes.append(sizes)
        self._texts, self._size = [], 0


class Labels:
    """What is told of texts one after the other, each distinct one held once; of very many distinct ones as of texts."""

    def __init__(self):
        self._known: dict[Any, Any] = {}
        self._labels: list[Any] = []
        self._texts: Collected | None = None

    def add(self, labels: Sequence[Any]) -> None:
        """Some more of them."""
        if self._texts is None:
            self._labels += [self._known.setdefault(label, label) for label in labels]
            if len(self._known) > _DISTINCT and all(isinstance(label, str) for label in self._known):
                self._texts, labels = Collected(), self._labels
                self._known, self._labels = {}, []
        if self._texts is not None:
            self._texts.add(labels)

    def done(self) -> Sequence[Any]:
        """All of them."""
        return self._labels if self._texts is None else self._texts.done()


def joined(texts: Sequence[str]) -> tuple[bytes, np.ndarray]:
    """The bytes of texts end to end, and how many each has, int64 ``[n]``."""
    whole = "".join(texts)
    if whole.isascii():
        return whole.encode("ascii"), np.fromiter(map(len, texts), np.int64, len(texts))
    parts = [text.encode("utf-8", "surrogatepass") for text in texts]
    return b"".join(parts), np.fromiter(map(len, parts), np.int64, len(parts))
