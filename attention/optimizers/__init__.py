"""How gradients become steps: one file per optimizer, on optax."""

from attention import installation as _installation

_installation.require("optax")
