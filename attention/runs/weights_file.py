"""A model in one ``.safetensors`` file: the weights of a member, and in its metadata all that reads texts with them.

Tensors are named by their path in the tree of parameters, ``encoder.layer_0.attention.query.kernel``. An int8 tensor ``NAME``
stands for ``NAME * NAME.scale``. The metadata ``attention_lab`` is a JSON object of what ``Stored`` holds beside the weights,
its ``format``, and a hash of it and of every tensor.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from attention import installation, tensors
from attention.files import json_hash, parse_json, write_atomic
from attention.messages import quoted, shown
from attention.runs import int8

FORMAT = 1
_METADATA, _SCALE = "attention_lab", ".scale"
_FIELDS = {"config": dict, "classes": list, "tokenizer": dict, "seed": int, "vocab_size": int, "bucket_lengths": list}


class Stored(NamedTuple):
    """A trained model.

    Attributes:
      config: of its run, as ``config.json`` has it.
      classes: names of the classes; none where there are none.
      tokenizer: the text of each file of the tokenizer, by name.
      seed: of the member.
      vocab_size: as ``data.json`` has it.
      bucket_lengths: the same.
      weights: float32 arrays in nested dicts.
      sha256: of all of it.
    """

    config: dict[str, Any]
    classes: tuple[str, ...]
    tokenizer: dict[str, str]
    seed: int
    vocab_size: int
    bucket_lengths: tuple[int, ...]
    weights: dict[str, Any]
    sha256: str = ""


def write(path: Path, stored: Stored, *, quantize: bool = False) -> int:
    """Writes the file atomically, and returns its size in bytes.

    Args:
      path: the file; one that is there is replaced.
      stored: the model; ``sha256`` is not read.
      quantize: whether weights of two axes or more are written as int8.
    """
    installation.require("safetensors")
    from safetensors.numpy import save

    values, scales = int8.split(leaves(stored.weights)) if quantize else (leaves(stored.weights), {})
    arrays = {**values, **{f"{name}{_SCALE}": scale for name, scale in scales.items()}}
    arrays = {name: np.asarray(array, order="C") for name, array in arrays.items()}  # others would be written in disorder
    facts = {name: value for name, value in stored._asdict().items() if name in _FIELDS}
    facts = json.loads(json.dumps({"format": FORMAT, **facts}))
    content = save(arrays, {_METADATA: json.dumps({**facts, "sha256": _hash(facts, arrays)})})
    write_atomic(path, content)
    return len(content)


def read(path: Path) -> Stored:
    """What ``write`` was given, int8 as float32.

    Raises:
      ValueError: where there is no such file, or it is damaged, of a later format, or none that ``write`` wrote.
    """
    metadata, arrays = tensors.read(path)
    if _METADATA not in metadata:
        raise ValueError(f"{shown(path)} holds no model of this project, which eval.py --export={shown(path.name)} writes")
    try:
        facts = parse_json(metadata[_METADATA])
        number, sha256 = facts["format"], facts.pop("sha256")
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise ValueError(f"{shown(path)} is damaged: its metadata are none ({error!r})") from None
    if number != FORMAT:
        raise ValueError(f"{shown(path)} has format {quoted(number)}; this version reads format {FORMAT}")
    if sha256 != _hash(facts, arrays):
        raise ValueError(f"{shown(path)} is damaged or was edited: it does not have the hash it was written with")
    for name, kind in _FIELDS.items():
        if not isinstance(facts.get(name), kind):
            raise ValueError(f"{shown(path)} is not what eval.py --export writes: {name} is {quoted(facts.get(name))}")
    if any(Path(name).name != name or not isinstance(text, str) for name, text in facts["tokenizer"].items()):
        raise ValueError(f"{shown(path)} is not what eval.py --export writes: its tokenizer has no plain files")
    lists = {name: tuple(facts[name]) for name, kind in _FIELDS.items() if kind is list}
    known = {name: facts[name] for name in _FIELDS}
    return Stored(**{**known, **lists}, weights=nested(_whole(arrays)), sha256=sha256)


def leaves(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """The leaves of nested dicts, by their path."""
    found: dict[str, Any] = {}
    for name, value in tree.items():
        found |= leaves(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {f"{prefix}{name}": value}
    return found


def _whole(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The weights, int8 ones times their scales."""
    scales = {name: arrays[f"{name}{_SCALE}"] for name in arrays if f"{name}{_SCALE}" in arrays}
    values = {name: array for name, array in arrays.items() if name in scales or name.removesuffix(_SCALE) not in scales}
    return int8.joined(values, scales)


def nested(arrays: Mapping[str, Any]) -> dict[str, Any]:
    """The inverse of ``leaves``."""
    tree: dict[str, Any] = {}
    for name, array in arrays.items():
        *outer, last = name.split(".")
        inner = tree
        for key in outer:
            inner = inner.setdefault(key, {})
        inner[last] = array
    return tree


def _hash(facts: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> str:
    described = {
        name: [str(array.dtype), array.shape, hashlib.sha256(array.tobytes()).hexdigest()] for name, array in arrays.items()
    }
    return json_hash({"facts": facts, "tensors": described})
