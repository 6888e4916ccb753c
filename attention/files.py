"""Files that are whole or absent: written aside, flushed, renamed; JSON as a run keeps it; hashes of content."""

import contextlib
import errno
import hashlib
import io
import json
import math
import os
import re
import threading
import time
import tokenize
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np

from attention.messages import shown

TEMPORARY = ".tmp-"  # begins the name of what is not whole yet
_ASIDE = re.compile(rf"{re.escape(TEMPORARY)}.+\.\d+-\d+")  # the name of a file, of a process and of a thread
_ABANDONED = 3600.0  # seconds after which what is not whole will never be: a file is written at once
_DEPTH = 64  # of nested JSON
# What a packed file may unpack to: so many times its size, or as many bytes as any machine has to spare.
_UNPACKED, _SPARE = 200, 2**26


# Errors of the system that pass: a full disk, a limit on files, a file server that does not answer, too many open files.
_PASSING_NAMES = ("NOSPC", "DQUOT", "FBIG", "IO", "STALE", "AGAIN", "INTR", "BUSY", "TIMEDOUT", "NOLCK", "MFILE", "NFILE")
_PASSING = {getattr(errno, f"E{name}", None) for name in (*_PASSING_NAMES, "NOMEM")}  # not every system has all


class TryAgainError(ValueError):
    """What may work when it is tried again as it is."""


def passing(error: OSError) -> bool:
    """Whether an error of the system may be gone the next time."""
    return error.errno in _PASSING


def cache_folder(given: str | os.PathLike[str] | None = None) -> Path:
    """The folder of the caches: ``given``, $ATTENTION_CACHE_DIR, or ``attention-lab`` in the user's cache folder.

    Args:
      given: a folder to be used instead of the default.
    """
    if given is not None:
        return Path(given)
    if own := os.environ.get("ATTENTION_CACHE_DIR"):
        return Path(own)
    return user_cache()


def user_cache() -> Path:
    """``attention-lab`` in $XDG_CACHE_HOME or ``~/.cache``. Raises ValueError where the user has no home folder."""
    try:
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "attention-lab"
    except RuntimeError:
        raise ValueError(
            "there is no home folder to keep caches in: set HOME, or XDG_CACHE_HOME to a folder of yours"
        ) from None


def regular(path: Path) -> Path:
    """The path, before it is opened.

    Raises:
      ValueError: for what is there and is neither a file nor a folder, a FIFO or a device, which may keep a reader for ever.
    """
    if os.path.exists(path) and not (os.path.isfile(path) or os.path.isdir(path)):
        raise ValueError(f"{shown(path)} is no regular file")
    return path


def write_atomic(path: Path, content: bytes) -> None:
    """Writes a file as ``writing`` does."""
    with writing(path) as file:
        file.write(content)


@contextlib.contextmanager
def writing(path: Path) -> Iterator[IO[bytes]]:
    """A file to write that a kill at any instant leaves as it was or as it is to be; its folder is made where missing.

    What killed processes have left of files in that folder is removed. An OSError names the file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    _remove_leftovers(path.parent)
    # A name of its own for every writer, so that two processes filling one cache do not write into each other's file.
    aside = path.with_name(f"{TEMPORARY}{path.name}.{os.getpid()}-{threading.get_ident()}")
    try:
        with open(aside, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(aside, path)
    except BaseException as error:
        aside.unlink(missing_ok=True)
        if isinstance(error, OSError):
            error.filename, error.filename2 = str(path), None
        raise
    sync_folder(path.parent)


def _remove_leftovers(folder: Path) -> None:
    """Removes what was written aside into a folder so long ago that nobody writes it any more."""
    for leftover in folder.glob(f"{TEMPORARY}*"):
        with contextlib.suppress(OSError):  # another process was faster
            if _ASIDE.fullmatch(leftover.name) and time.time() - leftover.stat().st_mtime > _ABANDONED:
                leftover.unlink()


def sync_folder(folder: Path) -> None:
    """Makes the names in a folder survive a loss of power; some file systems know no flushing of folders."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(handle)


def write_sealed(path: Path, content: bytes) -> None:
    """Writes ``content`` after its own SHA-256, atomically."""
    write_atomic(path, hashlib.sha256(content).digest() + content)


def read_sealed(path: Path) -> bytes:
    """The content of a sealed file.

    Raises:
      FileNotFoundError: where there is no such file.
      ValueError: where it is no regular file, or the content does not have the hash it was written with.
    """
    raw = regular(path).read_bytes()
    digest, content = raw[:32], raw[32:]
    if hashlib.sha256(content).digest() != digest:
        raise ValueError(f"{path} is damaged: its content does not have the hash it was written with")
    return content


def most_unpacked(size: int) -> int:
    """Bytes that a packed file of ``size`` bytes may unpack to: texts and numbers stay far below, and bombs far above."""
    return max(_UNPACKED * size, _SPARE)


def packed(arrays: Mapping[str, np.ndarray]) -> bytes:
    """Arrays by name as an ``.npz`` file, which ``read_arrays`` reads: the same bytes for the same arrays."""
    content = io.BytesIO()
    np.savez_compressed(content, allow_pickle=False, **arrays)
    return content.getvalue()


def read_arrays(file: IO[bytes]) -> dict[str, np.ndarray]:
    """The arrays of an ``.npz`` file, whose declared sizes are compared with the file before memory is taken.

    Raises:
      ValueError: where it is damaged, holds what is no array of numbers, or says that it is larger than it can be.
    """
    most, found = most_unpacked(file.seek(0, os.SEEK_END)), {}
    try:
        with zipfile.ZipFile(file) as archive:
            for entry in archive.infolist():
                most -= entry.file_size
                if most < 0:
                    raise ValueError("it says that it unpacks to far more than such a file can hold")
                with archive.open(entry) as stream:
                    found[entry.filename.removesuffix(".npy")] = _read_array(stream, entry.file_size)
    except (OSError, EOFError, RuntimeError, SyntaxError, tokenize.TokenError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(str(error) or type(error).__name__) from None
    return found


def _read_array(stream: IO[bytes], size: int) -> np.ndarray:
    version = np.lib.format.read_magic(stream)
    read_header = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}.get(version)
    if read_header is None:
        raise ValueError(f"an array of the format {version}")
    shape, fortran, dtype = read_header(stream)
    if dtype.kind not in "biufc":
        raise ValueError(f"an array of {dtype}, wanted numbers")
    if min(shape, default=0) < 0 or math.prod(shape) * dtype.itemsize != size - stream.tell():
        raise ValueError(f"an array that says it is {dtype}{list(shape)}, in {size} bytes")
    array = np.frombuffer(stream.read(), dtype).reshape(shape, order="F" if fortran else "C")
    return array.copy()  # writable


def plain(value: Any) -> Any:
    """The value as JSON holds it: arrays and tuples become lists, numbers that are not finite None, keys strings."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if hasattr(value, "__array__"):  # of NumPy or of JAX
        return plain(np.asarray(value).tolist())
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def write_json(path: Path, value: Any) -> None:
    """Writes JSON atomically, as ``plain`` makes it."""
    write_atomic(path, (json.dumps(plain(value), indent=2, allow_nan=False) + "\n").encode())


def parse_json(text: str | bytes) -> Any:
    """What JSON says. Raises ValueError for what is none, or nested deeper than anything here."""
    try:
        value = json.loads(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    inner = [value]
    for _ in range(_DEPTH):
        inner = [item for each in inner if isinstance(each, (dict, list)) for item in _items(each)]
        if not inner:
            return value
    raise ValueError(f"nested more than {_DEPTH} deep")


def _items(value: dict[str, Any] | list[Any]) -> list[Any]:
    return list(value.values()) if isinstance(value, dict) else value


def read_json(path: Path) -> Any:
    """Reads a JSON file.

    Raises:
      ValueError: naming the file, where it is missing, no regular file, or not JSON.
      TryAgainError: where the system cannot read it at the moment.
    """
    regular(path)
    try:
        return parse_json(path.read_text(encoding="utf-8"))
    except OSError as error:
        kind = TryAgainError if passing(error) else ValueError
        raise kind(f"{path} cannot be read ({error.strerror})") from None
    except ValueError as error:
        raise ValueError(f"{path} is not JSON ({error})") from None


def file_hash(path: Path) -> str:
    """sha256 of a file, 64 hexadecimal digits. Raises ValueError for what is no regular file."""
    with open(regular(path), "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def json_hash(value: Any) -> str:
    """sha256 of the canonical JSON of a value, 64 hexadecimal digits."""
    canonical = json.dumps(plain(value), sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()


def differences(old: Any, new: Any) -> list[tuple[str, str, str]]:
    """(dotted field, old, new) of each field in which two JSON objects differ; "absent" where one lacks it."""
    before, after = dict(_fields(plain(old))), dict(_fields(plain(new)))
    names = [*before, *(name for name in after if name not in before)]
    pairs = ((name, before.get(name, "absent"), after.get(name, "absent")) for name in names)
    return [(name, was, given) for name, was, given in pairs if was != given]


def _fields(value: Any, prefix: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, dict) and value:
        for key, item in value.items():
            yield from _fields(item, f"{prefix}.{key}" if prefix else key)
    else:
        yield prefix, json.dumps(value)
