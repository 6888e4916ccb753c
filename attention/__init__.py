"""A laboratory for attention: pure functions for every part, records that combine them, and specs that name them.

The mathematics is here by name: ``attention.sparsemax(scores)``, ``attention.rope(x, positions)``,
``attention.alibi_slopes(8)``. ``attention.attend(query, key, value, encoding="rope", normalizer="sparsemax")`` puts it
together, and ``attention.layer(...)`` with parameters; ``attention.linen``, ``attention.nnx`` and ``attention.equinox`` have
it as modules. ``attention.build(kind, spec)`` returns one record and ``attention.names(kind)`` lists a kind. What runs and
sweeps from Python is here as well: ``attention.base_config``, ``train``, ``sweep`` and ``load``. Everything is loaded when it
is first used, so that importing this package is quick; the mathematics needs JAX alone.
"""

import importlib
import pkgutil
import sys
import textwrap
import types
from typing import Any

from attention import installation, signatures, specs
from attention.specs import build, canonical, describe, names

__version__ = installation.version()

PURE_KINDS = ("encoding", "normalizer", "score", "mask", "mixer", "pooling", "gate")
_OF_JAX_ALONE = {
    "attention.attend": ("attend",),
    "attention.attention_fn": ("attention_fn",),
    "attention.decoding": ("beam", "greedy"),
    "attention.dropout": ("dropout",),
    "attention.layer": ("Layer", "Stack", "layer", "stack"),
    "attention.records": (
        "Call",
        "Context",
        "Dims",
        "Encoding",
        "Mask",
        "Mixer",
        "Normalizer",
        "Parts",
        "Pooled",
        "Pooling",
        "Score",
    ),
    "attention.recurrent": ("gru", "lstm"),
}
_OF_TRAINING = {
    "attention.commands.sweep": ("sweep",),
    "attention.commands.train": ("train",),
    "attention.evaluation": ("load",),
    "attention.training.config_files": ("base_config",),
}
_MODULES = frozenset(module.name for module in pkgutil.iter_modules(__path__) if not module.name.startswith("_"))

__all__ = ["build", "canonical", "describe", "names"]
__all__ += [name for listed in _OF_JAX_ALONE.values() for name in listed]


def _mathematics(kind: str) -> dict[str, str]:
    """The file of each public function of a kind, from the ``__all__`` of each variant's file."""
    files = [f"{specs.KINDS[kind]}.{name}" for name in names(kind)]
    return {public: file for file in files for public in signatures.public(file)}


_files = {name: file for file, listed in (_OF_JAX_ALONE | _OF_TRAINING).items() for name in listed}
for _kind in PURE_KINDS:
    _found = _mathematics(_kind)
    _files |= _found
    __doc__ = f"{__doc__}\n{_kind}:\n" + textwrap.fill(", ".join(_found), 116, initial_indent="    ", subsequent_indent="    ")


def __getattr__(name: str) -> Any:
    with installation.naming_what_is_missing():
        if name in _files:
            return globals().setdefault(name, getattr(importlib.import_module(_files[name]), name))
        if name in _MODULES:
            return importlib.import_module(f"attention.{name}")
    raise AttributeError(f"module 'attention' has no attribute {name!r}{specs.nearest(name, [*globals(), *_files, *_MODULES])}")


def __dir__() -> list[str]:
    trained = [name for listed in _OF_TRAINING.values() for name in listed]  # whose packages may not be installed
    return sorted({*globals(), *_files}.difference(trained))


class _Package(types.ModuleType):
    """This module: ``attention.layer`` stays the function where importing ``attention/layer.py`` would make it that file."""

    def __setattr__(self, name: str, value: Any) -> None:
        if not (name in _files and isinstance(value, types.ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
