"""How often classes are taken for others, as tables."""

from collections.abc import Sequence

import numpy as np

from attention.tasks._texts import SHOWN, named
from attention.text_table import table


def section(counts: np.ndarray, classes: Sequence[str], *, members: int, answer: str) -> str:
    """A confusion matrix, or of many classes the pairs that are confused most often.

    Args:
      counts: ``[C C]``, how often each class (row) was told as each (column).
      classes: their names.
      members: how many said so.
      answer: what a class is called, "label" or "tag".
    """
    names = [named(name) for name in classes]
    over = f", summed over {members} members" if members > 1 else ""
    if len(classes) > SHOWN:
        return _pairs(counts, names, over, answer)
    rows = [[f"{answer} \\ predicted", *names], *([name, *map(str, row)] for name, row in zip(names, counts.tolist()))]
    return f"confusion{over}\n{table(rows)}"


def _pairs(counts: np.ndarray, names: Sequence[str], over: str, answer: str) -> str:
    """The most frequent confusions, most first."""
    wrong = counts * (1 - np.eye(len(counts), dtype=counts.dtype))
    order = np.argsort(-wrong, axis=None, kind="stable")[:SHOWN]
    pairs = [divmod(int(place), len(names)) for place in order if wrong.flat[place]]
    if not pairs:
        return f"none of {len(names)} classes is taken for another"
    rows = [[answer, "predicted", "times"]]
    rows += [[names[right], names[predicted], str(wrong[right, predicted])] for right, predicted in pairs]
    head = f"the most frequent confusions of {len(names)} classes{over}; --out=FILE.tsv writes every prediction"
    return f"{head}\n{table(rows, left=2)}"
