"""How embeddings become states, as Flax modules: one file per encoder, each an ``Encoder`` (``_modules.py``)."""
