"""SST-2 (Socher et al. 2013): sentences of film reviews, positive or negative; 6,920 / 872 / 1,821, phrases as an option."""

import re
from collections.abc import Iterator
from pathlib import Path

from attention.data.contracts import Source
from attention.data.sources import _archives, _downloads

CLASSES = ("negative", "positive")
_MEMBERS = {"train": "trees/train.txt", "validation": "trees/dev.txt", "test": "trees/test.txt"}
_SENTIMENT = {0: 0, 1: 0, 3: 1, 4: 1}  # 2 is neutral and left out


def parse(archive: Path) -> _downloads.Rows:
    """The sentences of the treebank: the words of each tree joined by spaces, lower-cased; neutral ones are left out.

    Words are as in the treebank, with its ``-lrb-`` and ``\\/``: the form of the sentence-level sets in circulation.
    """
    return _rows(archive, phrases=False)


def parse_phrases(archive: Path) -> _downloads.Rows:
    """As ``parse``, and train has every distinct phrase of its trees that is not neutral; the first label of a text counts."""
    return _rows(archive, phrases=True)


def _rows(archive: Path, *, phrases: bool) -> _downloads.Rows:
    members = _archives.zip_members(archive, *_MEMBERS.values())
    rows: _downloads.Rows = {}
    for split, member in _MEMBERS.items():
        labelled: list[tuple[str, int]] = []
        for number, line in enumerate(members[member].decode("utf-8").split("\n"), 1):
            if not line.strip():
                continue
            try:
                whole, *parts = subtrees(line)
            except ValueError as error:
                raise ValueError(f"{archive}: {member}, line {number}: {error}") from None
            found = [whole, *parts] if phrases and split == "train" else [whole]
            labelled.extend((text.lower(), _SENTIMENT[label]) for label, text in found if label in _SENTIMENT)
        if phrases and split == "train":
            distinct: dict[str, int] = {}
            for text, label in labelled:
                distinct.setdefault(text, label)
            labelled = list(distinct.items())
        rows[split] = [text for text, _ in labelled], [label for _, label in labelled]
    return rows


def subtrees(line: str) -> Iterator[tuple[int, str]]:
    """The labels, 0 to 4, and texts of a tree, ``(3 (2 It) (4 (2 's) (4 good)))``, and of its parts, the whole first."""
    tokens = re.findall(r"\(|\)|[^()\s]+", line)
    words: list[str] = []
    open_nodes: list[tuple[int, int, int]] = []
    nodes: list[tuple[int, str]] = []
    position = 0
    while position < len(tokens):
        token = tokens[position]
        if token == "(":
            label = tokens[position + 1] if position + 1 < len(tokens) else ""
            if label not in ("0", "1", "2", "3", "4") or (not open_nodes and nodes):
                raise ValueError("not one tree with labels 0 to 4")
            open_nodes.append((len(nodes), int(label), len(words)))
            nodes.append((int(label), ""))
            position += 1
        elif not open_nodes:
            raise ValueError(f"{token!r} outside of the tree")
        elif token == ")":
            place, label, start = open_nodes.pop()
            nodes[place] = (label, " ".join(words[start:]))
        else:
            words.append(token)
        position += 1
    if open_nodes or not words:
        raise ValueError("the tree has no end" if open_nodes else "the tree has no words")
    yield from nodes


RECIPE = _downloads.Recipe(
    name="sst2",
    classes=CLASSES,
    counts={"train": (3310, 3610), "validation": (428, 444), "test": (912, 909)},
    server="https://nlp.stanford.edu/sentiment",
    # Two unrelated public programs pin this checksum.
    files={"trainDevTestTrees_PTB.zip": "5c613a4f673fc74097d523a2c83f38e0cc462984d847b82c7aaf36b01cbbbfcc"},
    parse=parse,
    citation="Socher et al., Recursive Deep Models for Semantic Compositionality Over a Sentiment Treebank, EMNLP 2013.",
    config="sentences",
)


def build(phrases: bool = False, path: str | None = None, mirror: str | None = None, data_dir: str | None = None) -> Source:
    """SST-2 at sentence level, official splits.

    Args:
      phrases: whether train also has all phrases of its sentences that are not neutral.
      path: a local folder of ``train.tsv[.gz] validation.tsv[.gz] [test.tsv[.gz]] labels.txt`` instead of the download;
        ``~`` and environment variables are replaced, as in ``'$ATTENTION_DATA_DIR/sst2'``. It has no phrases.
      mirror: URL of a folder with the official archive.
      data_dir: where TFDS keeps its data sets.

    Raises:
      ValueError: for ``phrases`` with ``path``.
    """
    if phrases and path is not None:
        raise ValueError("phrases=True needs the trees of the official archive: leave out path=")
    recipe = RECIPE
    if phrases:
        counts = {**RECIPE.counts, "train": None}
        recipe = RECIPE._replace(parse=parse_phrases, config="phrases", counts=counts)
    return _downloads.source(recipe, phrases=phrases, path=path, mirror=mirror, data_dir=data_dir, validation_share=None)
