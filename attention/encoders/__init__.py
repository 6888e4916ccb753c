"""How embeddings become states, as Flax modules: one file per encoder, each an ``Encoder`` (``_modules.py``)."""

from attention import installation as _installation

_installation.require("flax")
