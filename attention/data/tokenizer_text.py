"""Trained tokenizers as one text, to be kept in a cache or in the metadata of a file of weights."""

import json
import tempfile
from pathlib import Path
from typing import Any

from attention.data.contracts import Tokenizer


def pack(record: Tokenizer, state: Any) -> bytes:
    """The files of a saved tokenizer as one JSON text."""
    with tempfile.TemporaryDirectory() as folder:
        record.save(state, Path(folder))
        files = {path.name: path.read_text(encoding="utf-8") for path in sorted(Path(folder).iterdir())}
    return json.dumps(files).encode("ascii")


def unpack(record: Tokenizer, packed: bytes) -> Any:
    """The state that ``pack`` packed."""
    with tempfile.TemporaryDirectory() as folder:
        for name, text in json.loads(packed).items():
            (Path(folder) / name).write_text(text, encoding="utf-8")
        return record.load(Path(folder))
