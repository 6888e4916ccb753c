"""AG News (Zhang et al. 2015): title and description of news in 4 classes, 120,000 for training, 7,600 for test."""

import csv
import io
from pathlib import Path

from attention.data.contracts import Source
from attention.data.sources import _archives, _downloads

CLASSES = ("World", "Sports", "Business", "Sci/Tech")


def parse(archive: Path) -> _downloads.Rows:
    """The rows ``class, title, description`` of the two CSV files, classes counted from 1; the text is "title description"."""
    members = {Path(name).name: content for name, content in _archives.tar_members(archive) if name.endswith(".csv")}
    missing = {"train.csv", "test.csv"} - set(members)
    if missing:
        raise ValueError(f"{archive} has no member {min(missing)!r}")
    return {split: _articles(archive, members[f"{split}.csv"]) for split in ("train", "test")}


def _articles(archive: Path, content: bytes) -> tuple[list[str], list[int]]:
    texts, labels = [], []
    for number, row in enumerate(csv.reader(io.StringIO(content.decode("utf-8"), newline="")), 1):
        if len(row) != 3 or row[0] not in ("1", "2", "3", "4"):
            raise ValueError(f"{archive}: row {number} is not 'class, title, description'")
        texts.append(_downloads.clean(f"{row[1]} {row[2]}"))
        labels.append(int(row[0]) - 1)
    return texts, labels


RECIPE = _downloads.Recipe(
    name="ag_news",
    classes=CLASSES,
    counts={"train": (30_000,) * 4, "test": (1_900,) * 4},
    server="https://s3.amazonaws.com/fast-ai-nlp",
    files={"ag_news_csv.tgz": None},
    parse=parse,
    citation="Zhang, Zhao, LeCun, Character-level Convolutional Networks for Text Classification, NIPS 2015.",
)


def build(
    path: str | None = None, mirror: str | None = None, data_dir: str | None = None, validation_share: float = 0.1
) -> Source:
    """AG News; there is no official validation split, ``validation_share`` of each training class is carved off.

    No checksum of the archive could be verified when this was written: that of the first download is kept beside it and
    later downloads must equal it; rows and class counts must be the published ones in any case.

    Args:
      path: a local folder of ``train.tsv[.gz] [validation.tsv[.gz]] [test.tsv[.gz]] labels.txt`` instead of the
        download; ``~`` and environment variables are replaced, as in ``'$ATTENTION_DATA_DIR/ag_news_subset'``. A folder
        may hold a part of the set; how many rows it has is then said in the notes.
      mirror: URL of a folder with the official archive.
      data_dir: where TFDS keeps its data sets.
      validation_share: between 0 and 1.
    """
    return _downloads.source(RECIPE, path=path, mirror=mirror, data_dir=data_dir, validation_share=validation_share)
