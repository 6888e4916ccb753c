"""Downloading an official archive, checked by its sha256, and reading the members of zip and tar files."""

import hashlib
import http.client
import os
import sys
import tarfile
import tempfile
import urllib.error
import urllib.request
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from attention.files import most_unpacked, write_atomic
from attention.specs import nearest

_CHUNK = 1 << 20
_TIMEOUT = 60  # seconds without an answer


def fetch(url: str, folder: Path, sha256: str | None) -> Path:
    """The file at ``url``, downloaded into ``folder`` unless it is there already.

    Args:
      url: its last part is the name of the file.
      folder: made if missing.
      sha256: the known checksum. With None the checksum of the first download is kept beside the file as
        ``NAME.sha256``, and later ones must equal it.

    Raises:
      ValueError: where the download fails, or the checksum is another one.
    """
    target = folder / url.rsplit("/", 1)[-1]
    record = folder / f"{target.name}.sha256"
    folder.mkdir(parents=True, exist_ok=True)
    wanted = sha256 or (record.read_text(encoding="utf-8").strip() if record.is_file() else None)
    if target.is_file():
        _compare(_digest(target), wanted, f"{target} is damaged (delete it to download it again)")
        return target
    handle, aside = tempfile.mkstemp(dir=folder, prefix=f".{target.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            got = _download(url, file)
            file.flush()
            os.fsync(file.fileno())
        _compare(got, wanted, f"{url} is not the file it was")
        if wanted is None:
            write_atomic(record, f"{got}\n".encode())
        os.replace(aside, target)
    finally:
        Path(aside).unlink(missing_ok=True)
    return target


def _compare(got: str, wanted: str | None, fault: str) -> None:
    if wanted is not None and got != wanted:
        raise ValueError(f"{fault}: sha256 {got}, wanted {wanted}")


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _download(url: str, file: IO[bytes]) -> str:
    """Writes what is at ``url`` into the file and returns its sha256."""
    state, size = hashlib.sha256(), 0
    print(f"downloading {url}", file=sys.stderr)
    try:
        with urllib.request.urlopen(url, timeout=_TIMEOUT) as answer:
            length = answer.headers.get("Content-Length")
            while chunk := answer.read(_CHUNK):
                file.write(chunk)
                state.update(chunk)
                size += len(chunk)
    except (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        code = ""
        if isinstance(error, urllib.error.HTTPError):
            code = f"HTTP {error.code} "
            error.close()
        raise ValueError(f"cannot download {url}: {code}{reason}") from None
    if length is not None and size != int(length):
        raise ValueError(f"cannot download {url}: the connection ended after {size} of {length} bytes")
    return state.hexdigest()


def zip_members(path: Path, *names: str) -> dict[str, bytes]:
    """The contents of the named members of a zip archive; nothing is unpacked onto the disk.

    Raises:
      ValueError: where the archive is damaged or lacks one.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            for name in names:
                if name not in archive.namelist():
                    raise ValueError(f"{path} has no member {name!r}{nearest(name, archive.namelist())}")
            _check_unpacked(path, sum(archive.getinfo(name).file_size for name in names))
            return {name: archive.read(name) for name in names}
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise ValueError(f"{path} is not a whole zip archive: {error}") from None


def tar_members(path: Path) -> Iterator[tuple[str, bytes]]:
    """Names and contents of the plain files of a compressed tar archive; nothing is unpacked onto the disk.

    Raises:
      ValueError: where the archive is damaged.
    """
    try:
        with tarfile.open(path, "r:gz") as archive:
            unpacked = 0
            for member in archive:
                unpacked += member.size
                _check_unpacked(path, unpacked)
                if member.isfile() and (file := archive.extractfile(member)) is not None:
                    yield member.name.removeprefix("./"), file.read()
    except (tarfile.TarError, zlib.error, EOFError, OSError) as error:
        raise ValueError(f"{path} is not a whole tar archive: {error}") from None


def _check_unpacked(path: Path, size: int) -> None:
    """Raises ValueError where an archive says that it holds far more than its length allows, before memory is taken."""
    if size > most_unpacked(path.stat().st_size):
        raise ValueError(f"{path} says that it unpacks to {size} bytes, which no texts of its size do")
