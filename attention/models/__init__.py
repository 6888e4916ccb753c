"""The models of the tasks, as Flax modules; the functions that make them check that their parts go together."""

from attention import installation as _installation

_installation.require("flax")
