"""How a text is written from the states of another, as Flax modules: one file for each ``Decoder`` (``_decoder.py``)."""

from attention import installation as _installation

_installation.require("flax")
