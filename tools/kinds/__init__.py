"""One module per kind: the facts, tables and pictures of its page."""
