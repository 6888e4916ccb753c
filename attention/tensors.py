"""Files of tensors, ``.safetensors``, as anybody writes them."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from attention import installation
from attention.files import regular
from attention.messages import shown

SUFFIX = ".safetensors"


def named(path: str | os.PathLike[str]) -> bool:
    """Whether a path is called as such a file is."""
    return Path(path).suffix.lower() == SUFFIX


@contextlib.contextmanager
def opened(path: Path) -> Iterator[Any]:
    """The file, a ``safetensors.safe_open`` with NumPy's arrays. Raises ValueError where it is missing or damaged."""
    installation.require("safetensors")
    from safetensors import SafetensorError, safe_open

    if not regular(path).is_file():
        raise ValueError(f"no file at {shown(path)}")
    try:
        with safe_open(path, framework="numpy") as file:
            yield file
    except SafetensorError as error:
        raise ValueError(f"{shown(path)} cannot be read as safetensors: {error}") from None


def read(path: Path) -> tuple[dict[str, str], dict[str, np.ndarray]]:
    """Metadata and tensors. Raises ValueError as ``opened``."""
    with opened(path) as file:
        return file.metadata() or {}, {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
