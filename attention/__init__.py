"""A laboratory for attention: pure functions for every part, records that combine them, and specs that name them.

The mathematics is here by name: ``attention.sparsemax(scores)``, ``attention.rope(x, positions)``,
``attention.alibi_slopes(8)``. ``attention.attend(query, key, value, encoding="rope", normalizer="sparsemax")`` puts it
together, and ``attention.layer(...)`` with parameters; ``attention.linen``, ``attention.nnx`` and ``attention.equinox`` have
it as modules. ``attention.build(kind, spec)`` returns one record and ``attention.names(kind)`` lists a kind. Importing this
package needs JAX alone; the other packages (``attention.models`` and ``encoders``, which are Flax, ``data``, ``training``,
``evaluation``, ``lab``) are loaded when they are first used, and so is what runs and sweeps from Python:
``attention.base_config``, ``train``, ``sweep`` and ``load``.
"""

import importlib
import textwrap
from typing import Any

from attention import installation, specs
from attention.attend import attend
from attention.attention_fn import attention_fn
from attention.decoding import beam, greedy
from attention.dropout import dropout
from attention.layer import Layer, Stack, layer, stack
from attention.records import (
    Call,
    Context,
    Dims,
    Encoding,
    Mask,
    Mixer,
    Normalizer,
    Parts,
    Pooled,
    Pooling,
    Score,
)
from attention.recurrent import gru, lstm
from attention.specs import build, canonical, describe, names

__version__ = installation.version()

PURE_KINDS = ("encoding", "normalizer", "score", "mask", "mixer", "pooling", "gate")
_LAZY = (
    "commands",
    "data",
    "decoders",
    "encoders",
    "equinox",
    "evaluation",
    "lab",
    "linen",
    "models",
    "nnx",
    "optimizers",
    "rivals",
    "runs",
    "tasks",
    "training",
)
_FUNCTIONS = {
    "base_config": "attention.training.config_files",
    "load": "attention.evaluation",
    "sweep": "attention.commands.sweep",
    "train": "attention.commands.train",
}


def _mathematics(kind: str) -> dict[str, Any]:
    """The public functions of a kind, from the ``__all__`` of each variant's file."""
    modules = [specs.module(kind, name) for name in names(kind)]
    return {public: getattr(module, public) for module in modules for public in getattr(module, "__all__", ())}


for _kind in PURE_KINDS:
    _found = _mathematics(_kind)
    globals().update(_found)
    __doc__ = f"{__doc__}\n{_kind}:\n" + textwrap.fill(", ".join(_found), 116, initial_indent="    ", subsequent_indent="    ")


def __getattr__(name: str) -> Any:
    with installation.naming_what_is_missing():
        if name in _LAZY:
            return importlib.import_module(f"attention.{name}")
        if name in _FUNCTIONS:
            return getattr(importlib.import_module(_FUNCTIONS[name]), name)
    raise AttributeError(f"module 'attention' has no attribute {name!r}{specs.nearest(name, globals())}")


__all__ = [
    "Call",
    "Context",
    "Dims",
    "Encoding",
    "Layer",
    "Mask",
    "Mixer",
    "Normalizer",
    "Parts",
    "Pooled",
    "Pooling",
    "Score",
    "Stack",
    "attend",
    "attention_fn",
    "beam",
    "build",
    "canonical",
    "describe",
    "dropout",
    "greedy",
    "gru",
    "layer",
    "lstm",
    "names",
    "stack",
]
