"""What the sources of tables share: from the rows of each split to a corpus, with what is odd about them said."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from attention.data.contracts import Corpus, Rule, Split
from attention.data.rules import MAJORITY, UNCHANGED
from attention.data.sources import _labels, _splits
from attention.data.tables import Table
from attention.messages import quoted, shown

_BARE = "has no labels, so that runs are not scored on it; the columns are looked for as in train"


def check_columns(text: str | int, label: str | int, target: str | int | None) -> None:
    """Raises ValueError for columns that cannot be: one for two things, or labels and targets."""
    if text == (label if target is None else target):
        raise ValueError(f"{quoted(text)} is the column of texts and of what is to be told of them; give two columns")
    if target is not None and label != "label":
        raise ValueError(f"label={quoted(label)} and target={quoted(target)}: texts have classes or texts to write; give one")
    for column in (text, label, target):
        if isinstance(column, int) and column < 0:
            raise ValueError(f"a column is a name, or a number counted from 0; got {column}")


def rules(target: str | int | None) -> tuple[Rule, ...]:
    """What a model of these texts has to beat."""
    return (MAJORITY,) if target is None else (UNCHANGED,)


def corpus(
    tables: Mapping[str, Table],
    *,
    files: Iterable[Path],
    where: Path,
    seed: int,
    validation_share: float,
    resolved: str,
    targets: bool = False,
) -> Corpus:
    """The corpus of the tables of each split, train among them; validation is carved off train where there is none.

    Classes are the labels of train. Of a test without labels it is not known what is right.

    Args:
      tables: the rows of each split.
      files: what was read.
      where: what messages name where there is nothing to learn in train.
      seed: decides what is carved off.
      validation_share: of train.
      resolved: the source's spec.
      targets: whether the labels are texts to be written.

    Raises:
      ValueError: where a label is not in train, or there is nothing to learn.
    """
    train, shared = tables["train"], {"seed": seed, "validation_share": validation_share, "resolved": resolved}
    odd = tuple(note for table in tables.values() for note in table.notes)
    if targets:
        pairs = {name: Split(table.texts, None, table.labels) for name, table in tables.items()}
        make = lambda: _splits.pairs(pairs, **shared)
    else:
        classes = _splits.class_names(train.labels)
        splits = {name: Split(table.texts, _indices(table, classes)) for name, table in tables.items()}
        make = lambda: _splits.corpus(splits, classes, **shared)
        bare = [f"{shown(table.parts[0].path)}: {name} {_BARE}" for name, table in tables.items() if not table.labels]
        odd = (*odd, *bare, *_labels.notes(train.labels), *_labels.contradictions(train.texts, train.labels))
    try:
        made = make()
    except ValueError as error:
        raise ValueError(f"{shown(where)}: {error}") from None
    return made._replace(notes=(*odd, *made.notes), files=tuple(files))


def _indices(table: Table, classes: tuple[str, ...]):
    return _splits.indices(table.labels, classes, table.place) if table.labels else None
