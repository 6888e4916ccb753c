"""The bytes of a file, unpacked: gzip, bzip2, xz and zstd known by how they begin, and members of zip archives."""

import bz2
import contextlib
import gzip
import io
import lzma
import os
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

from attention.files import most_unpacked, regular
from attention.messages import listed, one_line, quoted, shortened, shown
from attention.specs import nearest

_ZIP = b"PK\x03\x04"
_OFFICE = ("[Content_Types].xml", "mimetype")  # Excel's and LibreOffice's files are zip archives


class _Packing(NamedTuple):
    """A way to pack one file: what it is called, how packed bytes begin, and ``read(packed, most) -> bytes``."""

    name: str
    begin: bytes
    read: Callable[[bytes, int], bytes]


class Unpacked(NamedTuple):
    """The bytes of a file, and its name without what says how it was packed."""

    name: str
    data: bytes


def _of_python(module: ModuleType) -> Callable[[bytes, int], bytes]:
    """``read`` of a packing, by Python's module of it."""

    def read(packed: bytes, most: int) -> bytes:
        with module.open(io.BytesIO(packed)) as file:
            return file.read(most)

    return read


def _zstd(packed: bytes, most: int) -> bytes:
    import pyarrow  # here: most files are not packed so, and it takes a while to import

    with pyarrow.CompressedInputStream(pyarrow.BufferReader(packed), "zstd") as stream:
        return stream.read(most)


_PACKINGS = {
    ".gz": _Packing("gzip", b"\x1f\x8b", _of_python(gzip)),
    ".bz2": _Packing("bzip2", b"BZh", _of_python(bz2)),
    ".xz": _Packing("xz", b"\xfd7zXZ", _of_python(lzma)),
    ".zst": _Packing("zstd", b"\x28\xb5\x2f\xfd", _zstd),
}
SUFFIXES = (*_PACKINGS, ".zip")


def plain_name(name: str) -> str:
    """A file name without the endings of packings: ``a.csv`` of ``a.csv.gz``."""
    path = Path(name)
    return path.stem if path.suffix.lower() in SUFFIXES else name


def archive(path: Path) -> Path:
    """The file that holds what a path names: the archive of ``archive.zip/train.csv``, for others the path itself."""
    inside = next((parent for parent in path.parents if parent.suffix.lower() == ".zip" and os.path.isfile(parent)), None)
    return path if inside is None or os.path.exists(path) else inside


def is_packed(path: Path) -> bool:
    """Whether a file is in an archive or packed, by its name or by how it begins. Raises ValueError as ``read`` does."""
    outer = archive(path)
    if outer != path or path.suffix.lower() in SUFFIXES:
        return True
    with readable(path), open(check(path), "rb") as file:
        begin = file.read(8)
    return any(begin.startswith(packing.begin) for packing in _PACKINGS.values())


def read(path: Path) -> Unpacked:
    """Reads a file, or of a zip archive the only file in it, or the one that the path goes on to name.

    Raises:
      ValueError: for what is missing, no file, damaged, or unpacks to far more than a file of its size can hold.
    """
    outer = archive(path)
    data = _bytes(outer)
    if outer != path or (data.startswith(_ZIP) and outer.suffix.lower() == ".zip"):
        return _member(outer, data, str(path.relative_to(outer)) if outer != path else None)
    return Unpacked(plain_name(path.name), _unpacked(data, path, path.suffix.lower()))


def check(path: Path) -> Path:
    """The path of what is a file. Raises ValueError for what is missing, or none."""
    if path.is_dir():
        raise ValueError(f"{shown(path)} is a folder; a file in it is wanted")
    if not regular(path).is_file():
        if path.is_symlink():
            raise ValueError(f"{shown(path)} is a link to {shown(path.readlink())}, which is not there")
        beside = [entry.name for entry in path.parent.iterdir()] if path.parent.is_dir() else []
        raise ValueError(f"there is no file {shown(path)}{nearest(path.name, beside)}")
    return path


def _bytes(path: Path) -> bytes:
    with readable(path):
        return check(path).read_bytes()


@contextlib.contextmanager
def readable(path: Path) -> Iterator[None]:
    """Says in a ValueError which file cannot be read."""
    try:
        yield
    except OSError as error:
        raise ValueError(f"cannot read {shown(path)}: {error.strerror}") from None


def _unpacked(data: bytes, path: Path, suffix: str) -> bytes:
    packing = _PACKINGS.get(suffix) or next((each for each in _PACKINGS.values() if data.startswith(each.begin)), None)
    if packing is None:
        return data
    most = most_unpacked(len(data))
    try:
        found = packing.read(data, most + 1)
    except (OSError, EOFError, zlib.error, lzma.LZMAError) as error:
        raise ValueError(f"{shown(path)} is not a whole {packing.name} file: {shortened(one_line(str(error)), 160)}") from None
    return _bounded(found, most, path)


def _bounded(found: bytes, most: int, path: Path) -> bytes:
    if len(found) > most:
        raise ValueError(f"{shown(path)} unpacks to more than {most >> 20} MiB, which no texts of its size do")
    return found


def _member(path: Path, data: bytes, wanted: str | None) -> Unpacked:
    """The only file of an archive, or the one of a name; what systems put beside files is passed over."""
    most = most_unpacked(len(data))
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as whole:
            every = [entry.filename for entry in whole.infolist() if not entry.is_dir()]
            if any(name in every for name in _OFFICE):
                raise ValueError(f"{shown(path)} is an Excel or LibreOffice sheet: save it as CSV UTF-8 there")
            names = [name for name in every if not any(part.startswith((".", "__MACOSX")) for part in name.split("/"))]
            if not names:
                raise ValueError(f"{shown(path)} has no file that can be read; it has {listed(every) or 'none'}")
            if wanted is None and len(names) > 1:
                example = shown(f"{path.name}/{names[0]}")
                raise ValueError(f"{shown(path)} holds {len(names)} files: {listed(names)}; name one of them, as {example}")
            if wanted is not None and wanted not in names:
                raise ValueError(f"{shown(path)} has no file {quoted(wanted)}{nearest(wanted, names)}; it has {listed(names)}")
            name = wanted or names[0]
            with whole.open(name) as file:
                inner = _bounded(file.read(most + 1), most, path)
    except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, OSError, RuntimeError, IndexError) as error:
        raise ValueError(
            f"{shown(path)} is not a zip archive that can be read: {shortened(one_line(str(error)), 160)}"
        ) from None
    return Unpacked(plain_name(Path(name).name), _unpacked(inner, path / name, Path(name).suffix.lower()))
