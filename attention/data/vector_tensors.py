"""Pretrained token embeddings in a ``.safetensors`` file, with the tokens of its rows."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np

from attention import tensors
from attention.files import parse_json, regular
from attention.messages import listed, quoted, shown

_TOKENS = "tokens"  # the key of the metadata
_LISTS = ("tokenizer.json", "vocab.json", "vocab.txt")  # what stands beside the files of the Hugging Face hub
_SPARE = 1024  # rows of no token at most, which fill a matrix up to a round size
_POSITIONS = re.compile(r"(?<![a-z])(pos(ition|_?emb)|wpe)", re.IGNORECASE)  # in the names of what is no vector of a token


def load(path: Path) -> tuple[list[str | None], np.ndarray]:
    """The token of each row, None where there is none, and the matrix ``[rows dim]``.

    The tokens are a JSON list, "tokens" in the metadata, or those of ``tokenizer.json``, ``vocab.json`` or ``vocab.txt``
    beside the file. The matrix is the tensor with a row for each, or where there is none with some more; of several, the one
    that "embed" is in the name of. Embeddings of positions are never it.

    Raises:
      ValueError: naming the file, where there are no tokens, no tensor has a row for each, or more than one may be meant.
    """
    with tensors.opened(path) as file:
        tokens, name = _chosen(path, file)
        return tokens, file.get_tensor(name)


def spare(path: Path) -> str:
    """A line for the user where the matrix has rows of no token; empty where it has none."""
    with tensors.opened(path) as file:
        tokens, name = _chosen(path, file)
        rows = file.get_slice(name).get_shape()[0]
    more = f"{rows} rows for {len(tokens)} tokens: the last {rows - len(tokens)} are taken for padding"
    return f"{shown(path)}: {quoted(name)} has {more}" if rows > len(tokens) else ""


def _chosen(path: Path, file: Any) -> tuple[list[str | None], str]:
    """The token of each row, and the name of the matrix."""
    tokens, where = _tokens(path, file.metadata() or {})
    shapes = {name: file.get_slice(name).get_shape() for name in file.keys() if not _POSITIONS.search(name)}  # noqa: SIM118
    rows = {name: shape[0] for name, shape in shapes.items() if len(shape) == 2}
    fitting = [name for name, count in rows.items() if count == len(tokens)]
    fitting = fitting or [name for name, count in rows.items() if len(tokens) <= count <= len(tokens) + _SPARE]
    chosen = [name for name in fitting if "embed" in name.lower()] if len(fitting) > 1 else fitting
    if len(chosen) != 1:
        have = f"has {listed(fitting)}" if fitting else "has none"
        raise ValueError(f"{shown(path)} wants one tensor with a row for each of the {len(tokens)} tokens of {where}, {have}")
    return tokens, chosen[0]


def _tokens(path: Path, metadata: dict[str, str]) -> tuple[list[str | None], str]:
    """The token of each row, and where that is said."""
    if _TOKENS in metadata:
        where, text = "its metadata", metadata[_TOKENS]
        return _numbered(_parsed(text, path), path), where
    for file in (path.with_name(name) for name in _LISTS):
        if regular(file).is_file():
            text = file.read_text(encoding="utf-8")
            return _numbered(text.splitlines() if file.suffix == ".txt" else _parsed(text, file), file), shown(file)
    raise ValueError(
        f"{shown(path)} does not say its tokens: want a list {_TOKENS!r} in its metadata, or beside it {listed(_LISTS)}"
    )


def _parsed(text: str, where: Path) -> Any:
    try:
        return parse_json(text)
    except ValueError as error:
        raise ValueError(f"{shown(where)}: its tokens are not JSON ({error})") from None


def _numbered(stored: Any, where: Path) -> list[str | None]:
    """The token of each row, of a list, of ids by token, or of a file of the ``tokenizers`` package."""
    if isinstance(stored, dict) and isinstance(stored.get("model"), dict):
        vocabulary, added = stored["model"].get("vocab"), stored.get("added_tokens") or []
        pairs = (
            vocabulary.items() if isinstance(vocabulary, dict) else ((each[0], i) for i, each in enumerate(vocabulary or []))
        )
        stored = {**dict(pairs), **{each["content"]: each["id"] for each in added}}
    if isinstance(stored, list):
        if len({*map(str, stored)}) < len(stored):
            raise ValueError(f"{shown(where)} has a token twice")
        stored = {token: number for number, token in enumerate(stored)}
    fits = isinstance(stored, dict) and all(isinstance(token, str) and type(number) is int for token, number in stored.items())
    if not fits or not stored or not 0 <= min(stored.values()) <= max(stored.values()) < 2 * len(stored) + 1024:
        raise ValueError(f"{shown(where)} has no list of tokens, got {quoted(json.dumps(stored)[:80])}")
    tokens: list[str | None] = [None] * (max(stored.values()) + 1)
    for token, number in stored.items():
        tokens[number] = token
    return tokens
