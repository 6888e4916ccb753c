"""Rules that are learned of whole texts, which a model has to beat: one file per rival, on the splits of the run."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from attention import specs
from attention.data.contracts import Split
from attention.specs import by_spec

Arrays = Mapping[str, np.ndarray]


class Rival(NamedTuple):
    """What a model of texts is compared with. The hooks are None where there is nothing to fit.

    Hooks:
      fit(train, validation, classes) -> all that it learns, arrays of numbers by name: of train, its strength chosen on
        validation.
      answer(arrays, texts, classes) -> outputs as a member's, ``Task.forward``: arrays ``[n ...]`` by name. What it says of a
        text does not depend on the others. Raises ValueError for arrays that ``fit`` does not make of so many classes.
      facts(arrays) -> what a result says of the fit; "converged" among it.
      choose(own) -> the spec of the rival that stands in its place; ``own`` is that of the task.

    Attributes:
      answers: what it is taught, as ``Task.answers``.
      texts: of train, at most.
      packages: whose versions decide what is learned.
    """

    fit: Callable[[Split, Split, int], dict[str, np.ndarray]] | None = None
    answer: Callable[[Arrays, Sequence[str], int], dict[str, np.ndarray]] | None = None
    facts: Callable[[Arrays], dict[str, float | bool]] | None = None
    choose: Callable[[str], str] | None = None
    answers: str = ""
    texts: int = 0
    packages: tuple[str, ...] = ()
    spec: str = ""

    kind = "rival"

    def __reduce__(self) -> Any:
        return by_spec(self)


def chosen(spec: str, own: str) -> Rival:
    """The rival that a spec names, or that the one it names chooses of a task whose own is ``own``."""
    rival = specs.build("rival", spec)
    return rival if rival.choose is None else specs.build("rival", rival.choose(own))
