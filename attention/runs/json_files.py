"""JSON files of runs and sweeps: they say their format, and the hash of what they hold."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from attention.files import json_hash, plain, read_json, write_json

FORMAT = 2
_SEAL = "sha256"


def write(path: Path, value: Mapping[str, Any]) -> None:
    """Writes a file atomically, with its format and the sha256 of what it holds."""
    content = plain({"format": FORMAT, **value})
    write_json(path, {**content, _SEAL: json_hash(content)})


def read(path: Path) -> dict[str, Any]:
    """What ``write`` was given. Older files have no hash, and those of format 1 no format.

    Raises:
      ValueError: for a file that is missing, holds something else, is of a later format, or has not the hash it was written
        with.
    """
    content = _content(path)
    if content.get("format", 1) > FORMAT:
        raise ValueError(f"{path} has format {content['format']}; this version reads formats up to {FORMAT}")
    seal = content.pop(_SEAL, None)
    if seal is not None and seal != json_hash(content):
        raise ValueError(f"{path} is damaged or was edited: it does not have the hash it was written with")
    content.pop("format", None)
    return content


def format_of(path: Path) -> int:
    """The format of a file."""
    return _content(path).get("format", 1)


def _content(path: Path) -> dict[str, Any]:
    content = read_json(path)
    if not isinstance(content, dict) or not isinstance(content.get("format", 1), int):
        raise ValueError(f"{path} holds no fields, got {str(content)[:100]!r}")
    return content
