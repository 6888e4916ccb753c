"""TREC questions (Li & Roth 2002) by their 6 coarse classes: 5,452 for training, 500 for test."""

from pathlib import Path

from attention.data.contracts import Source
from attention.data.sources import _downloads

CLASSES = ("ABBR", "DESC", "ENTY", "HUM", "LOC", "NUM")


def parse(train: Path, test: Path) -> _downloads.Rows:
    """The questions of the two official files: lines ``COARSE:fine question`` in ISO-8859-1; the fine class is dropped."""
    return {"train": _questions(train), "test": _questions(test)}


def _questions(path: Path) -> tuple[list[str], list[int]]:
    texts, labels = [], []
    for number, line in enumerate(path.read_bytes().decode("iso-8859-1").rstrip("\r\n").split("\n"), 1):
        name, _, question = line.partition(" ")
        coarse = name.partition(":")[0]
        if coarse not in CLASSES or not question.strip():
            raise ValueError(f"{path}, line {number}: wanted 'CLASS:fine question', got {line[:40]!r}")
        texts.append(_downloads.clean(question))
        labels.append(CLASSES.index(coarse))
    return texts, labels


RECIPE = _downloads.Recipe(
    name="trec6",
    classes=CLASSES,
    counts={"train": (86, 1162, 1250, 1223, 835, 896), "test": (9, 138, 94, 65, 81, 113)},
    server="https://cogcomp.seas.upenn.edu/Data/QA/QC",
    # The checksums that TFDS itself records for the set named trec.
    files={
        "train_5500.label": "9e4c8bdcaffb96ed61041bd64b564183d52793a8e91d84fc3a8646885f466ec3",
        "TREC_10.label": "033f22c028c2bbba9ca682f68ffe204dc1aa6e1cf35dd6207f2d4ca67f0d0e8e",
    },
    parse=parse,
    citation="Li and Roth, Learning Question Classifiers, COLING 2002.",
)


def build(
    path: str | None = None, mirror: str | None = None, data_dir: str | None = None, validation_share: float = 0.1
) -> Source:
    """TREC-6; there is no official validation split, ``validation_share`` of each training class is carved off.

    Args:
      path: a local folder of ``train.tsv[.gz] [validation.tsv[.gz]] [test.tsv[.gz]] labels.txt`` instead of the
        download; ``~`` and environment variables are replaced, as in ``'$ATTENTION_DATA_DIR/trec6'``.
      mirror: URL of a folder with the official files.
      data_dir: where TFDS keeps its data sets.
      validation_share: between 0 and 1.
    """
    return _downloads.source(RECIPE, path=path, mirror=mirror, data_dir=data_dir, validation_share=validation_share)
