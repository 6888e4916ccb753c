"""The variants of a sweep: a few combinators that make lists of changes to a base config.

::

  grid.param("model.encoding", ["none", "rope"])                    one field, its values
  grid.param("model.encoding", {"NoPE": "none", "RoPE": "rope"})    the same, named
  grid.product(a, b)                                                every value of a with every value of b: a grid
  grid.zip(a, b)                                                    the first with the first, the second with the second
  grid.chain(a, b)                                                  the values of a, then those of b
  grid.where(a, lambda fields: ...)                                 those of a for which the function says so
  grid.subsample(a, 10, seed=0)                                     ten of a, drawn

Values are what a config holds: numbers, strings, spec strings. A sweep's config file calls these; what they return is data.
"""

import builtins
import itertools
import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple


class Variant(NamedTuple):
    """One change to the base config.

    Attributes:
      names: how it is called on each axis of a ``product``; one name where there is one axis.
      fields: the values it sets, by dotted field: ``{"model.encoding": "rope"}``.
    """

    names: tuple[str, ...]
    fields: dict[str, Any]

    @property
    def name(self) -> str:
        """The name in tables: those on the axes, with a comma between."""
        return ", ".join(self.names)


Axis = Sequence[Variant]


def param(field: str, values: Sequence[Any] | Mapping[str, Any]) -> list[Variant]:
    """One field with its values.

    Example:
      >>> [variant.name for variant in param("model.encoding", ["none", "rope"])]
      ['none', 'rope']

    Args:
      field: the dotted name: ``"model.encoding"``, ``"training.learning_rate"``.
      values: one or more; a mapping gives each a name.

    Raises:
      ValueError: for no values.
    """
    if isinstance(values, str) or not len(values):
        raise ValueError(f"param({field!r}) needs a list of one or more values, got {values!r}")
    named = values.items() if isinstance(values, Mapping) else ((_name(value), value) for value in values)
    return [Variant((str(name),), {field: value}) for name, value in named]


def product(*axes: Axis) -> list[Variant]:
    """Every combination, the last axis changing fastest.

    Example:
      >>> grid = product(param("model.encoding", ["none", "rope"]), param("model.normalizer", ["softmax", "sparsemax"]))
      >>> [variant.name for variant in grid]
      ['none, softmax', 'none, sparsemax', 'rope, softmax', 'rope, sparsemax']

    Raises:
      ValueError: for no axes, an empty one, or a field that two of them set.
    """
    return [_merged(variants, apart=True) for variants in itertools.product(*_filled("product", axes))]


def zip(*axes: Axis) -> list[Variant]:
    """The first of each axis together, the second of each, and so on.

    Example:
      >>> causal = zip(param("model.mask", ["causal"]), param("model.pooling", ["last"]))
      >>> causal
      [Variant(names=('causal + last',), fields={'model.mask': 'causal', 'model.pooling': 'last'})]

    Raises:
      ValueError: for no axes, axes of different lengths, or a field that two of them set.
    """
    lengths = [len(axis) for axis in _filled("zip", axes)]
    if len(set(lengths)) > 1:
        raise ValueError(f"zip needs axes of one length, got {', '.join(map(str, lengths))}")
    return [_merged(variants, apart=False) for variants in builtins.zip(*axes)]


def chain(*axes: Axis) -> list[Variant]:
    """The variants of each axis, one axis after another.

    Example:
      >>> chain(param("model.encoding", ["none"]), param("model.mask", ["causal"]))[1]
      Variant(names=('causal',), fields={'model.mask': 'causal'})

    Raises:
      ValueError: for no axes or an empty one.
    """
    return list(itertools.chain(*_filled("chain", axes)))


def where(axis: Axis, keep: Callable[[dict[str, Any]], bool]) -> list[Variant]:
    """The variants whose fields ``keep`` approves of.

    Example:
      >>> rates = param("training.learning_rate", [1e-3, 1e-2])
      >>> [variant.name for variant in where(rates, lambda fields: fields["training.learning_rate"] < 5e-3)]
      ['0.001']
    """
    return [variant for variant in axis if keep(dict(variant.fields))]


def subsample(axis: Axis, count: int, *, seed: int) -> list[Variant]:
    """``count`` of the variants, drawn without replacement, in their order.

    Example:
      >>> len(subsample(param("training.dropout", [0.1, 0.2, 0.3]), 2, seed=0))
      2

    Raises:
      ValueError: for a count that is not 1 to the number of variants.
    """
    if not 1 <= count <= len(axis):
        raise ValueError(f"subsample takes 1 to {len(axis)} of {len(axis)} variants, got {count}")
    chosen = set(random.Random(seed).sample(range(len(axis)), count))
    return [variant for number, variant in enumerate(axis) if number in chosen]


def _name(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _filled(what: str, axes: Sequence[Axis]) -> Sequence[Axis]:
    empty = [number for number, axis in enumerate(axes, 1) if not len(axis)]
    if not axes or empty:
        which = f"axis {empty[0]} of {len(axes)} is empty" if axes else "got none"
        raise ValueError(f"{what} needs axes with variants; {which}")
    return axes


def _merged(variants: Sequence[Variant], *, apart: bool) -> Variant:
    fields: dict[str, Any] = {}
    for variant in variants:
        twice = fields.keys() & variant.fields.keys()
        if twice:
            raise ValueError(f"two axes set {min(twice)}: {variants[0].name!r} and {variant.name!r}")
        fields |= variant.fields
    names = tuple(name for variant in variants for name in variant.names)
    return Variant(names if apart else (" + ".join(names),), fields)
