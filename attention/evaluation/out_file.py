"""The file of ``--out``, checked before the work begins: what is read, and what a run keeps, is not written over."""

from collections.abc import Iterable
from pathlib import Path

from attention.data import tables
from attention.messages import shown
from attention.runs.directory import RunDirectory


def checked(out: str | None) -> Path | None:
    """The file to write; None where none is asked for. Raises ValueError where it cannot be written."""
    if out is None:
        return None
    path = Path(out)
    if not path.parent.is_dir():
        raise ValueError(f"--out={shown(out)}: there is no folder {shown(path.parent)}")
    if not out or path.is_dir():
        raise ValueError(f"--out={shown(out)} wants the name of a file, as in predictions.tsv")
    tables.check_writable(path)
    run = path.resolve().parent
    if (run / "config.json").exists() and path.resolve() == RunDirectory(run).metrics:
        raise ValueError(f"--out={shown(out)} is a file of the run {shown(run)}; give another name")
    return path


def check_spared(target: Path | None, read: Iterable[Path]) -> None:
    """Raises ValueError where the file to write is one that is read."""
    if target is not None and target.exists():
        for path in read:
            if path.exists() and path.samefile(target):
                raise ValueError(f"--out={shown(target)} is {shown(path)}, which is read; give another name")
