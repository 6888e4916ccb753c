"""Symbols to be written in alphabetical order: attention by content, not by place. For ``task=seq2seq``."""

from attention.data.sources._transductions import of_symbols

build = of_symbols("sort", lambda text: "".join(sorted(text)))
