"""JSON files of runs and sweeps: they say their format, and the hash of what they hold."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from attention.files import json_hash, plain, read_json, write_json
from attention.messages import quoted, shown

FORMAT = 3
_UNSEALED = 2  # the last format without a hash
_SEAL = "sha256"


def write(path: Path, value: Mapping[str, Any]) -> None:
    """Writes a file atomically, with its format and the sha256 of what it holds."""
    content = plain({"format": FORMAT, **value})
    write_json(path, {**content, _SEAL: json_hash(content)})


def read(path: Path, *, sealed: bool = False) -> dict[str, Any]:
    """What ``write`` was given.

    Args:
      path: the file. Those up to the format ``_UNSEALED`` have no hash, and those of format 1 no format.
      sealed: whether it has to have a hash, as one beside others that have.

    Raises:
      ValueError: for a file that is missing, holds something else, is of a later format, or has not the hash it was written
        with.
    """
    content = _content(path)
    number, seal = _format(content), content.pop(_SEAL, None)
    if number > FORMAT:
        raise ValueError(f"{shown(path)} has format {quoted(content['format'])}; this version reads formats up to {FORMAT}")
    if seal != (json_hash(content) if sealed or seal is not None or number > _UNSEALED else None):
        raise ValueError(
            f"{shown(path)} is damaged or was edited: it does not have the hash it was written with "
            f"(a {path.name} to begin anew with has neither format nor {_SEAL})"
        )
    content.pop("format", None)
    return content


def format_of(path: Path) -> int:
    """The format of a file."""
    return _format(_content(path))


def _format(content: Mapping[str, Any]) -> int:
    number = content.get("format", 1)
    return number if isinstance(number, int) else FORMAT + 1  # of no version


def _content(path: Path) -> dict[str, Any]:
    content = read_json(path)
    if not isinstance(content, dict):
        raise ValueError(f"{shown(path)} holds no fields, got {quoted(content)}")
    return content
