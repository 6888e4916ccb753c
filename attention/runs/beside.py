"""What lies beside a folder that holds nothing, for the message."""

import difflib
from pathlib import Path

from attention.messages import listed, shown


def near(folder: Path, file: str) -> str:
    """`` (nearest: runs/mine)``: of the folders beside it that have a file of this name, the one of the nearest name, or all.

    Args:
      folder: what was given.
      file: what a folder of that kind has, as ``config.json``.
    """
    beside = folder.absolute().parent
    names = sorted(found.parent.name for found in beside.glob(f"*/{file}")) if beside.is_dir() else []
    close = difflib.get_close_matches(folder.name, names, n=1, cutoff=0.5)
    if close:
        return f" (nearest: {shown(folder.parent / close[0])})"
    return f" (there are, in {shown(folder.parent)}: {listed(names)})" if names else ""
