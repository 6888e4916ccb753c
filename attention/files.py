"""Files that are whole or absent: written aside, flushed, renamed; sealed ones carry the hash of their content."""

import hashlib
import os
import threading
from pathlib import Path


def cache_folder(given: str | os.PathLike[str] | None = None) -> Path:
    """The folder of the caches: ``given``, $ATTENTION_CACHE_DIR, or ``attention-lab`` in the user's cache folder.

    Args:
      given: a folder to be used instead of the default.
    """
    if given is not None:
        return Path(given)
    if own := os.environ.get("ATTENTION_CACHE_DIR"):
        return Path(own)
    user = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(user) / "attention-lab"


def write_atomic(path: Path, content: bytes) -> None:
    """Writes a file that a kill at any instant leaves whole or absent; its folder is made where missing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # A name of its own for every writer, so that two processes filling one cache do not write into each other's file.
    aside = path.with_name(f".{path.name}.{os.getpid()}-{threading.get_ident()}")
    try:
        with open(aside, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(aside, path)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise


def write_sealed(path: Path, content: bytes) -> None:
    """Writes ``content`` after its own SHA-256, atomically."""
    write_atomic(path, hashlib.sha256(content).digest() + content)


def read_sealed(path: Path) -> bytes:
    """The content of a sealed file.

    Raises:
      FileNotFoundError: where there is no such file.
      ValueError: where the content does not have the hash it was written with.
    """
    raw = path.read_bytes()
    digest, content = raw[:32], raw[32:]
    if hashlib.sha256(content).digest() != digest:
        raise ValueError(f"{path} is damaged: its content does not have the hash it was written with")
    return content
