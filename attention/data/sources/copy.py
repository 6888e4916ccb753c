"""Symbols to be written again: the least that attention to a source must do. For ``task=seq2seq``."""

from attention.data.sources._transductions import of_symbols

build = of_symbols("copy", str)
