"""Symbols to be written from the last to the first: attention runs against the order of writing. For ``task=seq2seq``."""

from attention.data.sources._transductions import of_symbols

build = of_symbols("reverse", lambda text: text[::-1])
