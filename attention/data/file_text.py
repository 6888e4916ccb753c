"""The text of a file, whatever program wrote it: known by its bytes, or named for what it is with the command that helps."""

import gzip
import io
import zlib
from pathlib import Path

from attention.files import most_unpacked, regular
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
_PANDAS = "python -c \"import pandas; pandas.read_{0}('FILE').to_json('FILE.jsonl', orient='records', lines=True)\""
_UNPACK = "unpack it first: {0}"
# How files begin that are no text, what they are, and what helps.
_BINARY = (
    (b"PK\x03\x04", "an Excel or LibreOffice sheet, or another zip archive", f"{_SHEET}, or unpack it"),
    (b"\xd0\xcf\x11\xe0", "an old Excel sheet", _SHEET),
    (b"PAR1", "a Parquet file", _PANDAS.format("parquet")),
    (b"ARROW1", "an Arrow (Feather) file", _PANDAS.format("feather")),
    (b"SQLite format 3", "an SQLite database", "sqlite3 -csv -header FILE 'select * from TABLE' > FILE.csv"),
    (b"%PDF", "a PDF document", _SHEET),
    (b"\x93NUMPY", "an array of NumPy", "write its texts as JSON Lines"),
    (b"\x80\x04", "a pickle, which is never read", "write its texts as JSON Lines"),
    (b"\x80\x05", "a pickle, which is never read", "write its texts as JSON Lines"),
    (b"BZh", "packed by bzip2", _UNPACK.format("bunzip2 FILE")),
    (b"\xfd7zXZ", "packed by xz", _UNPACK.format("unxz FILE")),
    (b"\x28\xb5\x2f\xfd", "packed by zstd", _UNPACK.format("unzstd FILE")),
    (b"7z\xbc\xaf", "a 7z archive", _UNPACK.format("7z x FILE")),
    (b"version https://git-lfs", "a pointer of Git LFS and not the file", "git lfs pull"),
)
_GZIP = b"\x1f\x8b"


def read_text(path: Path) -> str:
    """The text of a file: UTF-8, or UTF-16 and UTF-32 with a byte order mark; unpacked where it is gzipped.

    Where lines end in CR alone, as those of old spreadsheets do, they end in LF in what is returned.

    Raises:
      ValueError: for a file that is missing, damaged, no text, or text in another encoding, saying what it is and what helps.
    """
    data = _bytes(path)
    for begin, what, help in _BINARY:
        if data.startswith(begin):
            raise ValueError(f"{shown(path)} is {what}: {help}")
    text = _decoded(data, path)
    return text if "\n" in text else text.replace("\r", "\n")


def _bytes(path: Path) -> bytes:
    try:
        if path.is_dir():
            raise ValueError(f"{shown(path)} is a folder; a file in it is wanted")
        if not regular(path).is_file():
            beside = [entry.name for entry in path.parent.iterdir()] if path.parent.is_dir() else []
            raise ValueError(f"there is no file {shown(path)}{nearest(path.name, beside)}")
        data = path.read_bytes()
        if path.suffix.lower() == ".gz" or data.startswith(_GZIP):
            most = most_unpacked(len(data))
            data = gzip.GzipFile(fileobj=io.BytesIO(data)).read(most + 1)
            if len(data) > most:
                raise ValueError(f"{shown(path)} unpacks to more than {most >> 20} MiB, which no texts of its size do")
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise ValueError(f"{shown(path)} is not a whole gzip file: {error}") from None
    except OSError as error:
        raise ValueError(f"cannot read {shown(path)}: {error.strerror}") from None
    return data


def _decoded(data: bytes, path: Path) -> str:
    mark, encoding = next((pair for pair in _MARKS if data.startswith(pair[0])), (b"", "utf-8"))
    data = data[len(mark) :]
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        if encoding != "utf-8":
            raise ValueError(f"{shown(path)} begins as {encoding.upper()} and goes on as something else") from None
        raise ValueError(_not_utf8(data, error.start, path)) from None
    if "\0" in text:
        if wide := _without_mark(data):
            raise ValueError(f"{shown(path)} is {wide} without a byte order mark: iconv -f {wide} -t UTF-8 FILE > NEW")
        line = text.count("\n", 0, text.index("\0")) + 1
        raise ValueError(f"{shown(path)}, line {line}: there is a zero byte, so this is no text file, or a damaged one")
    return text


def _without_mark(data: bytes) -> str | None:
    """The encoding of text whose every other byte is zero, or None."""
    begin = data[:4096]
    for first, name in ((1, "UTF-16LE"), (0, "UTF-16BE")):
        if begin[first::2].count(0) * 10 > len(begin[first::2]) * 4:
            return name
    return None


def _not_utf8(data: bytes, place: int, path: Path) -> str:
    if wide := _without_mark(data):
        return f"{shown(path)} is {wide} without a byte order mark: iconv -f {wide} -t UTF-8 FILE > NEW"
    line, begin = data.count(b"\n", 0, place) + 1, data.rfind(b"\n", 0, place) + 1
    around = data[max(begin, place - 20) : place + 12].split(b"\n")[0].decode("cp1252", "replace")
    return (
        f"{shown(path)}, line {line}: byte 0x{data[place]:02x} is not UTF-8; if {quoted(around)} reads right it is Windows-1252"
        " (Latin-1): iconv -f WINDOWS-1252 -t UTF-8 FILE > NEW"
    )
