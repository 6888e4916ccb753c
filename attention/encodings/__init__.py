"""How positions enter: one file per encoding; encodings compose with ``+``."""

from attention.encodings._sum import combine as combine
