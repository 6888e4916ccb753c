"""What a run keeps of its data."""

import itertools
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from attention import specs


class DataRecord(NamedTuple):
    """What ``data.json`` keeps of the data: enough to load it again and to notice that it has changed.

    Attributes:
      source: the resolved spec.
      hashes: content hash per split.
      classes: names in the order of the labels.
      vocab_size: of the tokenizer.
      bucket_lengths: the padded lengths of the training plan. Evaluation uses them too, so that its programs, and with
        them the last bits of its numbers, are training's own.
      rules: what each trivial rule of the source has learned of train, by its name, so that it can be scored on any file.
      splits: for each split its statistics, as ``Dataset.statistics`` has them, under "baselines" the score of each rule on it,
        by the metric of its task for rules; where each text has one class, under "class_counts" the texts of each, in the
        order of ``classes``; and where tokens are told, under "tokens" the hash that ``Dataset.tokens`` has.
      notes: what was said of the data.

    In a run of before the last three were kept, they are empty.
    """

    source: str
    hashes: dict[str, str]
    classes: tuple[str, ...]
    vocab_size: int
    bucket_lengths: tuple[int, ...]
    rules: dict[str, dict[str, float]]
    splits: dict[str, dict[str, Any]]
    notes: tuple[str, ...]


def _all(kind: type | tuple[type, ...]) -> Callable[[Any], bool]:
    return lambda value: all(isinstance(item, kind) for item in (value.values() if isinstance(value, dict) else value))


def _facts(value: dict[str, Any]) -> bool:
    baselines, counts = value.get("baselines", {}), value.get("class_counts", [])
    numbers = {name: fact for name, fact in value.items() if name not in ("baselines", "class_counts", "tokens")}
    whole = isinstance(baselines, dict) and isinstance(counts, list) and _all(int)(counts)
    whole = whole and isinstance(value.get("tokens", ""), str)
    return whole and _all((int, float))(baselines) and _all((int, float))(numbers)


def _rising(value: Any) -> bool:
    whole = bool(value) and _all(int)(value)
    return whole and value[0] > 0 and all(one < other for one, other in itertools.pairwise(value))


# The type of each field of ``data.json``, and what else is true of it.
_FIELDS: dict[str, tuple[type, Callable[[Any], bool]]] = {
    "source": (str, bool),
    "hashes": (dict, _all(str)),
    "classes": (list, _all(str)),
    "vocab_size": (int, lambda value: value > 0),
    "bucket_lengths": (list, _rising),
    "rules": (dict, lambda value: _all(dict)(value) and all(map(_all((int, float)), value.values()))),
    "splits": (dict, lambda value: _all(dict)(value) and all(map(_facts, value.values()))),
    "notes": (list, _all(str)),
}
# Of runs of before baselines belonged to a split: they are left out, since it is not said of which split they are.
_FLAT = "baselines"


def checked(stored: dict[str, Any], path: Path) -> DataRecord:
    """The record that a file holds. Raises ValueError where it is not what training writes."""
    if _FLAT in stored:
        stored = {name: value for name, value in stored.items() if name != _FLAT} | {"rules": {}, "splits": {}, "notes": []}
    if set(stored) != set(DataRecord._fields):
        raise ValueError(f"{path} wants the fields {', '.join(DataRecord._fields)}, got {sorted(stored)}")
    for name, (kind, fits) in _FIELDS.items():
        if not (isinstance(stored[name], kind) and fits(stored[name])):
            raise ValueError(f"{path}: {name} is not what training writes, got {str(stored[name])[:100]!r}")
    tuples = {name: tuple(stored[name]) for name in ("classes", "bucket_lengths", "notes")}
    return DataRecord(**{**stored, **tuples})


def places(spec: specs.Spec) -> Iterator[str]:
    """The paths and addresses among the options of a spec."""
    values = [item for _, value in spec.options for item in (value if type(value) is tuple else [value])]
    for value in (*values, *spec.terms):
        if isinstance(value, specs.Spec):
            yield from places(value)
        elif isinstance(value, str) and re.search(r"[/\\~$]", value):
            yield value
