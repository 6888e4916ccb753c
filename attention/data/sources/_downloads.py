"""The published text classification sets: downloaded and prepared as TFDS data sets, or read from a local folder."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from attention.data import paths, tables
from attention.data.contracts import Corpus, Source, Split
from attention.data.file_text import read_text
from attention.data.rules import MAJORITY
from attention.data.sources import _archives, _splits
from attention.specs import nearest

Rows = dict[str, tuple[list[str], list[int]]]


class Recipe(NamedTuple):
    """What is known of a published set, and how its files are read.

    Attributes:
      name: of the source.
      classes: class names in the order of the labels.
      counts: published rows per class of each split; None where no published figure could be checked.
      server: where the official files are, without the file names.
      files: names of the official files and their sha256; None where none could be verified, see ``_archives.fetch``.
      parse: makes the rows of each split of the downloaded files, which come in the order of ``files``.
      citation: what to cite.
      config: name of the variant of the set.
    """

    name: str
    classes: tuple[str, ...]
    counts: dict[str, tuple[int, ...] | None]
    server: str
    files: dict[str, str | None]
    parse: Callable[..., Rows]
    citation: str
    config: str = "default"


def source(
    recipe: Recipe,
    *,
    path: str | None,
    mirror: str | None,
    data_dir: str | None,
    validation_share: float | None,
    **own: Any,
) -> Source:
    """The source of a recipe.

    Args:
      recipe: the set.
      path: a local folder of ``train.tsv[.gz] [validation.tsv[.gz]] [test.tsv[.gz]] labels.txt``, with columns ``text``
        and ``label``, an index into the lines of labels.txt; None to download.
      mirror: URL of a folder that holds the official files; None for the official server.
      data_dir: where TFDS keeps its data sets; None for ``$TFDS_DATA_DIR``, else ``~/tensorflow_datasets``.
      validation_share: what to carve off train where there is no validation split; None where there must be one.
      own: options of this set alone, for ``Corpus.resolved``.

    Raises:
      ValueError: for options that do not go together; ``load`` for whatever is wrong with the data.
    """
    share = {} if validation_share is None else {"validation_share": validation_share}
    if validation_share is not None:
        _splits.check_share(validation_share)
    if path is not None and (mirror is not None or data_dir is not None):
        raise ValueError("path= reads a local folder and downloads nothing: leave out mirror= and data_dir=")
    folder = None if path is None else paths.expand(path)
    prepared = None if data_dir is None else paths.expand(data_dir)
    spec = _splits.resolved(recipe.name, **own, path=folder, mirror=mirror, data_dir=prepared, **share)

    def load(seed: int) -> Corpus:
        if folder is not None:
            splits = _read_folder(recipe, folder)
            notes = _differences(recipe, splits)
        else:
            splits, notes = _prepare(recipe, mirror or recipe.server, prepared), ()
        shared = {"seed": seed, "validation_share": validation_share, "notes": notes, "resolved": spec}
        corpus = _splits.corpus(splits, recipe.classes, **shared)
        return corpus if folder is None else corpus._replace(files=tuple(sorted(folder.glob("*.t*"))))

    return Source(load, (MAJORITY,), spec)


def clean(text: str) -> str:
    """The text with every run of tabs and line breaks as one space, ends stripped: what a TSV row can hold."""
    return " ".join(part for part in text.replace("\t", "\n").replace("\r", "\n").split("\n") if part).strip()


def _prepare(recipe: Recipe, server: str, data_dir: Path | None) -> dict[str, Split]:
    from attention.data.sources import _tfds_cache

    def rows() -> Rows:
        downloads = _splits.data_folder(data_dir) / "downloads" / "attention" / recipe.name
        base = server.rstrip("/")
        try:
            files = [_archives.fetch(f"{base}/{name}", downloads, sha256) for name, sha256 in recipe.files.items()]
        except ValueError as error:
            copy = (
                f"""--config.data.source="{recipe.name}(path='FOLDER')" reads train.tsv[.gz], test.tsv[.gz], labels.txt there"""
            )
            raise ValueError(f"{error}; without a network, {copy}; mirror=URL is another server") from None
        made = recipe.parse(*files)
        for split, wanted in recipe.counts.items():
            got = tuple(np.bincount(np.array(made[split][1], np.int64), minlength=len(recipe.classes)).tolist())
            if wanted is not None and got != wanted:
                raise ValueError(
                    f"{recipe.name}: the {split} split of the download has {_counts(recipe, got)}, published are"
                    f" {_counts(recipe, wanted)}"
                )
        return made

    return _tfds_cache.load(
        name=recipe.name,
        config=recipe.config,
        version="1.0.0",
        classes=recipe.classes,
        rows=rows,
        description=recipe.citation,
        homepage=recipe.server,
        data_dir=data_dir,
    )


def _counts(recipe: Recipe, counts: tuple[int, ...]) -> str:
    return f"{sum(counts)} rows ({', '.join(f'{name} {count}' for name, count in zip(recipe.classes, counts))})"


def _read_folder(recipe: Recipe, folder: Path) -> dict[str, Split]:
    if not folder.is_dir():
        beside = [entry.name for entry in folder.parent.iterdir()] if folder.parent.is_dir() else []
        raise ValueError(f"there is no folder {folder}{nearest(folder.name, beside)}")
    files = {split: _find(folder, f"{split}.tsv") for split in ("train", "validation", "test")}
    if files["train"] is None or not (folder / "labels.txt").is_file():
        lacking = "train.tsv[.gz]" if files["train"] is None else "labels.txt"
        raise ValueError(f"{folder} lacks {lacking}; wanted: train.tsv[.gz] [validation.tsv[.gz]] [test.tsv[.gz]] labels.txt")
    names = read_text(folder / "labels.txt").split()
    if tuple(names) != recipe.classes:
        raise ValueError(
            f"{folder / 'labels.txt'} has the classes {', '.join(names)}; those of {recipe.name} are"
            f" {', '.join(recipe.classes)}"
        )
    return {split: _indexed(path, len(names)) for split, path in files.items() if path is not None}


def _find(folder: Path, name: str) -> Path | None:
    return next((path for path in (folder / name, folder / f"{name}.gz") if path.is_file()), None)


def _indexed(path: Path, count: int) -> Split:
    table = tables.read(path, text="text", label="label")
    index = {str(number): number for number in range(count)}
    for number, label in enumerate(table.labels):
        if label not in index:
            raise ValueError(f"{table.place(number)}: the label {label!r} is no index into labels.txt, 0 to {count - 1}")
    return Split(table.texts, np.array([index[label] for label in table.labels], np.int32))


def _differences(recipe: Recipe, splits: dict[str, Split]) -> tuple[str, ...]:
    """A note for each split that has not the published number of rows."""
    published = {split: sum(counts) for split, counts in recipe.counts.items() if counts is not None}
    return tuple(
        f"the {split} split of the folder has {len(splits[split].texts)} rows, the published one {count}"
        for split, count in published.items()
        if split in splits and len(splits[split].texts) != count
    )
