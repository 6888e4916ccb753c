"""Plain text files, read piece by piece whenever they are asked for, so that no corpus stands in memory whole."""

import codecs
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from attention.data import paths, unpacking
from attention.data.contracts import Split
from attention.data.file_text import check_text
from attention.data.texts import FileTexts
from attention.messages import shown

Documents = Literal["stream", "file", "line", "blank"]

BLOCK = 2**18  # bytes of a text that stand in one block at most
_READ = 2**20  # bytes that are read at once
_MARK = b"\xef\xbb\xbf"  # of byte order, which some programs put before UTF-8
_HELP = "in another encoding, as WINDOWS-1252: iconv -f ENCODING -t UTF-8 FILE > NEW"
_NEWLINE, _RETURN, _BLANK = b"\n\r "


class PlainFile(NamedTuple):
    """A file of text: its bytes from ``begin`` to ``end``. What is packed stands in memory, in ``unpacked``."""

    path: Path
    begin: int
    end: int
    unpacked: bytes | None = None

    def read(self, start: int, stop: int) -> bytes:
        """Its bytes from ``start`` to ``stop``, counted from ``begin``."""
        start, stop = self.begin + start, self.begin + stop
        if self.unpacked is not None:
            return self.unpacked[start:stop]
        with unpacking.readable(self.path), open(self.path, "rb") as file:
            file.seek(start)
            return file.read(stop - start)


class PlainFiles:
    """Files one after another, whose bytes are counted through: file i begins at byte ``borders[i]``.

    Raises:
      ValueError: for a file that is missing, no text, or not UTF-8, naming the byte.
    """

    def __init__(self, paths: Sequence[Path]):
        self._files = [_opened(path) for path in paths]
        self.borders = np.cumsum([0, *(file.end - file.begin for file in self._files)])

    def check_full(self) -> None:
        """Raises ValueError where one is empty."""
        for file in self._files:
            if file.begin == file.end:
                raise ValueError(f"{shown(file.path)} is empty, and no document")

    def of(self, byte: int) -> int:
        """The number of the file that a byte is in."""
        return int(np.searchsorted(self.borders, byte, "right")) - 1

    def read(self, start: int, stop: int) -> bytes:
        """The bytes from ``start`` to ``stop``, which are in one file."""
        number = self.of(start)
        data = self._files[number].read(start - self.borders[number], stop - self.borders[number])
        if len(data) < stop - start:
            raise self.changed(start)
        return data

    def changed(self, byte: int) -> ValueError:
        """What is raised where a file is not as it was when it was first read."""
        return ValueError(f"{shown(self._files[self.of(byte)].path)} has changed since it was first read")


def is_plain(path: str) -> bool:
    """Whether a path or glob is of plain text: ``.txt`` files that are no tables with columns, JSON or lines of fastText."""
    place = paths.followed(path)
    if Path(unpacking.plain_name(path).lower()).suffix != ".txt" or not paths.leads(path):
        return False
    file = paths.matches(place)[0]
    try:
        data = unpacking.read(file).data if unpacking.is_packed(file) else PlainFile(file, 0, 0).read(0, _READ)
    except ValueError:
        return False
    first = data.lstrip().split(b"\n")[0]
    names = re.split(rb"[\t,;|\"]+", first.strip(_MARK + b"\r"))
    table = b"\t" in first or {b"text", b"label"} <= set(names)
    return not (table or first.startswith((b"__label__", b"[", b"{", b"\xff\xfe", b"\xfe\xff")))


def whole(how: Documents, files: Sequence[Path]) -> Split | None:
    """The documents of plain text files; None where one is none."""
    if not all(is_plain(str(path)) for path in files):
        return None
    read = PlainFiles(files)
    read.check_full()
    return Split([*FileTexts(read, documents(read, how))], None)


def documents(files: PlainFiles, how: Documents) -> np.ndarray:
    """The spans of the documents: of each file, of each line that is not blank, or of what stands between blank lines.

    The line break that ends a line or a document between blank lines is no part of it.
    """
    if how == "file":
        files.check_full()
        return np.stack([files.borders[:-1], files.borders[1:]], 1)
    parts = _runs if how == "blank" else lambda spans, inked: spans[inked]
    return np.concatenate([parts(*_lines(files, number)) for number in range(len(files.borders) - 1)])


def _lines(files: PlainFiles, number: int) -> tuple[np.ndarray, np.ndarray]:
    """The lines of a file: their spans, and which of them are not blank."""
    at, end = files.borders[number : number + 2]
    spans, inked = [np.zeros((0, 2), np.int64)], [np.zeros(0, bool)]
    while at < end:
        data = np.frombuffer(_whole_lines(files, at, end), np.uint8)
        stops = np.flatnonzero(data == _NEWLINE)
        stops = stops if data[-1] == _NEWLINE else np.append(stops, len(data))
        starts = np.concatenate([[0], stops[:-1] + 1])
        inked.append(np.logical_or.reduceat(data > _BLANK, starts))
        spans.append(at + np.stack([starts, stops - (data[stops - 1] == _RETURN)], 1))
        at += len(data)
    return np.concatenate(spans), np.concatenate(inked)


def _whole_lines(files: PlainFiles, start: int, end: int) -> bytes:
    """The next lines of a file, at least one."""
    size = _READ
    while True:
        data = files.read(start, min(start + size, end))
        cut = data.rfind(b"\n") + 1
        if start + size >= end:
            return data
        if cut:
            return data[:cut]
        size *= 2


def _runs(spans: np.ndarray, inked: np.ndarray) -> np.ndarray:
    """From the first to the last of lines that are not blank and stand together."""
    begins = inked & ~np.concatenate([[False], inked[:-1]])
    ends = inked & ~np.concatenate([inked[1:], [False]])
    return np.stack([spans[begins, 0], spans[ends, 1]], 1)


class Parts(NamedTuple):
    """Texts of at most ``BLOCK`` bytes, and which of them begin a document, bool ``[n]``; None where each does."""

    texts: FileTexts
    begins: np.ndarray | None


def blocks(files: PlainFiles, spans: np.ndarray) -> Parts:
    """Documents in blocks, which are cut where a line ends, else at a blank, else between two characters."""
    large = np.flatnonzero(spans[:, 1] - spans[:, 0] > BLOCK)
    found, begins, done = [], [], 0
    for place in (*large, len(spans)):
        found.append(spans[done:place])
        begins.append(np.ones(place - done, bool))
        if place < len(spans):
            found.append(_cut(files, *spans[place]))
            begins.append(np.arange(len(found[-1])) == 0)
        done = place + 1
    return Parts(FileTexts(files, np.concatenate(found)), np.concatenate(begins) if large.size else None)


def stream(files: PlainFiles, start: int, stop: int) -> Parts:
    """The bytes from ``start`` to ``stop`` as one document, in blocks as ``blocks`` cuts them; also where a file ends."""
    inner = files.borders[(files.borders > start) & (files.borders < stop)]
    ends = np.array([start, *np.unique(inner), stop])
    found = np.concatenate([_cut(files, *part) for part in np.stack([ends[:-1], ends[1:]], 1)])
    return Parts(FileTexts(files, found), np.arange(len(found)) == 0 if len(found) > 1 else None)


def _cut(files: PlainFiles, start: int, stop: int) -> np.ndarray:
    """The spans of the blocks of a part of one file."""
    cuts = [start]
    while stop - cuts[-1] > BLOCK:
        data = files.read(cuts[-1], cuts[-1] + BLOCK + 1)
        cuts.append(cuts[-1] + (data.rfind(b"\n", 0, BLOCK) + 1 or data.rfind(b" ", 0, BLOCK) + 1 or _border(data, BLOCK)))
    cuts.append(stop)
    return np.stack([cuts[:-1], cuts[1:]], 1)


def _border(data: bytes, byte: int) -> int:
    """The last byte, up to ``byte``, with which a character begins."""
    while data[byte] & 0xC0 == 0x80:
        byte -= 1
    return byte


def character(files: PlainFiles, byte: int) -> int:
    """The last byte, up to ``byte``, with which a character begins; the end is one."""
    begin = max(byte - 3, int(files.borders[files.of(byte)]))
    return byte if byte == files.borders[-1] else begin + _border(files.read(begin, byte + 1), byte - begin)


def _opened(path: Path) -> PlainFile:
    """A file, looked through."""
    packed = unpacking.is_packed(path)
    unpacked = unpacking.read(path).data if packed else None
    file = PlainFile(path, 0, path.stat().st_size if unpacked is None else len(unpacked), unpacked)
    begin = file.read(0, _READ)
    check_text(begin, path)
    _check(file)
    return file._replace(begin=len(_MARK)) if begin.startswith(_MARK) else file


def _check(file: PlainFile) -> None:
    """Raises ValueError where the bytes are not UTF-8, or one is zero."""
    decoder, line = codecs.getincrementaldecoder("utf-8")(), 1
    for at in range(0, file.end, _READ):
        data = file.read(at, min(at + _READ, file.end))
        odd = _odd(decoder, data, at + _READ >= file.end)
        if odd is not None:
            place, why = odd
            line += data.count(b"\n", 0, max(place, 0))
            raise ValueError(f"{shown(file.path)}, line {line}: byte {at + place} (counted from 0) {why}")
        line += data.count(b"\n")


def _odd(decoder: codecs.IncrementalDecoder, data: bytes, last: bool) -> tuple[int, str] | None:
    """The place of the first byte that no text has, negative where it was read before, and what it is; None without one."""
    before, _ = decoder.getstate()
    try:
        decoder.decode(data, last)
    except UnicodeDecodeError as error:
        return error.start - len(before), f"is 0x{error.object[error.start]:02x}, which is not UTF-8 there; {_HELP}"
    zero = data.find(0)
    return None if zero == -1 else (zero, "is zero: this is no text, or a damaged one")
