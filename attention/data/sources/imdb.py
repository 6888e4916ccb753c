"""IMDB film reviews (Maas et al. 2011), positive or negative: 25,000 for training, 25,000 for test."""

import re
from pathlib import Path

from attention.data.contracts import Source
from attention.data.sources import _archives, _downloads

CLASSES = ("negative", "positive")


def parse(archive: Path) -> _downloads.Rows:
    """The reviews ``aclImdb/SPLIT/neg|pos/ID_STARS.txt``, in the order of their id, negative first; raw, with ``<br />``."""
    found: dict[str, list[tuple[int, int, str]]] = {"train": [], "test": []}
    for name, content in _archives.tar_members(archive):
        match = re.fullmatch(r"aclImdb/(train|test)/(neg|pos)/(\d+)_\d+\.txt", name)
        if match:
            split, sentiment, number = match.groups()
            found[split].append((int(number), int(sentiment == "pos"), _downloads.clean(content.decode("utf-8"))))
    rows: _downloads.Rows = {}
    for split, reviews in found.items():
        reviews.sort()
        rows[split] = [text for _, _, text in reviews], [label for _, label, _ in reviews]
    return rows


RECIPE = _downloads.Recipe(
    name="imdb",
    classes=CLASSES,
    counts={"train": (12_500, 12_500), "test": (12_500, 12_500)},
    server="https://ai.stanford.edu/~amaas/data/sentiment",
    # The checksum that TFDS itself records for the set named imdb_reviews.
    files={"aclImdb_v1.tar.gz": "c40f74a18d3b61f90feba1e17730e0d38e8b97c05fde7008942e91923d1658fe"},
    parse=parse,
    citation="Maas et al., Learning Word Vectors for Sentiment Analysis, ACL 2011.",
)


def build(
    path: str | None = None, mirror: str | None = None, data_dir: str | None = None, validation_share: float = 0.1
) -> Source:
    """IMDB; there is no official validation split, ``validation_share`` of each training class is carved off.

    Args:
      path: a local folder of ``train.tsv[.gz] [validation.tsv[.gz]] [test.tsv[.gz]] labels.txt`` instead of the
        download; ``~`` and environment variables are replaced, as in ``'$ATTENTION_DATA_DIR/imdb'``.
      mirror: URL of a folder with the official archive.
      data_dir: where TFDS keeps its data sets.
      validation_share: between 0 and 1.
    """
    return _downloads.source(RECIPE, path=path, mirror=mirror, data_dir=data_dir, validation_share=validation_share)
