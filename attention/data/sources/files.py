"""Your own texts, labelled or with texts to write, from TSV, CSV or JSON Lines files, also gzipped."""

from attention.data import tables as _tables
from attention.data.contracts import Corpus, Source, Split
from attention.data.rules import MAJORITY, UNCHANGED
from attention.data.sources import _labels, _splits
from attention.messages import quoted, shown


def build(
    train: str,
    validation: str | None = None,
    test: str | None = None,
    text: str = "text",
    label: str = "label",
    target: str | None = None,
    validation_share: float = 0.1,
) -> Source:
    """Texts from files; validation is carved off train if it is not given.

    Classes are the labels of the training file, sorted: by value where all are whole numbers, else by name.

    Example:
      >>> attention.build("source", "files(train='reviews.csv', text='review', label='stars')")

    Args:
      train: path ending in .tsv, .csv or .jsonl, or one of these and .gz; ``~`` and environment variables are replaced.
        TSV and CSV begin with the column names; TSV is split at each TAB without quoting, CSV follows Python's csv.
      validation: the same; without it ``validation_share`` of each training class is drawn by the seed.
      test: the same; without it there is no test split.
      text: column or field of the text.
      label: column or field of the label, a name or a whole number.
      target: column or field of the text to write, for ``task=seq2seq``; then there are no labels.
      validation_share: between 0 and 1.

    Raises:
      ValueError: for an unset variable, a share out of range, an unknown suffix; ``load`` for what is wrong with the
        files, naming file and line.
    """
    _splits.check_share(validation_share)
    given = {"train": train, "validation": validation, "test": test}
    paths = {name: _splits.expand(path) for name, path in given.items() if path is not None}
    for path in paths.values():
        _tables.kind(path)
    if text == (target or label):
        raise ValueError(f"{quoted(text)} is the column of texts and of what is to be told of them; give two columns")
    if target is not None and label != "label":
        raise ValueError(f"label={quoted(label)} and target={quoted(target)}: texts have classes or texts to write; give one")
    spec = _splits.resolved("files", **paths, text=text, label=label, target=target, validation_share=validation_share)

    def load(seed: int) -> Corpus:
        tables = {name: _tables.read(path, text=text, label=target or label) for name, path in paths.items()}
        odd = tuple(note for table in tables.values() for note in table.notes)
        shared = {"seed": seed, "validation_share": validation_share, "resolved": spec}
        if target is not None:
            pairs = {name: Split(table.texts, None, table.labels) for name, table in tables.items()}
            make = lambda: _splits.pairs(pairs, **shared)
        else:
            classes = _splits.class_names(tables["train"].labels)
            splits = {name: _labelled(table, classes) for name, table in tables.items()}
            make = lambda: _splits.corpus(splits, classes, **shared)
            train_rows = tables["train"]
            odd = (*odd, *_labels.notes(train_rows.labels), *_labels.contradictions(train_rows.texts, train_rows.labels))
        try:
            corpus = make()
        except ValueError as error:
            raise ValueError(f"{shown(paths['train'])}: {error}") from None
        return corpus._replace(notes=(*odd, *corpus.notes), files=tuple(paths.values()))

    return Source(load, (MAJORITY,) if target is None else (UNCHANGED,), spec)


def _labelled(table: _tables.Table, classes: tuple[str, ...]) -> Split:
    def place(number: int) -> str:
        return f"{shown(table.path)}, line {table.lines[number]}"

    return Split(table.texts, _splits.indices(table.labels, classes, place))
