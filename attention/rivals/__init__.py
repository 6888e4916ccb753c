"""Rules that are learned of a whole train split, which a model has to beat: one file per rival, on the splits of the run."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from attention import specs
from attention.data.contracts import Encoded, Split
from attention.specs import by_spec

Arrays = Mapping[str, np.ndarray]


class Material(NamedTuple):
    """A split as a rival learns of it, or is asked about it.

    Attributes:
      split: its texts, and what is right of them.
      rows: the same as the model has it.
      classes: the class names.
      vocab_size: number of token ids.
    """

    split: Split
    rows: Encoded
    classes: tuple[str, ...]
    vocab_size: int


class Rival(NamedTuple):
    """What a model is compared with. The hooks are None where there is nothing to fit.

    Hooks:
      fit(train, validation) -> all that it learns, arrays of numbers by name: of train, its strength chosen on validation.
      answer(arrays, asked) -> outputs as a member's, ``Task.forward``: arrays ``[n ...]`` by name, for ``asked.rows``. What it
        says of a text or a document does not depend on the others. Raises ValueError for arrays that ``fit`` does not make of
        so many classes and tokens.
      amount(train) -> of how much it would learn.
      lacks(train) -> why it cannot learn of this; None where it can, and for one that learns of all that its task does.
      facts(arrays) -> what a result says of the fit; "converged" among it.
      choose(own) -> the spec of the rival that stands in its place; ``own`` is that of the task.

    Attributes:
      answers: what it is taught, as ``Task.answers``.
      most: of train, in ``unit``; of more, nothing is fitted.
      unit: what ``amount`` counts, the name of the option that is ``most``.
      packages: whose versions decide what is learned.
    """

    fit: Callable[[Material, Material], dict[str, np.ndarray]] | None = None
    answer: Callable[[Arrays, Material], dict[str, np.ndarray]] | None = None
    amount: Callable[[Material], int] | None = None
    lacks: Callable[[Material], str | None] | None = None
    facts: Callable[[Arrays], dict[str, float | bool]] | None = None
    choose: Callable[[str], str] | None = None
    answers: str = ""
    most: int = 0
    unit: str = ""
    packages: tuple[str, ...] = ()
    spec: str = ""

    kind = "rival"

    def __reduce__(self) -> Any:
        return by_spec(self)


def chosen(spec: str, own: str) -> Rival:
    """The rival that a spec names, or that the one it names chooses of a task whose own is ``own``."""
    rival = specs.build("rival", spec)
    return rival if rival.choose is None else specs.build("rival", rival.choose(own))
