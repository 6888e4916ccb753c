"""The text of a file, whatever program wrote it: known by its bytes, or named for what it is with what helps."""

import codecs
import io
import os
from collections.abc import Iterator
from pathlib import Path

from attention.data import unpacking
from attention.messages import quoted, shown
from attention.specs import nearest

# Byte order marks, the longer ones first: UTF-32 begins as UTF-16 does.
_MARKS = (
    (b"\xef\xbb\xbf", "utf-8"),
    (b"\xff\xfe\x00\x00", "utf-32-le"),
    (b"\x00\x00\xfe\xff", "utf-32-be"),
    (b"\xff\xfe", "utf-16-le"),
    (b"\xfe\xff", "utf-16-be"),
)
_SHEET = "save it as CSV UTF-8 in the program that made it"
# How files begin that are no text, what they are, and what helps.
_BINARY = (
    (b"PK\x03\x04", "an Excel or LibreOffice sheet, or another zip archive", f"{_SHEET}, or name it .zip"),
    (b"\xd0\xcf\x11\xe0", "an old Excel sheet", _SHEET),
    (b"PAR1", "a Parquet file", "name it .parquet"),
    (b"ARROW1", "an Arrow (Feather) file", "name it .arrow"),
    (b"SQLite format 3", "an SQLite database", "sqlite3 -csv -header FILE 'select * from TABLE' > FILE.csv"),
    (b"%PDF", "a PDF document", _SHEET),
    (b"\x93NUMPY", "an array of NumPy", "write its texts as JSON Lines"),
    (b"\x80\x04", "a pickle, which is never read", "write its texts as JSON Lines"),
    (b"\x80\x05", "a pickle, which is never read", "write its texts as JSON Lines"),
    (b"7z\xbc\xaf", "a 7z archive", "unpack it first: 7z x FILE"),
    (b"\x89PNG", "an image", "take it out of the folder"),
    (b"\xff\xd8\xff", "an image", "take it out of the folder"),
    (b"GIF8", "an image", "take it out of the folder"),
    (b"version https://git-lfs", "a pointer of Git LFS and not the file", "git lfs pull"),
)
_TAR = slice(257, 262)  # where archives of tar say what they are
_ENCODINGS = ("utf-8", "utf-16", "latin-1", "cp1252", "shift_jis", "euc_jp", "gb18030", "big5", "euc_kr", "koi8-r", "cp1251")


_READ = 2**20  # bytes that are read at once
_LARGE = 2**22  # bytes of a file above which its lines are read one after the other


class Content:
    """The text of a file that stands in memory."""

    def __init__(self, text: str):
        self._text = text

    def begin(self, most: int) -> str:
        """Its first characters."""
        return self._text[:most]

    def whole(self) -> str:
        """All of it."""
        return self._text

    def is_blank(self) -> bool:
        """Whether there is nothing but blanks in it."""
        return not self._text.strip()

    def lines(self, *, newline: str, skip: int = 0) -> Iterator[str]:
        """Its lines with what ends them, without empty ones at the end, after so many up to a LF that are skipped.

        Args:
          newline: as of ``open``: LF ends a line where it is LF, and where it is empty also CR and CR LF.
          skip: lines.
        """
        return iter(io.StringIO(self._text.split("\n", skip)[-1].rstrip("\r\n"), newline=newline))


class FileContent(Content):
    """The text of a file of UTF-8 that was looked through, from one byte to another, read whenever it is asked for."""

    def __init__(self, path: Path, start: int, stop: int, known: object):
        self._path, self._start, self._stop, self._known = path, start, stop, known
        self._read: _Part | None = None

    @property
    def share(self) -> float:
        """How much of its lines was read, where they are."""
        return 0.0 if self._read is None else 1 - self._read.left / (self._stop - self._start)

    def begin(self, most: int) -> str:
        """Its first characters."""
        with self._text(self._start, self._stop, newline="") as text:
            return text.read(most)

    def whole(self) -> str:
        """All of it."""
        with self._text(self._start, self._stop, newline="") as text:
            return text.read()

    def is_blank(self) -> bool:
        """Whether there is nothing but blanks in it."""
        return not any(line.strip() for line in self.lines(newline="\n"))

    def lines(self, *, newline: str, skip: int = 0) -> Iterator[str]:
        """As of a text in memory."""
        with open(self._path, "rb") as file:
            file.seek(self._start)
            start = self._start + sum(len(file.readline()) for _ in range(skip))
        try:
            self._read = _Part(self._path, start, max(start, self._end()))
            with _as_text(self._read, newline) as text:
                yield from text
        except UnicodeDecodeError:
            raise _changed(self._path) from None
        if _known(os.stat(self._path)) != self._known:
            raise _changed(self._path)

    def _end(self) -> int:
        """Where the line breaks begin that the file ends with."""
        end = self._stop
        with open(self._path, "rb") as file:
            while end > self._start:
                begin = max(self._start, end - _READ)
                file.seek(begin)
                data = file.read(end - begin).rstrip(b"\r\n")
                if data:
                    return begin + len(data)
                end = begin
        return end

    def _text(self, start: int, stop: int, *, newline: str) -> io.TextIOWrapper:
        return _as_text(_Part(self._path, start, stop), newline)


class _Part(io.RawIOBase):
    """A part of a file. Raises ValueError where there is less of it."""

    def __init__(self, path: Path, start: int, stop: int):
        super().__init__()
        with unpacking.readable(path):
            self._file = io.FileIO(path)
        self._file.seek(start)
        self._path, self.left = path, stop - start

    def readable(self) -> bool:
        """As of every file to read."""
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # pyright: ignore[reportIncompatibleMethodOverride]
        """As of every file."""
        found = self._file.readinto(memoryview(buffer)[: self.left]) if self.left else 0
        if not found and self.left:
            raise _changed(self._path)
        self.left -= found or 0
        return found or 0

    def close(self) -> None:
        """As of every file."""
        self._file.close()
        super().close()


def _as_text(part: _Part, newline: str) -> io.TextIOWrapper:
    return io.TextIOWrapper(io.BufferedReader(part, _READ), "utf-8", newline=newline)


def _changed(path: Path) -> ValueError:
    return ValueError(f"{shown(path)} has changed while it was read")


def _known(found: os.stat_result) -> object:
    """What changes with a file."""
    return found.st_ino, found.st_size, found.st_mtime_ns


def large(path: Path) -> FileContent | None:
    """The text of a large file of UTF-8, which is looked through; None for every other, which ``decoded`` reads."""
    if not os.path.isfile(path) or os.path.getsize(path) <= _LARGE or unpacking.is_packed(path):
        return None
    decoder, ends = codecs.getincrementaldecoder("utf-8")(), False
    with unpacking.readable(path), open(path, "rb") as file:
        known = os.fstat(file.fileno())
        begin = file.read(_READ)
        mark = b"\xef\xbb\xbf" if begin.startswith(b"\xef\xbb\xbf") else b""
        if (
            begin[_TAR] == b"ustar"
            or any(begin.startswith(each) for each, _, _ in _BINARY)
            or begin.startswith(2 * mark or b"\0")
        ):
            return None
        data = begin
        while data:
            try:
                decoder.decode(data)
            except UnicodeDecodeError:
                return None
            if b"\0" in data:
                return None
            ends = ends or b"\n" in data
            data = file.read(_READ)
    try:
        decoder.decode(b"", True)
    except UnicodeDecodeError:
        return None
    return FileContent(path, len(mark), known.st_size, _known(known)) if ends else None


def check_encoding(encoding: str | None) -> None:
    """Raises ValueError for an encoding of text that Python does not know."""
    try:
        " ".encode(encoding or "utf-8")
    except (LookupError, ValueError):
        near = nearest(str(encoding), _ENCODINGS)
        raise ValueError(
            f"encoding={quoted(encoding)} is none that Python knows{near}; such are {', '.join(_ENCODINGS)}"
        ) from None


def read_text(path: Path, encoding: str | None = None) -> str:
    """The text of a file, unpacked as ``unpacking.read`` does it: see ``decoded``."""
    return decoded(unpacking.read(path).data, path, encoding)


def decoded(data: bytes, path: Path, encoding: str | None = None) -> str:
    """The text that bytes stand for: UTF-8, or UTF-16 and UTF-32 with a byte order mark, and else in ``encoding``.

    Where lines end in CR alone, as those of old spreadsheets do, they end in LF in what is returned.

    Raises:
      ValueError: for bytes that are no text, or text in another encoding, saying what it is and what helps.
    """
    check_text(data, path)
    text = _decoded(data, path, encoding)
    return text if "\n" in text else text.replace("\r", "\n")


def check_text(begin: bytes, path: Path) -> None:
    """Raises ValueError for a file that begins as those do that are no text, saying what it is and what helps."""
    for mark, what, help in _BINARY:
        if begin.startswith(mark):
            raise ValueError(f"{shown(path)} is {what}: {help}")
    if begin[_TAR] == b"ustar":
        raise ValueError(f"{shown(path)} is a tar archive: unpack it first: tar xf FILE")


def _decoded(data: bytes, path: Path, other: str | None) -> str:
    mark, encoding = next((pair for pair in _MARKS if data.startswith(pair[0])), (b"", "utf-8"))
    if not mark and other is not None and (data.isascii() or not _is_utf8(data)):
        encoding = other
    data = data[len(mark) :]
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        raise ValueError(_undecodable(data, error, path, encoding, mark)) from None
    if "\0" in text:
        if wide := _without_mark(data):
            raise ValueError(_wide(wide, path))
        line = text.count("\n", 0, text.index("\0")) + 1
        raise ValueError(f"{shown(path)}, line {line}: there is a zero byte, so this is no text file, or a damaged one")
    return text.removeprefix("\ufeff")


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _without_mark(data: bytes) -> str | None:
    """The encoding of text whose every other byte is zero, or None."""
    begin = data[:4096]
    for first, name in ((1, "UTF-16LE"), (0, "UTF-16BE")):
        if begin[first::2].count(0) * 10 > len(begin[first::2]) * 4:
            return name
    return None


def _wide(encoding: str, path: Path) -> str:
    return f"{shown(path)} is {encoding} without a byte order mark: {_reads(encoding.lower(), encoding)}"


def _reads(encoding: str, called: str) -> str:
    return f"encoding={encoding!r} reads it, or iconv -f {called} -t UTF-8 FILE > NEW"


def _undecodable(data: bytes, error: UnicodeDecodeError, path: Path, encoding: str, mark: bytes) -> str:
    if mark:
        return f"{shown(path)} begins as {encoding.upper()} and goes on as something else"
    line = data.count(b"\n", 0, error.start) + 1
    if encoding != "utf-8":
        return f"{shown(path)}, line {line}: byte 0x{data[error.start]:02x} is neither UTF-8 nor {encoding}"
    if wide := _without_mark(data):
        return _wide(wide, path)
    begin = data.rfind(b"\n", 0, error.start) + 1
    around = data[max(begin, error.start - 20) : error.start + 12].split(b"\n")[0].decode("cp1252", "replace")
    return (
        f"{shown(path)}, line {line}: byte 0x{data[error.start]:02x} is not UTF-8; if {quoted(around)} reads right it is"
        f" Windows-1252 (Latin-1): {_reads('cp1252', 'WINDOWS-1252')}"
    )
