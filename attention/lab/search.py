"""A random search of hyperparameters: the same draws, and so the same budget, for every variant."""

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from attention.specs import nearest
from attention.training.config import PER_MEMBER

_PATIENCE = 1000  # draws for each trial, until it is said that there are no more different ones
_FORMS = {"log": 2, "uniform": 2, "choice": None}


class Search(NamedTuple):
    """What is searched, in how many trials.

    Attributes:
      ranges: by dotted field, ``log(low, high)``, ``uniform(low, high)`` or ``choice(a, b, ...)``.
      trials: draws.
      halvings: times that the worse half of the trials of a variant stops early.
      seed: of the draws and of the trials' members.
    """

    ranges: dict[str, str]
    trials: int
    halvings: int
    seed: int

    @classmethod
    def read(cls, ranges: Mapping[str, str], trials: int, halvings: int, seed: int) -> "Search":
        """Checks a search. Raises ValueError for a field that is no number per member, or a range that is none."""
        known = [f"training.{name}" for name in PER_MEMBER]
        for field, text in ranges.items():
            if field not in known:
                what = f"config.sweep.search takes fields that members of a cohort may differ in ({', '.join(known)})"
                raise ValueError(f"{what}, got {field!r}{nearest(field, known)}")
            _parsed(field, text)
        if trials < 2 or halvings < 0 or 2**halvings > trials:
            raise ValueError(
                f"a search needs at least 2 trials, and at least 2^halvings; got {trials} trials, {halvings} halvings"
            )
        search = cls(dict(ranges), trials, halvings, seed)
        search.draws()  # raises where there are not as many
        return search

    def draws(self) -> list[dict[str, float]]:
        """The values of each trial, by field, no two alike; they depend on the seed alone."""
        streams = [
            np.random.Generator(np.random.Philox(np.random.SeedSequence((self.seed, n)))) for n in range(len(self.ranges))
        ]
        found: list[dict[str, float]] = []
        for _ in range(_PATIENCE * self.trials):
            trial = {field: _drawn(field, text, stream.random()) for (field, text), stream in zip(self.ranges.items(), streams)}
            if trial not in found:
                found.append(trial)
            if len(found) == self.trials:
                return found
        given = ", ".join(f"{field} from {text}" for field, text in self.ranges.items())
        raise ValueError(f"config.sweep.trials={self.trials} wants as many different draws; {given} has {len(found)}")


def _drawn(field: str, text: str, u: float) -> float:
    """The value of a range at ``u``, uniform in [0, 1)."""
    form, values = _parsed(field, text)
    if form == "log":
        value = math.exp(math.log(values[0]) + u * (math.log(values[1]) - math.log(values[0])))
    elif form == "uniform":
        value = values[0] + u * (values[1] - values[0])
    else:
        value = values[int(u * len(values))]
    return float(f"{value:.4g}")  # as it is printed, so that the number can be given again


def _parsed(field: str, text: str) -> tuple[str, list[float]]:
    form, _, rest = text.strip().partition("(")
    numbers = rest[:-1].split(",") if rest.endswith(")") else []
    try:
        values = [float(number) for number in numbers]
    except ValueError:
        values = []
    fits = form in _FORMS and values and _FORMS[form] in (None, len(values)) and all(map(math.isfinite, values))
    rising = form == "choice" or (len(values) == 2 and values[0] < values[1] and (form != "log" or values[0] > 0))
    if not (fits and rising):
        wanted = "log(low, high), uniform(low, high) with low < high, or choice(a, b, ...)"
        raise ValueError(f"config.sweep.search of {field} must be {wanted}; got {text!r}")
    return form, values
