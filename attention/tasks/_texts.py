"""What the tasks share that say something of a whole text."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from attention import specs
from attention.data.contracts import Encoded
from attention.messages import listed, plain, quoted, shortened
from attention.tasks import Facts

SHOWN = 20  # classes of a table at most
_NAME = 40  # characters of the name of a class


def sized(model: Any, vocab_size: int, num_classes: int) -> Any:
    """The classifier of some data."""
    return model.clone(dims=model.dims._replace(vocab_size=vocab_size), num_classes=num_classes)


def logits_of(model: Any, params: Any, given: Mapping[str, jax.Array], rng: jax.Array) -> jax.Array:
    """The logits of a batch, ``[B C]``."""
    return model.apply({"params": params}, **given, rng=rng, train=False, dropout=None)[0]


def forward(model: Any, params: Any, given: Mapping[str, jax.Array], rng: jax.Array, *, longest: int) -> dict[str, jax.Array]:
    """``logits_of`` as outputs."""
    return {"logits": logits_of(model, params, given, rng)}


def other(encoded: Encoded, wanted: str) -> str | None:
    """What a split has in place of what is wanted: "classes", "sets of labels", "numbers" or "texts to write"."""
    labels = encoded.labels
    if encoded.targets is not None:
        found = "texts to write"
    elif encoded.wanted is not None:
        found = "something to tell at each word"
    elif labels.ndim > 1:
        found = "sets of labels"
    elif labels.dtype.kind == "f":
        found = "numbers"
    else:
        found = "classes" if (labels >= 0).any() else wanted
    return None if found == wanted else f"has {found} and no {wanted}"


def check_kind(encoded: Encoded, wanted: str) -> None:
    """Raises ValueError for a split that has something else."""
    if reason := other(encoded, wanted):
        raise ValueError(f"the split {reason}")


def places(classes: Sequence[str], used: Iterable[int], facts: Facts) -> np.ndarray:
    """Where the run has each class of other data, -1 where it has not: int32 ``[C']``.

    Raises:
      ValueError: for one of those ``used`` that it has not.
    """
    own = {name: number for number, name in enumerate(facts.classes)}
    for label in used:
        name = classes[int(label)]
        if name not in own:
            near, known = specs.nearest(name, own), listed(own)
            raise ValueError(f"label {quoted(name)} was not seen in training{near}; classes of the run: {known}")
    return np.array([own.get(name, -1) for name in classes], np.int32)


def named(name: str) -> str:
    """The name of a class as it is printed."""
    return plain(shortened(name, _NAME))
